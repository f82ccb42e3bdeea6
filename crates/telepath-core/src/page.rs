//! Pages of a list. A page starts at an offset or behind a cursor. A cursor holds the position of the last row of a page, so
//! it stays valid when rows are inserted or deleted, even the row itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::id::Id;

/// The largest page.
pub const MAX_LIMIT: u32 = 100;
/// The default page size.
pub const DEFAULT_LIMIT: u32 = 20;
/// Longer lists are not counted to their end, because a page must not cost as much as the whole list.
pub const MAX_EXACT_TOTAL: u64 = 1_000;

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    /// The name that cursors carry, so that a cursor of one order is not used in another.
    pub name: &'static str,
    /// The type of its values.
    pub kind: SortKind,
}

/// The order of creation.
pub const CREATED_AT: SortKey = SortKey { name: "created_at", kind: SortKind::Number };

/// The type of the values that a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKind {
    /// Whole numbers and times.
    Number,
    /// Texts, in the order of the database.
    Text,
}

/// A value that a list is sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SortValue {
    /// The row has none; such rows come last.
    Missing,
    /// A number or a time.
    Number(i64),
    /// A text.
    Text(String),
}

/// The position of a row in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    id: String,
    sorted: Option<(&'static str, SortValue)>,
}

/// The text is not the cursor of a page of this list in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the next_cursor of an earlier page")]
pub struct UnknownCursor;

impl Cursor {
    /// A row of a list that is sorted by its ids.
    pub const fn by_id(id: String) -> Self {
        Self { id, sorted: None }
    }

    /// A row of a list that is sorted by a value, and by id where values are equal.
    pub const fn by(key: SortKey, value: SortValue, id: String) -> Self {
        Self { id, sorted: Some((key.name, value)) }
    }

    /// Parses a cursor of a list of `I` that is sorted by `key`, or by id.
    pub fn parse<I: Id>(text: &str, key: Option<SortKey>) -> Result<Self, UnknownCursor> {
        let (id, sorted) = match (key, text.split_once('.')) {
            (None, None) => (text, None),
            (Some(key), Some((id, rest))) => {
                let value = rest.strip_prefix(key.name).and_then(|rest| rest.strip_prefix('.'));
                (id, Some((key.name, parse_value(value.ok_or(UnknownCursor)?, key.kind)?)))
            }
            (None, Some(_)) | (Some(_), None) => return Err(UnknownCursor),
        };
        let id = id.parse::<I>().map_err(|_| UnknownCursor)?;
        Ok(Self { id: id.to_string(), sorted })
    }

    /// The id of the row.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The value that the list is sorted by; `None` when it is sorted by id.
    pub fn value(&self) -> Option<&SortValue> {
        self.sorted.as_ref().map(|(_, value)| value)
    }
}

fn parse_value(text: &str, kind: SortKind) -> Result<SortValue, UnknownCursor> {
    if text == "none" {
        return Ok(SortValue::Missing);
    }
    match kind {
        SortKind::Number => text.parse().map(SortValue::Number).map_err(|_| UnknownCursor),
        SortKind::Text => {
            let text = text.strip_prefix("t-").ok_or(UnknownCursor)?;
            let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| UnknownCursor)?;
            let text = String::from_utf8(bytes).map_err(|_| UnknownCursor)?;
            // PostgreSQL refuses the character in any text.
            if text.contains('\0') { Err(UnknownCursor) } else { Ok(SortValue::Text(text)) }
        }
    }
}

/// The form that [`Cursor::parse`] reads; safe in a query string.
impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = &self.id;
        match &self.sorted {
            None => f.write_str(id),
            Some((name, SortValue::Missing)) => write!(f, "{id}.{name}.none"),
            Some((name, SortValue::Number(number))) => write!(f, "{id}.{name}.{number}"),
            Some((name, SortValue::Text(text))) => {
                write!(f, "{id}.{name}.t-{}", URL_SAFE_NO_PAD.encode(text))
            }
        }
    }
}

/// Where a page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageStart {
    /// After this many rows.
    Offset(u32),
    /// Behind this row.
    After(Cursor),
}

/// Which part of a list is wanted; always within bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    limit: u32,
    start: PageStart,
}

