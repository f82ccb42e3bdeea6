//! The exact fixed window that the rate-limit headers describe: a count per minute that resets at a known second.
//!
//! Windows are aligned per key by a phase taken from the key's id, so that not all clients come back in the same second.
//! The count belongs to the key and not to the limit's value: changing the limit keeps what was used.

pub mod quota;

use crate::clock::{SteadyTime, Timestamp};

/// Length of a window in seconds.
pub const WINDOW_SECONDS: i64 = 60;
/// Length of a window in milliseconds.
pub const WINDOW_MS: i64 = WINDOW_SECONDS * 1000;
/// Timelines that differ by no more than this, in milliseconds, are in step.
const IN_STEP_MS: i64 = 900;
/// The end of an aligned window is a whole second; one continued after a restart may miss it by milliseconds.
const WINDOW_END_ROUNDING_MS: i64 = 500;

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

/// How long a count lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// A window of 60 s.
    Minute,
    /// A calendar day in UTC.
    Day,
    /// A calendar month in UTC.
    Month,
}

impl Period {
    /// The word for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Period::Minute => "minute",
            Period::Day => "day",
            Period::Month => "month",
        }
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

    /// The end of the window that holds `now`, if windows are aligned.
    const fn window_end(self, now: SteadyTime) -> SteadyTime {
        let phase = self.0 as i64 * 1000;
        SteadyTime::from_ms(((now.ms() - phase).div_euclid(WINDOW_MS) + 1) * WINDOW_MS + phase)
    }
}

/// What the headers of a response say about a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowState {
    /// Requests allowed in the window.
    pub limit: RateLimit,
    /// Requests left in the window.
    pub remaining: u32,
    /// When the window ends, on the timeline on which it is counted.
    end: SteadyTime,
    /// Milliseconds until then.
    left_ms: i64,
    period: Period,
}

impl WindowState {
    /// The same window with no requests left.
    #[must_use]
    pub const fn exhausted(self) -> Self {
        Self { remaining: 0, ..self }
    }

    /// Whether it is a rate window or a quota.
    pub const fn period(&self) -> Period {
        self.period
    }

    /// Seconds until the next window, at least 1, and at most 60 for a rate window; never less than the true time, so a client that waits it out is admitted.
    pub fn seconds_until_reset(&self) -> u64 {
        u64::try_from(self.left_ms.max(1)).unwrap_or(1).div_ceil(1000)
    }

    /// When the next window starts, in Unix seconds of a wall clock that shows `now`. All responses of a window state the
    /// same second unless the wall clock is set meanwhile.
    pub fn reset_at(&self, now: Timestamp) -> i64 {
        let end = now.unix_ms().saturating_add(self.left_ms.max(0));
        // While the two timelines are in step, the window's own end does not depend on when each of them was read.
        let end = if (end - self.end.ms()).abs() <= IN_STEP_MS {
            self.end.ms() + WINDOW_END_ROUNDING_MS
        } else {
            end + 999
        };
        end.div_euclid(1000)
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

/// One fixed window's count. It is counted on a steady timeline, so it lasts 60 s whatever happens to the wall clock. A
/// reading that is older than another thread's never frees a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    end: SteadyTime,
    used: u32,
}

impl Window {
    /// A window counted elsewhere.
    pub const fn counted(end: SteadyTime, used: u32) -> Self {
        Self { end, used }
    }

    /// Counts one request if it is within the limit.
    pub fn take(&mut self, limit: RateLimit, phase: Phase, now: SteadyTime) -> Take {
        self.roll(phase, now);
        if self.used >= limit.get() {
            return Take::Full(self.state(limit, now));
        }
        self.used += 1;
        Take::Admitted(self.state(limit, now))
    }

    /// The state without counting anything.
    pub fn peek(&mut self, limit: RateLimit, phase: Phase, now: SteadyTime) -> WindowState {
        self.roll(phase, now);
        self.state(limit, now)
    }

    /// Requests counted in the window.
    pub const fn used(&self) -> u32 {
        self.used
    }

    /// When the window ends.
    pub const fn end(&self) -> SteadyTime {
        self.end
    }

    /// Whether the window has not ended yet.
    pub fn is_open(&self, now: SteadyTime) -> bool {
        now < self.end
    }

    /// Starts the window that holds `now`. The next window starts where one ends; after a minute without requests, windows
    /// are aligned by the phase again. `take.lua` in the store follows the same rule.
    fn roll(&mut self, phase: Phase, now: SteadyTime) {
        if self.is_open(now) {
            return;
        }
        let next = self.end.plus_ms(WINDOW_MS);
        let end = if now < next { next } else { phase.window_end(now) };
        *self = Self { end, used: 0 };
    }

    /// What the headers say of the window under a limit.
    pub fn state(self, limit: RateLimit, now: SteadyTime) -> WindowState {
        WindowState {
            limit,
            remaining: limit.get().saturating_sub(self.used),
            end: self.end,
            left_ms: self.end.ms().saturating_sub(now.ms()).clamp(0, WINDOW_MS),
            period: Period::Minute,
        }
    }
}

#[cfg(test)]
mod tests;
