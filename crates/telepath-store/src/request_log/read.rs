//! Reads the request log, a bounded number of segments per call. The cursor continues where a scan ended, even inside
//! a segment.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, Id as _, SegmentId};
use telepath_core::request::segment::{self, Logged};
use telepath_core::request::{RequestFilter, RequestRecord};

use super::secrets::{self, LoggedSecret};
use crate::backend::Driver;
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds, corrupt};
use crate::store::Store;

/// The most segments per query.
const BATCH: usize = 128;
/// The first query of a scan ends with the segment that reaches this size, which is enough for a page without a filter.
const FIRST_BYTES: i64 = 64 * 1024;
/// Each further query may read so many times as much as the one before.
const GROWTH: i64 = 4;
/// What a query reads at most, apart from its last segment.
const MOST_BYTES: i64 = 4 * 1024 * 1024;
/// Bytes of segments after which a scan ends, even without results.
pub(super) const SCAN_BYTES: usize = 8 * 1024 * 1024;
/// Segments after which a scan ends, even without results.
pub(super) const SCAN_SEGMENTS: usize = 2048;
/// How long after its arrival a request is written at the latest, unless the database is down.
const MAX_WRITE_DELAY: Duration = Duration::from_hours(1);
/// Forward reads lag by this much, so late writes are never skipped: servers on one database do not commit in the
/// order of their clocks.
const FORWARD_READ_LAG: Duration = Duration::from_secs(2);

/// The order of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestOrder {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first, so that a reader can follow the log.
    Oldest,
}

/// A position in the log: the last request that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCursor {
    written_at: Timestamp,
    segment: SegmentId,
    /// The index of the request in its segment.
    index: u32,
}

impl RequestCursor {
    const BYTES: usize = 28;

    /// When the last request before it was written: how far back a reader has come.
    pub const fn reached(&self) -> Timestamp {
        self.written_at
    }

    pub(super) fn is_in_segment_of(&self, other: &Self) -> bool {
        self.written_at == other.written_at && self.segment == other.segment
    }

    /// Parses the text form.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; Self::BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (time, rest) = bytes.split_first_chunk::<8>()?;
        let (id, index) = rest.split_first_chunk::<16>()?;
        Some(Self {
            written_at: Timestamp::from_unix_ms(i64::from_be_bytes(*time)),
            segment: SegmentId::from_bytes(*id),
            index: u32::from_be_bytes(index.try_into().ok()?),
        })
    }
}

impl std::fmt::Display for RequestCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend_from_slice(&self.written_at.unix_ms().to_be_bytes());
        bytes.extend_from_slice(self.segment.as_bytes());
        bytes.extend_from_slice(&self.index.to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// The result of one scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPage {
    /// The requests, in the requested order.
    pub requests: Vec<RequestRecord>,
    /// Where to continue; `None` at the end. Always set for oldest-first reads.
    pub next: Option<RequestCursor>,
}

/// A scan in progress.
struct ScanState<'a> {
    filter: &'a RequestFilter,
    /// The secret of the filter.
    secret: Option<LoggedSecret>,
    order: RequestOrder,
    limit: usize,
    found: Vec<RequestRecord>,
    at: RequestCursor,
}

impl Store {
    /// Requests of the account after a position: at most `limit`, and possibly fewer or none although the log
    /// continues, because a scan is bounded.
    pub async fn list_requests(
        &self,
        account: AccountId,
        filter: &RequestFilter,
        order: RequestOrder,
        limit: usize,
        after: Option<RequestCursor>,
    ) -> Result<RequestPage, StoreError> {
        let mut page = self.list_requests_without_secrets(account, filter, order, limit, after).await?;
        secrets::name(&mut self.backend.read().await?, &mut page.requests).await?;
        Ok(page)
    }

    /// The same without the ids of the secrets that were used.
    pub async fn list_requests_without_secrets(
        &self,
        account: AccountId,
        filter: &RequestFilter,
        order: RequestOrder,
        limit: usize,
        after: Option<RequestCursor>,
    ) -> Result<RequestPage, StoreError> {
        let bounds = self.bounds(filter, order);
        let at = after.unwrap_or_else(|| first_position(&bounds, order));
        let mut scan = ScanState { filter, secret: None, order, limit, found: Vec::new(), at };
        let mut db = self.backend.read().await?;
        if let Some(secret) = filter.secret_id {
            scan.secret = Some(secrets::find(&mut db, account, secret).await?);
        }
        let ended = scan.run(&mut db, Segments::new(account, bounds, order)).await?;
        Ok(scan.page(ended))
    }

