//! `telepath webhooks update`.

use std::path::PathBuf;

use clap::Args;
use telepath_client::{Patch, TrunkId, UpdateWebhook, WebhookId};

use super::endpoints::{describe, read_headers, read_text};
use crate::cli::output;
use crate::cli::reach::{ApiArgs, with_client};
use crate::exit::{Exit, Failure};

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath webhooks update whk_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --url https://hooks.example/v2
  telepath webhooks update whk_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --events call.ended --max-in-flight 20
  telepath webhooks update whk_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --status active";

/// Arguments of `webhooks update`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct UpdateArgs {
    /// Webhook id, whk_…
    id: WebhookId,
    #[command(flatten)]
    api: ApiArgs,
    /// New URL, also for pending deliveries
    #[arg(long, help_heading = "Changes")]
    url: Option<String>,
    /// New event names or families such as call.*, comma-separated; * for all
    #[arg(long, value_delimiter = ',', value_name = "NAME,…", help_heading = "Changes")]
    events: Option<Vec<String>>,
    /// Only calls of these trunks, comma-separated
    #[arg(long, value_delimiter = ',', value_name = "ID,…", help_heading = "Changes")]
    trunks: Option<Vec<TrunkId>>,
    /// Calls of all trunks
    #[arg(long, conflicts_with = "trunks", help_heading = "Changes")]
    all_trunks: bool,
    /// New description; an empty text removes it
    #[arg(long, help_heading = "Changes")]
    description: Option<String>,
    /// File with the new headers, one `Name: value` per line
    #[arg(long, value_name = "FILE", help_heading = "Changes")]
    headers_file: Option<PathBuf>,
    /// Remove the headers
    #[arg(long, conflicts_with = "headers_file", help_heading = "Changes")]
    no_headers: bool,
    /// File with the new certificate authorities of the endpoint in PEM
    #[arg(long, value_name = "FILE", help_heading = "Changes")]
    endpoint_ca_file: Option<PathBuf>,
    /// Verify the endpoint's certificate against the authorities of the system
    #[arg(long, conflicts_with = "endpoint_ca_file", help_heading = "Changes")]
    system_ca: bool,
    /// Maximum concurrent deliveries, 1 to 100
    #[arg(long, help_heading = "Changes")]
    max_in_flight: Option<u32>,
    /// active to resume deliveries (`webhooks recover` sends the held ones), or disabled to hold them
    #[arg(long, value_parser = ["active", "disabled"], help_heading = "Changes")]
    status: Option<String>,
    /// Print the endpoint as a JSON object
    #[arg(long)]
    json: bool,
}

impl UpdateArgs {
    fn is_empty(&self) -> bool {
        let given = [
            self.url.is_some(),
            self.events.is_some(),
            self.trunks.is_some(),
            self.all_trunks,
            self.description.is_some(),
            self.headers_file.is_some(),
            self.no_headers,
            self.endpoint_ca_file.is_some(),
            self.system_ca,
            self.max_in_flight.is_some(),
            self.status.is_some(),
        ];
        !given.contains(&true)
    }
}

pub(super) async fn run(args: UpdateArgs) -> Result<(), Failure> {
    if args.is_empty() {
        return Err(
            Failure::new(Exit::Usage, "nothing to change").remedy("Pass at least one change; see --help.")
        );
    }
    let change = change(&args)?;
    let changed =
        with_client(&args.api, async |client| Ok(client.update_webhook(args.id, &change).await?)).await?;
    if args.json {
        return output::json(&changed);
    }
    output::line(&format_args!("Updated webhook {}", changed.id))?;
    describe(&changed)
}

fn change(args: &UpdateArgs) -> Result<UpdateWebhook, Failure> {
    let description = match args.description.as_deref() {
        None => Patch::Keep,
        Some("") => Patch::Clear,
        Some(text) => Patch::Set(text.to_owned()),
    };
    let headers = match &args.headers_file {
        Some(path) => Patch::Set(read_headers(path)?),
        None if args.no_headers => Patch::Clear,
        None => Patch::Keep,
    };
    let ca_pem = match &args.endpoint_ca_file {
        Some(path) => Patch::Set(read_text(path)?),
        None if args.system_ca => Patch::Clear,
        None => Patch::Keep,
    };
    let trunk_ids = args.trunks.as_ref().map(|trunks| trunks.iter().map(ToString::to_string).collect());
    Ok(UpdateWebhook {
        url: args.url.clone(),
        description,
        events: args.events.clone(),
        trunk_ids: if args.all_trunks { Some(Vec::new()) } else { trunk_ids },
        headers,
        ca_pem,
        max_in_flight: args.max_in_flight,
        status: args.status.clone(),
    })
}
