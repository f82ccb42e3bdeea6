//! `telepath keys show`.

use std::fmt::Write as _;

use clap::Args;
use telepath_client::{Key, KeyId, KeySecret, Timestamp};
use telepath_core::clock::{Clock as _, SystemClock};

use super::{quota_text, trunk_list};
use crate::cli::reach::{ApiArgs, with_client};
use crate::cli::{output, text};
use crate::exit::Failure;

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath keys show key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data
  telepath keys show key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --json | jq .secrets";

/// Arguments of `keys show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Key id, key_…
    id: KeyId,
    /// Print the key as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ShowArgs) -> Result<(), Failure> {
    let key = with_client(&args.api, async |client| Ok(client.get_key(args.id).await?)).await?;
    if args.json {
        return output::json(&key);
    }
    output::raw(describe(&key, SystemClock.now()).as_bytes())
}

/// A key as a list of fields.
pub(super) fn describe(key: &Key, now: Timestamp) -> String {
    let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let networks =
        if key.allowed_ips.is_empty() { "any address".to_owned() } else { key.allowed_ips.join(", ") };
    let used = key.last_used_at.map(|at| {
        let from = key.last_used_ip.map(|address| format!(" from {address}")).unwrap_or_default();
        format!("{at}{from}")
    });
    let pairs: Vec<_> = key.metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let metadata = (!pairs.is_empty()).then(|| text::printable(&pairs.join(", ")));
    let made = format!("{} by {}", key.created_at, key.created_by);
    let lines = [
        ("name", Some(text::printable(&key.name))),
        ("for", key.description.as_deref().map(text::printable)),
        ("metadata", metadata),
        ("status", Some(key.status.clone())),
        (
            "preset",
            Some(format!(
                "{}, {} per minute",
                key.preset,
                text::count(key.rate_limit_per_minute.into(), "request", "requests")
            )),
        ),
        ("quotas", quota_text(key)),
        ("scopes", Some(key.scopes.join(" "))),
        ("trunks", (!key.trunk_ids.is_empty()).then(|| trunk_list(key))),
        ("networks", Some(networks)),
        ("created", Some(made)),
        ("starts", moment(key.not_before)),
        ("expires", Some(moment(key.expires_at).unwrap_or_else(|| "never".to_owned()))),
        ("paused", moment(key.paused_at)),
        ("revoked", moment(key.revoked_at)),
        ("by", key.revoked_by.clone()),
        ("reason", key.revoke_reason.as_deref().map(text::printable)),
        ("last used", Some(used.unwrap_or_else(|| "never".to_owned()))),
        (
            "requests",
            Some(format!("{}, {}", key.request_count, text::count(key.error_count, "error", "errors"))),
        ),
    ];
    let mut shown = format!("{}\n", key.id);
    for (name, value) in lines.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        // Writing to a String cannot fail.
        let _ = writeln!(shown, "  {name:<9} {value}");
    }
    if !key.secrets.is_empty() {
        shown.push('\n');
        shown.push_str(&secrets(&key.secrets, now));
    }
    shown
}

/// The secrets of a key, newest first.
pub(crate) fn secrets(secrets: &[KeySecret], now: Timestamp) -> String {
    let head = ["SECRET", "MASKED", "STATUS", "LAST USED", "ADDRESS", "EXPIRES IN"];
    let row = |secret: &KeySecret| {
        vec![
            secret.id.to_string(),
            secret.masked.clone(),
            secret.status.clone(),
            text::since(secret.last_used_at, now),
            secret.last_used_ip.map_or("-".to_owned(), |address| address.to_string()),
            text::until(secret.expires_at, now),
        ]
    };
    output::table(&head, &secrets.iter().map(row).collect::<Vec<_>>())
}
