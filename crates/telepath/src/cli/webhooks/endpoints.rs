//! Creates, lists, shows, rotates and deletes endpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use telepath_client::{Client, CreateWebhook, PageQuery, SecretText, Webhook, WebhookWithSecret};

use super::{ListArgs, OneArgs};
use crate::cli::reach::{ApiArgs, with_client};
use crate::cli::{choices, output, pages, text};
use crate::config::duration;
use crate::exit::{Exit, Failure};

/// The maximum number of webhooks that one command reads.
const MAX_WEBHOOKS: u32 = 10_000;

pub(super) const CREATE_EXAMPLES: &str = "\
Examples:
  telepath webhooks create --data-dir data --url https://hooks.example/telepath
  telepath webhooks create --data-dir data --url https://hooks.example/telepath --events call.started,call.ended --json";

/// Arguments of `webhooks create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Endpoint URL: https://…
    #[arg(long)]
    url: String,
    /// Event names or families such as call.*, comma-separated [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    events: Vec<String>,
    /// Only calls of these trunks, comma-separated
    #[arg(long, value_delimiter = ',', value_name = "ID,…")]
    trunks: Vec<String>,
    /// Description
    #[arg(long)]
    description: Option<String>,
    /// v1 (HMAC-SHA-256) or v1a (Ed25519) [default: v1]
    #[arg(long, value_parser = choices::signature_schemes())]
    signature: Option<String>,
    /// File with headers to add to each delivery, one `Name: value` per line
    #[arg(long, value_name = "FILE")]
    headers_file: Option<PathBuf>,
    /// File with the certificate authorities of the endpoint in PEM [default: those of the system]
    #[arg(long, value_name = "FILE")]
    endpoint_ca_file: Option<PathBuf>,
    /// Maximum concurrent deliveries, 1 to 100 [default: 10]
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
    /// Grace period in which the old secret also signs, at most 7d [default: 24h]
    #[arg(long, value_name = "LENGTH")]
    grace: Option<String>,
}

pub(super) async fn create(args: CreateArgs) -> Result<(), Failure> {
    let request = CreateWebhook {
        url: Some(args.url),
        description: args.description,
        events: Some(args.events).filter(|events| !events.is_empty()),
        trunk_ids: Some(args.trunks).filter(|trunks| !trunks.is_empty()),
        signature: args.signature,
        headers: args.headers_file.as_deref().map(read_headers).transpose()?,
        ca_pem: args.endpoint_ca_file.as_deref().map(read_text).transpose()?,
        max_in_flight: args.max_in_flight,
        status: None,
    };
    let created = with_client(&args.api, async |client| Ok(client.create_webhook(&request).await?)).await?;
    print_with_secret("Created", &created, args.json)
}

pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::Usage, format!("cannot read {}: {error}", path.display())))
}

/// Reads one `Name: value` per line. Values are secrets, so they are never arguments, and no message contains one.
pub(super) fn read_headers(path: &Path) -> Result<BTreeMap<String, SecretText>, Failure> {
    let text = SecretText::new(read_text(path)?);
    let mut headers = BTreeMap::new();
    for (line, number) in text.expose().lines().zip(1_u32..) {
        if line.trim().is_empty() {
            continue;
        }
        let wrong =
            |problem| Failure::new(Exit::Usage, format!("{}, line {number}: {problem}", path.display()));
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("expected `Name: value`"))?;
        let value = SecretText::new(value.trim().to_owned());
        if headers.insert(name.trim().to_owned(), value).is_some() {
            return Err(wrong("the header is a duplicate"));
        }
    }
    Ok(headers)
}

pub(super) async fn rotate(args: RotateArgs) -> Result<(), Failure> {
    let OneArgs { id, api, json } = args.one;
    let wrong = |message| Failure::new(Exit::Usage, format!("--grace {message}"));
    let grace = args.grace.as_deref().map(duration).transpose().map_err(wrong)?;
    let seconds = grace.map(|grace| u32::try_from(grace.as_secs()).unwrap_or(u32::MAX));
    let rotated =
        with_client(&api, async |client| Ok(client.rotate_webhook_secret(id, seconds).await?)).await?;
    print_with_secret("Rotated the secret of", &rotated, json)
}

pub(super) async fn list(args: ListArgs) -> Result<(), Failure> {
    let webhooks = with_client(&args.api, all_webhooks).await?;
    let empty = "No webhooks. Create one with `telepath webhooks create`.";
    let head = ["ID", "STATUS", "FAILURES", "EVENTS", "URL"];
    pages::print(&webhooks, args.json, empty, head, |webhook: &Webhook| {
        [
            webhook.id.to_string(),
            webhook.status.clone(),
            webhook.failures.to_string(),
            webhook.events.join(","),
            webhook.url.clone(),
        ]
    })
}

async fn all_webhooks(client: &Client) -> Result<Vec<Webhook>, Failure> {
    let listing = pages::by_cursor(MAX_WEBHOOKS, async |size, cursor| {
        client.list_webhooks(&PageQuery { limit: Some(size), cursor, ..PageQuery::default() }).await
    })
    .await?;
    if listing.has_more {
        output::note(&format_args!("Only the first {MAX_WEBHOOKS} webhooks were read."));
    }
    Ok(listing.items)
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
            .map_err(|error| Failure::doing("could not write JSON", &error))?;
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
        output::line(&"The secret cannot be shown again. Configure the receiver with it now.")?;
    }
    Ok(())
}

pub(super) fn describe(webhook: &Webhook) -> Result<(), Failure> {
    output::line(&format_args!("  url        {}", webhook.url))?;
    output::line(&format_args!("  events     {}", webhook.events.join(" ")))?;
    if webhook.headers.is_some() {
        output::line(&"  headers    set")?;
    }
    if webhook.ca_pem.is_some() {
        output::line(&"  CA         its own")?;
    }
    let reason = webhook.disabled_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    output::line(&format_args!("  status     {}{reason}", webhook.status))?;
    if let Some(since) = webhook.failing_since {
        output::line(&format_args!(
            "  failing    {} since {since}",
            text::count(webhook.failures.into(), "attempt", "attempts")
        ))?;
    }
    if let Some(end) = webhook.given_up_at {
        output::line(&format_args!("  disabled   {end}, unless a delivery succeeds before"))?;
    }
    webhook.public_keys.iter().try_for_each(|key| output::line(&format_args!("  public key {key}")))
}
