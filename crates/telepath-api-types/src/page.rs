//! The position of a page in its list.

use serde::{Deserialize, Serialize};
use telepath_core::page::PageRequest;

/// The position of a page in its list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pagination {
    /// Items per page.
    #[cfg_attr(feature = "openapi", schema(example = 20))]
    pub limit: u32,
    /// Items skipped.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub offset: u32,
    /// Items in the whole list under the same filters.
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub total: u64,
}

/// The position of a page in a list that grows without bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CursorPagination {
    #[serde(flatten)]
    pub pagination: Pagination,
    /// Pass this as `cursor` to get the next page, also while new items arrive; null on the last page.
    pub next_cursor: Option<String>,
}

impl Pagination {
    /// The position of a requested page.
    pub const fn new(request: PageRequest, total: u64) -> Self {
        Self { limit: request.limit(), offset: request.offset(), total }
    }
}

impl CursorPagination {
    /// The position of a requested page; `next` is `None` on the last.
    pub fn new(request: PageRequest, total: u64, next: Option<impl ToString>) -> Self {
        let next_cursor = next.map(|id| id.to_string());
        Self { pagination: Pagination::new(request, total), next_cursor }
    }
}
