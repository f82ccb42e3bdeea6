//! Background tasks: they write and roll up the request log, delete what is past its retention, evaluate alert rules, send
//! alert emails and renew certificates. Each task ends when its token is cancelled.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use telepath_core::clock::Clock;
use telepath_core::ports::LiveCalls;
use telepath_store::{AuditHead, Retention, Store, StoreError};
use tokio::signal::unix::Signal;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::mail::Mailer;
use crate::tls::Certificates;

/// A kill -9 loses the requests answered since the last write, and those of the write itself: less than a second.
const WRITE_INTERVAL: Duration = Duration::from_millis(400);
/// Readers roll up what they need themselves; this bounds how much is left for them. Fewer runs write fewer rows.
const ROLLUP_INTERVAL: Duration = Duration::from_secs(20);
/// Request log and deliveries are kept for weeks, so minutes do not matter.
const RETENTION_INTERVAL: Duration = Duration::from_mins(10);
/// The delay between the thousandth entry since the last logged head and the next one.
const AUDIT_HEAD_INTERVAL: Duration = Duration::from_mins(1);
/// How long a server may seal with the old master key after another one was activated, and how soon it loads new ones.
const KEYRING_INTERVAL: Duration = Duration::from_secs(3);
/// A caller can store no more responses between two runs than its rate limit allows.
const IDEMPOTENCY_INTERVAL: Duration = Duration::from_mins(1);
/// How often grace periods are compared with the clock.
const GRACE_INTERVAL: Duration = Duration::from_mins(1);
/// The longest time that a certificate from a wrong clock is served after the clock was corrected.
const CERTIFICATE_INTERVAL: Duration = Duration::from_mins(1);
/// Certificate files are read again this often.
const RELOAD_INTERVAL: Duration = Duration::from_hours(12);
/// The delay between a security signal and its alert.
const SIGNAL_INTERVAL: Duration = Duration::from_secs(1);
/// A report wakes the worker; this bounds the delay after a restart or a failure.
const EXPOSURE_INTERVAL: Duration = Duration::from_secs(1);
/// Usage is counted per minute, so looking more often shows nothing new.
const USAGE_RULES_INTERVAL: Duration = Duration::from_mins(1);
/// Expiry and disuse are measured in days.
const LIFECYCLE_RULES_INTERVAL: Duration = Duration::from_hours(1);
/// Hang-ups are announced; this bounds how late one is whose announcement is lost.
const HANGUP_INTERVAL: Duration = Duration::from_secs(5);
/// The longest wait of an email that is due.
const MAIL_INTERVAL: Duration = Duration::from_secs(5);

/// Writes answered requests to the request log. Closing the store writes the last of them.
pub async fn write_request_log(store: Arc<Store>, stop: CancellationToken) {
    repeat("write the request log", WRITE_INTERVAL, stop, || store.flush_usage()).await;
}

/// Adds new segments of the request log to the usage counters.
pub async fn roll_up_usage(store: Arc<Store>, stop: CancellationToken) {
    repeat("roll up usage", ROLLUP_INTERVAL, stop, || store.roll_up_usage()).await;
}

/// Deletes request log entries and usage buckets that are past their retention.
pub async fn expire_usage(store: Arc<Store>, keep: Retention, stop: CancellationToken) {
    repeat("delete expired usage", RETENTION_INTERVAL, stop, || store.expire_usage(keep)).await;
}

/// Deletes stored responses whose idempotency keys have expired.
pub async fn expire_idempotency_keys(store: Arc<Store>, stop: CancellationToken) {
    repeat("delete expired idempotency keys", IDEMPOTENCY_INTERVAL, stop, || store.expire_idempotency_keys())
        .await;
}

/// Moves grace periods to the present that were granted while the clock was ahead.
pub async fn correct_grace_periods(store: Arc<Store>, stop: CancellationToken) {
    repeat("correct grace periods", GRACE_INTERVAL, stop, || store.correct_grace_periods()).await;
}

/// Deletes deliveries and events that are past their retention.
pub async fn expire_deliveries(store: Arc<Store>, stop: CancellationToken) {
    repeat("delete expired webhook deliveries", RETENTION_INTERVAL, stop, || store.purge_deliveries()).await;
}

/// Logs the head of each account's audit trail: a later verification can expect it, and then notices a trail that was replaced
/// as a whole.
pub async fn log_audit_heads(store: Arc<Store>, stop: CancellationToken) {
    repeat("log the heads of audit trails", AUDIT_HEAD_INTERVAL, stop, || async {
        for AuditHead { account, head } in store.audit_heads_to_log().await? {
            tracing::info!(%account, %head, "the head of the audit trail");
        }
        Ok(())
    })
    .await;
}

/// Loads new master keys, follows a change of the one that seals, and seals with it what others have sealed. An interrupted
/// pass is continued by the next start.
pub async fn maintain_keyring(store: Arc<Store>, stop: CancellationToken) {
    let mut ticks = ticks_of(KEYRING_INTERVAL);
    let mut errors = ErrorLatch::new("seal secrets with the active master key");
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = store.wait_for_activation() => {}
        }
        let Some(result) = stop.run_until_cancelled(store.maintain_keyring()).await else { return };
        errors.record(result);
    }
}

