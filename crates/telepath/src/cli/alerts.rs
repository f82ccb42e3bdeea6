//! `telepath alerts`: unusual key usage and failing webhooks.

use clap::{Args, Subcommand};
use telepath_client::{Alert, AlertId, AlertsQuery, KeyId, Timestamp, WebhookId};
use telepath_core::clock::{Clock as _, SystemClock};

use super::reach::{ApiArgs, with_client};
use super::{choices, output, pages, text};
use crate::exit::Failure;

/// The width of the name column.
const NAME: usize = 16;
/// The maximum number of alerts that one command acknowledges.
const MAX_ACKNOWLEDGED: usize = 100;

const LIST_EXAMPLES: &str = "\
Examples:
  telepath alerts list --data-dir data --status open
  telepath alerts list --data-dir data --key key_01k9v1n2xrf6t8g3m5q7w9y0za --json
  telepath alerts list --data-dir data --rule new_address";

const ACK_EXAMPLES: &str = "\
Examples:
  telepath alerts ack alr_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --note 'The new office'
  telepath alerts list --data-dir data --status open --json | jq -r '.[].id' | \\
      xargs telepath alerts ack --data-dir data";

const TEST_EXAMPLES: &str = "\
Examples:
  telepath alerts test --data-dir data
  telepath alerts test --data-dir data --kind mail";

/// Subcommands of `alerts`.
#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// List alerts, newest first
    #[command(after_help = LIST_EXAMPLES)]
    List(Box<ListArgs>),
    /// Acknowledge alerts; repeating it has no effect
    #[command(after_help = ACK_EXAMPLES)]
    Ack(Box<AckArgs>),
    /// Send a test email to everybody who gets the emails about alerts
    #[command(after_help = TEST_EXAMPLES)]
    Test(Box<TestArgs>),
}

/// Arguments of `alerts list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Only alerts in this state
    #[arg(long, value_parser = choices::alert_statuses(), help_heading = "Filters")]
    status: Option<String>,
    /// Only alerts about this key
    #[arg(long, value_name = "KEY", help_heading = "Filters")]
    key: Option<KeyId>,
    /// Only alerts about this webhook
    #[arg(long, value_name = "WEBHOOK", conflicts_with = "key", help_heading = "Filters")]
    webhook: Option<WebhookId>,
    /// Only alerts about the key, webhook, trunk, user or account with this id
    #[arg(long, value_name = "ID", conflicts_with_all = ["key", "webhook"], help_heading = "Filters")]
    subject: Option<String>,
    /// Only alerts of this rule
    #[arg(long, value_parser = choices::alert_rules(), help_heading = "Filters")]
    rule: Option<String>,
    /// Maximum number of rows
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print a JSON array, with the measured figures
    #[arg(long)]
    json: bool,
}

/// Arguments of `alerts ack`.
#[derive(Debug, Args)]
pub(crate) struct AckArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Alert ids, alr_…, at most 100
    #[arg(required = true, num_args = 1..=MAX_ACKNOWLEDGED)]
    ids: Vec<AlertId>,
    /// What you found out, at most 1000 characters
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of `alerts test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// A short text, or an alert as it would look
    #[arg(long, value_parser = choices::alert_test_kinds(), default_value = "alert")]
    kind: String,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs a command.
pub(crate) async fn run(command: AlertsCommand) -> Result<(), Failure> {
    match command {
        AlertsCommand::List(args) => list(*args).await,
        AlertsCommand::Ack(args) => acknowledge(*args).await,
        AlertsCommand::Test(args) => test(*args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let query = AlertsQuery {
        key_id: args.key,
        webhook_id: args.webhook,
        subject_id: args.subject,
        rule: args.rule,
        status: args.status,
        ..AlertsQuery::default()
    };
    let listing = with_client(&args.api, async |client| {
        pages::by_cursor(args.limit, async |size, cursor| {
            client.list_alerts(&AlertsQuery { limit: Some(size), cursor, ..query.clone() }).await
        })
        .await
    })
    .await?;
    print(&listing.items, args.json, SystemClock.now())?;
    if !args.json {
        listing.note_more();
    }
    Ok(())
}

fn print(alerts: &[Alert], as_json: bool, now: Timestamp) -> Result<(), Failure> {
    let head = ["ID", "AGE", "SEVERITY", "STATE", "SUBJECT", "ALERT"];
    pages::print(alerts, as_json, "No alerts.", head, |alert| {
        [
            alert.id.to_string(),
            text::since(Some(alert.raised_at), now),
            alert.severity.clone(),
            if alert.acknowledged_at.is_some() { "acknowledged" } else { "open" }.to_owned(),
            text::truncate(&alert.subject.name, NAME),
            format!("{}: {}", alert.rule, alert.message),
        ]
    })
}

async fn acknowledge(args: AckArgs) -> Result<(), Failure> {
    let alerts = with_client(&args.api, async |client| {
        let mut alerts = Vec::with_capacity(args.ids.len());
        for id in &args.ids {
            alerts.push(client.acknowledge_alert(*id, args.note.as_deref()).await?);
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

async fn test(args: TestArgs) -> Result<(), Failure> {
    let tested =
        with_client(&args.api, async |client| Ok(client.test_alerts(Some(&args.kind)).await?)).await?;
    if args.json {
        output::json(&tested)?;
    }
    match tested.error {
        Some(error) => Err(Failure::plain(format!("The test was not sent: {error}"))
            .remedy("Correct the settings of [smtp], restart the server, and send the test again.")),
        None if args.json => Ok(()),
        None => output::line(&"The mail server accepted the test. Look into the mailboxes of smtp.to."),
    }
}
