//! Rotation: a key gets a new secret and keeps its identity. Its other secrets work until their grace periods end. A bounded
//! number of ended secrets is kept, so that a later use of one is recognized. The time is an argument.

use std::time::Duration;

use super::SecretRecord;
use crate::clock::Timestamp;
use crate::id::SecretId;
use crate::validation::Invalid;

/// The longest grace period.
pub const LONGEST_GRACE: Duration = Duration::from_secs(GraceSeconds::MAX.0 as u64);
/// The most secrets of a key that work at the same time, the newest included.
pub const MAX_LIVE_SECRETS: usize = 5;
/// The most ended secrets of a key that are remembered.
pub const MAX_ENDED_SECRETS: usize = 20;
/// The maximum number of keys that one request rotates.
pub const MAX_ROTATED_TOGETHER: usize = 10_000;

/// The grace period of a rotation: how long the previous secrets of the key keep working.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GraceSeconds(u32);

impl GraceSeconds {
    /// Seven days.
    pub const MAX: Self = Self(7 * 86_400);
    /// The previous secrets stop working at once.
    pub const NONE: Self = Self(0);

    /// `None` for more than [`GraceSeconds::MAX`].
    pub const fn new(seconds: u32) -> Option<Self> {
        if seconds <= Self::MAX.0 { Some(Self(seconds)) } else { None }
    }

    /// In seconds.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Whether the previous secrets stop working at once.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    fn end(self, now: Timestamp) -> Timestamp {
        now.plus(Duration::from_secs(self.0.into()))
    }
}

impl Default for GraceSeconds {
    /// One day.
    fn default() -> Self {
        Self(86_400)
    }
}

/// A request to rotate, not yet checked.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct RotateDraft {
    /// The grace period in seconds, 0–604800; defaults to 86400. With 0, the previous secrets stop working at once.
    pub grace_seconds: Option<u32>,
}

impl RotateDraft {
    /// Checks the draft.
    pub fn check(self) -> Result<GraceSeconds, Invalid> {
        let Some(seconds) = self.grace_seconds else { return Ok(GraceSeconds::default()) };
        GraceSeconds::new(seconds).ok_or_else(|| {
            Invalid::one("grace_seconds", format!("must be from 0 to {}", GraceSeconds::MAX.get()))
        })
    }
}

/// Which keys are rotated together, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotateAll {
    pub grace: GraceSeconds,
    /// Only keys whose current secret was created before this time; `None` for every key.
    pub secrets_before: Option<Timestamp>,
}

impl From<GraceSeconds> for RotateAll {
    /// Every key.
    fn from(grace: GraceSeconds) -> Self {
        Self { grace, secrets_before: None }
    }
}

/// A request to rotate keys together, not yet checked.
#[derive(Debug, Default)]
pub struct RotateAllDraft {
    /// As in [`RotateDraft`].
    pub grace_seconds: Option<u32>,
    /// RFC 3339; see [`RotateAll::secrets_before`].
    pub secrets_before: Option<String>,
}

impl RotateAllDraft {
    /// Checks the draft.
    pub fn check(self) -> Result<RotateAll, Invalid> {
        let grace = RotateDraft { grace_seconds: self.grace_seconds }.check()?;
        let secrets_before = self.secrets_before.map(|text| Timestamp::parse_rfc3339(&text)).transpose();
        let secrets_before =
            secrets_before.map_err(|invalid| Invalid::one("secrets_before", invalid.to_string()))?;
        Ok(RotateAll { grace, secrets_before })
    }
}

/// The state of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretStatus {
    /// The newest: it works for as long as the key does.
    Current,
    /// Works until its grace ends.
    Grace,
    /// Works no more.
    Ended,
}

impl SecretStatus {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            SecretStatus::Current => "current",
            SecretStatus::Grace => "grace",
            SecretStatus::Ended => "ended",
        }
    }
}

impl SecretRecord {
    /// Where the secret is in its life.
    pub fn status(&self, now: Timestamp) -> SecretStatus {
        match self.expires_at {
            None => SecretStatus::Current,
            Some(end) if end > now => SecretStatus::Grace,
            Some(_) => SecretStatus::Ended,
        }
    }
}

/// What a rotation does to the secrets that a key has already.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rotation {
    /// Secrets that get a new end, and whether that end is now.
    pub ends: Vec<SecretEnd>,
    /// Secrets that are forgotten.
    pub forgets: Vec<SecretId>,
}

/// A secret's new end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretEnd {
    /// The secret id.
    pub id: SecretId,
    /// When it stops working.
    pub at: Timestamp,
    /// Whether it has ended for good, even if the clock is set back.
    pub at_once: bool,
}

/// One more secret would be more than [`MAX_LIVE_SECRETS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key already has the maximum number of active secrets")]
pub struct TooManySecrets;

