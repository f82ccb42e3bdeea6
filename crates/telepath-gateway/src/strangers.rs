//! Counts the SIP requests that reach no trunk, per source and rule. The tables are bounded, and an entry costs the same
//! whether it is new or known, so a flood from many sources stays cheap.
//!
//! A caller is challenged before it is known, so the count of its first INVITE is taken back when it authenticates. Each attempt
//! to call takes back what it counted itself, wherever that count has gone since.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use telepath_core::address::AddressBlock;
use telepath_core::call::{SipStranger, SipStrangers};
use telepath_core::clock::Timestamp;

/// Entries that are remembered.
const MAX_ENTRIES: usize = 4_096;
/// Entries that returned since they were last passed over, and are passed over again at most, when room is needed.
const MAX_PASSED_OVER: usize = 8;
/// Attempts that may still take back what they counted, the latest. At 20,000 a second, a caller has 1.6 s to authenticate.
const MAX_ATTEMPTS: usize = 32_768;
/// Entries in which one attempt may be counted and take that back.
const MAX_COUNTS_PER_ATTEMPT: usize = 8;

type Key = (AddressBlock, &'static str);

/// An attempt to call: the INVITE, its retransmissions, and the INVITEs that repeat it with credentials have one Call-ID
/// (RFC 3261 section 8.1.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Attempt {
    source: AddressBlock,
    call_id: u64,
}

/// The table, shared by the signalling task and the API.
#[derive(Debug, Default)]
pub(crate) struct StrangerTable {
    hasher: RandomState,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<Key, Entry>,
    /// All keys, the next to be removed first.
    order: VecDeque<Key>,
    forgotten: u64,
    attempts: HashMap<Attempt, AttemptCounts>,
    /// The attempts in the order of their first count, and those that took it back meanwhile.
    attempt_order: VecDeque<(Attempt, u64)>,
    /// The number of the latest entry or attempt.
    last_number: u64,
}

#[derive(Debug)]
struct Entry {
    /// Tells an entry from one with the same key that was removed before.
    number: u64,
    attempts: u64,
    first_seen: Timestamp,
    last_seen: Timestamp,
    /// Whether the source came back since the entry was last passed over.
    returned: bool,
}

/// What one attempt counted.
#[derive(Debug)]
struct AttemptCounts {
    number: u64,
    first: AttemptCount,
    others: Vec<AttemptCount>,
}

#[derive(Debug, Clone, Copy)]
struct AttemptCount {
    rule: &'static str,
    entry: u64,
    times: u64,
}

impl StrangerTable {
    /// The attempt to which an INVITE from `source` with this Call-ID belongs.
    pub(crate) fn attempt(&self, source: IpAddr, call_id: &str) -> Attempt {
        Attempt { source: AddressBlock::of(source), call_id: self.hasher.hash_one(call_id) }
    }

    /// Counts one request that is final. `rule` comes from a closed set of names.
    pub(crate) fn record(&self, source: IpAddr, rule: &'static str, now: Timestamp) {
        self.entries().record((AddressBlock::of(source), rule), now);
    }

    /// Counts one request of an attempt that may still reach a trunk.
    pub(crate) fn record_attempt(&self, attempt: Attempt, rule: &'static str, now: Timestamp) {
        let mut entries = self.entries();
        let entry = entries.record((attempt.source, rule), now);
        entries.remember(attempt, rule, entry);
    }

    /// Takes back what an attempt counted: its sender turned out to be no stranger.
    pub(crate) fn take_back(&self, attempt: Attempt) {
        let mut entries = self.entries();
        let Some(AttemptCounts { first, others, .. }) = entries.attempts.remove(&attempt) else { return };
        for count in std::iter::once(first).chain(others) {
            entries.take_back((attempt.source, count.rule), count);
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
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Counts one request and returns the number of its entry.
    fn record(&mut self, key: Key, now: Timestamp) -> u64 {
        if let Some(entry) = self.by_key.get_mut(&key) {
            if entry.attempts == 0 {
                entry.first_seen = now;
            }
            entry.attempts += 1;
            entry.last_seen = now;
            entry.returned = true;
            return entry.number;
        }
        if self.by_key.len() >= MAX_ENTRIES {
            self.make_room();
        }
        let number = self.next_number();
        let entry = Entry { number, attempts: 1, first_seen: now, last_seen: now, returned: false };
        self.by_key.insert(key, entry);
        self.order.push_back(key);
        number
    }

    /// Remembers that an attempt was counted in an entry.
    fn remember(&mut self, attempt: Attempt, rule: &'static str, entry: u64) {
        let count = AttemptCount { rule, entry, times: 1 };
        let Some(counts) = self.attempts.get_mut(&attempt) else {
            let number = self.next_number();
            if self.attempt_order.len() >= MAX_ATTEMPTS {
                self.forget_oldest_attempt();
            }
            self.attempt_order.push_back((attempt, number));
            self.attempts.insert(attempt, AttemptCounts { number, first: count, others: Vec::new() });
            return;
        };
        let mut known = std::iter::once(&mut counts.first).chain(&mut counts.others);
        if let Some(same) = known.find(|known| known.entry == entry) {
            same.times += 1;
        } else if counts.others.len() + 1 < MAX_COUNTS_PER_ATTEMPT {
            counts.others.push(count);
        }
    }

    /// What it counted stays counted.
    fn forget_oldest_attempt(&mut self) {
        let Some((attempt, number)) = self.attempt_order.pop_front() else { return };
        if self.attempts.get(&attempt).is_some_and(|counts| counts.number == number) {
            self.attempts.remove(&attempt);
        }
    }

    /// An entry that was removed since has added its counts to those that are forgotten.
    fn take_back(&mut self, key: Key, count: AttemptCount) {
        let entry = self.by_key.get_mut(&key).filter(|entry| entry.number == count.entry);
        let counter = entry.map_or(&mut self.forgotten, |entry| &mut entry.attempts);
        *counter = counter.saturating_sub(count.times);
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Removes the oldest entry. A source that came back is passed over, so that a flood from forged addresses does not
    /// remove those that keep calling.
    fn make_room(&mut self) {
        for passed_over in 0.. {
            let Some(key) = self.order.pop_front() else { return };
            match self.by_key.get_mut(&key) {
                Some(entry) if entry.returned && entry.attempts > 0 && passed_over < MAX_PASSED_OVER => {
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
mod tests;
