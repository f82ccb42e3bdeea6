//! One page of a list.

pub use telepath_api_types::page::Pagination;

/// Which part of a list to read.
#[derive(Debug, Clone, Default)]
pub struct PageQuery {
    /// Items per page, 1–100.
    pub limit: Option<u32>,
    /// Items to pass over.
    pub offset: Option<u32>,
    /// The `next_cursor` of the page before, instead of `offset`.
    pub cursor: Option<String>,
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
