//! The position of a page in its list.

use serde::{Deserialize, Serialize};
use telepath_core::page::{PagePosition, Total};

/// The position of a page in its list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pagination {
    /// Items per page.
    #[cfg_attr(feature = "openapi", schema(example = 20))]
    pub limit: u32,
    /// Items skipped; 0 on a page behind a cursor.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub offset: u32,
    /// Items in the whole list under the same filters, exact up to 1,000. Absent on a page behind a cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub total: Option<u64>,
    /// True when the list has more than 1,000 items; otherwise absent.
    #[serde(default, skip_serializing_if = "is_false")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub total_is_lower_bound: bool,
    /// Pass this as `cursor`, with the same filters and sort, to get the next page. It skips and repeats nothing, even
    /// when items are inserted or deleted in the meantime. Null on the last page.
    pub next_cursor: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes members by reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl From<PagePosition> for Pagination {
    fn from(position: PagePosition) -> Self {
        let PagePosition { limit, offset, total, next } = position;
        Self {
            limit,
            offset,
            total: total.map(|total| total.count),
            total_is_lower_bound: total.is_some_and(|Total { is_lower_bound, .. }| is_lower_bound),
            next_cursor: next.map(|cursor| cursor.to_string()),
        }
    }
}
