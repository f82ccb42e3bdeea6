//! `telepath version`: the version, commit and target of the program.

use clap::Args;
use serde_json::json;

use super::output;
use crate::build_info::{COMMIT, LONG, TARGET, VERSION};
use crate::exit::Failure;

/// Arguments of `version`.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &VersionArgs) -> Result<(), Failure> {
    if args.json {
        return output::json(&json!({ "version": VERSION, "commit": COMMIT, "target": TARGET }));
    }
    output::line(&format_args!("telepath {LONG}"))
}
