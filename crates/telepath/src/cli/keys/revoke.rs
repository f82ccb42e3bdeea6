//! `telepath keys revoke`.

use clap::Args;
use telepath_client::KeyId;

use crate::cli::output;
use crate::cli::reach::{ApiArgs, with_client};
use crate::exit::Failure;

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath keys revoke key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --reason 'seen in a log'
  telepath keys revoke key_01k9v1n2xrf6t8g3m5q7w9y0za --api-url https://voice.example:8443

For a key that others may know, `telepath compromise` walks through all that is to be done.";

/// Arguments of `keys revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// The key's id, key_…
    id: KeyId,
    /// Why, for the audit trail
    #[arg(long)]
    reason: Option<String>,
    /// Print the key as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: RevokeArgs) -> Result<(), Failure> {
    let reason = args.reason.as_deref();
    let key = with_client(&args.api, async |client| Ok(client.revoke_key(args.id, reason).await?)).await?;
    if args.json {
        return output::json(&key);
    }
    output::line(&format_args!(
        "Revoked key {} ({}); no request is admitted with it any more.",
        key.id, key.name
    ))
}
