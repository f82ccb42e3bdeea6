//! Heads of chains outside the database: which are due to be logged, and whether a chain contains one that was logged.

use std::collections::HashMap;

use super::ChainHead;
use crate::clock::Timestamp;
use crate::id::AccountId;
use crate::named::named_enum;

/// A head is logged again after this many entries.
const ENTRIES: u64 = 1000;

named_enum! {
    /// Whether a chain contains a head that was logged earlier.
    pub enum ExpectedHead {
        /// It does.
        Found = "found",
        /// It has another entry at this position.
        Different = "different",
        /// It ends before this position.
        Missing = "missing",
        /// Retention has deleted the entry at this position.
        Expired = "expired",
    }
}

/// Which heads a process has logged. A log outside the database proves later what the chain contained at that moment.
#[derive(Debug, Default)]
pub struct HeadLog {
    /// At most one entry for each account of the installation.
    logged: HashMap<AccountId, (u64, Timestamp)>,
}

impl HeadLog {
    /// Whether to log a head now: when its account's head was not logged yet by this process, on a new day (UTC), and after
    /// every thousand entries; never twice at the same position.
    pub fn is_due(&mut self, account: AccountId, head: ChainHead, now: Timestamp) -> bool {
        let day = now.start_of_utc_day();
        let due = match self.logged.get(&account) {
            None => head.position > 0,
            Some((position, _)) if *position == head.position => false,
            Some((position, on)) => *on != day || head.position.abs_diff(*position) >= ENTRIES,
        };
        if due {
            self.logged.insert(account, (head.position, day));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::ChainHash;
    use super::*;
    use crate::id::Id as _;

    #[test]
    fn a_head_is_logged_first_then_each_day_and_each_thousand_entries() {
        let mut log = HeadLog::default();
        let noon = Timestamp::from_unix_seconds(1_800_014_400);
        let (one, two) = (AccountId::from_bytes([1; 16]), AccountId::from_bytes([2; 16]));
        let at = |position| ChainHead { position, hash: ChainHash::GENESIS };
        let day = |days: u64| noon.plus(Duration::from_hours(24 * days));
        assert!(!log.is_due(one, at(0), noon), "an empty chain has no head");
        assert!(log.is_due(one, at(5), noon));
        assert!(!log.is_due(one, at(6), noon));
        assert!(log.is_due(two, at(6), noon), "of another account");
        assert!(!log.is_due(one, at(1004), noon));
        assert!(log.is_due(one, at(1005), noon));
        assert!(!log.is_due(one, at(1005), day(1)), "nothing new");
        assert!(log.is_due(one, at(1006), day(1)));
        assert!(
            log.is_due(one, at(2), day(1).plus(Duration::from_mins(1))),
            "the chain was cut by a thousand"
        );
    }
}
