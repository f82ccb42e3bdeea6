//! The fallback during an outage of the shared limiter: each server admits its share of the limit.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use telepath_core::clock::SteadyTime;
use telepath_core::id::KeyId;
use telepath_core::limit::{RateLimit, Window};

use crate::key_table::counts::{TakeResult, WindowContext};

/// Keys that one server tracks per minute; requests of further keys are refused.
const MAX_KEYS: usize = 65_536;

/// One key's window, counted by this server alone.
#[derive(Debug, Clone, Copy)]
struct LocalFallback {
    /// The last known count plus the requests admitted here.
    window: Window,
    /// The end of the window by the limiter's clock.
    shared_end: SteadyTime,
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
        now: SteadyTime,
    ) -> Option<TakeResult> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MAX_KEYS && !keys.contains_key(&key) {
            keys.retain(|_, fallback| fallback.window.is_open(now));
            if keys.len() >= MAX_KEYS {
                return None;
            }
        }
        let fallback = keys.entry(key).or_insert(LocalFallback {
            window: window.known,
            shared_end: window.known_end,
            granted: 0,
        });
        let before = fallback.window.end();
        fallback.learn(window);
        // Rolls the window; the limit does not matter here.
        fallback.window.peek(window.limit, window.phase, now);
        if fallback.window.end() > before {
            fallback.granted = 0;
        }
        if !window.known.is_open(now) {
            // No window of the limiter is known to be running. Both clocks usually agree.
            fallback.shared_end = fallback.window.end();
        }
        let (used, share) = (fallback.window.used(), share_of(window.limit, servers));
        let admitted = used < window.limit.get() && fallback.granted < share;
        if admitted {
            fallback.granted += 1;
            fallback.window = Window::counted(fallback.window.end(), used + 1);
        }
        Some(TakeResult { admitted, window: fallback.window, shared_end: fallback.shared_end, quota: None })
    }
}

impl LocalFallback {
    /// Counts that this server saw before the outage, or that other requests got from the limiter meanwhile.
    fn learn(&mut self, context: WindowContext) {
        let (own, known) = (self.window, context.known);
        if own.end() == known.end() {
            self.window = Window::counted(own.end(), own.used().max(known.used()));
        } else if known.end() > own.end() {
            (self.window, self.shared_end) = (known, context.known_end);
        }
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::id::Id as _;
    use telepath_core::limit::Phase;

    use super::*;

    const NOW: SteadyTime = SteadyTime::from_ms(1_700_000_045_000);
    const END: SteadyTime = SteadyTime::from_ms(1_700_000_100_000);

    fn window(limit: u32, known: Window) -> WindowContext {
        WindowContext {
            limit: RateLimit::per_minute(limit).unwrap(),
            phase: Phase::default(),
            known,
            known_end: known.end(),
            is_over: false,
            quota: None,
        }
    }

    fn key() -> KeyId {
        KeyId::from_bytes([7; 16])
    }

    fn admitted(outages: &OutageTracker, window: WindowContext, now: SteadyTime) -> u32 {
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
        assert_eq!(admitted(&outages, window(30, Window::counted(END, 25)), NOW), 5);
        let full = outages.take(key(), window(30, Window::counted(END, 25)), 3, NOW).unwrap();
        assert_eq!((full.admitted, full.window), (false, Window::counted(END, 30)));
    }

    #[test]
    fn each_window_has_a_new_share() {
        let outages = OutageTracker::default();
        let old = window(30, Window::counted(END, 30));
        assert_eq!(admitted(&outages, old, NOW), 0);
        assert_eq!(admitted(&outages, old, END), 10);
        assert_eq!(admitted(&outages, old, END.plus_ms(59_000)), 0);
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
        assert!(taken(MAX_KEYS, END).is_some(), "old ones make room");
    }
}
