//! `telepath keys`: make, list and revoke API keys, with a running server or without one.

use clap::{Args, Subcommand};
use serde_json::json;
use telepath_client::{CreatedKey, Key, KeyId, KeyRequest, KeysQuery};
use telepath_core::clock::{Clock as _, SystemClock};

use super::admin::Admin;
use super::arguments::CommonArgs;
use super::{expiry, output};
use crate::exit::{Exit, Failure};

/// The largest page that the API gives.
const PAGE: u32 = 100;

const CREATE_EXAMPLES: &str = "\
Examples:
  telepath keys create --data-dir data --name Production --preset production
  telepath keys create --data-dir data --name Dashboard --preset monitoring --expires 90d
  telepath keys create --data-dir data --name Reports --preset custom --scopes calls:read,analytics:read \\
      --rate-limit 60 --allow-ip 203.0.113.0/24
  telepath keys create --data-dir data --name CI --preset testing --json | jq -r .secret";

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; its secret is printed once, to standard output
    #[command(after_help = CREATE_EXAMPLES)]
    Create(CreateArgs),
    /// List the keys of the account
    #[command(
        after_help = "Examples:\n  telepath keys list --data-dir data\n  telepath keys list --data-dir data --status active --json"
    )]
    List(ListArgs),
    /// Revoke a key at once
    #[command(
        after_help = "Examples:\n  telepath keys revoke key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --reason 'seen in a log'"
    )]
    Revoke(RevokeArgs),
}

/// Arguments of `keys create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// What people call the key, 1 to 100 characters
    #[arg(long)]
    name: String,
    /// Bundle of rights: production, development, testing, monitoring or custom
    #[arg(long)]
    preset: String,
    /// Rights, separated by commas; required for custom, otherwise they narrow the preset
    #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
    scopes: Option<Vec<String>>,
    /// Requests per minute; the preset's when left out
    #[arg(long, value_name = "PER_MINUTE")]
    rate_limit: Option<u32>,
    /// When the key ends: a length of time from now (90d, 24h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// Network from which the key may be used, in CIDR form; may be given several times
    #[arg(long, value_name = "CIDR")]
    allow_ip: Vec<String>,
    /// Print one JSON object with at least `id` and `secret`
    #[arg(long)]
    json: bool,
}

/// Arguments of `keys list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Only keys in this state: active, expiring, expired or revoked
    #[arg(long)]
    status: Option<String>,
    /// Only keys of this preset
    #[arg(long)]
    preset: Option<String>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of `keys revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// The key's id, key_…
    id: String,
    /// Why, for the audit trail
    #[arg(long)]
    reason: Option<String>,
    /// Print the key as a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs a command.
pub(crate) async fn run(command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Create(args) => create(args).await,
        KeysCommand::List(args) => list(args).await,
        KeysCommand::Revoke(args) => revoke(args).await,
    }
}

async fn create(args: CreateArgs) -> Result<(), Failure> {
    let expires_at = match &args.expires {
        None => None,
        Some(text) => {
            let wrong = |message| Failure::new(Exit::Usage, format!("--expires {message}"));
            Some(expiry::parse(text, SystemClock.now()).map_err(wrong)?)
        }
    };
    let request = KeyRequest {
        name: args.name,
        preset: args.preset,
        scopes: args.scopes,
        rate_limit_per_minute: args.rate_limit,
        allowed_ips: args.allow_ip,
        expires_at,
    };
    let admin = Admin::open(&args.common).await?;
    let created = admin.client().create_key(&request).await;
    admin.close().await;
    print_created(&created?, args.json)
}

fn print_created(created: &CreatedKey, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return output::json(&with_secret(created)?);
    }
    let key = &created.key;
    output::line(&format_args!("Made key {} ({})", key.id, key.name))?;
    output::line(&format_args!(
        "  preset   {}, {} requests per minute",
        key.preset, key.rate_limit_per_minute
    ))?;
    output::line(&format_args!("  scopes   {}", key.scopes.join(" ")))?;
    if !key.allowed_ips.is_empty() {
        output::line(&format_args!("  from     {}", key.allowed_ips.join(", ")))?;
    }
    if let Some(end) = key.expires_at {
        output::line(&format_args!("  until    {end}"))?;
    }
    output::line(&format_args!("  secret   {}", created.secret.expose()))?;
    output::line(&"The secret is not kept anywhere and cannot be shown again: store it now.")
}

fn with_secret(created: &CreatedKey) -> Result<serde_json::Value, Failure> {
    let mut value =
        serde_json::to_value(&created.key).map_err(|error| Failure::doing("cannot write JSON", &error))?;
    if let Some(object) = value.as_object_mut() {
        object.insert("secret".to_owned(), json!(created.secret.expose()));
    }
    Ok(value)
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let admin = Admin::open(&args.common).await?;
    let keys = all_keys(&admin, &args).await;
    admin.close().await;
    let keys = keys?;
    if args.json {
        return output::json(&keys);
    }
    if keys.is_empty() {
        return output::line(&"No keys. Make one with `telepath keys create`.");
    }
    let head = ["ID", "NAME", "PRESET", "STATUS", "PER MINUTE", "REQUESTS", "LAST USED", "ENDS"];
    output::raw(output::table(&head, &keys.iter().map(row).collect::<Vec<_>>()).as_bytes())
}

async fn all_keys(admin: &Admin, args: &ListArgs) -> Result<Vec<Key>, Failure> {
    let mut keys: Vec<Key> = Vec::new();
    loop {
        let query = KeysQuery {
            status: args.status.clone(),
            preset: args.preset.clone(),
            limit: Some(PAGE),
            offset: u32::try_from(keys.len()).ok(),
            ..KeysQuery::default()
        };
        let page = admin.client().list_keys(&query).await?;
        let is_last = page.items.is_empty();
        keys.extend(page.items);
        if is_last || keys.len() as u64 >= page.pagination.total {
            return Ok(keys);
        }
    }
}

fn row(key: &Key) -> Vec<String> {
    let moment =
        |at: Option<telepath_client::Timestamp>, none: &str| at.map_or(none.to_owned(), |at| at.to_string());
    vec![
        key.id.to_string(),
        key.name.clone(),
        key.preset.clone(),
        key.status.clone(),
        key.rate_limit_per_minute.to_string(),
        key.request_count.to_string(),
        moment(key.last_used_at, "never"),
        moment(key.expires_at, "never"),
    ]
}

async fn revoke(args: RevokeArgs) -> Result<(), Failure> {
    let id: KeyId =
        args.id.parse().map_err(|error| Failure::new(Exit::Usage, format!("{}: {error}", args.id)))?;
    let admin = Admin::open(&args.common).await?;
    let revoked = admin.client().revoke_key(id, args.reason.as_deref()).await;
    admin.close().await;
    let key = revoked?;
    if args.json {
        return output::json(&key);
    }
    output::line(&format_args!(
        "Revoked key {} ({}); no request is admitted with it any more.",
        key.id, key.name
    ))
}
