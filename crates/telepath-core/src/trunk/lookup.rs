//! Which trunk an INVITE is for: the one that its credentials or its Request-URI name, or the one that trusts the source
//! address and takes the dialled number. The choice by number is pure, so that all control planes decide alike.

use std::net::IpAddr;

use super::{E164, SipUsername, TrunkForCall, TrunkStatus};
use crate::id::{AccountId, TrunkId};

/// What an INVITE says about its trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkLookup {
    /// The source address of the INVITE.
    pub source: IpAddr,
    /// The user name of its digest credentials. If there is one, nothing else names the trunk.
    pub credentials: Option<SipUsername>,
    /// The user of the Request-URI, if it may be a SIP username.
    pub called_user: Option<SipUsername>,
    /// The numbers that the Request-URI and To may mean, most likely first.
    pub called_numbers: Vec<E164>,
    /// Whether they hold a telephone number at all, also one whose international form is not known.
    pub calls_a_number: bool,
}

impl TrunkLookup {
    /// The numbers to try, most likely first; one without an international form, which no trunk lists, is `None`.
    pub fn dialled(&self) -> Vec<Option<&E164>> {
        let unknown = self.called_numbers.is_empty() && self.calls_a_number;
        self.called_numbers.iter().map(Some).chain(unknown.then_some(None)).collect()
    }
}

/// The result of a [`TrunkLookup`].
#[derive(Debug, Clone)]
pub enum TrunkMatch {
    /// The trunk, whatever its status. The caller must still be authenticated.
    Found(Box<TrunkForCall>),
    /// No trunk; a caller with credentials for one may try again with them.
    NotFound,
    /// The source is trusted, but no trunk takes the number. These trust the source.
    NumberNotListed(Vec<TrunkNumbers>),
    /// Several trunks trust the source and take the number.
    AmbiguousNumber(Vec<TrunkOwner>),
}

/// A trunk and its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrunkOwner {
    /// The account that owns the trunk.
    pub account: AccountId,
    /// The trunk.
    pub trunk: TrunkId,
}

/// A trunk and its `inbound_numbers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkNumbers {
    /// The trunk.
    pub owner: TrunkOwner,
    /// Its numbers; they may be cut off.
    pub numbers: Vec<E164>,
}

/// What the choice by number needs to know of a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberCandidate {
    /// The trunk.
    pub owner: TrunkOwner,
    /// The trunk's status.
    pub status: TrunkStatus,
    /// Whether its `allowed_ips` hold the source.
    pub trusts_source: bool,
    /// Whether its `inbound_numbers` hold the number.
    pub lists_number: bool,
    /// Whether its `inbound_numbers` are empty, so that it takes any number.
    pub takes_any_number: bool,
}

/// The choice by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberChoice {
    /// This trunk takes the call.
    One(TrunkOwner),
    /// No trunk trusts the source, or another trunk may take the number after digest authentication.
    NeedsCredentials,
    /// No trunk takes the number. These trust the source.
    NotListed(Vec<TrunkOwner>),
    /// More than one trunk takes the number.
    Ambiguous(Vec<TrunkOwner>),
}

impl NumberChoice {
    /// Chooses among all trunks that trust the source, list the number, or take any number.
    ///
    /// A listed number wins over `takes_any_number`, and an active trunk over others. A trunk that takes any number does
    /// so only as long as no other account could mean the call: an account must not receive the calls of another one by
    /// trusting the addresses of its carrier.
    pub fn of(candidates: &[NumberCandidate]) -> Self {
        let trusting = || candidates.iter().filter(|candidate| candidate.trusts_source);
        let others = || candidates.iter().filter(|candidate| !candidate.trusts_source);
        let listed: Vec<_> = trusting().filter(|candidate| candidate.lists_number).collect();
        if let Some(choice) = Self::among(&listed) {
            return choice;
        }
        if trusting().next().is_none() || others().any(|candidate| candidate.lists_number) {
            return Self::NeedsCredentials;
        }
        let open: Vec<_> = trusting().filter(|candidate| candidate.takes_any_number).collect();
        if let Some(choice) = Self::among(&open) {
            let account = open.first().map(|candidate| candidate.owner.account);
            let foreign =
                others().any(|other| other.takes_any_number && Some(other.owner.account) != account);
            return if foreign { Self::NeedsCredentials } else { choice };
        }
        if others().any(|candidate| candidate.takes_any_number) {
            return Self::NeedsCredentials;
        }
        Self::NotListed(trusting().map(|candidate| candidate.owner).collect())
    }

