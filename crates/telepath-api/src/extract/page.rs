//! The `pagination` member of a list.

use serde::Serialize;
use telepath_core::page::PageRequest;
use utoipa::ToSchema;

/// The position of a page in its list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Pagination {
    /// Items per page.
    #[schema(example = 20)]
    limit: u32,
    /// Skipped items.
    #[schema(example = 0)]
    offset: u32,
    /// Items in the whole list with the same filters.
    #[schema(example = 1)]
    total: u64,
}

/// The position of a page in a list that grows without bound.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CursorPagination {
    #[serde(flatten)]
    pagination: Pagination,
    /// Pass this as `cursor` to get the next page, even while new items arrive; null on the last page.
    next_cursor: Option<String>,
}

impl CursorPagination {
    pub(crate) fn of(request: PageRequest, total: u64, next: Option<impl ToString>) -> Self {
        let next_cursor = next.map(|id| id.to_string());
        Self { pagination: Pagination::of(request, total), next_cursor }
    }
}

impl Pagination {
    pub(crate) const fn of(request: PageRequest, total: u64) -> Self {
        Self { limit: request.limit(), offset: request.offset(), total }
    }
}
