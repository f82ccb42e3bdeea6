//! Counts the SIP requests that reach no trunk, per source and rule. The table is bounded, and an entry costs the same
//! whether it is new or known, so a flood from many sources stays cheap.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use telepath_core::address::AddressBlock;
use telepath_core::call::{SipStranger, SipStrangers};
use telepath_core::clock::Timestamp;

/// Entries that are remembered.
const MAX_ENTRIES: usize = 4_096;
/// Entries that returned since they were last passed over, and are passed over again at most, when room is needed.
const MAX_PASSED_OVER: usize = 8;

type Key = (AddressBlock, &'static str);

/// The table, shared by the signalling task and the API.
#[derive(Debug, Default)]
pub(crate) struct StrangerTable(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<Key, Entry>,
    /// All keys, the next to be removed first.
    order: VecDeque<Key>,
    forgotten: u64,
}

#[derive(Debug)]
struct Entry {
    attempts: u64,
    first_seen: Timestamp,
    last_seen: Timestamp,
    /// Whether the source came back since the entry was last passed over.
    returned: bool,
}

impl StrangerTable {
    /// Counts one request. `rule` comes from a closed set of names.
    pub(crate) fn record(&self, source: IpAddr, rule: &'static str, now: Timestamp) {
        let mut entries = self.entries();
        let key = (AddressBlock::of(source), rule);
        if let Some(entry) = entries.by_key.get_mut(&key) {
            entry.attempts += 1;
            entry.last_seen = now;
            entry.returned = true;
            return;
        }
        if entries.by_key.len() >= MAX_ENTRIES {
            entries.make_room();
        }
        entries.by_key.insert(key, Entry { attempts: 1, first_seen: now, last_seen: now, returned: false });
        entries.order.push_back(key);
    }

    /// Takes one request back: its sender turned out to be no stranger.
    pub(crate) fn take_back(&self, source: IpAddr, rule: &'static str) {
        if let Some(entry) = self.entries().by_key.get_mut(&(AddressBlock::of(source), rule)) {
            entry.attempts = entry.attempts.saturating_sub(1);
        }
    }

    /// The strangers, the latest first.
    pub(crate) fn list(&self) -> SipStrangers {
        let entries = self.entries();
        let seen = entries.by_key.iter().filter(|(_, entry)| entry.attempts > 0);
        let mut strangers: Vec<SipStranger> = seen
            .map(|((block, rule), entry)| SipStranger {
                source: block.address(),
                rule,
                attempts: entry.attempts,
                first_seen: entry.first_seen,
                last_seen: entry.last_seen,
            })
            .collect();
        let forgotten_attempts = entries.forgotten;
        drop(entries);
        strangers.sort_by(|a, b| {
            (b.last_seen, b.attempts, a.source, a.rule).cmp(&(a.last_seen, a.attempts, b.source, b.rule))
        });
        SipStrangers { strangers, forgotten_attempts }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Removes the oldest entry. A source that came back is passed over, so that a flood from forged addresses does not
    /// remove those that keep calling.
    fn make_room(&mut self) {
        for passed_over in 0.. {
            let Some(key) = self.order.pop_front() else { return };
            match self.by_key.get_mut(&key) {
                Some(entry) if entry.returned && passed_over < MAX_PASSED_OVER => {
                    entry.returned = false;
                    self.order.push_back(key);
                }
                Some(entry) => {
                    self.forgotten += entry.attempts;
                    self.by_key.remove(&key);
                    return;
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn address(number: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + number).into())
    }

    #[test]
    fn attempts_are_counted_per_source_and_rule_and_the_latest_come_first() {
        let table = StrangerTable::default();
        let later = Timestamp::from_unix_seconds(1_800_000_060);
        table.record(address(1), "unknown_user", NOW);
        table.record(address(2), "malformed", NOW);
        table.record(address(1), "unknown_user", later);
        table.record(address(1), "malformed", NOW);
        let list = table.list();
        let counts: Vec<_> = list.strangers.iter().map(|s| (s.source, s.rule, s.attempts)).collect();
        assert_eq!(
            counts,
            [(address(1), "unknown_user", 2), (address(1), "malformed", 1), (address(2), "malformed", 1)]
        );
        assert_eq!((list.strangers[0].first_seen, list.strangers[0].last_seen), (NOW, later));
    }

    #[test]
    fn hosts_of_one_ipv6_network_are_one_source() {
        let table = StrangerTable::default();
        for host in ["2001:db8::1", "2001:db8::2"] {
            table.record(host.parse().unwrap(), "malformed", NOW);
        }
        let list = table.list().strangers;
        assert_eq!((list.len(), list[0].attempts), (1, 2));
        assert_eq!(list[0].source, "2001:db8::".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_caller_that_authenticates_is_no_stranger() {
        let table = StrangerTable::default();
        table.record(address(1), "no_credentials", NOW);
        table.take_back(address(1), "no_credentials");
        table.take_back(address(2), "no_credentials");
        assert_eq!(table.list(), SipStrangers::default());
    }

    #[test]
    fn a_flood_of_forged_sources_is_bounded_and_keeps_those_that_return() {
        let table = StrangerTable::default();
        for flood in 0..100_000 {
            table.record(address(flood + 10), "no_credentials", NOW);
            if flood % 1_000 == 0 {
                table.record(address(1), "unknown_user", NOW);
            }
        }
        let entries = table.entries();
        assert_eq!(entries.by_key.len(), MAX_ENTRIES);
        assert_eq!(entries.order.len(), MAX_ENTRIES);
        let persistent = &entries.by_key[&(AddressBlock::of(address(1)), "unknown_user")];
        assert_eq!(persistent.attempts, 100);
        let counted: u64 = entries.by_key.values().map(|entry| entry.attempts).sum();
        assert_eq!(counted + entries.forgotten, 100_100, "every attempt is counted");
    }
}
