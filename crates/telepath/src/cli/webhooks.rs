//! `telepath webhooks`: endpoints and their deliveries, with a running server or without one.

mod listen;

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use telepath_client::{
    Client, DeliveriesQuery, Delivery, DeliveryId, SecretText, Webhook, WebhookId, WebhookRequest,
    WebhookWithSecret,
};
use telepath_core::clock::{Clock as _, SystemClock, Timestamp};

use super::admin::Admin;
use super::arguments::CommonArgs;
use super::output;
use crate::config::duration;
use crate::exit::{Exit, Failure};

/// The largest page that the API gives.
const PAGE: u32 = 100;
/// How long to wait for what comes of a test: an attempt takes at most 30 seconds.
const TEST_WITHIN: Duration = Duration::from_secs(35);
const LOOK_EVERY: Duration = Duration::from_millis(200);

const CREATE_EXAMPLES: &str = "\
Examples:
  telepath webhooks create --data-dir data --url https://hooks.example/telepath
  telepath webhooks create --data-dir data --url https://hooks.example/telepath --events call.started,call.ended --json";

/// What to do with webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhooksCommand {
    /// Make an endpoint; its shared secret is printed once, to standard output
    #[command(after_help = CREATE_EXAMPLES)]
    Create(CreateArgs),
    /// List the endpoints of the account
    #[command(after_help = "Examples:\n  telepath webhooks list --data-dir data --json")]
    List(ListArgs),
    /// Show an endpoint
    #[command(
        after_help = "Examples:\n  telepath webhooks show whk_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data"
    )]
    Show(OneArgs),
    /// Send a test event, and wait for what comes of it
    #[command(
        after_help = "Examples:\n  telepath webhooks test whk_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data"
    )]
    Test(OneArgs),
    /// Make a new signing secret; the old one signs too for a while
    #[command(
        after_help = "Examples:\n  telepath webhooks rotate-secret whk_01k9v1n2xrf6t8g3m5q7w9y0za --grace 2h --data-dir data"
    )]
    RotateSecret(RotateArgs),
    /// List the latest deliveries to an endpoint
    #[command(
        after_help = "Examples:\n  telepath webhooks deliveries whk_01k9v1n2xrf6t8g3m5q7w9y0za --status exhausted --data-dir data"
    )]
    Deliveries(DeliveriesArgs),
    /// Send one delivery again
    #[command(
        after_help = "Examples:\n  telepath webhooks redeliver dlv_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data"
    )]
    Redeliver(OneArgs),
    /// Send everything again that was exhausted or held
    #[command(
        after_help = "Examples:\n  telepath webhooks recover whk_01k9v1n2xrf6t8g3m5q7w9y0za --since 24h --data-dir data"
    )]
    Recover(RecoverArgs),
    /// Forward events to a program on this machine until Ctrl-C
    #[command(after_help = listen::EXAMPLES)]
    Listen(listen::ListenArgs),
}

