//! Signals: the first SIGTERM or SIGINT starts a clean shutdown, the second ends the process at once, and SIGHUP reloads
//! the certificates.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, Failure};

/// A token that the first SIGTERM or SIGINT cancels.
pub fn stop_token() -> Result<CancellationToken, Failure> {
    let failed = |error: std::io::Error| Failure::doing("cannot listen for signals", &error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        stop.cancel();
        either(&mut terminate, &mut interrupt).await;
        end_at_once();
    });
    Ok(token)
}

/// SIGHUP as a stream.
pub fn hangups() -> Result<Signal, Failure> {
    signal(SignalKind::hangup()).map_err(|error| Failure::doing("cannot listen for SIGHUP", &error))
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[expect(clippy::exit, reason = "a second signal means: end now, without a clean shutdown")]
fn end_at_once() {
    std::process::exit(Exit::Interrupted as i32)
}
