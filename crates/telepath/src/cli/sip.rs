//! `telepath sip`: what happens at the SIP port, through local administration.

use clap::{Args, Subcommand};

use super::admin::Admin;
use super::arguments::CommonArgs;
use super::pages;
use crate::exit::Failure;

/// Subcommands of `sip`.
#[derive(Debug, Subcommand)]
pub(crate) enum SipCommand {
    /// List the sources of calls that reached no trunk, by rule, since the server started
    #[command(
        after_help = "Examples:\n  telepath sip strangers --data-dir data\n  telepath sip strangers --data-dir data --json"
    )]
    Strangers(Box<StrangersArgs>),
}

/// Arguments of `sip strangers`.
#[derive(Debug, Args)]
pub(crate) struct StrangersArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: SipCommand) -> Result<(), Failure> {
    match command {
        SipCommand::Strangers(args) => strangers(*args).await,
    }
}

async fn strangers(args: StrangersArgs) -> Result<(), Failure> {
    let admin = Admin::open(&args.common).await?;
    let list = admin.client().list_sip_strangers().await;
    admin.close().await;
    let head = ["SOURCE", "RULE", "ATTEMPTS", "FIRST SEEN", "LAST SEEN"];
    pages::print(&list?.strangers, args.json, "No strangers.", head, |stranger| {
        [
            stranger.source.to_string(),
            stranger.rule.clone(),
            stranger.attempts.to_string(),
            stranger.first_seen.to_string(),
            stranger.last_seen.to_string(),
        ]
    })
}
