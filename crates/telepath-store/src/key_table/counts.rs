//! Counts of keys, as they are exchanged with the shared limiter and with the database.

use telepath_core::clock::{SteadyTime, Timestamp};
use telepath_core::id::KeyId;
use telepath_core::limit::quota::{QuotaCounts, Quotas};
use telepath_core::limit::{Phase, RateLimit, Window, WindowState};

/// What the shared limiter needs to know about a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowContext {
    pub(crate) limit: RateLimit,
    pub(crate) phase: Phase,
    /// The last count that this server has seen, on this server's steady timeline.
    pub(crate) known: Window,
    /// The end of that window by the limiter's clock; identifies the window there.
    pub(crate) known_end: SteadyTime,
    /// Whether that window has ended by this server's steady clock.
    pub(crate) is_over: bool,
    /// `None` for a key without quotas.
    pub(crate) quota: Option<QuotaContext>,
}

/// What the shared limiter needs to know about the quotas of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QuotaContext {
    pub(crate) quotas: Quotas,
    /// The last counts that this server has seen.
    pub(crate) known: QuotaCounts,
    /// The time of the request, which decides on the day and the month.
    pub(crate) at: Timestamp,
}

/// The counts of the shared limiter for the day and the month of a request, including it if it was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuotaUse {
    pub(crate) at: Timestamp,
    pub(crate) day: u32,
    pub(crate) month: u32,
    /// Whether the request was refused because a quota is used up.
    pub(crate) is_exhausted: bool,
}

/// The answer of the shared limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TakeResult {
    pub(crate) admitted: bool,
    /// The window, including this request if it was counted, on this server's steady timeline.
    pub(crate) window: Window,
    /// The end of the window by the limiter's clock.
    pub(crate) shared_end: SteadyTime,
    /// `None` if the limiter did not count quotas.
    pub(crate) quota: Option<QuotaUse>,
}

impl TakeResult {
    /// What the headers say of the window at `now`. Its end is identified by the limiter's clock, so that all servers
    /// state the same.
    pub(super) fn state(self, limit: RateLimit, now: SteadyTime) -> WindowState {
        let left = self.window.end().ms() - now.ms();
        Window::counted(self.shared_end, self.window.used()).state(limit, self.shared_end.plus_ms(-left))
    }
}

/// The counts of a key that changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChangedCounts {
    pub(crate) key: KeyId,
    pub(crate) window: Window,
    /// `None` for a key that never had quotas.
    pub(crate) quota: Option<QuotaCounts>,
}
