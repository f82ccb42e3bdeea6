//! Requests in memory until they are written: one list per thread behind a short lock, without allocation once the
//! lists have grown. When the lists are full, details are dropped and only sums are kept, so that counts stay right.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use telepath_core::clock::Timestamp;
use telepath_core::error::ErrorCode;
use telepath_core::id::{AccountId, RequestId};
use telepath_core::request::text::{MAX_PATH, MAX_USER_AGENT, append_path, append_user_agent};
use telepath_core::request::{Answered, RequestCaller, RequestFacts, RouteNumber};
use telepath_core::usage::UsageSpan;

use crate::per_thread::PerThread;

/// Requests per list: about 20 MiB for all lists.
const LIST_REQUESTS: usize = 16_384;
/// Bytes of text per list.
const LIST_TEXT: usize = 1024 * 1024;
/// Sums kept when all lists are full: more than the number of active keys on any server measured.
const SUMS: usize = 65_536;

/// A request in memory; its texts are in the list's buffer.
#[derive(Clone, Copy)]
pub(super) struct LogRecord {
    pub(super) account: AccountId,
    pub(super) id: RequestId,
    pub(super) facts: RequestFacts,
    pub(super) route: Option<RouteNumber>,
    pub(super) error: Option<ErrorCode>,
    text: u32,
    user_agent: u16,
    path: u16,
    has_path: bool,
}

/// The requests of one thread.
#[derive(Default)]
pub(super) struct List {
    pub(super) requests: Vec<LogRecord>,
    text: Vec<u8>,
}

impl List {
    fn push(&mut self, request: &Answered<'_>) -> bool {
        let room = self.text.len() + MAX_USER_AGENT + MAX_PATH <= LIST_TEXT;
        if self.requests.len() >= LIST_REQUESTS || !room {
            return false;
        }
        let text = self.text.len();
        append_user_agent(&mut self.text, request.user_agent);
        let user_agent = self.text.len() - text;
        if let Some(path) = request.path {
            append_path(&mut self.text, path);
        }
        let path = self.text.len() - text - user_agent;
        // All three are bounded by the constants above.
        let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        self.requests.push(LogRecord {
            account: request.account,
            id: request.id,
            facts: request.facts,
            route: request.route,
            error: request.error,
            text: u32::try_from(text).unwrap_or(u32::MAX),
            user_agent: short(user_agent),
            path: short(path),
            has_path: request.path.is_some(),
        });
        true
    }

    /// User agent and path of a request in this list.
    pub(super) fn texts(&self, record: &LogRecord) -> (Option<&str>, Option<&str>) {
        let start = record.text as usize;
        let middle = start + usize::from(record.user_agent);
        let part =
            |range| self.text.get(range).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        let user_agent = part(start..middle);
        let path = record.has_path.then(|| part(middle..middle + usize::from(record.path)));
        (Some(user_agent).filter(|text| !text.is_empty()), path)
    }

    fn clear(&mut self) {
        self.requests.clear();
        self.text.clear();
    }
}

/// What requests without details have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SumKey {
    pub(super) account: AccountId,
    caller: RequestCaller,
    pub(super) route: Option<RouteNumber>,
    status: u16,
    admitted: bool,
    minute: Timestamp,
}

/// Requests without details.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    /// The last of them, with the total duration.
    pub(super) facts: RequestFacts,
    pub(super) requests: u64,
}

/// What was lost because the database could not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLogStats {
    /// Requests that were counted but are not in the log.
    pub details_lost: u64,
    /// Requests that were not counted.
    pub counts_lost: u64,
}

/// Everything taken out of the buffer at one moment.
#[derive(Default)]
pub(super) struct DrainedBuffer {
    pub(super) lists: Vec<List>,
    pub(super) sums: HashMap<SumKey, Sum>,
}

impl DrainedBuffer {
    pub(super) fn clear(&mut self) {
        self.lists.iter_mut().for_each(List::clear);
        self.sums.clear();
    }
}

