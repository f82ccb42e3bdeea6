//! Sessions: their lifetime, and what they may do.

use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::{AccountId, SessionId, UserId};

/// A session that is not used for this long ends.
pub const SESSION_IDLE: Duration = Duration::from_hours(12);
/// A session ends after this time, however much it is used.
pub const SESSION_LIFETIME: Duration = Duration::from_hours(7 * 24);
/// The same for a session whose user chose to stay signed in, which may also be idle for as long.
pub const PERSISTENT_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// How long the second factor may be given after the password.
pub const SECOND_FACTOR_WAIT: Duration = Duration::from_mins(10);
/// How long a confirmed identity lets the session do what needs it.
pub const STEP_UP_LIFETIME: Duration = Duration::from_mins(10);

/// A session as it is stored; the token is known to the browser only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub user: UserId,
    /// The account that the session works on.
    pub account: AccountId,
    pub created_at: Timestamp,
    /// The last request, to the minute.
    pub last_seen_at: Timestamp,
    /// Whether the user chose to stay signed in.
    pub persistent: bool,
    /// The address of the last request that was recorded.
    pub address: Option<IpAddr>,
    /// The browser, as it called itself at sign-in.
    pub user_agent: String,
    /// When the last factor that the user needs was given; `None` while the second one is awaited.
    pub signed_in_at: Option<Timestamp>,
    /// When the user last confirmed who they are.
    pub confirmed_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// What a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStatus {
    /// Everything that the role of the user allows.
    Active,
    /// Nothing but give the second factor.
    AwaitingSecondFactor,
    /// Nothing: its time is over.
    Expired,
    /// It was ended explicitly.
    Revoked,
}

impl Session {
    /// When the session ends if it is not used again.
    pub fn expires_at(&self) -> Timestamp {
        let (lifetime, idle) = match (self.signed_in_at, self.persistent) {
            (None, _) => (SECOND_FACTOR_WAIT, SECOND_FACTOR_WAIT),
            (Some(_), true) => (PERSISTENT_LIFETIME, PERSISTENT_LIFETIME),
            (Some(_), false) => (SESSION_LIFETIME, SESSION_IDLE),
        };
        self.created_at.plus(lifetime).min(self.last_seen_at.plus(idle))
    }

    /// The status at `now`. A session that began beyond the horizon was started while the clock was ahead: its age is unknown,
    /// so it has ended. Steps of the clock by less than [`SESSION_IDLE`] end none.
    pub fn status(&self, now: Timestamp) -> SessionStatus {
        if self.revoked_at.is_some() {
            SessionStatus::Revoked
        } else if now >= self.expires_at() || self.created_at > now.horizon(SESSION_IDLE) {
            SessionStatus::Expired
        } else if self.signed_in_at.is_none() {
            SessionStatus::AwaitingSecondFactor
        } else {
            SessionStatus::Active
        }
    }

    /// Whether the session may do what needs a confirmed identity. A confirmation from beyond the horizon was given while the clock
    /// was ahead: its age is unknown.
    pub fn is_confirmed(&self, now: Timestamp) -> bool {
        let confirms = |at: Timestamp| now < at.plus(STEP_UP_LIFETIME) && at <= now.horizon(Duration::ZERO);
        self.status(now) == SessionStatus::Active && self.confirmed_at.is_some_and(confirms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id as _;

    const NOON: Timestamp = Timestamp::from_unix_seconds(1_800_014_400);
    const HOUR: Duration = Duration::from_hours(1);

    fn session() -> Session {
        Session {
            id: SessionId::from_bytes([1; 16]),
            user: UserId::from_bytes([2; 16]),
            account: AccountId::from_bytes([3; 16]),
            created_at: NOON,
            last_seen_at: NOON,
            persistent: false,
            address: None,
            user_agent: String::new(),
            signed_in_at: Some(NOON),
            confirmed_at: Some(NOON),
            revoked_at: None,
        }
    }

    #[test]
    fn an_idle_session_ends_after_twelve_hours_and_a_busy_one_after_a_week() {
        let idle = session();
        assert_eq!(idle.status(NOON.plus(12 * HOUR).minus(Duration::from_millis(1))), SessionStatus::Active);
        assert_eq!(idle.status(NOON.plus(12 * HOUR)), SessionStatus::Expired);
        let busy = Session { last_seen_at: NOON.plus(7 * 24 * HOUR), ..session() };
        assert_eq!(busy.status(NOON.plus(7 * 24 * HOUR).minus(HOUR)), SessionStatus::Active);
        assert_eq!(busy.status(NOON.plus(7 * 24 * HOUR)), SessionStatus::Expired);
    }

    #[test]
    fn a_session_from_a_clock_that_was_ahead_ends_when_the_clock_is_corrected() {
        let year = 365 * 24 * HOUR;
        assert_eq!(session().status(NOON.minus(year)), SessionStatus::Expired);
        assert_eq!(session().status(NOON.minus(HOUR)), SessionStatus::Active, "a small step");
    }

    #[test]
    fn a_persistent_session_lasts_thirty_days() {
        let kept = Session { persistent: true, ..session() };
        assert_eq!(kept.status(NOON.plus(30 * 24 * HOUR).minus(HOUR)), SessionStatus::Active);
        assert_eq!(kept.status(NOON.plus(30 * 24 * HOUR)), SessionStatus::Expired);
    }

    #[test]
    fn the_second_factor_is_awaited_for_ten_minutes() {
        let half = Session { signed_in_at: None, persistent: true, ..session() };
        assert_eq!(half.status(NOON), SessionStatus::AwaitingSecondFactor);
        assert!(!half.is_confirmed(NOON), "a password alone confirms nothing");
        assert_eq!(half.status(NOON.plus(SECOND_FACTOR_WAIT)), SessionStatus::Expired);
    }

    #[test]
    fn a_confirmation_lasts_ten_minutes_and_never_longer_than_the_session() {
        assert!(session().is_confirmed(NOON.plus(STEP_UP_LIFETIME).minus(Duration::from_millis(1))));
        assert!(!session().is_confirmed(NOON.plus(STEP_UP_LIFETIME)));
        assert!(!Session { confirmed_at: None, ..session() }.is_confirmed(NOON));
        assert!(!session().is_confirmed(NOON.minus(HOUR)), "the clock was set back, so its age is unknown");
        let revoked = Session { revoked_at: Some(NOON), ..session() };
        assert_eq!(revoked.status(NOON), SessionStatus::Revoked);
        assert!(!revoked.is_confirmed(NOON));
    }
}
