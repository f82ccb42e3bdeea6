//! `GET /v1/requests`: the requests that the API was sent, page by page or as a stream.

mod export;

pub use export::{Export, ExportFormat};
use telepath_api_types::requests::{LoggedRequest, RequestList};
use telepath_core::clock::Timestamp;
use telepath_core::id::{KeyId, RequestId, SecretId, UserId};

use crate::client::Client;
use crate::error::Error;
use crate::page::CursorPage;
use crate::request::Query;

/// Which requests to list.
#[derive(Debug, Clone, Default)]
pub struct RequestsQuery {
    /// Only those with this key.
    pub key_id: Option<KeyId>,
    /// Only those with this secret of a key.
    pub secret_id: Option<SecretId>,
    /// Only those of this user.
    pub user_id: Option<UserId>,
    /// Only those of this method.
    pub method: Option<String>,
    /// Only those on this route.
    pub route: Option<String>,
    /// Only those to this path.
    pub path: Option<String>,
    /// Only those answered so: a status such as `404`, or a class such as `4xx`.
    pub status: Option<String>,
    /// Only those answered with this code.
    pub error_code: Option<String>,
    /// Only those from this address.
    pub address: Option<String>,
    /// Only those of this program.
    pub user_agent: Option<String>,
    /// Only the one with this id.
    pub request_id: Option<RequestId>,
    /// Only those that took at least this many milliseconds.
    pub min_duration_ms: Option<u64>,
    /// Only those not before this moment.
    pub start_date: Option<Timestamp>,
    /// Only those not after this moment.
    pub end_date: Option<Timestamp>,
    /// `-time` (the newest first, when left out) or `time`.
    pub sort: Option<String>,
    /// Items per page, 1–100.
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl RequestsQuery {
    fn path(&self) -> Query {
        Query::new("/v1/requests")
            .add("key_id", self.key_id)
            .add("secret_id", self.secret_id)
            .add("user_id", self.user_id)
            .add("method", self.method.as_deref())
            .add("route", self.route.as_deref())
            .add("path", self.path.as_deref())
            .add("status", self.status.as_deref())
            .add("error_code", self.error_code.as_deref())
            .add("address", self.address.as_deref())
            .add("user_agent", self.user_agent.as_deref())
            .add("request_id", self.request_id)
            .add("min_duration_ms", self.min_duration_ms)
            .add("start_date", self.start_date)
            .add("end_date", self.end_date)
            .add("sort", self.sort.as_deref())
            .add("limit", self.limit)
            .add("cursor", self.cursor.as_deref())
    }
}

impl Client {
    /// One page of the request log. Sorted by `time`, every page has a cursor, so that a client that has read to the end can ask
    /// later what came since.
    pub async fn list_requests(&self, query: &RequestsQuery) -> Result<CursorPage<LoggedRequest>, Error> {
        let list: RequestList = self.get(&query.path().finish()).await?;
        Ok(CursorPage { items: list.requests, next_cursor: list.pagination.next_cursor })
    }
}
