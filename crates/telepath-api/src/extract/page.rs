//! How a page of a list says where it stands.

use serde::Serialize;
use telepath_core::page::PageRequest;
use utoipa::ToSchema;

/// Where a page stands in its list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Pagination {
    /// Items per page.
    #[schema(example = 20)]
    limit: u32,
    /// Items passed over.
    #[schema(example = 0)]
    offset: u32,
    /// Items in the whole list under the same filters.
    #[schema(example = 1)]
    total: u64,
}

/// Where a page stands in a list that grows without bound.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CursorPagination {
    #[serde(flatten)]
    pagination: Pagination,
    /// Give this as `cursor` to go on behind this page, also while new items come in; null on the last page.
    next_cursor: Option<String>,
}

impl CursorPagination {
    /// Of a page that was asked for.
    pub(crate) fn of(request: PageRequest, total: u64, next: Option<impl ToString>) -> Self {
        let next_cursor = next.map(|id| id.to_string());
        Self { pagination: Pagination::of(request, total), next_cursor }
    }
}

impl Pagination {
    /// Of a page that was asked for.
    pub(crate) const fn of(request: PageRequest, total: u64) -> Self {
        Self { limit: request.limit(), offset: request.offset(), total }
    }
}
