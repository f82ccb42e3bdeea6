//! `telepath config`: checks the configuration, or shows each setting and its source.

use clap::{Args, Subcommand};

use super::arguments::{CommonArgs, ListenArgs};
use super::output;
use crate::config::{Config, as_json, as_text};
use crate::exit::Failure;

/// Subcommands of `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration as `serve` does at start
    #[command(
        after_help = "Examples:\n  telepath config check --config /etc/telepath.toml\n  telepath config check --data-dir data --api-listen 0.0.0.0:8443"
    )]
    Check(ConfigArgs),
    /// Show every setting with its value and source; secrets are masked
    #[command(
        after_help = "Examples:\n  telepath config show --config /etc/telepath.toml\n  TELEPATH_LOG_LEVEL=debug telepath config show --json"
    )]
    Show(ShowArgs),
}

/// Arguments of both subcommands.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    listen: ListenArgs,
}

/// Arguments of `config show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs a command.
pub(crate) fn run(command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check(args) => {
            let layers = args.common.layers(Some(&args.listen))?;
            Config::check(&layers)?;
            output::line(&"The configuration is valid.")
        }
        ConfigCommand::Show(args) => {
            let layers = args.config.common.layers(Some(&args.config.listen))?;
            if args.json { output::json(&as_json(&layers)) } else { output::raw(as_text(&layers).as_bytes()) }
        }
    }
}
