//! The lines of an export of a list that is read page by page.

use telepath_core::export::ExportFormat;
use telepath_core::page::{MAX_LIMIT, Page, PageRequest, PageStart};

/// How far such an export is.
#[derive(Debug)]
pub(crate) struct PagedLines {
    format: ExportFormat,
    /// Where the next page begins; `None` after the last one.
    start: Option<PageStart>,
    has_begun: bool,
}

impl PagedLines {
    pub(crate) const fn new(format: ExportFormat) -> Self {
        Self { format, start: Some(PageStart::Offset(0)), has_begun: false }
    }

    /// The page to read; `None` after the last one.
    pub(crate) fn next(&mut self) -> Option<PageRequest> {
        self.start.take().and_then(|start| PageRequest::starting(MAX_LIMIT, start))
    }

    /// The lines of the page that was read, after the head of the format before the first one.
    pub(crate) fn of<T>(
        &mut self,
        page: Page<T>,
        head: impl Fn(ExportFormat) -> &'static str,
        append: impl Fn(&mut Vec<u8>, ExportFormat, &T),
    ) -> Vec<u8> {
        self.start = page.position.next.map(PageStart::After);
        let mut lines = Vec::new();
        if !self.has_begun {
            lines.extend_from_slice(head(self.format).as_bytes());
            self.has_begun = true;
        }
        for item in &page.items {
            append(&mut lines, self.format, item);
        }
        lines
    }
}
