//! Exports of the call log, a bounded part at a time.

use telepath_core::call::CallFilter;
use telepath_core::call::export::{append, head};
use telepath_core::export::ExportFormat;
use telepath_core::id::AccountId;

use crate::error::StoreError;
use crate::paged_lines::PagedLines;
use crate::store::Store;

/// An export in progress, in the order of its filter.
#[derive(Debug)]
pub struct CallExport {
    account: AccountId,
    filter: CallFilter,
    lines: PagedLines,
}

impl CallExport {
    /// Prepares an export; nothing is read yet.
    pub const fn new(account: AccountId, filter: CallFilter, format: ExportFormat) -> Self {
        Self { account, filter, lines: PagedLines::new(format) }
    }

    /// The next lines; `None` after the last ones.
    pub async fn next(&mut self, store: &Store) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(request) = self.lines.next() else { return Ok(None) };
        let page = store.list_calls(self.account, self.filter.clone(), request).await?;
        Ok(Some(self.lines.of(page, head, append)))
    }
}
