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

impl Pagination {
    /// Of a page that was asked for.
    pub(crate) const fn of(request: PageRequest, total: u64) -> Self {
        Self { limit: request.limit(), offset: request.offset(), total }
    }
}
