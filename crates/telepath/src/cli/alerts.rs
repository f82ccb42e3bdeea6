//! `telepath alerts`: what was unusual about the use of keys, and webhooks that fail.

use clap::{Args, Subcommand};
use telepath_client::{Alert, AlertId, AlertsQuery, Client, KeyId, Timestamp, WebhookId};
use telepath_core::clock::{Clock as _, SystemClock};

use super::reach::{ApiArgs, with_client};
use super::{output, text};
use crate::exit::Failure;

/// The largest page that the API gives.
const PAGE: u32 = 100;
/// The longest part of a name that a line has room for.
const NAME: usize = 16;
/// Alerts that one command acknowledges at most.
const MOST_ACKNOWLEDGED: usize = 100;

const LIST_EXAMPLES: &str = "\
Examples:
  telepath alerts list --data-dir data --status open
  telepath alerts list --data-dir data --key key_01k9v1n2xrf6t8g3m5q7w9y0za --json
  telepath alerts list --data-dir data --rule new_address";

const ACK_EXAMPLES: &str = "\
Examples:
  telepath alerts ack alr_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data
  telepath alerts list --data-dir data --status open --json | jq -r '.[].id' | \\
      xargs telepath alerts ack --data-dir data";

/// What to do with alerts.
#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// List alerts, the newest first
    #[command(after_help = LIST_EXAMPLES)]
    List(Box<ListArgs>),
    /// Say that alerts were seen; a second time changes nothing
    #[command(after_help = ACK_EXAMPLES)]
    Ack(Box<AckArgs>),
}

/// Arguments of `alerts list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Only those that are open or acknowledged
    #[arg(long, help_heading = "Filters")]
    status: Option<String>,
    /// Only those about this key
    #[arg(long, value_name = "KEY", help_heading = "Filters")]
    key: Option<KeyId>,
    /// Only those about this webhook
    #[arg(long, value_name = "WEBHOOK", conflicts_with = "key", help_heading = "Filters")]
    webhook: Option<WebhookId>,
    /// Only those of this rule, such as expiring
    #[arg(long, help_heading = "Filters")]
    rule: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print a JSON array, with what was measured
    #[arg(long)]
    json: bool,
}

/// Arguments of `alerts ack`.
#[derive(Debug, Args)]
pub(crate) struct AckArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// The alerts' ids, alr_…, at most 100
    #[arg(required = true, num_args = 1..=MOST_ACKNOWLEDGED)]
    ids: Vec<AlertId>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Runs a command.
pub(crate) async fn run(command: AlertsCommand) -> Result<(), Failure> {
    match command {
        AlertsCommand::List(args) => list(*args).await,
        AlertsCommand::Ack(args) => acknowledge(*args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let query = AlertsQuery {
        key_id: args.key,
        webhook_id: args.webhook,
        rule: args.rule,
        status: args.status,
        ..AlertsQuery::default()
    };
    let (alerts, total) =
        with_client(&args.api, async |client| newest(client, &query, args.limit).await).await?;
    if args.json {
        return output::json(&alerts);
    }
    if alerts.is_empty() {
        return output::line(&"No alerts.");
    }
    output::raw(table(&alerts, SystemClock.now()).as_bytes())?;
    if total > alerts.len() as u64 {
        output::tell(&format_args!("These are {} of {total}: see --limit.", alerts.len()));
    }
    Ok(())
}

async fn newest(client: &Client, query: &AlertsQuery, limit: u32) -> Result<(Vec<Alert>, u64), Failure> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut alerts: Vec<Alert> = Vec::new();
    let mut cursor = None;
    loop {
        let missing = u32::try_from(wanted - alerts.len()).unwrap_or(PAGE);
        let page = client
            .list_alerts(&AlertsQuery { limit: Some(missing.min(PAGE)), cursor, ..query.clone() })
            .await?;
        alerts.extend(page.items);
        alerts.truncate(wanted);
        cursor = page.pagination.next_cursor;
        if alerts.len() == wanted || cursor.is_none() {
            return Ok((alerts, page.pagination.total));
        }
    }
}

fn table(alerts: &[Alert], now: Timestamp) -> String {
    let row = |alert: &Alert| {
        vec![
            alert.id.to_string(),
            text::since(Some(alert.raised_at), now),
            alert.severity.clone(),
            if alert.acknowledged_at.is_some() { "seen" } else { "open" }.to_owned(),
            text::cut(alert.key_name.as_deref().or(alert.webhook_host.as_deref()).unwrap_or("-"), NAME),
            format!("{}: {}", alert.rule, alert.message),
        ]
    };
    let head = ["ID", "AGO", "SEVERITY", "STATE", "KEY OR WEBHOOK", "WHAT"];
    output::table(&head, &alerts.iter().map(row).collect::<Vec<_>>())
}

async fn acknowledge(args: AckArgs) -> Result<(), Failure> {
    let alerts = with_client(&args.api, async |client| {
        let mut alerts = Vec::with_capacity(args.ids.len());
        for id in &args.ids {
            alerts.push(client.acknowledge_alert(*id).await?);
        }
        Ok(alerts)
    })
    .await?;
    if args.json {
        return output::json(&alerts);
    }
    for alert in &alerts {
        output::line(&format_args!("Acknowledged {} ({}).", alert.id, alert.rule))?;
    }
    Ok(())
}