/// Ends calls of this server that another server was asked to end, or whose trunk was deleted there.
pub async fn hang_up_for_others(store: Arc<Store>, live: Arc<dyn LiveCalls>, stop: CancellationToken) {
    let (mut ticks, mut errors) = (ticks_of(HANGUP_INTERVAL), ErrorLatch::new("look for calls to hang up"));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = store.wait_for_hangup_request() => {}
            _ = ticks.tick() => {}
        }
        let requested = store.calls_to_hang_up().await;
        for (call, reason) in requested.iter().flatten() {
            // A call that is no longer live here has just ended by itself.
            live.hang_up(*call, *reason);
        }
        errors.record(requested);
    }
}

/// Deletes ended sessions, invitations and links, and old sign-in attempts.
pub async fn expire_sign_ins(store: Arc<Store>, stop: CancellationToken) {
    repeat("delete expired sessions", RETENTION_INTERVAL, stop, || store.expire_sign_ins()).await;
}

/// Renews the local certificate in time, or when the clock was corrected, and reloads certificate files on SIGHUP and twice a
/// day.
pub async fn renew_certificates(
    certificates: Arc<Certificates>,
    clock: Arc<dyn Clock>,
    mut hangups: Signal,
    stop: CancellationToken,
) {
    let (mut ticks, mut reloads) = (ticks_of(CERTIFICATE_INTERVAL), ticks_of(RELOAD_INTERVAL));
    // The first tick is due at once, but the certificates have just been loaded.
    reloads.tick().await;
    let mut failing = false;
    loop {
        let on_signal = tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                // What cannot be renewed is tried again twice a day.
                if failing || !certificates.is_due(clock.now()) {
                    continue;
                }
                false
            }
            _ = reloads.tick() => false,
            _ = hangups.recv() => true,
        };
        let reloaded = certificates.reload(clock.now());
        failing = reloaded.is_err();
        match reloaded {
            Ok(()) if on_signal => tracing::info!("reloaded the certificates"),
            Ok(()) => {}
            Err(failure) => {
                tracing::error!(%failure, "could not reload the certificates; the old ones stay in use");
            }
        }
    }
}

/// Evaluates the alert rules: security signals every second, usage rules every minute, lifecycle rules every hour.
pub async fn evaluate_alert_rules(store: Arc<Store>, stop: CancellationToken) {
    let (mut signals, mut usage, mut lifecycle) =
        (ticks_of(SIGNAL_INTERVAL), ticks_of(USAGE_RULES_INTERVAL), ticks_of(LIFECYCLE_RULES_INTERVAL));
    let mut errors = ErrorLatch::new("evaluate alert rules");
    loop {
        let result = tokio::select! {
            () = stop.cancelled() => return,
            _ = signals.tick() => store.raise_security_alerts().await,
            _ = usage.tick() => store.evaluate_usage_rules().await,
            _ = lifecycle.tick() => store.evaluate_lifecycle_rules().await,
        };
        errors.record(result);
    }
}

/// Revokes keys that were reported as leaked or received in cleartext.
pub async fn revoke_exposed_keys(store: Arc<Store>, stop: CancellationToken) {
    let mut ticks = ticks_of(EXPOSURE_INTERVAL);
    let mut errors = ErrorLatch::new("revoke leaked keys");
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = store.wait_for_exposure() => {}
        }
        errors.record(store.revoke_exposed_keys().await);
    }
}

/// Sends pending alert emails, one after another.
pub async fn send_alert_emails(store: Arc<Store>, mailer: Arc<Mailer>, stop: CancellationToken) {
    let mut ticks = ticks_of(MAIL_INTERVAL);
    let mut errors = ErrorLatch::new("send alert emails");
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        // An email that is interrupted here stays pending and is claimed again when its lease expires.
        let Some(result) = stop.run_until_cancelled(mailer.send_pending(&store)).await else { return };
        errors.record(result);
    }
}

/// Runs `work` at an interval until `stop` is cancelled. What a failed run leaves undone, the next one does.
pub(crate) async fn repeat<T, F>(
    task: &'static str,
    every: Duration,
    stop: CancellationToken,
    mut work: impl FnMut() -> F,
) where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut ticks = ticks_of(every);
    let mut errors = ErrorLatch::new(task);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        errors.record(work().await);
    }
}

/// Ticks at an interval; after a delay the next tick is a full interval away.
fn ticks_of(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Logs the first of a series of errors and the recovery, not every retry.
struct ErrorLatch {
    /// What is being done, as a verb phrase: "write the request log".
    task: &'static str,
    failing: bool,
}

impl ErrorLatch {
    const fn new(task: &'static str) -> Self {
        Self { task, failing: false }
    }

    fn record<T, E: Display>(&mut self, result: Result<T, E>) {
        let task = self.task;
        let was_failing = std::mem::replace(&mut self.failing, result.is_err());
        match result {
            Err(error) if !was_failing => tracing::warn!(%error, "could not {task}; retrying"),
            Ok(_) if was_failing => tracing::info!("recovered: can {task} again"),
            Ok(_) | Err(_) => {}
        }
    }
}
