//! `telepath webhooks update`.

use clap::Args;
use telepath_client::{Patch, TrunkId, UpdateWebhook, WebhookId};

use super::endpoints::describe;
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
pub(crate) struct UpdateArgs {
    /// Webhook id, whk_…
    id: WebhookId,
    #[command(flatten)]
    api: ApiArgs,
    /// New URL, also for pending deliveries
    #[arg(long, help_heading = "Changes")]
    url: Option<String>,
    /// New event names, comma-separated; * for all
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

pub(super) async fn run(args: UpdateArgs) -> Result<(), Failure> {
    let change = change(&args);
    if change == UpdateWebhook::default() {
        return Err(
            Failure::new(Exit::Usage, "nothing to change").remedy("Pass at least one change; see --help.")
        );
    }
    let changed =
        with_client(&args.api, async |client| Ok(client.update_webhook(args.id, &change).await?)).await?;
    if args.json {
        return output::json(&changed);
    }
    output::line(&format_args!("Updated webhook {}", changed.id))?;
    describe(&changed)
}

fn change(args: &UpdateArgs) -> UpdateWebhook {
    let description = match args.description.as_deref() {
        None => Patch::Keep,
        Some("") => Patch::Clear,
        Some(text) => Patch::Set(text.to_owned()),
    };
    let trunk_ids = args.trunks.as_ref().map(|trunks| trunks.iter().map(ToString::to_string).collect());
    UpdateWebhook {
        url: args.url.clone(),
        description,
        events: args.events.clone(),
        trunk_ids: if args.all_trunks { Some(Vec::new()) } else { trunk_ids },
        max_in_flight: args.max_in_flight,
        status: args.status.clone(),
    }
}
