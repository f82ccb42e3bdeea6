//! A page of a list: its size, its position and the length of the whole list.

/// The largest page.
pub const MAX_LIMIT: u32 = 100;
/// The default page size.
pub const DEFAULT_LIMIT: u32 = 20;

/// Which part of a list is wanted; always within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    limit: u32,
    offset: u32,
}

impl PageRequest {
    /// `None` when `limit` is not 1–100.
    pub fn new(limit: u32, offset: u32) -> Option<Self> {
        (1..=MAX_LIMIT).contains(&limit).then_some(Self { limit, offset })
    }

    /// How many items at most.
    pub const fn limit(self) -> u32 {
        self.limit
    }

    /// How many items to skip.
    pub const fn offset(self) -> u32 {
        self.offset
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, offset: 0 }
    }
}

/// One page of a list that grows without bound, with the cursor of the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorPage<T, Id> {
    /// The page.
    pub page: Page<T>,
    /// The last item of this page, when more follow it.
    pub next: Option<Id>,
}

/// One page, with the number of items in the whole list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Items in the whole list under the same filters.
    pub total: u64,
}
