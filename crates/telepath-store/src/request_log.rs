//! The request log: a request leaves a few bytes in memory ([`buffer`]); twice a second a worker writes what has come
//! together as one row per account ([`write`]); the counters of keys are added up from those rows ([`crate::usage`]), so
//! a request is written once and never waits for the database.

pub(crate) mod buffer;
mod encode;
pub(crate) mod read;
mod write;

use std::collections::VecDeque;
use std::sync::OnceLock;

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, SegmentId};
use telepath_core::request::Answered;
use tokio::sync::Mutex;

use buffer::{Buffer, DrainedBuffer, RequestLogStats};

/// What waits to be written, in bytes; beyond that requests stay in the buffer, and beyond its bound only their counts.
const MAX_WAITING: usize = 32 * 1024 * 1024;

/// A segment that is not yet known to be in the database.
#[derive(Clone)]
struct Segment {
    id: SegmentId,
    account: AccountId,
    first_at: Timestamp,
    payload: Vec<u8>,
}

/// What the one who writes keeps between two times.
#[derive(Default)]
struct Waiting {
    segments: VecDeque<Segment>,
    bytes: usize,
    /// The time given to the last segment.
    last_written: Timestamp,
    /// Emptied lists that the buffer is given in exchange for its full ones.
    taken: DrainedBuffer,
}

/// The request log of a process.
pub struct RequestLog {
    buffer: Buffer,
    /// Method and path of each route, in the order of their numbers.
    routes: OnceLock<Vec<String>>,
    waiting: Mutex<Waiting>,
    /// When the counters last held all that was answered before.
    pub(crate) synced: Mutex<Option<Timestamp>>,
}

impl RequestLog {
    pub(crate) fn new() -> Self {
        Self {
            buffer: Buffer::new(),
            routes: OnceLock::new(),
            waiting: Mutex::default(),
            synced: Mutex::default(),
        }
    }

    /// Says what routes are called, such as `GET /v1/trunks`, in the order of their numbers. Only the first time counts.
    pub fn name_routes(&self, routes: Vec<String>) {
        // A second table would be the same one: routes are a constant of the program.
        let _ = self.routes.set(routes);
    }

    /// Notes a request that was just answered. Never waits for the database.
    pub fn record(&self, request: &Answered<'_>) {
        self.buffer.push(request);
    }

    /// What was lost so far because the database could not take it.
    pub fn figures(&self) -> RequestLogStats {
        self.buffer.figures()
    }
}
