//! The check that a key cannot grant more than it has. A key created or changed through the API stays within the scopes,
//! the rate limit, the networks and the lifetime of the key that creates or changes it.

use super::{KeyRecord, NewKey};
use crate::address::NetworkList;
use crate::clock::Timestamp;
use crate::limit::RateLimit;
use crate::scope::ScopeSet;
use crate::validation::Invalid;

/// The rights of a key: scopes, rate limit, networks and expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    pub scopes: ScopeSet,
    /// Requests per minute.
    pub rate_limit: RateLimit,
    /// The networks it is allowed from; empty is any address.
    pub allowed_ips: NetworkList,
    /// The expiry; `None` is never.
    pub expires_at: Option<Timestamp>,
}

impl From<&KeyRecord> for Rights {
    fn from(key: &KeyRecord) -> Self {
        Self {
            scopes: key.scopes,
            rate_limit: key.rate_limit,
            allowed_ips: key.allowed_ips.clone(),
            expires_at: key.expires_at,
        }
    }
}

impl From<&NewKey> for Rights {
    fn from(key: &NewKey) -> Self {
        Self {
            scopes: key.scopes,
            rate_limit: key.rate_limit,
            allowed_ips: key.allowed_ips.clone(),
            expires_at: key.expires_at,
        }
    }
}

/// A key that creates or changes keys, with its own rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grantor(pub Rights);

impl Grantor {
    /// Checks that `rights` are within the grantor's own.
    ///
    /// # Errors
    /// The members that go beyond, each with the most that the grantor can grant.
    pub fn check_can_grant(&self, rights: &Rights) -> Result<(), Invalid> {
        let mut problems = Invalid::default();
        self.check_scopes(rights.scopes, &mut problems);
        self.check_limit(rights.rate_limit, &mut problems);
        if !self.0.allowed_ips.encloses(&rights.allowed_ips) {
            let own = &self.0.allowed_ips;
            problems.wrong(
                "allowed_ips",
                format!("must name networks within those of the key that makes this request: {own}"),
            );
        }
        if let Some(own) = self.0.expires_at
            && rights.expires_at.is_none_or(|end| end > own)
        {
            problems.wrong(
                "expires_at",
                format!("must not be after {own}, when the key that makes this request expires"),
            );
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Notes scopes that the grantor does not have.
    pub fn check_scopes(&self, scopes: ScopeSet, problems: &mut Invalid) {
        if !self.0.scopes.covers(scopes) {
            problems.wrong("scopes", "goes beyond the rights of the key that makes this request");
        }
    }

    /// Notes a limit higher than the grantor's.
    pub fn check_limit(&self, limit: RateLimit, problems: &mut Invalid) {
        let own = self.0.rate_limit;
        if limit > own {
            problems.wrong(
                "rate_limit_per_minute",
                format!("must be at most {}, the limit of the key that makes this request", own.get()),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Scope;

    fn rights() -> Rights {
        Rights {
            scopes: ScopeSet::of(&[Scope::KeysWrite, Scope::CallsRead]),
            rate_limit: RateLimit::per_minute(600).unwrap(),
            allowed_ips: "203.0.113.0/24,2001:db8::/32".parse().unwrap(),
            expires_at: Some(Timestamp::from_unix_seconds(1_000)),
        }
    }

    fn beyond(change: impl FnOnce(&mut Rights)) -> Vec<String> {
        let mut asked = rights();
        change(&mut asked);
        let fields = |problems: Invalid| problems.into_details().into_iter().map(|d| d.field).collect();
        Grantor(rights()).check_can_grant(&asked).map_or_else(fields, |()| Vec::new())
    }

    #[test]
    fn a_grantor_can_grant_its_own_rights_and_fewer() {
        assert!(beyond(|_| {}).is_empty());
        assert!(
            beyond(|asked| {
                asked.scopes = ScopeSet::of(&[Scope::KeysRead]);
                asked.rate_limit = RateLimit::per_minute(1).unwrap();
                asked.allowed_ips = "203.0.113.128/25,2001:db8:7::/48,203.0.113.9".parse().unwrap();
                asked.expires_at = Some(Timestamp::from_unix_seconds(999));
            })
            .is_empty()
        );
    }

    #[test]
    fn errors_name_each_member_beyond_the_grantors_rights() {
        assert_eq!(beyond(|asked| asked.scopes.insert(Scope::CallsWrite)), ["scopes"]);
        assert_eq!(
            beyond(|asked| asked.rate_limit = RateLimit::per_minute(601).unwrap()),
            ["rate_limit_per_minute"]
        );
        for networks in ["", "203.0.112.0/23", "203.0.113.0/24,198.51.100.1", "2001:db9::1", "::/0"] {
            assert_eq!(
                beyond(|asked| asked.allowed_ips = networks.parse().unwrap()),
                ["allowed_ips"],
                "{networks}"
            );
        }
        assert_eq!(beyond(|asked| asked.expires_at = None), ["expires_at"]);
        assert_eq!(
            beyond(|asked| asked.expires_at = Some(Timestamp::from_unix_ms(1_000_001))),
            ["expires_at"]
        );
    }

    #[test]
    fn an_unrestricted_grantor_can_grant_unrestricted_rights() {
        let free = Rights { allowed_ips: NetworkList::default(), expires_at: None, ..rights() };
        assert!(Grantor(free.clone()).check_can_grant(&free).is_ok());
        assert!(Grantor(free).check_can_grant(&rights()).is_ok());
    }
}
