//! `telepath quickstart`: sets up a demo, places a test call, and then keeps serving.

use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::arguments::{CommonArgs, ListenArgs};
use super::output;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::{quickstart, signals};

/// The default data folder.
const FOLDER: &str = "telepath-data";

/// Arguments of `quickstart`.
#[derive(Debug, Args)]
pub(crate) struct QuickstartArgs {
    /// Exit after the last step instead of serving until Ctrl-C
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    listen: ListenArgs,
}

/// Runs the command.
pub(crate) async fn run(mut args: QuickstartArgs) -> Result<(), Failure> {
    let mut layers = args.common.quiet_layers(Some(&args.listen))?;
    if layers.get("storage.data_dir").is_none() {
        args.common.data_dir = Some(PathBuf::from(FOLDER));
        layers = args.common.layers(Some(&args.listen))?;
    }
    let config = Config::check(&layers)?;
    let stop = signals::stop_token()?;
    let session = tokio::select! {
        session = quickstart::begin(&config) => session?,
        () = stop.cancelled() => return Err(interrupted()),
    };
    let shown = tokio::select! {
        shown = session.show() => shown,
        () = stop.cancelled() => Err(interrupted()),
    };
    let ended = match shown {
        Ok(()) if !args.once => serve_on(&session, &stop).await,
        shown => shown,
    };
    session.end().await;
    ended
}

async fn serve_on(session: &quickstart::Session, stop: &CancellationToken) -> Result<(), Failure> {
    output::line(&"Serving until Ctrl-C.")?;
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        failure = session.until_broken() => Err(failure),
    }
}

fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted before the last step")
}
