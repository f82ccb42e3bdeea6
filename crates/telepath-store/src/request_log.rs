//! The request log. A request leaves a few bytes in memory ([`buffer`]). Twice a second a worker writes them as one
//! row per account ([`write`]). The counters of keys are rolled up from those rows ([`crate::usage`]), so a request
//! is written once and never waits for the database.

pub(crate) mod buffer;
pub(crate) mod count;
mod encode;
pub(crate) mod export;
pub(crate) mod read;
mod secrets;
pub(crate) mod size;
mod write;

use std::collections::VecDeque;
use std::sync::OnceLock;

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, SegmentId};
use telepath_core::request::Answered;
use tokio::sync::Mutex;

use buffer::{Buffer, DrainedBuffer, RequestLogStats};

/// Bytes waiting to be written. Beyond that, requests stay in the buffer, and beyond the buffer's bound only their
/// counts.
const MAX_WAITING: usize = 32 * 1024 * 1024;

/// A segment not yet known to be in the database.
#[derive(Clone)]
struct Segment {
    id: SegmentId,
    account: AccountId,
    first_at: Timestamp,
    payload: Vec<u8>,
}

/// The writer's state between two runs.
#[derive(Default)]
struct Waiting {
    segments: VecDeque<Segment>,
    bytes: usize,
    /// The timestamp of the last segment.
    last_written: Timestamp,
    /// Empty lists that are swapped with the buffer's full ones.
    taken: DrainedBuffer,
}

/// The request log of a process.
pub struct RequestLog {
    buffer: Buffer,
    /// Method and path of each route, ordered by route number.
    routes: OnceLock<Vec<String>>,
    waiting: Mutex<Waiting>,
    /// When the counters last included every earlier request.
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

    /// Sets the names of the routes, such as `GET /v1/trunks`, ordered by route number. Only the first call counts.
    pub fn name_routes(&self, routes: Vec<String>) {
        // A second table would be the same: routes are a constant of the program.
        let _ = self.routes.set(routes);
    }

    /// Records a request that was just answered. Never waits for the database.
    pub fn record(&self, request: &Answered<'_>) {
        self.buffer.push(request);
    }

    /// What was lost because the database could not keep up.
    pub fn stats(&self) -> RequestLogStats {
        self.buffer.stats()
    }
}
