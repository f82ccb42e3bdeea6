//! The decision about one request: may this key act, now, from here?

use std::net::IpAddr;

use crate::address::NetworkList;
use crate::clock::Timestamp;
use crate::limit::RateLimit;
use crate::scope::ScopeSet;

/// The part of a key that decides about requests; small, because one stands in memory for every key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPolicy {
    /// What it may do.
    pub scopes: ScopeSet,
    /// How often.
    pub rate_limit: RateLimit,
    /// From where; `None` is from everywhere, and costs no memory.
    pub allowed_ips: Option<Box<NetworkList>>,
    /// Not before this.
    pub not_before: Option<Timestamp>,
    /// Not at or after this.
    pub expires_at: Option<Timestamp>,
    /// Withdrawn.
    pub revoked: bool,
}

/// What [`KeyPolicy::judge`] found, before the rate limit is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The key may act from here.
    Usable,
    /// Revoked, expired or not yet valid: to the caller the same as unknown.
    Dead,
    /// The key is good, the address is not.
    WrongAddress,
}

impl KeyPolicy {
    /// Judges one request. Nothing about a dead key is revealed, so that is asked first.
    pub fn judge(&self, address: IpAddr, now: Timestamp) -> Verdict {
        let too_early = self.not_before.is_some_and(|start| now < start);
        let too_late = self.expires_at.is_some_and(|end| now >= end);
        if self.revoked || too_early || too_late {
            return Verdict::Dead;
        }
        match &self.allowed_ips {
            Some(list) if !list.admits(address) => Verdict::WrongAddress,
            Some(_) | None => Verdict::Usable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> KeyPolicy {
        KeyPolicy {
            scopes: ScopeSet::all(),
            rate_limit: RateLimit::per_minute(10).unwrap(),
            allowed_ips: None,
            not_before: None,
            expires_at: None,
            revoked: false,
        }
    }

    #[test]
    fn a_key_lives_from_not_before_until_just_before_expiry() {
        let [start, end] = [100, 200].map(Timestamp::from_unix_seconds);
        let policy = KeyPolicy { not_before: Some(start), expires_at: Some(end), ..policy() };
        let judge = |ms| policy.judge("192.0.2.1".parse().unwrap(), Timestamp::from_unix_ms(ms));
        assert_eq!(judge(99_999), Verdict::Dead);
        assert_eq!(judge(100_000), Verdict::Usable);
        assert_eq!(judge(199_999), Verdict::Usable);
        assert_eq!(judge(200_000), Verdict::Dead);
    }

    #[test]
    fn a_revoked_key_reveals_nothing_about_its_addresses() {
        let list = Some(Box::new("203.0.113.0/24".parse().unwrap()));
        let now = Timestamp::from_unix_seconds(1);
        let outside = "192.0.2.1".parse().unwrap();
        assert_eq!(
            KeyPolicy { allowed_ips: list.clone(), ..policy() }.judge(outside, now),
            Verdict::WrongAddress
        );
        let revoked = KeyPolicy { allowed_ips: list, revoked: true, ..policy() };
        assert_eq!(revoked.judge(outside, now), Verdict::Dead);
    }
}
