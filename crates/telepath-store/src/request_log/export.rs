//! Exports of the request log, a bounded part at a time.

use telepath_core::export::ExportFormat;
use telepath_core::id::AccountId;
use telepath_core::request::RequestFilter;
use telepath_core::request::export::{append, head};

use super::read::{RequestCursor, RequestOrder};
use crate::error::StoreError;
use crate::store::Store;

/// Requests of one part.
const PART: usize = 1000;

/// An export in progress.
#[derive(Debug)]
pub struct RequestExport {
    account: AccountId,
    filter: RequestFilter,
    order: RequestOrder,
    cursor: Option<RequestCursor>,
    format: ExportFormat,
    /// Whether the head of the format was given.
    has_begun: bool,
    has_ended: bool,
}

impl RequestExport {
    /// Prepares an export of the requests after a position; nothing is read yet.
    pub const fn new(
        account: AccountId,
        filter: RequestFilter,
        order: RequestOrder,
        cursor: Option<RequestCursor>,
        format: ExportFormat,
    ) -> Self {
        Self { account, filter, order, cursor, format, has_begun: false, has_ended: false }
    }

    /// The next lines; `None` after the last ones. A part can be empty, because a read of the log is bounded.
    pub async fn next(&mut self, store: &Store) -> Result<Option<Vec<u8>>, StoreError> {
        if self.has_ended {
            return Ok(None);
        }
        let page = store.list_requests(self.account, &self.filter, self.order, PART, self.cursor).await?;
        self.has_ended = page.next.is_none() || (page.requests.is_empty() && page.next == self.cursor);
        let mut lines = Vec::new();
        if !self.has_begun {
            lines.extend_from_slice(head(self.format).as_bytes());
            self.has_begun = true;
        }
        for request in &page.requests {
            append(&mut lines, self.format, request);
        }
        self.cursor = page.next;
        Ok(Some(lines))
    }
}
