//! `telepath whoami`: the key and the account that commands use.

use clap::Args;
use telepath_client::Whoami;

use super::output;
use super::reach::{ApiArgs, with_client};
use crate::exit::Failure;

/// Arguments of `whoami`.
#[derive(Debug, Args)]
pub(crate) struct WhoamiArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: WhoamiArgs) -> Result<(), Failure> {
    let me = with_client(&args.api, async |client| Ok(client.whoami().await?)).await?;
    if args.json { output::json(&me) } else { output::raw(describe(&me).as_bytes()) }
}

fn describe(me: &Whoami) -> String {
    output::facts(&[
        ("Name", me.name.clone()),
        ("Key", me.id.map_or_else(|| "-".to_owned(), |id| id.to_string())),
        ("Account", format!("{} ({})", me.account.name, me.account.id)),
        ("Scopes", me.scopes.join(" ")),
        ("Expires", me.expires_at.map_or_else(|| "never".to_owned(), |end| end.to_string())),
    ])
}