    /// The end of the log as it is now. What is read backwards from it and what is read forwards from it are the whole log,
    /// each request once.
    pub async fn request_log_end(&self, account: AccountId) -> Result<RequestCursor, StoreError> {
        let bounds = self.bounds(&RequestFilter::default(), RequestOrder::Oldest);
        let sql = "SELECT id, written_at FROM request_segments WHERE account_id = $1 AND written_at <= $2 \
                   ORDER BY written_at DESC, id DESC LIMIT 1";
        let values = binds![account.to_string(), bounds.written_by];
        Ok(match self.backend.read().await?.fetch_optional(sql, values).await? {
            Some(row) => RequestCursor {
                written_at: row.time("written_at")?,
                segment: row.parse("id")?,
                index: u32::MAX,
            },
            None => first_position(&bounds, RequestOrder::Oldest),
        })
    }

    /// The segments that can contain matching requests.
    pub(super) fn bounds(&self, filter: &RequestFilter, order: RequestOrder) -> Bounds {
        // A UUIDv7 contains its creation time (RFC 9562 section 5.7).
        let made = filter.id.map(|id| {
            let bytes = u128::from_be_bytes(*id.as_bytes());
            Timestamp::from_unix_ms(i64::try_from(bytes >> 80).unwrap_or(i64::MAX))
        });
        let latest = |one: Option<Timestamp>, other: Option<Timestamp>| one.into_iter().chain(other).max();
        let earliest = |one: Option<Timestamp>, other: Option<Timestamp>| one.into_iter().chain(other).min();
        let start = latest(filter.start, made);
        let end = earliest(filter.end, made);
        // Whoever looks for one request continues nowhere, so nothing can be missed.
        let follows = filter.id.is_none() && order == RequestOrder::Oldest;
        let settled = match self.backend.driver() {
            Driver::Postgres(_) if follows => Some(self.now().minus(FORWARD_READ_LAG)),
            Driver::Postgres(_) | Driver::Sqlite(_) => None,
        };
        let written_by = earliest(end.map(|end| end.plus(MAX_WRITE_DELAY)), settled);
        Bounds {
            first_at: end.unwrap_or(END_OF_TIME),
            written_from: start.unwrap_or(Timestamp::from_unix_ms(i64::MIN)),
            written_by: written_by.unwrap_or(END_OF_TIME),
        }
    }
}

const END_OF_TIME: Timestamp = Timestamp::from_unix_ms(i64::MAX);

pub(super) struct Bounds {
    /// The segment's earliest request is not later than this.
    first_at: Timestamp,
    written_from: Timestamp,
    written_by: Timestamp,
}

pub(super) fn first_position(bounds: &Bounds, order: RequestOrder) -> RequestCursor {
    match order {
        RequestOrder::Newest => RequestCursor {
            written_at: bounds.written_by,
            segment: SegmentId::from_bytes([0xff; 16]),
            index: u32::MAX,
        },
        RequestOrder::Oldest => RequestCursor {
            written_at: bounds.written_from,
            segment: SegmentId::from_bytes([0; 16]),
            index: 0,
        },
    }
}

/// Reads the segments from a position on, each once, in queries that read more and more.
pub(super) struct Segments {
    account: AccountId,
    bounds: Bounds,
    order: RequestOrder,
    most_bytes: i64,
}

/// Segments in their order, with their positions.
pub(super) struct Batch {
    pub(super) segments: Vec<(RequestCursor, Vec<u8>)>,
    pub(super) is_last: bool,
}

impl Segments {
    pub(super) const fn new(account: AccountId, bounds: Bounds, order: RequestOrder) -> Self {
        Self { account, bounds, order, most_bytes: FIRST_BYTES }
    }

