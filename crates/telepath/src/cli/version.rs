//! `telepath version`: the version, commit and target of the program.

use clap::Args;
use serde_json::json;

use super::output;
use crate::exit::Failure;

/// The commit that the program was built from; `unknown` without a git checkout.
const COMMIT: &str = env!("TELEPATH_BUILD_COMMIT");
/// The target triple that it was built for.
const TARGET: &str = env!("TELEPATH_BUILD_TARGET");
/// The text of `--version`.
pub(crate) const LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("TELEPATH_BUILD_COMMIT"),
    ", ",
    env!("TELEPATH_BUILD_TARGET"),
    ")"
);

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
        return output::json(
            &json!({ "version": env!("CARGO_PKG_VERSION"), "commit": COMMIT, "target": TARGET }),
        );
    }
    output::line(&format_args!("telepath {LONG}"))
}
