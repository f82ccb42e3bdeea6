//! `telepath keys update`.

use clap::Args;
use telepath_client::{KeyId, Patch, Timestamp, UpdateKey, UpdateQuotas};
use telepath_core::clock::{Clock as _, SystemClock};

use super::show::describe;
use super::{pair, pairs};
use crate::cli::reach::{ApiArgs, with_client};
use crate::cli::{choices, expiry, output};
use crate::exit::{Exit, Failure};

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath keys update key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --rate-limit 1200
  telepath keys update key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --scopes calls:read --expires 30d
  telepath keys update key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --allow-ip 203.0.113.0/24 --expires never
  telepath keys update key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --allow-any-ip";

/// Arguments of `keys update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Key id, key_…
    id: KeyId,
    /// New name
    #[arg(long, help_heading = "Changes")]
    name: Option<String>,
    /// New description; empty removes it
    #[arg(long, help_heading = "Changes")]
    description: Option<String>,
    /// Pair of your own, NAME=VALUE, replacing the current ones; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, help_heading = "Changes")]
    metadata: Vec<(String, String)>,
    /// New scopes, comma-separated
    #[arg(long, value_name = "SCOPE,…", value_delimiter = ',', value_parser = choices::scopes(), help_heading = "Changes")]
    scopes: Option<Vec<String>>,
    /// Trunk that the key reaches, replacing the current ones; repeatable
    #[arg(long, value_name = "TRUNK", help_heading = "Changes", conflicts_with = "all_trunks")]
    trunk: Vec<String>,
    /// Let the key reach every trunk
    #[arg(long, help_heading = "Changes")]
    all_trunks: bool,
    /// New rate limit in requests per minute; the current window keeps its count
    #[arg(long, value_name = "PER_MINUTE", help_heading = "Changes")]
    rate_limit: Option<u32>,
    /// New quota in requests per calendar day (UTC), or none
    #[arg(long, value_name = "REQUESTS", value_parser = quota, help_heading = "Changes")]
    quota_per_day: Option<Patch<u32>>,
    /// New quota in requests per calendar month (UTC), or none
    #[arg(long, value_name = "REQUESTS", value_parser = quota, help_heading = "Changes")]
    quota_per_month: Option<Patch<u32>>,
    /// New expiry: a duration from now (90d), an RFC 3339 date-time, or never
    #[arg(long, value_name = "WHEN", help_heading = "Changes")]
    expires: Option<String>,
    /// Network from which the key can be used, replacing the current ones; repeatable
    #[arg(long, value_name = "CIDR", help_heading = "Changes", conflicts_with = "allow_any_ip")]
    allow_ip: Vec<String>,
    /// Allow use from any address
    #[arg(long, help_heading = "Changes")]
    allow_any_ip: bool,
    /// Print the key as a JSON object
    #[arg(long)]
    json: bool,
}

/// Parses a number of requests, or `none`.
fn quota(text: &str) -> Result<Patch<u32>, &'static str> {
    match text {
        "none" => Ok(Patch::Clear),
        _ => text.parse().map(Patch::Set).map_err(|_| "must be a number of requests, or none"),
    }
}

fn quotas(args: &UpdateArgs) -> Patch<UpdateQuotas> {
    let (per_day, per_month) = (args.quota_per_day, args.quota_per_month);
    if per_day.is_none() && per_month.is_none() {
        return Patch::Keep;
    }
    let (per_day, per_month) = (per_day.unwrap_or_default(), per_month.unwrap_or_default());
    Patch::Set(UpdateQuotas { per_day, per_month })
}

pub(super) async fn run(args: UpdateArgs) -> Result<(), Failure> {
    let now = SystemClock.now();
    let change = change(&args, now)?;
    let key = with_client(&args.api, async |client| Ok(client.update_key(args.id, &change).await?)).await?;
    if args.json {
        return output::json(&key);
    }
    output::raw(describe(&key, now).as_bytes())
}

fn change(args: &UpdateArgs, now: Timestamp) -> Result<UpdateKey, Failure> {
    let expires_at = match args.expires.as_deref() {
        None => Patch::Keep,
        Some("never") => Patch::Clear,
        Some(text) => Patch::Set(
            expiry::parse(text, now)
                .map_err(|message| Failure::new(Exit::Usage, format!("--expires {message}, or never")))?,
        ),
    };
    let networks = (args.allow_any_ip || !args.allow_ip.is_empty()).then(|| args.allow_ip.clone());
    let trunks = (args.all_trunks || !args.trunk.is_empty()).then(|| args.trunk.clone());
    let nothing = args.name.is_none()
        && args.description.is_none()
        && args.metadata.is_empty()
        && args.scopes.is_none()
        && trunks.is_none()
        && args.rate_limit.is_none()
        && args.quota_per_day.is_none()
        && args.quota_per_month.is_none()
        && networks.is_none()
        && !expires_at.is_given();
    if nothing {
        return Err(
            Failure::new(Exit::Usage, "nothing to change").remedy("Pass at least one change; see --help.")
        );
    }
    Ok(UpdateKey {
        name: args.name.clone(),
        description: match args.description.as_deref() {
            None => Patch::Keep,
            Some("") => Patch::Clear,
            Some(text) => Patch::Set(text.to_owned()),
        },
        metadata: pairs(args.metadata.clone()),
        scopes: args.scopes.clone(),
        trunk_ids: trunks,
        rate_limit_per_minute: args.rate_limit,
        quotas: quotas(args),
        allowed_ips: networks,
        expires_at: match expires_at {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(at) => Patch::Set(at.to_string()),
        },
        not_before: Patch::Keep,
    })
}
