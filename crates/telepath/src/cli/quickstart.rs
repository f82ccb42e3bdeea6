//! `telepath quickstart`: sets up a demo, places a test call, and then keeps serving.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::arguments::{CommonArgs, ListenArgs};
use super::output;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::{quickstart, signals};

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
pub(crate) async fn run(args: QuickstartArgs) -> Result<(), Failure> {
    let layers = args.common.quiet_layers(Some(&args.listen))?;
    let config = Config::check(&layers)?;
    let stop = signals::stop_token()?;
    let mut session = tokio::select! {
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
    let next_steps = session.next_steps();
    session.end().await;
    if ended.is_ok() {
        output::raw(next_steps.as_bytes())?;
    }
    ended
}

async fn serve_on(session: &quickstart::Session, stop: &CancellationToken) -> Result<(), Failure> {
    output::raw(session.running().as_bytes())?;
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        failure = session.until_broken() => Err(failure),
    }
}

fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted before the last step")
}
