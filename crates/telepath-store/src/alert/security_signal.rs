//! Security signals seen while requests are handled: recorded without waiting, deduplicated, and turned into alerts by a
//! worker.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use telepath_core::alert::{AlertRule, NewAlert, SecuritySignal};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};

use super::raise::{AlertWriter, raise};
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds};

/// Pairs of rule and key that are remembered at once; one more is dropped and counted.
const REMEMBERED: usize = 4096;
/// Signals that become alerts in one transaction.
const AT_ONCE: usize = 64;
/// For how long a notice that was handled is not even looked at again. Shorter than every sensible cooldown, which is
/// asked when it is over.
const QUIET: Duration = Duration::from_mins(1);

/// What is remembered of one pair of rule and key.
#[derive(Debug, Clone, Copy)]
enum Slot {
    /// To be handled.
    Waiting { notice: SecuritySignal, seen: u64 },
    /// Handled; further ones are ignored until then.
    Quiet { until: Timestamp },
}

/// The notices that wait, and those that were handled a moment ago.
#[derive(Default)]
pub(crate) struct SecuritySignals {
    slots: Mutex<HashMap<(AlertRule, KeyId), Slot>>,
    dropped: AtomicU64,
}

impl SecuritySignals {
    pub(crate) fn note(&self, notice: SecuritySignal, now: Timestamp) {
        let mut slots = self.slots();
        if slots.len() >= REMEMBERED {
            slots.retain(|_, slot| !matches!(slot, Slot::Quiet { until } if *until <= now));
        }
        let has_room = slots.len() < REMEMBERED;
        match slots.entry((notice.rule(), notice.key())) {
            Entry::Occupied(mut there) => match there.get_mut() {
                Slot::Waiting { notice: last, seen } => {
                    *last = notice;
                    *seen = seen.saturating_add(1);
                }
                Slot::Quiet { until } if *until > now => {}
                slot @ Slot::Quiet { .. } => *slot = Slot::Waiting { notice, seen: 1 },
            },
            Entry::Vacant(place) if has_room => {
                place.insert(Slot::Waiting { notice, seen: 1 });
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
        // Nothing under this lock can leave a half-made state behind.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to [`AT_ONCE`] that wait, in the order of their keys. They stay until [`SecuritySignals::handled`].
    pub(super) fn waiting(&self) -> Vec<(SecuritySignal, u64)> {
        let slots = self.slots();
        let mut waiting: Vec<_> = slots
            .values()
            .filter_map(|slot| match slot {
                Slot::Waiting { notice, seen } => Some((*notice, *seen)),
                Slot::Quiet { .. } => None,
            })
            .collect();
        waiting.sort_by_key(|(notice, _)| (notice.key(), notice.rule()));
        waiting.truncate(AT_ONCE);
        waiting
    }

    pub(super) fn handled(&self, notices: &[(SecuritySignal, u64)], now: Timestamp) {
        let mut slots = self.slots();
        slots.retain(|_, slot| !matches!(slot, Slot::Quiet { until } if *until <= now));
        for (notice, _) in notices {
            slots.insert((notice.rule(), notice.key()), Slot::Quiet { until: now.plus(QUIET) });
        }
    }
}

/// Raises a group of signals in one transaction; how many alerts were raised.
pub(super) async fn raise_all(
    db: &mut Connection,
    notices: Vec<(SecuritySignal, u64)>,
    raiser: AlertWriter,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut raised = 0;
    for (notice, seen) in notices {
        let sql = "SELECT account_id, name, revoked_at, expires_at, not_before FROM keys WHERE id = $1";
        let Some(key) = db.fetch_optional(sql, binds![notice.key().to_string()]).await? else { continue };
        let account: AccountId = key.parse("account_id")?;
        let alert = alert_of(notice, seen, &key, now)?;
        raised += usize::from(raise(db, account, alert, &raiser, now).await?);
    }
    Ok(raised)
}

fn alert_of(notice: SecuritySignal, seen: u64, key: &Row, now: Timestamp) -> Result<NewAlert, StoreError> {
    let (address, name) = (notice.address(), key.text("name")?);
    Ok(match notice {
        SecuritySignal::DeadKeyUsed { key: id, .. } => {
            let state = why_dead(key, now)?;
            let message =
                format!("A secret of the key \"{name}\" that {} is still used, from {address}.", state.1);
            let figures = figures(address, seen, Some(state.0));
            NewAlert::new(notice.rule(), id, message, figures)
        }
        SecuritySignal::SeenInClear { key: id, .. } => {
            let message =
                format!("The key \"{name}\" was sent in clear from {address}; others may have read it.");
            NewAlert::new(notice.rule(), id, message, figures(address, seen, None))
        }
    })
}

fn figures(address: IpAddr, seen: u64, state: Option<&str>) -> serde_json::Value {
    match state {
        Some(state) => json!({ "address": address.to_string(), "seen": seen, "state": state }),
        None => json!({ "address": address.to_string(), "seen": seen }),
    }
}

/// Why a secret is dead, as a word and as a part of a sentence.
fn why_dead(key: &Row, now: Timestamp) -> Result<(&'static str, &'static str), StoreError> {
    Ok(if key.maybe_time("revoked_at")?.is_some() {
        ("revoked", "was revoked")
    } else if key.maybe_time("expires_at")?.is_some_and(|end| end <= now) {
        ("expired", "has expired")
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

    fn notice(key: u64) -> SecuritySignal {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&key.to_be_bytes());
        SecuritySignal::DeadKeyUsed { key: KeyId::from_bytes(bytes), address: IpAddr::from([192, 0, 2, 1]) }
    }

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    #[test]
    fn a_flood_of_one_notice_is_one_notice() {
        let notices = SecuritySignals::default();
        for _ in 0..100_000 {
            notices.note(notice(1), NOW);
        }
        assert_eq!(notices.waiting(), [(notice(1), 100_000)]);
        notices.handled(&notices.waiting(), NOW);
        notices.note(notice(1), NOW);
        assert!(notices.waiting().is_empty(), "it was handled a moment ago");
        notices.note(notice(1), NOW.plus(QUIET));
        assert_eq!(notices.waiting().len(), 1);
    }

    #[test]
    fn a_flood_of_different_notices_is_bounded_and_counted() {
        let notices = SecuritySignals::default();
        let all = REMEMBERED as u64 + 7;
        for key in 0..all {
            notices.note(notice(key), NOW);
        }
        assert_eq!(notices.slots().len(), REMEMBERED);
        assert_eq!(notices.dropped(), 7);
        let first = notices.waiting();
        assert_eq!(first.len(), AT_ONCE);
        notices.handled(&first, NOW);
        notices.note(notice(all), NOW);
        assert_eq!(notices.dropped(), 8, "what is quiet still has its place");
        notices.note(notice(all), NOW.plus(QUIET));
        assert_eq!(notices.dropped(), 8, "what was quiet long enough makes room");
    }
}
