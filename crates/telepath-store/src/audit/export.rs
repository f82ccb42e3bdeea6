//! Exports of the audit trail, a bounded part at a time.

use telepath_core::audit::AuditFilter;
use telepath_core::audit::export::{append, head};
use telepath_core::export::ExportFormat;
use telepath_core::id::AccountId;

use crate::error::StoreError;
use crate::paged_lines::PagedLines;
use crate::store::Store;

/// An export in progress, the newest entry first.
#[derive(Debug)]
pub struct AuditExport {
    account: AccountId,
    filter: AuditFilter,
    lines: PagedLines,
}

impl AuditExport {
    /// Prepares an export; nothing is read yet.
    pub const fn new(account: AccountId, filter: AuditFilter, format: ExportFormat) -> Self {
        Self { account, filter, lines: PagedLines::new(format) }
    }

    /// The next lines; `None` after the last ones.
    pub async fn next(&mut self, store: &Store) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(request) = self.lines.next() else { return Ok(None) };
        let page = store.list_audit(self.account, self.filter.clone(), request).await?;
        Ok(Some(self.lines.of(page, head, append)))
    }
}