    fn among(takers: &[&NumberCandidate]) -> Option<Self> {
        let active: Vec<_> = takers.iter().filter(|taker| taker.status.takes_calls()).copied().collect();
        let takers = if active.is_empty() { takers } else { &active };
        match takers {
            [] => None,
            [one] => Some(Self::One(one.owner)),
            several => Some(Self::Ambiguous(several.iter().map(|taker| taker.owner).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id as _;

    fn trusting(number: u8) -> NumberCandidate {
        NumberCandidate {
            owner: TrunkOwner {
                account: AccountId::from_bytes([1; 16]),
                trunk: TrunkId::from_bytes([number; 16]),
            },
            status: TrunkStatus::Active,
            trusts_source: true,
            lists_number: false,
            takes_any_number: false,
        }
    }

    fn listing(number: u8) -> NumberCandidate {
        NumberCandidate { lists_number: true, ..trusting(number) }
    }

    fn open(number: u8) -> NumberCandidate {
        NumberCandidate { takes_any_number: true, ..trusting(number) }
    }

    fn of_another_account(candidate: NumberCandidate) -> NumberCandidate {
        let owner = TrunkOwner { account: AccountId::from_bytes([2; 16]), ..candidate.owner };
        NumberCandidate { owner, ..candidate }
    }

    fn with_digest_only(candidate: NumberCandidate) -> NumberCandidate {
        NumberCandidate { trusts_source: false, ..candidate }
    }

    #[test]
    fn a_listed_number_wins_over_a_trunk_that_takes_any_number() {
        let choice = NumberChoice::of(&[open(1), listing(2), trusting(3)]);
        assert_eq!(choice, NumberChoice::One(listing(2).owner));
        assert_eq!(NumberChoice::of(&[open(1), trusting(3)]), NumberChoice::One(open(1).owner));
    }

    #[test]
    fn two_trunks_that_take_the_number_are_ambiguous_unless_only_one_is_active() {
        let both = vec![listing(1).owner, listing(2).owner];
        assert_eq!(NumberChoice::of(&[listing(1), listing(2)]), NumberChoice::Ambiguous(both.clone()));
        assert_eq!(NumberChoice::of(&[open(1), open(2)]), NumberChoice::Ambiguous(both.clone()));
        let retired = NumberCandidate { status: TrunkStatus::Inactive, ..listing(1) };
        assert_eq!(NumberChoice::of(&[retired, listing(2)]), NumberChoice::One(listing(2).owner));
        assert_eq!(NumberChoice::of(&[retired]), NumberChoice::One(retired.owner));
    }

    #[test]
    fn a_number_that_no_trunk_takes_is_not_listed() {
        assert_eq!(NumberChoice::of(&[trusting(1)]), NumberChoice::NotListed(vec![trusting(1).owner]));
    }

    #[test]
    fn a_number_of_a_trunk_with_digest_needs_credentials() {
        for other in [listing(9), open(9)].map(with_digest_only) {
            assert_eq!(NumberChoice::of(&[trusting(1), other]), NumberChoice::NeedsCredentials);
        }
        assert_eq!(
            NumberChoice::of(&[open(1), with_digest_only(listing(9))]),
            NumberChoice::NeedsCredentials
        );
        assert_eq!(NumberChoice::of(&[]), NumberChoice::NeedsCredentials);
    }

    #[test]
    fn trusting_the_carrier_of_another_account_does_not_attract_its_calls() {
        let other = of_another_account(with_digest_only(open(9)));
        assert_eq!(NumberChoice::of(&[open(1), other]), NumberChoice::NeedsCredentials);
        assert_eq!(NumberChoice::of(&[listing(1), other]), NumberChoice::One(listing(1).owner));
        assert_eq!(
            NumberChoice::of(&[open(1), with_digest_only(open(9))]),
            NumberChoice::One(open(1).owner),
            "trunks of the same account"
        );
    }
}
