//! The exact fixed window that the rate-limit headers describe: a count per minute that resets at a known second.
//!
//! Windows are aligned per key by a phase taken from the key's id, so that not all clients come back in the same second.
//! The count belongs to the key and not to the limit's value: changing the limit keeps what was used.

use crate::clock::Timestamp;

/// Length of a window in seconds.
pub const WINDOW_SECONDS: i64 = 60;

/// Requests allowed per window; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RateLimit(u32);

impl RateLimit {
    /// The lowest limit.
    pub const ONE: Self = Self(1);

    /// `None` for zero: a key that may do nothing is a revoked key.
    pub const fn per_minute(requests: u32) -> Option<Self> {
        if requests == 0 { None } else { Some(Self(requests)) }
    }

    /// Requests per minute.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// By how many seconds a key's windows are shifted against the full minute, 0–59.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phase(u8);

impl Phase {
    /// A phase from the random part of an id.
    pub fn of_id(id: &[u8; 16]) -> Self {
        let mut tail = [0; 8];
        tail.copy_from_slice(&id[8..]);
        // 0–59 fits a byte.
        Self(u8::try_from(u64::from_be_bytes(tail) % 60).unwrap_or(0))
    }

    /// The shift in seconds.
    pub const fn seconds(self) -> u8 {
        self.0
    }

    /// The second at which the window that holds `now` began.
    const fn window_start(self, now: Timestamp) -> i64 {
        let shifted = now.unix_seconds() - self.0 as i64;
        shifted.div_euclid(WINDOW_SECONDS) * WINDOW_SECONDS + self.0 as i64
    }
}

/// What the headers of a response say about a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowState {
    /// Requests allowed in the window.
    pub limit: RateLimit,
    /// Requests left in the window.
    pub remaining: u32,
    /// When the next window starts, in Unix seconds.
    pub reset: i64,
}

impl WindowState {
    /// Seconds until the reset, at least one; never less than the true time, so a client that waits it out is admitted.
    pub fn seconds_until_reset(&self, now: Timestamp) -> u64 {
        let ms = (self.reset.saturating_mul(1000) - now.unix_ms()).max(1);
        u64::try_from(ms).unwrap_or(1).div_ceil(1000)
    }
}

/// Whether a request is within the limit of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Counted; the state already includes this request.
    Admitted(WindowState),
    /// Not counted: the window is full.
    Full(WindowState),
}

/// One fixed window's count. Time that runs backward (a corrected clock) never frees a window: the later start is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    start: i64,
    used: u32,
}

impl Window {
    /// A window counted elsewhere.
    pub const fn counted(start: i64, used: u32) -> Self {
        Self { start, used }
    }

    /// Merges a count from elsewhere: the later window wins, and within the same window the higher count.
    pub fn learn(&mut self, other: Self) {
        if (other.start, other.used) > (self.start, self.used) {
            *self = other;
        }
    }

    /// Counts one request if it is within the limit.
    pub fn take(&mut self, limit: RateLimit, phase: Phase, now: Timestamp) -> Take {
        self.roll(phase, now);
        if self.used >= limit.get() {
            return Take::Full(self.state(limit));
        }
        self.used += 1;
        Take::Admitted(self.state(limit))
    }

    /// The state without counting anything.
    pub fn peek(&mut self, limit: RateLimit, phase: Phase, now: Timestamp) -> WindowState {
        self.roll(phase, now);
        self.state(limit)
    }

    /// Requests counted in the window.
    pub const fn used(&self) -> u32 {
        self.used
    }

    /// The second at which the window began.
    pub const fn start(&self) -> i64 {
        self.start
    }

    fn roll(&mut self, phase: Phase, now: Timestamp) {
        let start = phase.window_start(now);
        if start > self.start {
            *self = Self { start, used: 0 };
        }
    }

    /// What the headers say of the window under a limit.
    pub const fn state(self, limit: RateLimit) -> WindowState {
        WindowState {
            limit,
            remaining: limit.get().saturating_sub(self.used),
            reset: self.start + WINDOW_SECONDS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit(3);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_700_000_040 + seconds)
    }

    #[test]
    fn admits_exactly_the_limit_and_resets_on_time() {
        let mut window = Window::default();
        let phase = Phase(0);
        let remaining: Vec<_> = (0..3).map(|n| window.take(LIMIT, phase, at(n))).collect();
        assert_eq!(
            remaining,
            (0..3u32)
                .map(|n| Take::Admitted(WindowState { limit: LIMIT, remaining: 2 - n, reset: 1_700_000_100 }))
                .collect::<Vec<_>>()
        );
        assert!(matches!(window.take(LIMIT, phase, at(59)), Take::Full(state) if state.remaining == 0));
        assert!(matches!(window.take(LIMIT, phase, at(60)), Take::Admitted(state) if state.remaining == 2));
    }

    #[test]
    fn a_refused_request_does_not_consume() {
        let mut window = Window::default();
        for _ in 0..10 {
            let _ = window.take(LIMIT, Phase(7), at(0));
        }
        assert_eq!(window.used(), 3);
    }

    #[test]
    fn a_changed_limit_keeps_the_count() {
        let mut window = Window::default();
        for _ in 0..3 {
            let _ = window.take(LIMIT, Phase(0), at(0));
        }
        assert!(matches!(window.take(RateLimit(5), Phase(0), at(1)), Take::Admitted(s) if s.remaining == 1));
        assert!(matches!(window.take(RateLimit(2), Phase(0), at(2)), Take::Full(s) if s.remaining == 0));
    }

    #[test]
    fn a_clock_moving_backwards_does_not_reset_the_window() {
        let mut window = Window::default();
        for _ in 0..3 {
            let _ = window.take(LIMIT, Phase(0), at(61));
        }
        assert!(matches!(window.take(LIMIT, Phase(0), at(1)), Take::Full(_)));
    }

    #[test]
    fn phases_shift_windows_within_the_minute() {
        for phase in 0..60 {
            let start = Phase(phase).window_start(at(0));
            assert_eq!(start.rem_euclid(60), i64::from(phase));
            assert!(start <= at(0).unix_seconds() && start > at(0).unix_seconds() - 60);
        }
    }

    #[test]
    fn a_retry_after_the_stated_seconds_is_admitted() {
        let state = WindowState { limit: LIMIT, remaining: 0, reset: 1_700_000_100 };
        assert_eq!(state.seconds_until_reset(Timestamp::from_unix_ms(1_700_000_099_999)), 1);
        assert_eq!(state.seconds_until_reset(Timestamp::from_unix_ms(1_700_000_098_999)), 2);
        assert_eq!(state.seconds_until_reset(Timestamp::from_unix_ms(1_700_000_100_500)), 1);
    }
}
