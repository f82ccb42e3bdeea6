//! What runs beside the requests: answered requests are written twice a second, added to the counters and taken away when
//! they are old; the use of keys is watched, mails are sent, certificates are looked after. Each worker ends when its token
//! is cancelled.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::clock::Clock;
use telepath_store::{Retention, Store, StoreError};
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::mail::Mailer;
use crate::tls::Certificates;

/// kill -9 loses what was answered since the last time, and during it: less than a second.
const USAGE_EVERY: Duration = Duration::from_millis(400);
/// Readers bring the counters up themselves; this bounds how much they find to do. The rarer, the fewer rows are written.
const FOLD_EVERY: Duration = Duration::from_secs(20);
/// What is kept for months need not go to the minute.
const EXPIRE_EVERY: Duration = Duration::from_mins(10);
/// Between two times a caller can add no more answers than its rate limit allows.
const FORGET_EVERY: Duration = Duration::from_mins(1);
/// Deliveries are kept for weeks, so it does not matter when in an hour they go.
const CLEAR_EVERY: Duration = Duration::from_mins(10);
/// A certificate is renewed 30 days before its end, so twice a day is often enough.
const CERTIFICATES_EVERY: Duration = Duration::from_hours(12);

/// What requests noticed becomes an alert this soon.
const NOTICES_EVERY: Duration = Duration::from_secs(1);
/// Use is counted by the minute, so looking at it more often shows nothing new.
const WATCH_EVERY: Duration = Duration::from_mins(1);
/// Expiry and disuse are matters of days.
const LIVES_EVERY: Duration = Duration::from_hours(1);
/// A mail that is due waits this long at most.
const MAILS_EVERY: Duration = Duration::from_secs(5);

/// Writes answered requests. The last time is the store's own, when it is closed.
pub async fn flush_usage(store: Arc<Store>, stop: CancellationToken) {
    repeat("answered requests are written", USAGE_EVERY, stop, || store.flush_usage()).await;
}

/// Adds what was written to the counters.
pub async fn fold_usage(store: Arc<Store>, stop: CancellationToken) {
    repeat("requests are added to the counters", FOLD_EVERY, stop, || store.fold_usage()).await;
}

/// Takes away what is older than it is kept.
pub async fn expire_usage(store: Arc<Store>, keep: Retention, stop: CancellationToken) {
    repeat("old usage is taken away", EXPIRE_EVERY, stop, || store.expire_usage(keep)).await;
}

/// Does something again and again. Trouble is told once, not each time; what there is to do waits meanwhile.
async fn repeat<T, F>(what: &str, every: Duration, stop: CancellationToken, mut work: impl FnMut() -> F)
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match work().await {
            Ok(_) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("{what} again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "it is not so that {what}; trying again every {every:?}");
                }
            }
        }
    }
}

/// Forgets kept answers whose time is over.
pub async fn forget_answers(store: Arc<Store>, stop: CancellationToken) {
    let mut ticks = interval(FORGET_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = store.forget_answers().await {
            tracing::warn!(%error, "kept answers cannot be forgotten; trying again later");
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

/// Looks at the use of keys: at once what requests noticed, each minute what the counters say, each hour what becomes due.
pub async fn watch_keys(store: Arc<Store>, stop: CancellationToken) {
    let mut ticks = [NOTICES_EVERY, WATCH_EVERY, LIVES_EVERY].map(|length| {
        let mut ticks = interval(length);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    });
    let [notices, minutes, lives] = &mut ticks;
    let mut trouble = Trouble::default();
    loop {
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            _ = notices.tick() => store.handle_notices().await,
            _ = minutes.tick() => store.watch_keys().await,
            _ = lives.tick() => store.watch_lives().await,
        };
        trouble.tell(outcome.err().map(|error| error.to_string()), "alerts");
    }
}

/// Sends the mails that are owed, one after another, as long as there are some.
pub async fn send_mails(store: Arc<Store>, mailer: Mailer, stop: CancellationToken) {
    let mut ticks = interval(MAILS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trouble = Trouble::default();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        // A mail that is cut off here is owed still, and claimed again when its lease is over.
        let Some(outcome) = stop.run_until_cancelled(mailer.send_owed(&store)).await else { return };
        trouble.tell(outcome.err().map(|error| error.to_string()), "mails about alerts");
    }
}

/// Tells of trouble once when it begins and once when it is over, not each time.
#[derive(Default)]
struct Trouble {
    lasts: bool,
}

impl Trouble {
    fn tell(&mut self, error: Option<String>, what: &str) {
        match error {
            Some(error) => {
                if !std::mem::replace(&mut self.lasts, true) {
                    tracing::warn!(%error, "{what} cannot be worked on; trying again");
                }
            }
            None => {
                if std::mem::take(&mut self.lasts) {
                    tracing::info!("{what} are worked on again");
                }
            }
        }
    }
}