    /// The next segments. The one with the cursor is among them unless it was read to its end.
    pub(super) async fn next(&mut self, db: &mut Connection, at: RequestCursor) -> Result<Batch, StoreError> {
        let (is_read, beyond, direction) = match self.order {
            RequestOrder::Newest => (at.index == 0, "<", "DESC"),
            RequestOrder::Oldest => (at.index == u32::MAX, ">", "ASC"),
        };
        let or_equal = if is_read { "" } else { "=" };
        let order = format!("written_at {direction}, id {direction}");
        // The payloads are joined last, so that only those are read that are returned.
        let sql = format!(
            "SELECT id, written_at, found, payload FROM \
             (SELECT id, written_at, count(*) OVER () AS found, sum(bytes) OVER (ORDER BY {order}) - bytes AS before FROM \
               (SELECT id, written_at, bytes FROM request_segments WHERE account_id = $1 \
                AND (written_at, id) {beyond}{or_equal} ($2, $3) AND written_at >= $4 AND written_at <= $5 \
                AND first_at <= $6 ORDER BY {order} LIMIT $7) AS next) AS sized \
             JOIN request_payloads ON segment_id = id WHERE before < $8 ORDER BY {order}"
        );
        let binds = binds![
            self.account.to_string(),
            at.written_at,
            at.segment.to_string(),
            self.bounds.written_from,
            self.bounds.written_by,
            self.bounds.first_at,
            i64::try_from(BATCH).unwrap_or(i64::MAX),
            self.most_bytes,
        ];
        let rows = db.fetch_all(sql, binds).await?;
        self.most_bytes = self.most_bytes.saturating_mul(GROWTH).min(MOST_BYTES);
        let found = rows.first().map_or(Ok(0), |row| row.number::<usize>("found"))?;
        let segment = |row: &Row| {
            let position =
                RequestCursor { written_at: row.time("written_at")?, segment: row.parse("id")?, index: 0 };
            Ok((position, row.bytes("payload")?))
        };
        let segments: Vec<_> = rows.iter().map(segment).collect::<Result<_, StoreError>>()?;
        let is_last = found < BATCH && segments.len() == found;
        Ok(Batch { segments, is_last })
    }
}

impl ScanState<'_> {
    /// Reads segments until the page is full, the log ends or the scan has read enough; returns whether the log has ended.
    async fn run(&mut self, db: &mut Connection, mut log: Segments) -> Result<bool, StoreError> {
        let (mut bytes, mut count) = (0, 0);
        loop {
            let Batch { segments, is_last } = log.next(db, self.at).await?;
            for (position, payload) in segments {
                bytes += payload.len();
                count += 1;
                if !self.read_segment(position, &payload)? {
                    return Ok(false);
                }
            }
            if is_last {
                return Ok(true);
            }
            if bytes >= SCAN_BYTES || count >= SCAN_SEGMENTS {
                return Ok(false);
            }
        }
    }

    fn lets_through(&self, entry: &Logged<'_>) -> bool {
        let caller = entry.facts.caller;
        self.secret.is_none_or(|secret| caller.key().zip(caller.secret()) == Some(secret))
            && self.filter.lets_through(entry)
    }

    /// Reads one segment; returns whether the scan continues.
    fn read_segment(&mut self, position: RequestCursor, payload: &[u8]) -> Result<bool, StoreError> {
        let entries = segment::read(payload).map_err(|_| corrupt("payload"))?;
        let entered = position.is_in_segment_of(&self.at);
        let resume = entered.then_some(self.at.index);
        let numbered = (0_u32..).zip(&entries);
        match self.order {
            RequestOrder::Newest => {
                let numbered = numbered.collect::<Vec<_>>().into_iter().rev();
                let rest = numbered.filter(|(index, _)| resume.is_none_or(|resume| *index < resume));
                Ok(self.keep(position, rest) && self.pass(position, 0))
            }
            RequestOrder::Oldest => {
                let rest = numbered.filter(|(index, _)| resume.is_none_or(|resume| *index > resume));
                Ok(self.keep(position, rest) && self.pass(position, u32::MAX))
            }
        }
    }

    /// Keeps the requests that pass the filter; returns whether there is room for more.
    fn keep<'e, 'p: 'e>(
        &mut self,
        position: RequestCursor,
        entries: impl Iterator<Item = (u32, &'e Logged<'p>)>,
    ) -> bool {
        for (index, entry) in entries {
            // A sum has no details to show.
            if entry.sum.is_none() && self.lets_through(entry) {
                if self.found.len() >= self.limit {
                    return false;
                }
                self.found.push(entry.to_record());
            }
            self.at = RequestCursor { index, ..position };
        }
        true
    }

    /// Moves past a segment that was read completely.
    fn pass(&mut self, position: RequestCursor, index: u32) -> bool {
        self.at = RequestCursor { index, ..position };
        true
    }

    fn page(self, ended: bool) -> RequestPage {
        let goes_on = match self.order {
            RequestOrder::Newest => !ended,
            RequestOrder::Oldest => true,
        };
        RequestPage { requests: self.found, next: goes_on.then_some(self.at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_round_trips_and_other_text_is_rejected() {
        let cursor = RequestCursor {
            written_at: Timestamp::from_unix_ms(1_800_000_000_123),
            segment: SegmentId::from_bytes([7; 16]),
            index: 42,
        };
        let text = cursor.to_string();
        assert_eq!(RequestCursor::parse(&text), Some(cursor));
        for wrong in ["", "x", &text[1..], &format!("{text}A"), &format!("{text}=")] {
            assert_eq!(RequestCursor::parse(wrong), None, "{wrong}");
        }
    }
}
