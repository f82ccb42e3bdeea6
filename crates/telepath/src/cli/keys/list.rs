//! `telepath keys list`.

use clap::Args;
use telepath_client::{Key, KeysQuery, Timestamp};
use telepath_core::clock::{Clock as _, SystemClock};

use crate::cli::reach::{ApiArgs, with_client};
use crate::cli::{choices, expiry, pages, text};
use crate::exit::{Exit, Failure};

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath keys list --data-dir data
  telepath keys list --data-dir data --status active --json
  telepath keys list --api-url https://voice.example:8443 --idle-days 90
  telepath keys list --data-dir data --expires-within 30d";

/// The width of the name column.
const NAME: usize = 15;

/// Arguments of `keys list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Only keys with this status
    #[arg(long, value_parser = choices::key_statuses())]
    status: Option<String>,
    /// Only keys with this preset
    #[arg(long, value_parser = choices::presets())]
    preset: Option<String>,
    /// Only keys not used for this many days
    #[arg(long, value_name = "DAYS")]
    idle_days: Option<u32>,
    /// Only keys that expire within this duration (30d) or before an RFC 3339 date-time
    #[arg(long, value_name = "WHEN")]
    expires_within: Option<String>,
    /// Only keys that never expire
    #[arg(long)]
    never_expires: bool,
    /// Only keys with this text in their name, or with this id, last four characters or address
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Order; a leading - sorts the largest or newest first
    #[arg(long, value_name = "ORDER", value_parser = choices::key_sorts(), allow_hyphen_values = true)]
    sort: Option<String>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ListArgs) -> Result<(), Failure> {
    let now = SystemClock.now();
    let wrong = |message| Failure::new(Exit::Usage, format!("--expires-within {message}"));
    let query = KeysQuery {
        status: args.status,
        preset: args.preset,
        idle_days: args.idle_days,
        expires_before: args
            .expires_within
            .as_deref()
            .map(|text| expiry::parse(text, now).map_err(wrong))
            .transpose()?,
        never_expires: args.never_expires.then_some(true),
        q: args.search,
        sort: args.sort,
        ..KeysQuery::default()
    };
    let keys = with_client(&args.api, async |client| super::all(client, &query).await).await?;
    print(&keys, args.json, now)
}

const HEAD: [&str; 9] = ["ID", "NAME", "PRESET", "STATUS", "LIMIT", "REQUESTS", "ERRORS", "USED", "EXPIRES"];

fn print(keys: &[Key], as_json: bool, now: Timestamp) -> Result<(), Failure> {
    let empty = "No keys. Create one with `telepath keys create`.";
    pages::print(keys, as_json, empty, HEAD, |key| row(key, now))
}

fn row(key: &Key, now: Timestamp) -> [String; 9] {
    [
        key.id.to_string(),
        text::truncate(&key.name, NAME),
        key.preset.clone(),
        key.status.clone(),
        key.rate_limit_per_minute.to_string(),
        key.request_count.to_string(),
        key.error_count.to_string(),
        text::since(key.last_used_at, now),
        text::until(key.expires_at, now),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_fit_in_110_columns() {
        let key: Key = serde_json::from_value(serde_json::json!({
            "id": "key_01k9v1n2xrf6t8g3m5q7w9y0za", "name": "A name that is far too long to be shown whole",
            "preset": "development", "scopes": [], "rate_limit_per_minute": 60_000, "allowed_ips": [],
            "status": "expiring", "expires_at": "2027-01-16T08:00:00Z", "created_at": "2026-01-31T12:00:00Z",
            "last_used_at": "2026-01-31T12:00:00Z", "request_count": 12_345_678, "error_count": 123_456,
            "revoked_at": null, "revoke_reason": null, "created_by": "local", "secrets": [],
        }))
        .unwrap();
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let shown = pages::table(&[key], HEAD, |key| row(key, now));
        assert!(shown.lines().all(|line| line.chars().count() <= 110), "{shown}");
        assert!(
            shown.contains("A name that is…") && shown.contains("348d") && shown.contains("24h"),
            "{shown}"
        );
    }
}
