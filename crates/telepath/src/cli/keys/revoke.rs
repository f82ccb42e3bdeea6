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

For a leaked key, use `telepath compromise`, which walks through every step.";

/// Arguments of `keys revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Key id, key_…
    id: KeyId,
    /// Reason, for the audit trail
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
    output::line(&format_args!("Revoked key {} ({}). It no longer admits requests.", key.id, key.name))
}