impl Rotation {
    /// Plans what a rotation does to these secrets. It never extends a secret's end, and it never ends an active secret early
    /// to make room, because a client may still use it.
    pub fn plan(
        secrets: &[SecretRecord],
        grace: GraceSeconds,
        now: Timestamp,
    ) -> Result<Self, TooManySecrets> {
        let (mut ended, live): (Vec<_>, Vec<_>) =
            secrets.iter().partition(|secret| secret.status(now) == SecretStatus::Ended);
        if !grace.is_none() && live.len() >= MAX_LIVE_SECRETS {
            return Err(TooManySecrets);
        }
        let limit = grace.end(now);
        let ends = live
            .iter()
            .filter(|secret| secret.expires_at.is_none_or(|end| end > limit))
            .map(|secret| SecretEnd { id: secret.id, at: limit, at_once: grace.is_none() })
            .collect();
        ended.sort_by_key(|secret| std::cmp::Reverse((secret.expires_at, secret.id)));
        let forgets = ended.iter().skip(MAX_ENDED_SECRETS).map(|secret| secret.id).collect();
        Ok(Self { ends, forgets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id as _;
    use crate::secret::KeyMask;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_000_000);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(NOW.unix_seconds() + seconds)
    }

    fn secret(number: u8, expires_at: Option<Timestamp>) -> SecretRecord {
        SecretRecord {
            id: SecretId::from_bytes([number; 16]),
            mask: KeyMask::from_stored("mask".to_owned()),
            created_at: Timestamp::default(),
            expires_at,
            last_use: None,
        }
    }

    fn grace(seconds: u32) -> GraceSeconds {
        GraceSeconds::new(seconds).unwrap()
    }

    #[test]
    fn grace_is_at_most_seven_days_and_a_day_when_left_out() {
        let check = |text| serde_json::from_str::<RotateDraft>(text).unwrap().check();
        assert_eq!(check("{}").unwrap().get(), 86_400);
        assert_eq!(check(r#"{"grace_seconds":0}"#).unwrap(), GraceSeconds::NONE);
        assert_eq!(check(r#"{"grace_seconds":604800}"#).unwrap(), GraceSeconds::MAX);
        assert!(check(r#"{"grace_seconds":604801}"#).is_err());
    }

    #[test]
    fn keys_are_rotated_together_with_one_grace_and_by_the_age_of_their_secrets() {
        let check = |seconds, before: Option<&str>| {
            RotateAllDraft { grace_seconds: seconds, secrets_before: before.map(str::to_owned) }.check()
        };
        assert_eq!(check(None, None).unwrap(), GraceSeconds::default().into());
        let some = check(Some(0), Some("2026-01-31T12:00:00Z")).unwrap();
        assert_eq!(some.secrets_before.unwrap().to_string(), "2026-01-31T12:00:00.000Z");
        assert!(check(Some(604_801), None).is_err());
        let invalid = check(None, Some("yesterday")).unwrap_err().into_details();
        assert_eq!(invalid[0].field, "secrets_before");
    }

    #[test]
    fn a_secret_is_current_then_in_grace_then_ended() {
        assert_eq!(secret(1, None).status(NOW), SecretStatus::Current);
        assert_eq!(secret(1, Some(at(1))).status(NOW), SecretStatus::Grace);
        assert_eq!(secret(1, Some(NOW)).status(NOW), SecretStatus::Ended);
    }

    #[test]
    fn the_current_secret_gets_the_grace_and_no_end_is_extended() {
        let secrets =
            [secret(4, None), secret(3, Some(at(500))), secret(2, Some(at(50))), secret(1, Some(NOW))];
        let plan = Rotation::plan(&secrets, grace(100), NOW).unwrap();
        let end = |number: u8| SecretEnd { id: secret(number, None).id, at: at(100), at_once: false };
        assert_eq!(plan, Rotation { ends: vec![end(4), end(3)], forgets: vec![] });
    }

    #[test]
    fn without_grace_all_other_secrets_end_immediately() {
        let secrets = [secret(3, None), secret(2, Some(at(50))), secret(1, Some(at(-9)))];
        let plan = Rotation::plan(&secrets, GraceSeconds::NONE, NOW).unwrap();
        let end = |number: u8| SecretEnd { id: secret(number, None).id, at: NOW, at_once: true };
        assert_eq!(plan.ends, [end(3), end(2)]);
    }

    #[test]
    fn active_secrets_are_never_ended_to_make_room() {
        let mut secrets: Vec<_> = (1..5).map(|number| secret(number, Some(at(50)))).collect();
        assert!(Rotation::plan(&secrets, grace(100), NOW).is_ok());
        secrets.push(secret(5, None));
        assert_eq!(Rotation::plan(&secrets, grace(100), NOW), Err(TooManySecrets));
        assert_eq!(Rotation::plan(&secrets, GraceSeconds::NONE, NOW).unwrap().ends.len(), 5);
        assert!(Rotation::plan(&secrets, grace(100), at(50)).is_ok(), "four of them have ended by then");
    }

    #[test]
    fn the_secrets_that_ended_first_are_deleted_first() {
        let secrets: Vec<_> = (1..=23).map(|number| secret(number, Some(at(-i64::from(number))))).collect();
        let plan = Rotation::plan(&secrets, grace(100), NOW).unwrap();
        assert_eq!(plan.forgets, [21, 22, 23].map(|number| secret(number, None).id));
    }
}
