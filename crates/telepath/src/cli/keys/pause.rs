//! `telepath keys pause` and `telepath keys resume`.

use clap::Args;
use telepath_client::{Key, KeyId};

use crate::cli::output;
use crate::cli::reach::{ApiArgs, with_client};
use crate::exit::Failure;

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath keys pause key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data
  telepath keys resume key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data";

/// Arguments of `keys pause` and `keys resume`.
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Key id, key_…
    id: KeyId,
    /// Print the key as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn pause(args: PauseArgs) -> Result<(), Failure> {
    let key = with_client(&args.api, async |client| Ok(client.pause_key(args.id).await?)).await?;
    print(&key, args.json, "Paused", "It admits no requests until it is resumed.")
}

pub(super) async fn resume(args: PauseArgs) -> Result<(), Failure> {
    let key = with_client(&args.api, async |client| Ok(client.resume_key(args.id).await?)).await?;
    print(&key, args.json, "Resumed", &format!("Its status is {}.", key.status))
}

fn print(key: &Key, as_json: bool, what: &str, effect: &str) -> Result<(), Failure> {
    if as_json {
        return output::json(key);
    }
    output::line(&format_args!("{what} key {} ({}). {effect}", key.id, key.name))
}
