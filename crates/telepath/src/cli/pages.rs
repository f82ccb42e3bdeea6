//! Reads lists page by page and prints them as a table or as JSON.

use serde::Serialize;
use telepath_client::{CursorPage, Error, ListPage};

use super::output;
use crate::exit::Failure;

/// The largest page that the API returns.
const PAGE_SIZE: u32 = 100;

/// One page of a list, whichever way it is paged.
pub(crate) struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
    /// The length of the whole list, if the API counted all of it.
    total: Option<u64>,
}

impl<T> From<ListPage<T>> for Page<T> {
    fn from(page: ListPage<T>) -> Self {
        let pagination = page.pagination;
        let total = pagination.total.filter(|_| !pagination.total_is_lower_bound);
        Self { items: page.items, next_cursor: pagination.next_cursor, total }
    }
}

impl<T> From<CursorPage<T>> for Page<T> {
    fn from(page: CursorPage<T>) -> Self {
        Self { items: page.items, next_cursor: page.next_cursor, total: None }
    }
}

/// The start of a list.
pub(crate) struct Listing<T> {
    pub(crate) items: Vec<T>,
    /// The length of the whole list, if the API counted all of it.
    total: Option<u64>,
    /// Whether the list continues.
    pub(crate) has_more: bool,
}

/// Reads up to `limit` items by cursor. `read` gets the size of a page and the cursor.
pub(crate) async fn by_cursor<T, P: Into<Page<T>>>(
    limit: u32,
    mut read: impl AsyncFnMut(u32, Option<String>) -> Result<P, Error>,
) -> Result<Listing<T>, Failure> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut items = Vec::new();
    let mut cursor = None;
    let mut total = None;
    loop {
        let missing = u32::try_from(wanted - items.len()).unwrap_or(PAGE_SIZE);
        let page: Page<T> = read(missing.min(PAGE_SIZE), cursor).await?.into();
        items.extend(page.items);
        items.truncate(wanted);
        cursor = page.next_cursor;
        // Only the first page has it.
        total = total.or(page.total);
        if items.len() == wanted || cursor.is_none() {
            return Ok(Listing { items, total, has_more: cursor.is_some() });
        }
    }
}

/// Prints items as a JSON array, or as a table with a column for each of `head`; `empty` is printed if there are none.
pub(crate) fn print<T: Serialize, const COLUMNS: usize>(
    items: &[T],
    as_json: bool,
    empty: &str,
    head: [&str; COLUMNS],
    row: impl Fn(&T) -> [String; COLUMNS],
) -> Result<(), Failure> {
    if as_json {
        return output::json(&items);
    }
    if items.is_empty() {
        return output::line(&empty);
    }
    output::raw(table(items, head, row).as_bytes())
}

/// Items as a table.
pub(crate) fn table<T, const COLUMNS: usize>(
    items: &[T],
    head: [&str; COLUMNS],
    row: impl Fn(&T) -> [String; COLUMNS],
) -> String {
    output::table(&head, &items.iter().map(|item| row(item).to_vec()).collect::<Vec<_>>())
}

impl<T> Listing<T> {
    /// Says on standard error that the list is longer than what was printed.
    pub(crate) fn note_more(&self) {
        let shown = self.items.len();
        match self.total {
            Some(total) if total > shown as u64 => {
                output::note(&format_args!("Showing {shown} of {total}. Use --limit to see more."));
            }
            None if self.has_more => {
                output::note(&format_args!("Showing the first {shown}. Use --limit to see more."));
            }
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use telepath_client::Pagination;

    use super::*;

    fn page(items: &[u32], total: Option<u64>, next_cursor: Option<&str>) -> ListPage<u32> {
        let pagination = Pagination {
            limit: PAGE_SIZE,
            offset: 0,
            total,
            total_is_lower_bound: total == Some(1000),
            next_cursor: next_cursor.map(str::to_owned),
        };
        ListPage { items: items.to_vec(), pagination }
    }

    #[tokio::test]
    async fn a_list_is_read_by_cursor_up_to_the_limit() {
        let mut asked = Vec::new();
        let listing = by_cursor(150, async |size, cursor: Option<String>| {
            asked.push((size, cursor.clone()));
            Ok(match cursor {
                None => page(&[7; 100], Some(300), Some("second")),
                Some(_) => page(&[8; 50], None, Some("third")),
            })
        })
        .await
        .unwrap();
        assert_eq!(asked, [(100, None), (50, Some("second".to_owned()))]);
        assert_eq!((listing.items.len(), listing.total, listing.has_more), (150, Some(300), true));
    }

    #[tokio::test]
    async fn a_list_is_read_until_it_has_no_next_cursor() {
        let listing = by_cursor(1000, async |_, cursor: Option<String>| {
            Ok(match cursor.as_deref() {
                None => page(&[1; 100], Some(1000), Some("second")),
                // Items that were deleted in the meantime leave a short page; the list still continues.
                Some("second") => page(&[2; 20], None, Some("third")),
                Some(_) => page(&[3; 7], None, None),
            })
        })
        .await
        .unwrap();
        assert_eq!((listing.items.len(), listing.has_more), (127, false));
        assert_eq!(listing.total, None, "a lower bound is not a total");
    }
}
