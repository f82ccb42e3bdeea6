//! Security signals seen while requests are handled: recorded without waiting, deduplicated, and turned into alerts by a
//! worker.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;
use telepath_core::alert::{AlertRule, NewAlert, SecuritySignal};
use telepath_core::clock::{SteadyTime, Timestamp};
use telepath_core::id::{AccountId, KeyId};

use super::raise::{AlertWriter, raise};
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds};

/// Pairs of rule and key that are remembered; further ones are dropped and counted.
const MAX_SLOTS: usize = 4096;
/// Signals handled in one transaction.
const BATCH: usize = 64;
/// How long a handled signal is ignored, in milliseconds. Shorter than any sensible cooldown, which decides afterwards.
const QUIET_MS: i64 = 60_000;

/// The state of one pair of rule and key.
#[derive(Debug, Clone, Copy)]
enum Slot {
    /// Waiting to be handled.
    Pending { signal: SecuritySignal, seen: u64 },
    /// Handled; ignored until then.
    Quiet { until: SteadyTime },
}

/// The pending signals and the recently handled ones.
#[derive(Default)]
pub(crate) struct SecuritySignals {
    slots: Mutex<HashMap<(AlertRule, KeyId), Slot>>,
    dropped: AtomicU64,
}

impl SecuritySignals {
    pub(crate) fn record(&self, signal: SecuritySignal, now: SteadyTime) {
        let mut slots = self.slots();
        if slots.len() >= MAX_SLOTS {
            slots.retain(|_, slot| !matches!(slot, Slot::Quiet { until } if *until <= now));
        }
        let has_room = slots.len() < MAX_SLOTS;
        match slots.entry((signal.rule(), signal.key())) {
            Entry::Occupied(mut there) => match there.get_mut() {
                Slot::Pending { signal: last, seen } => {
                    *last = signal;
                    *seen = seen.saturating_add(1);
                }
                Slot::Quiet { until } if *until > now => {}
                slot @ Slot::Quiet { .. } => *slot = Slot::Pending { signal, seen: 1 },
            },
            Entry::Vacant(place) if has_room => {
                place.insert(Slot::Pending { signal, seen: 1 });
            }
            Entry::Vacant(_) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<(AlertRule, KeyId), Slot>> {
        // Code under this lock does not panic, so the state is consistent even if the lock is poisoned.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to [`BATCH`] pending signals, ordered by key. They remain until [`SecuritySignals::mark_handled`].
    pub(super) fn pending(&self) -> Vec<(SecuritySignal, u64)> {
        let slots = self.slots();
        let mut pending: Vec<_> = slots
            .values()
            .filter_map(|slot| match slot {
                Slot::Pending { signal, seen } => Some((*signal, *seen)),
                Slot::Quiet { .. } => None,
            })
            .collect();
        pending.sort_by_key(|(signal, _)| (signal.key(), signal.rule()));
        pending.truncate(BATCH);
        pending
    }

    pub(super) fn mark_handled(&self, signals: &[(SecuritySignal, u64)], now: SteadyTime) {
        let mut slots = self.slots();
        slots.retain(|_, slot| !matches!(slot, Slot::Quiet { until } if *until <= now));
        for (signal, _) in signals {
            slots.insert((signal.rule(), signal.key()), Slot::Quiet { until: now.plus_ms(QUIET_MS) });
        }
    }
}

/// Raises alerts for a group of signals in one transaction; returns the number of alerts.
pub(super) async fn raise_all(
    db: &mut Connection,
    signals: Vec<(SecuritySignal, u64)>,
    alert_writer: AlertWriter,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut raised = 0;
    for (signal, seen) in signals {
        let sql =
            "SELECT account_id, name, revoked_at, expires_at, not_before, paused_at FROM keys WHERE id = $1";
        let Some(key) = db.fetch_optional(sql, binds![signal.key().to_string()]).await? else { continue };
        let account: AccountId = key.parse("account_id")?;
        let alert = alert_of(signal, seen, &key, now)?;
        raised += usize::from(raise(db, account, alert, &alert_writer, now).await?);
    }
    Ok(raised)
}

fn alert_of(signal: SecuritySignal, seen: u64, key: &Row, now: Timestamp) -> Result<NewAlert, StoreError> {
    let (address, name) = (signal.address(), key.text("name")?);
    Ok(match signal {
        SecuritySignal::DeadKeyUsed { key: id, .. } => {
            let state = why_dead(key, now)?;
            let message =
                format!("A secret of the key \"{name}\" that {} is still used, from {address}.", state.1);
            let figures = figures(address, seen, Some(state.0));
            NewAlert::new(signal.rule(), id, message, figures)
        }
        SecuritySignal::SeenInClear { key: id, .. } => {
            let message =
                format!("The key \"{name}\" was sent in cleartext from {address}; others may have read it.");
            NewAlert::new(signal.rule(), id, message, figures(address, seen, None))
        }
    })
}

fn figures(address: IpAddr, seen: u64, state: Option<&str>) -> serde_json::Value {
    match state {
        Some(state) => json!({ "address": address.to_string(), "seen": seen, "state": state }),
        None => json!({ "address": address.to_string(), "seen": seen }),
    }
}

/// Why a secret is not valid, as a word and as a clause.
fn why_dead(key: &Row, now: Timestamp) -> Result<(&'static str, &'static str), StoreError> {
    Ok(if key.maybe_time("revoked_at")?.is_some() {
        ("revoked", "was revoked")
    } else if key.maybe_time("expires_at")?.is_some_and(|end| end <= now) {
        ("expired", "has expired")
    } else if key.maybe_time("paused_at")?.is_some() {
        ("paused", "is paused")
    } else if key.maybe_time("not_before")?.is_some_and(|start| start > now) {
        ("not_yet_valid", "is not valid yet")
    } else {
        ("replaced", "was replaced")
    })
}

#[cfg(test)]
mod tests {
    use telepath_core::id::Id as _;

    use super::*;

    fn signal(key: u64) -> SecuritySignal {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&key.to_be_bytes());
        SecuritySignal::DeadKeyUsed { key: KeyId::from_bytes(bytes), address: IpAddr::from([192, 0, 2, 1]) }
    }

    const NOW: SteadyTime = SteadyTime::from_ms(1_800_000_000_000);

    #[test]
    fn a_repeated_signal_is_one_signal() {
        let signals = SecuritySignals::default();
        for _ in 0..100_000 {
            signals.record(signal(1), NOW);
        }
        assert_eq!(signals.pending(), [(signal(1), 100_000)]);
        signals.mark_handled(&signals.pending(), NOW);
        signals.record(signal(1), NOW);
        assert!(signals.pending().is_empty(), "it was mark_handled a moment ago");
        signals.record(signal(1), NOW.plus_ms(QUIET_MS));
        assert_eq!(signals.pending().len(), 1);
    }

    #[test]
    fn distinct_signals_are_bounded_and_drops_are_counted() {
        let signals = SecuritySignals::default();
        let all = MAX_SLOTS as u64 + 7;
        for key in 0..all {
            signals.record(signal(key), NOW);
        }
        assert_eq!(signals.slots().len(), MAX_SLOTS);
        assert_eq!(signals.dropped(), 7);
        let first = signals.pending();
        assert_eq!(first.len(), BATCH);
        signals.mark_handled(&first, NOW);
        signals.record(signal(all), NOW);
        assert_eq!(signals.dropped(), 8, "what is quiet still has its place");
        signals.record(signal(all), NOW.plus_ms(QUIET_MS));
        assert_eq!(signals.dropped(), 8, "what was quiet long enough makes room");
    }
}
