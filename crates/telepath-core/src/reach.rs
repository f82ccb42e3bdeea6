//! What a principal reaches: an account, or some of its trunks.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::id::{AccountId, InvalidId, TrunkId};
use crate::validation::Invalid;

/// The maximum number of trunks that a key or a webhook endpoint can name.
pub const MAX_TRUNKS: usize = 100;

/// The trunks that a key reaches. One pointer wide, because it is in memory for every key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrunkAccess(Option<Arc<Vec<TrunkId>>>);

impl TrunkAccess {
    /// Every trunk of the account.
    pub const ALL: Self = Self(None);

    /// These trunks; an empty list means all.
    pub fn of(mut ids: Vec<TrunkId>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        Self((!ids.is_empty()).then(|| Arc::new(ids)))
    }

    /// The trunks in the order of their ids; empty means all.
    pub fn ids(&self) -> &[TrunkId] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Whether there are trunks that it does not reach.
    pub const fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    pub fn allows(&self, trunk: TrunkId) -> bool {
        self.0.as_ref().is_none_or(|ids| ids.binary_search(&trunk).is_ok())
    }

    /// Whether it reaches every trunk that `other` reaches.
    pub fn encloses(&self, other: &Self) -> bool {
        !self.is_limited() || self.encloses_list(other.ids())
    }

    /// Whether it reaches every trunk of a list of which empty means all.
    pub fn encloses_list(&self, trunks: &[TrunkId]) -> bool {
        !self.is_limited() || (!trunks.is_empty() && trunks.iter().all(|trunk| self.allows(*trunk)))
    }
}

/// Comma-separated, the form of the database; empty means all.
impl fmt::Display for TrunkAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, id) in self.ids().iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{id}")?;
        }
        Ok(())
    }
}

impl FromStr for TrunkAccess {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() {
            return Ok(Self::ALL);
        }
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self::of)
    }
}

/// Checks a list of trunk ids, and reports every problem under `trunk_ids`.
pub fn checked_trunk_ids(texts: &[String], problems: &mut Invalid) -> Vec<TrunkId> {
    if texts.len() > MAX_TRUNKS {
        problems.wrong("trunk_ids", format!("must hold at most {MAX_TRUNKS} ids"));
        return Vec::new();
    }
    let mut trunks = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let field = format!("trunk_ids[{place}]");
        match problems.keep(&field, text.parse::<TrunkId>()) {
            Some(id) if trunks.contains(&id) => problems.wrong(&field, "is a duplicate"),
            Some(id) => trunks.push(id),
            None => {}
        }
    }
    trunks
}

/// What a caller may see and change: one account, all of it or some of its trunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    pub account: AccountId,
    pub trunks: TrunkAccess,
}

/// The whole account.
impl From<AccountId> for Reach {
    fn from(account: AccountId) -> Self {
        Self { account, trunks: TrunkAccess::ALL }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id as _;

    fn trunks(numbers: &[u8]) -> TrunkAccess {
        TrunkAccess::of(numbers.iter().map(|number| TrunkId::from_bytes([*number; 16])).collect())
    }

    #[test]
    fn a_limited_reach_encloses_only_limited_subsets() {
        let two = trunks(&[2, 1, 2]);
        assert_eq!(two.ids().len(), 2);
        for (other, enclosed) in [
            (trunks(&[1]), true),
            (trunks(&[1, 2]), true),
            (trunks(&[1, 3]), false),
            (TrunkAccess::ALL, false),
        ] {
            assert_eq!(two.encloses(&other), enclosed, "{other}");
            assert!(TrunkAccess::ALL.encloses(&other));
        }
        assert!(two.allows(TrunkId::from_bytes([1; 16])) && !two.allows(TrunkId::from_bytes([3; 16])));
    }

    #[test]
    fn the_text_of_a_reach_is_read_back() {
        for reach in [TrunkAccess::ALL, trunks(&[1]), trunks(&[1, 2, 3])] {
            assert_eq!(reach.to_string().parse(), Ok(reach));
        }
        assert!("conn_x".parse::<TrunkAccess>().is_err() && ",".parse::<TrunkAccess>().is_err());
    }
}