/// Arguments of `webhooks create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Where events are sent: https://…
    #[arg(long)]
    url: String,
    /// Names of events with commas between them; all when left out
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    events: Vec<String>,
    /// Calls of these trunks only, with commas between them
    #[arg(long, value_delimiter = ',', value_name = "ID,…")]
    trunks: Vec<String>,
    /// What people say about it
    #[arg(long)]
    description: Option<String>,
    /// v1 (HMAC-SHA-256) or v1a (Ed25519) [default: v1]
    #[arg(long)]
    signature: Option<String>,
    /// Deliveries under way at once, 1 to 100 [default: 10]
    #[arg(long)]
    max_in_flight: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `webhooks list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of commands about one thing.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// Its id
    id: String,
    #[command(flatten)]
    common: CommonArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `webhooks rotate-secret`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    one: OneArgs,
    /// How long the old secret signs too, at most 7d [default: 24h]
    #[arg(long, value_name = "LENGTH")]
    grace: Option<String>,
}

/// Arguments of `webhooks deliveries`.
#[derive(Debug, Args)]
pub(crate) struct DeliveriesArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Only those that are pending, delivered, exhausted or held
    #[arg(long)]
    status: Option<String>,
}

/// Arguments of `webhooks recover`.
#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Events of the last so long, such as 24h, or since a date-time such as 2027-01-31T12:00:00Z
    #[arg(long)]
    since: String,
}

/// Runs a command.
pub(crate) async fn run(command: WebhooksCommand) -> Result<(), Failure> {
    match command {
        WebhooksCommand::Create(args) => create(args).await,
        WebhooksCommand::List(args) => list(args).await,
        WebhooksCommand::Show(args) => show(args).await,
        WebhooksCommand::Test(args) => test(args).await,
        WebhooksCommand::RotateSecret(args) => rotate(args).await,
        WebhooksCommand::Deliveries(args) => deliveries(args).await,
        WebhooksCommand::Redeliver(args) => redeliver(args).await,
        WebhooksCommand::Recover(args) => recover(args).await,
        WebhooksCommand::Listen(args) => listen::run(args).await,
    }
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::new(Exit::Usage, format!("{text}: {error}")))
}

async fn create(args: CreateArgs) -> Result<(), Failure> {
    let request = WebhookRequest {
        url: args.url,
        description: args.description,
        events: Some(args.events).filter(|events| !events.is_empty()),
        trunk_ids: args.trunks,
        signature: args.signature,
        max_in_flight: args.max_in_flight,
        status: None,
    };
    let admin = Admin::open(&args.common).await?;
    let created = admin.client().create_webhook(&request).await;
    admin.close().await;
    print_with_secret("Made", &created?, args.json)
}

async fn rotate(args: RotateArgs) -> Result<(), Failure> {
    let id: WebhookId = parsed(&args.one.id)?;
    let wrong = |message| Failure::new(Exit::Usage, format!("--grace {message}"));
    let grace = args.grace.as_deref().map(duration).transpose().map_err(wrong)?;
    let seconds = grace.map(|grace| u32::try_from(grace.as_secs()).unwrap_or(u32::MAX));
    let admin = Admin::open(&args.one.common).await?;
    let rotated = admin.client().rotate_webhook_secret(id, seconds).await;
    admin.close().await;
    print_with_secret("Changed", &rotated?, args.one.json)
}

fn print_with_secret(verb: &str, made: &WebhookWithSecret, as_json: bool) -> Result<(), Failure> {
    let secret = made.secret.as_ref().map(SecretText::expose);
    if as_json {
        let mut value = serde_json::to_value(&made.webhook)
            .map_err(|error| Failure::doing("cannot write JSON", &error))?;
        if let (Some(object), Some(secret)) = (value.as_object_mut(), secret) {
            object.insert("secret".to_owned(), json!(secret));
        }
        return output::json(&value);
    }
    let webhook = &made.webhook;
    output::line(&format_args!("{verb} webhook {}", webhook.id))?;
    describe(webhook)?;
    if let Some(secret) = secret {
        output::line(&format_args!("  secret     {secret}"))?;
        output::line(&"The secret cannot be shown again: give it to the receiver now.")?;
    }
    Ok(())
}

fn describe(webhook: &Webhook) -> Result<(), Failure> {
    output::line(&format_args!("  url        {}", webhook.url))?;
    output::line(&format_args!("  events     {}", webhook.events.join(" ")))?;
    let reason = webhook.disabled_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    output::line(&format_args!("  status     {}{reason}", webhook.status))?;
    if let Some(since) = webhook.failing_since {
        output::line(&format_args!("  failing    {} attempts since {since}", webhook.failures))?;
    }
    if let Some(end) = webhook.given_up_at {
        output::line(&format_args!("  given up   {end}, if nothing succeeds until then"))?;
    }
    webhook.public_keys.iter().try_for_each(|key| output::line(&format_args!("  public key {key}")))
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let admin = Admin::open(&args.common).await?;
    let webhooks = all_webhooks(admin.client()).await;
    admin.close().await;
    let webhooks = webhooks?;
    if args.json {
        return output::json(&webhooks);
    }
    if webhooks.is_empty() {
        return output::line(&"No webhooks. Make one with `telepath webhooks create`.");
    }
    let row = |webhook: &Webhook| {
        vec![
            webhook.id.to_string(),
            webhook.status.clone(),
            webhook.failures.to_string(),
            webhook.events.join(","),
            webhook.url.clone(),
        ]
    };
    let head = ["ID", "STATUS", "FAILURES", "EVENTS", "URL"];
    output::raw(output::table(&head, &webhooks.iter().map(row).collect::<Vec<_>>()).as_bytes())
}

async fn all_webhooks(client: &Client) -> Result<Vec<Webhook>, Failure> {
    let mut webhooks: Vec<Webhook> = Vec::new();
    loop {
        let page = client.list_webhooks(PAGE, u32::try_from(webhooks.len()).unwrap_or(u32::MAX)).await?;
        let is_last = page.items.is_empty();
        webhooks.extend(page.items);
        if is_last || webhooks.len() as u64 >= page.pagination.total {
            return Ok(webhooks);
        }
    }
}

async fn show(args: OneArgs) -> Result<(), Failure> {
    let id: WebhookId = parsed(&args.id)?;
    let admin = Admin::open(&args.common).await?;
    let found = admin.client().get_webhook(id).await;
    admin.close().await;
    let webhook = found?;
    if args.json {
        return output::json(&webhook);
    }
    output::line(&format_args!("Webhook {}", webhook.id))?;
    describe(&webhook)
}

async fn test(args: OneArgs) -> Result<(), Failure> {
    let id: WebhookId = parsed(&args.id)?;
    let admin = Admin::open(&args.common).await?;
    let tested = match admin.client().test_webhook(id).await {
        Ok(delivery) if admin.has_server() => outcome(admin.client(), delivery.id).await,
        Ok(delivery) => Ok(delivery),
        Err(error) => Err(error.into()),
    };
    admin.close().await;
    let delivery = tested?;
    if args.json {
        return output::json(&delivery);
    }
    match delivery.attempts.last() {
        None => output::line(&format_args!("Delivery {} waits for a running server.", delivery.id)),
        Some(attempt) => {
            let status = attempt.status.map_or("no answer".to_owned(), |status| format!("status {status}"));
            let what = attempt.error.as_deref().unwrap_or("delivered");
            output::line(&format_args!(
                "Delivery {}: {what}, {status}, {} ms",
                delivery.id, attempt.duration_ms
            ))
        }
    }
}

/// The delivery after its first attempt.
async fn outcome(client: &Client, id: DeliveryId) -> Result<Delivery, Failure> {
    let deadline = tokio::time::Instant::now() + TEST_WITHIN;
    loop {
        let delivery = client.get_delivery(id).await?;
        if !delivery.attempts.is_empty() || tokio::time::Instant::now() >= deadline {
            return Ok(delivery);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn deliveries(args: DeliveriesArgs) -> Result<(), Failure> {
    let id: WebhookId = parsed(&args.one.id)?;
    let query = DeliveriesQuery { status: args.status, limit: Some(PAGE), ..DeliveriesQuery::default() };
    let admin = Admin::open(&args.one.common).await?;
    let listed = admin.client().list_deliveries(id, &query).await;
    admin.close().await;
    let deliveries = listed?.items;
    if args.one.json {
        return output::json(&deliveries);
    }
    let row = |delivery: &Delivery| {
        let last = delivery.attempts.last();
        let result = last.and_then(|attempt| attempt.error.clone()).unwrap_or_default();
        vec![
            delivery.id.to_string(),
            delivery.event.clone(),
            delivery.status.clone(),
            delivery.attempt_count.to_string(),
            delivery.created_at.to_string(),
            result,
        ]
    };
    let head = ["ID", "EVENT", "STATUS", "ATTEMPTS", "HAPPENED", "LAST ERROR"];
    output::raw(output::table(&head, &deliveries.iter().map(row).collect::<Vec<_>>()).as_bytes())
}

async fn redeliver(args: OneArgs) -> Result<(), Failure> {
    let id: DeliveryId = parsed(&args.id)?;
    let admin = Admin::open(&args.common).await?;
    let asked = admin.client().redeliver(id).await;
    admin.close().await;
    let delivery = asked?;
    if args.json {
        return output::json(&delivery);
    }
    output::line(&format_args!("Delivery {} ({}) is sent again.", delivery.id, delivery.event))
}

async fn recover(args: RecoverArgs) -> Result<(), Failure> {
    let id: WebhookId = parsed(&args.one.id)?;
    let since = moment(&args.since, SystemClock.now())
        .map_err(|message| Failure::new(Exit::Usage, format!("--since {message}")))?;
    let admin = Admin::open(&args.one.common).await?;
    let recovered = admin.client().recover_webhook(id, since).await;
    admin.close().await;
    let recovered = recovered?;
    if args.one.json {
        return output::json(&recovered);
    }
    let more = if recovered.more { " There are more: ask again." } else { "" };
    output::line(&format_args!("{} deliveries are sent again.{more}", recovered.deliveries))
}

/// A length of time before now, or a moment.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(length) = duration(text) {
        return Ok(now.minus(length));
    }
    Timestamp::parse_rfc3339(text).map_err(|_| {
        "must be a length of time such as 24h, or a date-time such as 2027-01-31T12:00:00Z".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_back_from_now() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        assert_eq!(moment("1h", now), Ok(Timestamp::from_unix_seconds(1_800_000_000 - 3600)));
        assert_eq!(moment("1970-01-01T00:00:10Z", now), Ok(Timestamp::from_unix_seconds(10)));
        assert!(moment("yesterday", now).is_err());
    }
}
