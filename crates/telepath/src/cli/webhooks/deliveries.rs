//! Lists, tests and retries deliveries.

use std::time::Duration;

use clap::Args;
use telepath_client::{CallId, Client, DeliveriesQuery, Delivery, DeliveryId, KeyId, WebhookId};
use telepath_core::clock::{Clock as _, SystemClock, Timestamp};

use super::OneArgs;
use crate::cli::reach::{Api, ApiArgs, with_client};
use crate::cli::{choices, output, pages, text};
use crate::config::duration;
use crate::exit::{Exit, Failure};

/// The number of deliveries that are listed.
const LISTED: u32 = 100;
/// How long to wait for the result of a test; an attempt takes at most 30 seconds.
const TEST_WITHIN: Duration = Duration::from_secs(35);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Arguments of `webhooks deliveries`.
#[derive(Debug, Args)]
pub(crate) struct DeliveriesArgs {
    /// Webhook id, whk_…; without it, deliveries to all endpoints
    id: Option<WebhookId>,
    #[command(flatten)]
    api: ApiArgs,
    /// Only deliveries of events about this call
    #[arg(long, value_name = "CALL", conflicts_with = "id")]
    call: Option<CallId>,
    /// Only deliveries of events about this key
    #[arg(long, value_name = "KEY", conflicts_with = "id")]
    key: Option<KeyId>,
    /// Only this status
    #[arg(long, value_parser = choices::delivery_statuses())]
    status: Option<String>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of `webhooks redeliver`.
#[derive(Debug, Args)]
pub(crate) struct RedeliverArgs {
    /// Delivery id, dlv_…
    id: DeliveryId,
    #[command(flatten)]
    api: ApiArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `webhooks delivery`.
#[derive(Debug, Args)]
pub(crate) struct DeliveryArgs {
    /// Delivery id, dlv_…
    id: DeliveryId,
    #[command(flatten)]
    api: ApiArgs,
    /// Print one JSON object, with the request and response bodies
    #[arg(long)]
    json: bool,
}

/// Arguments of `webhooks recover`.
#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Start: a duration ago (24h) or a date-time such as 2027-01-31T12:00:00Z
    #[arg(long)]
    since: String,
}

pub(super) async fn test(args: OneArgs) -> Result<(), Failure> {
    let api = Api::open(&args.api).await?;
    let tested = match api.client().test_webhook(args.id).await {
        Ok(delivery) if api.is_alone() => Ok(delivery),
        Ok(delivery) => outcome(api.client(), delivery.id).await,
        Err(error) => Err(error.into()),
    };
    api.close().await;
    let delivery = tested?;
    if args.json {
        return output::json(&delivery);
    }
    match delivery.attempts.last() {
        None => output::line(&format_args!("Delivery {} is pending until a server runs.", delivery.id)),
        Some(attempt) => {
            let status = attempt.status.map_or("no response".to_owned(), |status| format!("status {status}"));
            let what = attempt.error.as_deref().unwrap_or("delivered");
            output::line(&format_args!(
                "Delivery {}: {what}, {status}, {} ms",
                delivery.id, attempt.duration_ms
            ))
        }
    }
}

/// Waits for the first attempt of a delivery.
async fn outcome(client: &Client, id: DeliveryId) -> Result<Delivery, Failure> {
    let deadline = tokio::time::Instant::now() + TEST_WITHIN;
    loop {
        let delivery = client.get_delivery(id).await?.delivery;
        if !delivery.attempts.is_empty() || tokio::time::Instant::now() >= deadline {
            return Ok(delivery);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub(super) async fn list(args: DeliveriesArgs) -> Result<(), Failure> {
    let query = DeliveriesQuery {
        call_id: args.call,
        key_id: args.key,
        status: args.status,
        ..DeliveriesQuery::default()
    };
    let listed = with_client(&args.api, async |client| {
        pages::by_cursor(LISTED, async |size, cursor| {
            let query = DeliveriesQuery { limit: Some(size), cursor, ..query.clone() };
            match args.id {
                Some(id) => client.list_deliveries(id, &query).await,
                None => client.list_all_deliveries(&query).await,
            }
        })
        .await
    })
    .await?;
    let head = ["ID", "EVENT", "STATUS", "ATTEMPTS", "CREATED", "LAST ERROR"];
    pages::print(&listed.items, args.json, "No deliveries.", head, |delivery: &Delivery| {
        let last = delivery.attempts.last();
        [
            delivery.id.to_string(),
            delivery.event.clone(),
            delivery.status.clone(),
            delivery.attempt_count.to_string(),
            delivery.created_at.to_string(),
            last.and_then(|attempt| attempt.error.clone()).unwrap_or_default(),
        ]
    })
}

pub(super) async fn show(args: DeliveryArgs) -> Result<(), Failure> {
    let details = with_client(&args.api, async |client| Ok(client.get_delivery(args.id).await?)).await?;
    if args.json {
        return output::json(&details);
    }
    let delivery = &details.delivery;
    let facts = output::facts(&[
        ("Delivery", delivery.id.to_string()),
        ("Webhook", delivery.webhook_id.to_string()),
        ("Event", delivery.event.clone()),
        ("Status", delivery.status.clone()),
        ("Created", delivery.created_at.to_string()),
    ]);
    output::raw(facts.as_bytes())?;
    let head = ["ATTEMPT", "TIME", "STATUS", "MS", "ERROR"];
    pages::print(&delivery.attempts, false, "No attempts yet.", head, |attempt| {
        [
            attempt.number.to_string(),
            text::second(attempt.at),
            attempt.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            attempt.duration_ms.to_string(),
            attempt.error.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    })
}

pub(super) async fn redeliver(args: RedeliverArgs) -> Result<(), Failure> {
    let delivery = with_client(&args.api, async |client| Ok(client.redeliver(args.id).await?)).await?;
    if args.json {
        return output::json(&delivery);
    }
    output::line(&format_args!("Retrying delivery {} ({}).", delivery.id, delivery.event))
}

pub(super) async fn recover(args: RecoverArgs) -> Result<(), Failure> {
    let OneArgs { id, api, json } = args.one;
    let since = moment(&args.since, SystemClock.now())
        .map_err(|message| Failure::new(Exit::Usage, format!("--since {message}")))?;
    let recovered = with_client(&api, async |client| Ok(client.recover_webhook(id, since).await?)).await?;
    if json {
        return output::json(&recovered);
    }
    let more = if recovered.more { " There are more; run the command again." } else { "" };
    let deliveries = text::count(recovered.deliveries, "delivery", "deliveries");
    output::line(&format_args!("Retrying {deliveries}.{more}"))
}

/// A duration ago, or a date-time.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(length) = duration(text) {
        return Ok(now.minus(length));
    }
    Timestamp::parse_rfc3339(text)
        .map_err(|_| "must be a duration such as 24h, or a date-time such as 2027-01-31T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_count_back_from_now() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        assert_eq!(moment("1h", now), Ok(Timestamp::from_unix_seconds(1_800_000_000 - 3600)));
        assert_eq!(moment("1970-01-01T00:00:10Z", now), Ok(Timestamp::from_unix_seconds(10)));
        assert!(moment("yesterday", now).is_err());
    }
}
