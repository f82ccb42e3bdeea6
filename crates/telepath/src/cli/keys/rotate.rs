//! `telepath keys rotate`, `rotate-all` and `end-secret`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use telepath_client::{CreatedKey, KeyId, KeySecret, RotatedKeys, SecretId};
use telepath_core::clock::{Clock as _, SystemClock};

use super::show::describe;
use super::with_secret;
use crate::cli::consent::{Answer, Consent};
use crate::cli::reach::{ApiArgs, with_client};
use crate::cli::{expiry, output, text};
use crate::exit::Failure;

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath keys rotate key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data
  telepath keys rotate key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --grace 7d
  telepath keys rotate key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --grace 0s --json | jq -r .secret

`telepath keys show` shows when and from where the old secret was last used.";

pub(super) const ALL_EXAMPLES: &str = "\
Examples:
  telepath keys rotate-all --data-dir data --grace 7d
  telepath keys rotate-all --data-dir data --grace 0s --yes --json
  telepath keys rotate-all --data-dir data --secrets-before 2026-11-30T12:00:00Z

Without a grace period, every client fails until it has its new secret. The command then asks for confirmation, or
requires --yes.";

pub(super) const END_EXAMPLES: &str = "\
Examples:
  telepath keys end-secret key_01k9v1n2xrf6t8g3m5q7w9y0za sec_01k9v1n2xrf6t8g3m5q7w9y0zb --data-dir data";

/// Arguments of `keys rotate`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Key id, key_…
    id: KeyId,
    /// Grace period of the old secret, 0s to 7d [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = expiry::whole_seconds)]
    grace: Option<Duration>,
    /// Print the key with its secret as a JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `keys rotate-all`.
#[derive(Debug, Args)]
pub(crate) struct RotateAllArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Grace period of the old secrets, 0s to 7d [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = expiry::whole_seconds)]
    grace: Option<Duration>,
    /// Only keys whose current secret is older than this: 24h, or an RFC 3339 date-time
    #[arg(long, value_name = "TIME")]
    secrets_before: Option<String>,
    /// Skip the confirmation
    #[arg(long)]
    yes: bool,
    /// Print one JSON object with every key and its secret
    #[arg(long)]
    json: bool,
}

/// Arguments of `keys end-secret`.
#[derive(Debug, Args)]
pub(crate) struct EndSecretArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Key id, key_…
    id: KeyId,
    /// Secret id, sec_…, from `keys show`
    secret: SecretId,
    /// Print the key as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn one(args: RotateArgs) -> Result<(), Failure> {
    let rotated =
        with_client(&args.api, async |client| Ok(client.rotate_key(args.id, args.grace).await?)).await?;
    if args.json {
        return output::json(&with_secret(&rotated)?);
    }
    output::line(&format_args!("Rotated key {} ({}).", rotated.key.id, text::printable(&rotated.key.name)))?;
    output::line(&format_args!("  secret   {}", rotated.secret.expose()))?;
    match rotated.key.secrets.get(1) {
        Some(old) if old.status == "ended" => {
            output::line(&"  the old secret no longer works")?;
        }
        Some(KeySecret { expires_at: Some(end), .. }) => {
            output::line(&format_args!("  the old secret works until {end}"))?;
        }
        Some(_) | None => {}
    }
    output::line(&"The secret is not stored and cannot be shown again. Save it now.")
}

pub(super) async fn all(args: RotateAllArgs) -> Result<(), Failure> {
    let before = expiry::past("--secrets-before", args.secrets_before.as_deref(), SystemClock.now())?;
    if args.grace == Some(Duration::ZERO) {
        let question = "Every secret of the account stops working at once. Rotate all keys?";
        if Consent::of(args.yes)?.ask(question).await? != Answer::Yes {
            return Err(Failure::plain("no key was rotated"));
        }
    }
    let rotated =
        with_client(&args.api, async |client| Ok(client.rotate_all_keys(args.grace, before).await?)).await?;
    if args.json {
        return output::json(&all_as_json(&rotated)?);
    }
    output::raw(secrets_table(&rotated.keys).as_bytes())?;
    let grace = text::duration(Duration::from_secs(rotated.grace_seconds.into()));
    let count = text::count(rotated.keys.len() as u64, "key rotated", "keys rotated");
    let old = if rotated.grace_seconds == 0 {
        "the old secrets no longer work".to_owned()
    } else {
        format!("the old secrets work for {grace}")
    };
    output::line(&format_args!("{count}; {old}."))?;
    output::line(&"The secrets are not stored and cannot be shown again. Save them now.")
}

/// Every key with its secret, as JSON.
pub(crate) fn all_as_json(rotated: &RotatedKeys) -> Result<Value, Failure> {
    let keys = rotated.keys.iter().map(with_secret).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({"rotated_at": rotated.rotated_at, "grace_seconds": rotated.grace_seconds, "keys": keys}))
}

/// Every key with its secret, for people.
pub(crate) fn secrets_table(keys: &[CreatedKey]) -> String {
    let row = |created: &CreatedKey| {
        vec![created.key.id.to_string(), created.secret.expose().to_owned(), created.key.name.clone()]
    };
    output::table(&["ID", "SECRET", "NAME"], &keys.iter().map(row).collect::<Vec<_>>())
}

pub(super) async fn end_secret(args: EndSecretArgs) -> Result<(), Failure> {
    let key =
        with_client(&args.api, async |client| Ok(client.end_secret(args.id, args.secret).await?)).await?;
    if args.json {
        return output::json(&key);
    }
    output::line(&format_args!("Revoked secret {}. It no longer admits requests.", args.secret))?;
    output::raw(describe(&key, SystemClock.now()).as_bytes())
}