impl PageRequest {
    /// `None` when `limit` is not 1–100.
    pub fn new(limit: u32, offset: u32) -> Option<Self> {
        Self::starting(limit, PageStart::Offset(offset))
    }

    /// `None` when `limit` is not 1–100.
    pub fn starting(limit: u32, start: PageStart) -> Option<Self> {
        (1..=MAX_LIMIT).contains(&limit).then_some(Self { limit, start })
    }

    /// How many items at most.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Where the page starts.
    pub const fn start(&self) -> &PageStart {
        &self.start
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, start: PageStart::Offset(0) }
    }
}

/// The length of a list under its filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// At most [`MAX_EXACT_TOTAL`].
    pub count: u64,
    /// Whether the list is longer than that.
    pub is_lower_bound: bool,
}

impl Total {
    /// The length of a list of which at most [`MAX_EXACT_TOTAL`] + 1 rows were counted.
    pub const fn of_counted(rows: u64) -> Self {
        if rows > MAX_EXACT_TOTAL {
            Self { count: MAX_EXACT_TOTAL, is_lower_bound: true }
        } else {
            Self { count: rows, is_lower_bound: false }
        }
    }
}

/// The position of a page in its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagePosition {
    /// How many items a page holds at most.
    pub limit: u32,
    /// How many rows were skipped; 0 behind a cursor.
    pub offset: u32,
    /// The length of the list; `None` behind a cursor.
    pub total: Option<Total>,
    /// The last row of this page, when more follow it.
    pub next: Option<Cursor>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Where the page is in its list.
    pub position: PagePosition,
}

impl<T> Page<T> {
    /// How many items the list has, as far as they were counted.
    pub fn count(&self) -> Option<u64> {
        self.position.total.map(|total| total.count)
    }

    /// The same page with its items converted.
    pub fn try_map<U, E>(self, convert: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        let items = self.items.into_iter().map(convert).collect::<Result<_, _>>()?;
        Ok(Page { items, position: self.position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{CallId, KeyId};

    const NAME: SortKey = SortKey { name: "name", kind: SortKind::Text };
    const USED: SortKey = SortKey { name: "last_used_at", kind: SortKind::Number };

    #[test]
    fn a_cursor_is_read_back_in_the_order_that_gave_it() {
        let id = KeyId::from_bytes([7; 16]).to_string();
        let text = |text: &str| SortValue::Text(text.to_owned());
        for (key, value) in [
            (NAME, text("Straße & Söhne. 50 %")),
            (NAME, text("none")),
            (NAME, text("")),
            (USED, SortValue::Number(-5)),
            (USED, SortValue::Missing),
        ] {
            let cursor = Cursor::by(key, value, id.clone());
            let shown = cursor.to_string();
            assert_eq!(Cursor::parse::<KeyId>(&shown, Some(key)), Ok(cursor), "{shown}");
            assert!(shown.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)));
            assert_eq!(Cursor::parse::<CallId>(&shown, Some(key)), Err(UnknownCursor));
            assert_eq!(Cursor::parse::<KeyId>(&shown, None), Err(UnknownCursor));
            let other = if key == NAME { USED } else { NAME };
            assert_eq!(Cursor::parse::<KeyId>(&shown, Some(other)), Err(UnknownCursor));
        }
        assert_eq!(Cursor::parse::<KeyId>(&id, None), Ok(Cursor::by_id(id.clone())));
        for forged in ["7", ".name.t-", &format!("{id}.name.x"), &format!("{id}.name.t-AA"), &id] {
            assert_eq!(Cursor::parse::<KeyId>(forged, Some(NAME)), Err(UnknownCursor), "{forged}");
        }
        let forged = format!("{id}.last_used_at.t-YQ");
        assert_eq!(Cursor::parse::<KeyId>(&forged, Some(USED)), Err(UnknownCursor));
    }

    #[test]
    fn totals_are_exact_up_to_a_thousand() {
        assert_eq!(Total::of_counted(1_000), Total { count: 1_000, is_lower_bound: false });
        assert_eq!(Total::of_counted(1_001), Total { count: 1_000, is_lower_bound: true });
    }
}
