//! One page of a list.

use telepath_api_types::page;

/// The position of a page in its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pagination {
    /// Items per page, 1–100.
    pub limit: u32,
    /// Items skipped.
    pub offset: u32,
    /// Items in the whole list.
    pub total: u64,
    /// The cursor of the next page; `None` on the last page, and for lists without cursors.
    pub next_cursor: Option<String>,
}

impl From<page::Pagination> for Pagination {
    fn from(page: page::Pagination) -> Self {
        Self { limit: page.limit, offset: page.offset, total: page.total, next_cursor: None }
    }
}

impl From<page::CursorPagination> for Pagination {
    fn from(page: page::CursorPagination) -> Self {
        Self { next_cursor: page.next_cursor, ..page.pagination.into() }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPage<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// The position of the page.
    pub pagination: Pagination,
}

/// One page of a list that has cursors but no total.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorPage<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` at the end.
    pub next_cursor: Option<String>,
}
