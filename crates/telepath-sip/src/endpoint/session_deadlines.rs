//! The timers of a session (RFC 4028 section 10).

use super::timer::TimerId;

/// The deadlines of a session, as far as it has any.
#[derive(Default)]
pub(super) struct SessionDeadlines {
    pub(super) refresh: Option<TimerId>,
    pub(super) expiry: Option<TimerId>,
}
