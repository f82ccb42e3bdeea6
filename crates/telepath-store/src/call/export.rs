//! Exports of the call log, a bounded part at a time.

use telepath_core::call::CallFilter;
use telepath_core::call::export::{append, head};
use telepath_core::id::AccountId;
use telepath_core::page::{MAX_LIMIT, PageRequest, PageStart};
use telepath_core::request::export::ExportFormat;

use crate::error::StoreError;
use crate::store::Store;

/// An export in progress, in the order of its filter.
#[derive(Debug)]
pub struct CallExport {
    account: AccountId,
    filter: CallFilter,
    format: ExportFormat,
    /// Where the next part begins; `None` after the last one.
    start: Option<PageStart>,
    has_begun: bool,
}

impl CallExport {
    /// Prepares an export; nothing is read yet.
    pub const fn new(account: AccountId, filter: CallFilter, format: ExportFormat) -> Self {
        Self { account, filter, format, start: Some(PageStart::Offset(0)), has_begun: false }
    }

    /// The next lines; `None` after the last ones.
    pub async fn next(&mut self, store: &Store) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(request) = self.start.take().and_then(|start| PageRequest::starting(MAX_LIMIT, start))
        else {
            return Ok(None);
        };
        let page = store.list_calls(self.account, self.filter.clone(), request).await?;
        self.start = page.position.next.map(PageStart::After);
        let mut lines = Vec::new();
        if !self.has_begun {
            lines.extend_from_slice(head(self.format).as_bytes());
            self.has_begun = true;
        }
        for call in &page.items {
            append(&mut lines, self.format, call);
        }
        Ok(Some(lines))
    }
}
