//! One page of a list, as the API answers it.

use serde::Deserialize;

/// Which part of a list an answer holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pagination {
    /// How many items a page has at most, 1–100.
    pub limit: u32,
    /// How many items were passed over.
    pub offset: u32,
    /// How many items the whole list has.
    pub total: u64,
    /// Where a list that grows without bound goes on behind this page; `None` on the last page and for other lists.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPage<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Where in the list they stand.
    pub pagination: Pagination,
}

/// One page of a list that is only ever walked, not counted.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorPage<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Where the list goes on; `None` when it does not.
    pub next_cursor: Option<String>,
}
