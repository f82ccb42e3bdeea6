//! Decides whether a key is usable at a time and from an address.

use std::net::IpAddr;

use crate::address::NetworkList;
use crate::clock::Timestamp;
use crate::limit::RateLimit;
use crate::limit::quota::Quotas;
use crate::reach::TrunkAccess;
use crate::scope::ScopeSet;

/// The part of a key that each request is checked against. It is small, because it is in memory for every key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPolicy {
    /// The operations it allows.
    pub scopes: ScopeSet,
    /// The trunks it reaches.
    pub trunks: TrunkAccess,
    /// Requests per minute.
    pub rate_limit: RateLimit,
    /// Requests per calendar day and month.
    pub quotas: Quotas,
    /// The networks it is allowed from; `None` is any address, and takes no memory.
    pub allowed_ips: Option<Box<NetworkList>>,
    /// The start of its validity.
    pub not_before: Option<Timestamp>,
    /// The end of its validity, exclusive.
    pub expires_at: Option<Timestamp>,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it is revoked.
    pub revoked: bool,
}

/// The result of [`KeyPolicy::decide`], before the rate limit is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyDecision {
    /// The key is usable from this address.
    Usable,
    /// Revoked, paused, expired or not yet valid; the response is the same as for an unknown key.
    Unusable,
    /// The key is usable, but not from this address.
    WrongAddress,
}

impl KeyPolicy {
    /// Decides about one request. Revocation and validity are checked first, so that the response reveals nothing else about
    /// a dead key.
    pub fn decide(&self, address: IpAddr, now: Timestamp) -> PolicyDecision {
        let too_early = self.not_before.is_some_and(|start| now < start);
        let too_late = self.expires_at.is_some_and(|end| now >= end);
        if self.revoked || self.paused || too_early || too_late {
            return PolicyDecision::Unusable;
        }
        match &self.allowed_ips {
            Some(list) if !list.admits(address) => PolicyDecision::WrongAddress,
            Some(_) | None => PolicyDecision::Usable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> KeyPolicy {
        KeyPolicy {
            scopes: ScopeSet::all(),
            trunks: TrunkAccess::ALL,
            rate_limit: RateLimit::per_minute(10).unwrap(),
            quotas: Quotas::default(),
            allowed_ips: None,
            not_before: None,
            expires_at: None,
            paused: false,
            revoked: false,
        }
    }

    #[test]
    fn a_key_is_usable_from_not_before_until_expires_at_exclusive() {
        let [start, end] = [100, 200].map(Timestamp::from_unix_seconds);
        let policy = KeyPolicy { not_before: Some(start), expires_at: Some(end), ..policy() };
        let decide = |ms| policy.decide("192.0.2.1".parse().unwrap(), Timestamp::from_unix_ms(ms));
        assert_eq!(decide(99_999), PolicyDecision::Unusable);
        assert_eq!(decide(100_000), PolicyDecision::Usable);
        assert_eq!(decide(199_999), PolicyDecision::Usable);
        assert_eq!(decide(200_000), PolicyDecision::Unusable);
    }

    #[test]
    fn a_revoked_or_paused_key_does_not_reveal_its_allowed_addresses() {
        let list = Some(Box::new("203.0.113.0/24".parse().unwrap()));
        let now = Timestamp::from_unix_seconds(1);
        let outside = "192.0.2.1".parse().unwrap();
        assert_eq!(
            KeyPolicy { allowed_ips: list.clone(), ..policy() }.decide(outside, now),
            PolicyDecision::WrongAddress
        );
        let revoked = KeyPolicy { allowed_ips: list.clone(), revoked: true, ..policy() };
        assert_eq!(revoked.decide(outside, now), PolicyDecision::Unusable);
        let paused = KeyPolicy { allowed_ips: list, paused: true, ..policy() };
        assert_eq!(paused.decide(outside, now), PolicyDecision::Unusable);
    }
}
