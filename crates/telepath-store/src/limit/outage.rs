//! The fallback during an outage of the shared limiter: each server admits its share of the limit.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use telepath_core::clock::Timestamp;
use telepath_core::id::KeyId;
use telepath_core::limit::{RateLimit, WINDOW_SECONDS, Window};

use crate::key_table::entry::{TakeResult, WindowContext};

/// Keys that one server tracks per minute; requests of further keys are refused.
const MAX_KEYS: usize = 65_536;

/// One key's window, counted by this server alone.
#[derive(Debug, Clone, Copy)]
struct LocalFallback {
    /// The last known count plus the requests admitted here.
    window: Window,
    /// Requests admitted here.
    granted: u32,
}

/// The windows counted during an outage of the shared limiter.
#[derive(Default)]
pub(crate) struct OutageTracker(Mutex<HashMap<KeyId, LocalFallback>>);

/// A server's share of a limit; at least one request.
pub(crate) fn share_of(limit: RateLimit, servers: u32) -> u32 {
    (limit.get() / servers.max(1)).max(1)
}

impl OutageTracker {
    /// Counts a request against the server's share. `None` if too many keys are already tracked.
    pub(crate) fn take(
        &self,
        key: KeyId,
        window: WindowContext,
        servers: u32,
        now: Timestamp,
    ) -> Option<TakeResult> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MAX_KEYS && !keys.contains_key(&key) {
            keys.retain(|_, fallback| fallback.window.start() + WINDOW_SECONDS > now.unix_seconds());
            if keys.len() >= MAX_KEYS {
                return None;
            }
        }
        let fallback = keys.entry(key).or_insert(LocalFallback { window: window.known, granted: 0 });
        let before = fallback.window.start();
        fallback.window.learn(window.known);
        // Rolls the window; the limit does not matter here.
        fallback.window.peek(window.limit, window.phase, now);
        if fallback.window.start() > before {
            fallback.granted = 0;
        }
        let (used, share) = (fallback.window.used(), share_of(window.limit, servers));
        let admitted = used < window.limit.get() && fallback.granted < share;
        if admitted {
            fallback.granted += 1;
            fallback.window = Window::counted(fallback.window.start(), used + 1);
        }
        Some(TakeResult { admitted, window: fallback.window })
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::id::Id as _;
    use telepath_core::limit::Phase;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_045);
    const START: i64 = 1_700_000_040;

    fn window(limit: u32, known: Window) -> WindowContext {
        WindowContext { limit: RateLimit::per_minute(limit).unwrap(), phase: Phase::default(), known }
    }

    fn key() -> KeyId {
        KeyId::from_bytes([7; 16])
    }

    fn admitted(outages: &OutageTracker, window: WindowContext, now: Timestamp) -> u32 {
        (0..100).map(|_| u32::from(outages.take(key(), window, 3, now).unwrap().admitted)).sum()
    }

    #[test]
    fn each_server_admits_its_share_and_at_least_one() {
        let limit = |requests| RateLimit::per_minute(requests).unwrap();
        assert_eq!([9, 10, 2, 1].map(|requests| share_of(limit(requests), 3)), [3, 3, 1, 1]);
        assert_eq!(admitted(&OutageTracker::default(), window(30, Window::default()), NOW), 10);
    }

    #[test]
    fn counts_before_the_outage_are_included() {
        let outages = OutageTracker::default();
        assert_eq!(admitted(&outages, window(30, Window::counted(START, 25)), NOW), 5);
        let full = outages.take(key(), window(30, Window::counted(START, 25)), 3, NOW).unwrap();
        assert_eq!((full.admitted, full.window), (false, Window::counted(START, 30)));
    }

    #[test]
    fn each_window_has_a_new_share() {
        let outages = OutageTracker::default();
        let old = window(30, Window::counted(START, 30));
        assert_eq!(admitted(&outages, old, NOW), 0);
        assert_eq!(admitted(&outages, old, Timestamp::from_unix_seconds(START + 60)), 10);
        assert_eq!(admitted(&outages, old, Timestamp::from_unix_seconds(START + 119)), 0);
    }

    #[test]
    fn tracked_keys_are_bounded_during_an_outage() {
        let outages = OutageTracker::default();
        let taken = |number: usize, now| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
            outages.take(KeyId::from_bytes(bytes), window(9, Window::default()), 3, now)
        };
        assert!((0..MAX_KEYS).all(|number| taken(number, NOW).is_some()));
        assert!(taken(MAX_KEYS, NOW).is_none());
        assert!(taken(0, NOW).is_some(), "a key that is counted stays");
        assert!(taken(MAX_KEYS, Timestamp::from_unix_seconds(START + 60)).is_some(), "old ones make room");
    }
}
