//! What runs beside the requests: usage counters go to the database each second, old deliveries go, certificates are
//! looked after. Each worker ends when its token is cancelled.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::clock::Clock;
use telepath_store::Store;
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::tls::Certificates;

/// kill -9 loses at most this much of the counters.
const USAGE_EVERY: Duration = Duration::from_secs(1);
/// Deliveries are kept for weeks, so it does not matter when in an hour they go.
const CLEAR_EVERY: Duration = Duration::from_mins(10);
/// A certificate is renewed 30 days before its end, so twice a day is often enough.
const CERTIFICATES_EVERY: Duration = Duration::from_hours(12);

/// Writes usage counters. The last flush is the store's own, when it is closed.
pub async fn flush_usage(store: Arc<Store>, stop: CancellationToken) {
    let mut ticks = interval(USAGE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match store.flush_usage().await {
            Ok(_) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("usage counters are written again");
                }
            }
            // Told once per trouble, not once per second; the counters wait in memory meanwhile.
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "usage counters cannot be written; trying again each second");
                }
            }
        }
    }
}

/// Clears away deliveries and events that are past their time.
pub async fn clear_deliveries(store: Arc<Store>, stop: CancellationToken) {
    let mut ticks = interval(CLEAR_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match store.clear_deliveries().await {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(rows, "cleared away old deliveries and events"),
            Err(error) => {
                tracing::warn!(%error, "old deliveries could not be cleared away; trying again later");
            }
        }
    }
}

/// Renews the local certificate in time, and reads certificates again on SIGHUP.
pub async fn tend_certificates(
    certificates: Arc<Certificates>,
    clock: Arc<dyn Clock>,
    mut hangups: Signal,
    stop: CancellationToken,
) {
    let mut ticks = interval(CERTIFICATES_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is due at once, and the certificates were just loaded.
    ticks.tick().await;
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => false,
            _ = hangups.recv() => true,
        };
        match certificates.reload(clock.now()) {
            Ok(()) if asked => tracing::info!("certificates were read again"),
            Ok(()) => {}
            Err(failure) => tracing::error!(%failure, "the old certificate stays in use"),
        }
    }
}
