//! Keeps the networks in `allowed_ips` of all trunks in the memory of the signalling task, so that an INVITE of a stranger
//! costs no request to the control plane.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::command::Command;
use crate::shared::Shared;

/// Reads the networks and passes them to the signalling task. On failure the known ones stay in effect.
///
/// # Errors
/// Why they could not be read.
pub(crate) async fn refresh(shared: &Shared) -> Result<(), String> {
    let networks = AssertUnwindSafe(shared.control.trusted_networks()).catch_unwind();
    let networks = match tokio::time::timeout(shared.options.control_timeout, networks).await {
        Ok(Ok(networks)) => networks.map_err(|error| error.to_string())?,
        Ok(Err(_panic)) => return Err("the control plane panicked".to_owned()),
        Err(_elapsed) => return Err("the control plane did not respond in time".to_owned()),
    };
    // Fails only when the server is shutting down.
    let _ = shared.commands.send(Command::TrustNetworks(Box::new(networks))).await;
    Ok(())
}

/// Refreshes the networks after each change, until the signalling task ends. `current` is false if the first read failed.
pub(crate) async fn keep_current(shared: Arc<Shared>, mut current: bool) {
    loop {
        tokio::select! {
            () = shared.commands.closed() => return,
            () = shared.control.trusted_networks_changed(), if current => {}
            () = tokio::time::sleep(shared.options.trusted_networks_retry), if !current => {}
        }
        match refresh(&shared).await {
            Ok(()) => current = true,
            Err(error) => {
                // Once for each outage.
                if std::mem::replace(&mut current, false) {
                    tracing::warn!(
                        error,
                        "could not read the allowed_ips of the trunks; the known ones stay in effect"
                    );
                }
            }
        }
    }
}
