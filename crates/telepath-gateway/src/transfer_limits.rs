//! The number of transfers of each trunk: pending at once, and begun within a minute. They bound what a stolen key or a deceived
//! agent can cost (toll fraud). Each server counts its own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use telepath_core::id::TrunkId;
use telepath_core::trunk::OutboundRules;

/// The span of `max_per_minute`.
const SPAN: Duration = Duration::from_mins(1);

/// The transfers of all trunks. A trunk without recent transfers has no entry.
#[derive(Debug, Default)]
pub(crate) struct TransferLimits {
    trunks: Mutex<HashMap<TrunkId, TrunkTransfers>>,
}

#[derive(Debug, Default)]
struct TrunkTransfers {
    pending: u32,
    /// When the transfers of the last minute began; at most `max_per_minute`.
    begun: VecDeque<Instant>,
}

/// A place among the pending transfers of a trunk, given back when dropped.
#[derive(Debug)]
pub(crate) struct TransferPermit {
    limits: Arc<TransferLimits>,
    trunk: TrunkId,
}

impl TransferLimits {
    /// A place for another transfer; `None` if the rules permit no more.
    pub(crate) fn begin(
        self: &Arc<Self>,
        trunk: TrunkId,
        rules: &OutboundRules,
        now: Instant,
    ) -> Option<TransferPermit> {
        let mut trunks = self.trunks();
        trunks.retain(|_, transfers| {
            transfers.forget(now);
            transfers.pending > 0 || !transfers.begun.is_empty()
        });
        let transfers = trunks.entry(trunk).or_default();
        let begun = u32::try_from(transfers.begun.len()).unwrap_or(u32::MAX);
        if transfers.pending >= rules.max_concurrent() || begun >= rules.max_per_minute() {
            return None;
        }
        transfers.pending += 1;
        transfers.begun.push_back(now);
        Some(TransferPermit { limits: Arc::clone(self), trunk })
    }

    fn trunks(&self) -> MutexGuard<'_, HashMap<TrunkId, TrunkTransfers>> {
        self.trunks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TrunkTransfers {
    fn forget(&mut self, now: Instant) {
        while self.begun.front().is_some_and(|begun| now.saturating_duration_since(*begun) >= SPAN) {
            self.begun.pop_front();
        }
    }
}

impl Drop for TransferPermit {
    fn drop(&mut self) {
        if let Some(transfers) = self.limits.trunks().get_mut(&self.trunk) {
            transfers.pending = transfers.pending.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::id::Id as _;

    use super::*;

    fn rules(max_concurrent: u32, max_per_minute: u32) -> OutboundRules {
        OutboundRules {
            max_concurrent: Some(max_concurrent),
            max_per_minute: Some(max_per_minute),
            ..OutboundRules::default()
        }
    }

    #[test]
    fn pending_transfers_and_transfers_within_a_minute_are_bounded_per_trunk() {
        let limits = Arc::new(TransferLimits::default());
        let (now, trunk) = (Instant::now(), TrunkId::from_bytes([1; 16]));
        let first = limits.begin(trunk, &rules(1, 2), now).unwrap();
        assert!(limits.begin(trunk, &rules(1, 2), now).is_none(), "one is pending");
        assert!(limits.begin(TrunkId::from_bytes([2; 16]), &rules(1, 2), now).is_some());
        drop(first);
        let second = limits.begin(trunk, &rules(1, 2), now + Duration::from_secs(30));
        assert!(second.is_some());
        drop(second);
        assert!(limits.begin(trunk, &rules(1, 2), now + Duration::from_secs(59)).is_none());
        assert!(limits.begin(trunk, &rules(1, 2), now + Duration::from_mins(1)).is_some());
    }
}
