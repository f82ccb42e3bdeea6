//! Endpoints: made, listed, shown, given a new secret, deleted.

use clap::Args;
use serde_json::json;
use telepath_client::{Client, SecretText, Webhook, WebhookRequest, WebhookWithSecret};

use super::{ListArgs, OneArgs, PAGE};
use crate::cli::output;
use crate::cli::reach::{ApiArgs, with_client};
use crate::config::duration;
use crate::exit::{Exit, Failure};

pub(super) const CREATE_EXAMPLES: &str = "\
Examples:
  telepath webhooks create --data-dir data --url https://hooks.example/telepath
  telepath webhooks create --data-dir data --url https://hooks.example/telepath --events call.started,call.ended --json";

/// Arguments of `webhooks create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    api: ApiArgs,
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

/// Arguments of `webhooks rotate-secret`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    one: OneArgs,
    /// How long the old secret signs too, at most 7d [default: 24h]
    #[arg(long, value_name = "LENGTH")]
    grace: Option<String>,
}

pub(super) async fn create(args: CreateArgs) -> Result<(), Failure> {
    let request = WebhookRequest {
        url: args.url,
        description: args.description,
        events: Some(args.events).filter(|events| !events.is_empty()),
        trunk_ids: args.trunks,
        signature: args.signature,
        max_in_flight: args.max_in_flight,
        status: None,
    };
    let created = with_client(&args.api, async |client| Ok(client.create_webhook(&request).await?)).await?;
    print_with_secret("Made", &created, args.json)
}

pub(super) async fn rotate(args: RotateArgs) -> Result<(), Failure> {
    let OneArgs { id, api, json } = args.one;
    let wrong = |message| Failure::new(Exit::Usage, format!("--grace {message}"));
    let grace = args.grace.as_deref().map(duration).transpose().map_err(wrong)?;
    let seconds = grace.map(|grace| u32::try_from(grace.as_secs()).unwrap_or(u32::MAX));
    let rotated =
        with_client(&api, async |client| Ok(client.rotate_webhook_secret(id, seconds).await?)).await?;
    print_with_secret("Changed", &rotated, json)
}

pub(super) async fn list(args: ListArgs) -> Result<(), Failure> {
    let webhooks = with_client(&args.api, all_webhooks).await?;
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

pub(super) async fn show(args: OneArgs) -> Result<(), Failure> {
    let webhook = with_client(&args.api, async |client| Ok(client.get_webhook(args.id).await?)).await?;
    if args.json {
        return output::json(&webhook);
    }
    output::line(&format_args!("Webhook {}", webhook.id))?;
    describe(&webhook)
}

pub(super) async fn delete(args: OneArgs) -> Result<(), Failure> {
    let OneArgs { id, api, json } = args;
    with_client(&api, async |client| Ok(client.delete_webhook(id).await?)).await?;
    if json {
        return output::json(&json!({ "id": id, "deleted": true }));
    }
    output::line(&format_args!("Deleted webhook {id}"))
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

pub(super) fn describe(webhook: &Webhook) -> Result<(), Failure> {
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