pub(super) struct Buffer {
    lists: PerThread<Mutex<List>>,
    sums: Mutex<HashMap<SumKey, Sum>>,
    details_lost: AtomicU64,
    counts_lost: AtomicU64,
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    // Code under these locks does not panic, so the state is consistent even if a lock is poisoned.
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self {
            lists: PerThread::default(),
            sums: Mutex::default(),
            details_lost: AtomicU64::new(0),
            counts_lost: AtomicU64::new(0),
        }
    }

    pub(super) fn push(&self, request: &Answered<'_>) {
        let kept = self.lists.own_first().any(|list| locked(list).push(request));
        if !kept {
            self.details_lost.fetch_add(1, Ordering::Relaxed);
            self.add_to_sums(request);
        }
    }

    fn add_to_sums(&self, request: &Answered<'_>) {
        let facts = &request.facts;
        let key = SumKey {
            account: request.account,
            caller: facts.caller,
            route: request.route,
            status: facts.status,
            admitted: facts.admitted,
            minute: UsageSpan::Minute.start_of(facts.at),
        };
        let mut sums = locked(&self.sums);
        let full = sums.len() >= SUMS;
        match sums.entry(key) {
            MapEntry::Occupied(mut there) => {
                let sum = there.get_mut();
                let duration_us = sum.facts.duration_us.saturating_add(facts.duration_us);
                sum.facts = RequestFacts { duration_us, ..*facts };
                sum.requests += 1;
            }
            MapEntry::Vacant(_) if full => {
                self.counts_lost.fetch_add(1, Ordering::Relaxed);
            }
            MapEntry::Vacant(place) => {
                place.insert(Sum { facts: *facts, requests: 1 });
            }
        }
    }

    /// Swaps the buffer's contents with empty lists from an earlier call.
    pub(super) fn take(&self, taken: &mut DrainedBuffer) {
        taken.lists.resize_with(self.lists.all().count(), List::default);
        for (list, spare) in self.lists.all().zip(&mut taken.lists) {
            std::mem::swap(&mut *locked(list), spare);
        }
        std::mem::swap(&mut *locked(&self.sums), &mut taken.sums);
    }

    /// Counts requests that were taken but cannot be written.
    pub(super) fn count_lost(&self, taken: &DrainedBuffer) {
        let details: u64 = taken.lists.iter().map(|list| list.requests.len() as u64).sum();
        let sums: u64 = taken.sums.values().map(|sum| sum.requests).sum();
        self.details_lost.fetch_add(details, Ordering::Relaxed);
        self.counts_lost.fetch_add(details + sums, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> RequestLogStats {
        RequestLogStats {
            details_lost: self.details_lost.load(Ordering::Relaxed),
            counts_lost: self.counts_lost.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use telepath_core::id::{Id as _, KeyId};
    use telepath_core::request::{RequestMethod, SecretMark};

    use super::*;
    use crate::per_thread::COPIES;

    fn answered(key: u32) -> Answered<'static> {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&key.to_be_bytes());
        Answered {
            account: AccountId::from_bytes([1; 16]),
            id: RequestId::from_bytes([2; 16]),
            facts: RequestFacts {
                at: Timestamp::from_unix_seconds(1_800_000_000),
                caller: RequestCaller::Key { key: KeyId::from_bytes(id), secret: SecretMark([3; 8]) },
                method: RequestMethod::Get,
                status: 200,
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                duration_us: 5,
                admitted: true,
            },
            route: Some(RouteNumber(0)),
            error: None,
            user_agent: b"curl",
            path: Some("/v1/x"),
        }
    }

    fn taken(buffer: &Buffer) -> (usize, u64) {
        let mut taken = DrainedBuffer::default();
        buffer.take(&mut taken);
        let record = taken.lists.iter().map(|list| list.requests.len()).sum();
        (record, taken.sums.values().map(|sum| sum.requests).sum())
    }

    #[test]
    fn a_full_buffer_keeps_counts_and_reports_lost_details() {
        let buffer = Buffer::new();
        let whole = COPIES * LIST_REQUESTS;
        for _ in 0..whole + 1000 {
            buffer.push(&answered(1));
        }
        assert_eq!(buffer.stats(), RequestLogStats { details_lost: 1000, counts_lost: 0 });
        assert_eq!(taken(&buffer), (whole, 1000));
        assert_eq!(taken(&buffer), (0, 0));
    }

    #[test]
    fn requests_that_cannot_be_written_are_reported_as_lost() {
        let buffer = Buffer::new();
        buffer.push(&answered(1));
        buffer.add_to_sums(&answered(2));
        buffer.add_to_sums(&answered(2));
        let mut taken = DrainedBuffer::default();
        buffer.take(&mut taken);
        buffer.count_lost(&taken);
        assert_eq!(buffer.stats(), RequestLogStats { details_lost: 1, counts_lost: 3 });
    }

    #[test]
    fn sums_are_bounded() {
        let buffer = Buffer::new();
        for number in 0..u32::try_from(SUMS).unwrap() + 10 {
            buffer.add_to_sums(&answered(number));
        }
        assert_eq!(buffer.stats().counts_lost, 10);
        buffer.add_to_sums(&answered(0));
        assert_eq!(buffer.stats().counts_lost, 10, "a key that is known is counted also when all is full");
        assert_eq!(taken(&buffer).1, SUMS as u64 + 1);
    }

    #[test]
    fn text_is_bounded() {
        let long = "x-".repeat(500);
        let buffer = Buffer::new();
        for _ in 0..COPIES * LIST_REQUESTS {
            buffer.push(&Answered { user_agent: long.as_bytes(), path: Some(&long), ..answered(1) });
        }
        let mut taken = DrainedBuffer::default();
        buffer.take(&mut taken);
        assert!(taken.lists.iter().all(|list| list.text.len() <= LIST_TEXT));
        assert!(buffer.stats().details_lost > 0);
        let list = &taken.lists[0];
        let (user_agent, path) = list.texts(list.requests.last().unwrap());
        assert_eq!((user_agent.unwrap().len(), path.unwrap().len()), (MAX_USER_AGENT, MAX_PATH));
    }
}
