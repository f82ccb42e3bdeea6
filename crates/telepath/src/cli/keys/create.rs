//! `telepath keys create`.

use clap::Args;
use telepath_client::{CreateKey, CreatedKey, Quotas};
use telepath_core::clock::{Clock as _, SystemClock};

use super::{pair, pairs, quota_text, trunk_list, with_secret};
use crate::cli::reach::{ApiArgs, with_client};
use crate::cli::{choices, expiry, output, text};
use crate::exit::{Exit, Failure};

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath keys create --data-dir data --name Production --preset production
  telepath keys create --data-dir data --name Dashboard --preset monitoring --expires 90d
  telepath keys create --data-dir data --name Reports --preset custom --scopes calls:read,analytics:read \\
      --rate-limit 60 --allow-ip 203.0.113.0/24
  telepath keys create --data-dir data --name CI --preset testing --json | jq -r .secret
  telepath keys create --env-file admin.env --name App --preset production";

/// Arguments of `keys create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Name, 1 to 100 characters
    #[arg(long)]
    name: String,
    /// What the key is for
    #[arg(long)]
    description: Option<String>,
    /// Pair of your own, NAME=VALUE; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Preset
    #[arg(long, value_parser = choices::presets())]
    preset: String,
    /// Scopes, comma-separated; required for custom, otherwise they narrow the preset
    #[arg(long, value_name = "SCOPE,…", value_delimiter = ',', value_parser = choices::scopes())]
    scopes: Option<Vec<String>>,
    /// Trunk that the key reaches, conn_…; repeatable; defaults to every trunk that the caller reaches
    #[arg(long, value_name = "TRUNK")]
    trunk: Vec<String>,
    /// Rate limit in requests per minute; defaults to that of the preset
    #[arg(long, value_name = "PER_MINUTE")]
    rate_limit: Option<u32>,
    /// Quota in requests per calendar day (UTC)
    #[arg(long, value_name = "REQUESTS")]
    quota_per_day: Option<u32>,
    /// Quota in requests per calendar month (UTC)
    #[arg(long, value_name = "REQUESTS")]
    quota_per_month: Option<u32>,
    /// Expiry: a duration from now (90d, 24h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// Network from which the key can be used, in CIDR form; repeatable
    #[arg(long, value_name = "CIDR")]
    allow_ip: Vec<String>,
    /// Print one JSON object with at least `id` and `secret`
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: CreateArgs) -> Result<(), Failure> {
    let wrong = |message| Failure::new(Exit::Usage, format!("--expires {message}"));
    let expires_at = args
        .expires
        .as_deref()
        .map(|text| expiry::parse(text, SystemClock.now()).map_err(wrong))
        .transpose()?;
    let request = CreateKey {
        name: Some(args.name),
        description: args.description,
        metadata: pairs(args.metadata),
        preset: Some(args.preset),
        scopes: args.scopes,
        trunk_ids: Some(args.trunk).filter(|trunks| !trunks.is_empty()),
        rate_limit_per_minute: args.rate_limit,
        quotas: Some(Quotas { per_day: args.quota_per_day, per_month: args.quota_per_month })
            .filter(|quotas| *quotas != Quotas::default()),
        allowed_ips: Some(args.allow_ip).filter(|networks| !networks.is_empty()),
        expires_at: expires_at.map(|at| at.to_string()),
        not_before: None,
    };
    let created = with_client(&args.api, async |client| Ok(client.create_key(&request).await?)).await?;
    print(&created, args.json)
}

fn print(created: &CreatedKey, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return output::json(&with_secret(created)?);
    }
    let key = &created.key;
    output::line(&format_args!("Created key {} ({})", key.id, key.name))?;
    output::line(&format_args!(
        "  preset   {}, {} per minute",
        key.preset,
        text::count(key.rate_limit_per_minute.into(), "request", "requests")
    ))?;
    output::line(&format_args!("  scopes   {}", key.scopes.join(" ")))?;
    if let Some(quotas) = quota_text(key) {
        output::line(&format_args!("  quotas   {quotas}"))?;
    }
    if !key.trunk_ids.is_empty() {
        output::line(&format_args!("  trunks   {}", trunk_list(key)))?;
    }
    if !key.allowed_ips.is_empty() {
        output::line(&format_args!("  from     {}", key.allowed_ips.join(", ")))?;
    }
    if let Some(end) = key.expires_at {
        output::line(&format_args!("  until    {end}"))?;
    }
    output::line(&format_args!("  secret   {}", created.secret.expose()))?;
    output::line(&"The secret is not stored and cannot be shown again. Save it now.")
}
