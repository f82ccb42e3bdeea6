//! A page of a filtered list: how long the list is, and the rows of one page, from an offset or behind a cursor.

use telepath_core::page::{
    Cursor, MAX_EXACT_TOTAL, Page, PagePosition, PageRequest, PageStart, SortKey, SortKind, SortValue, Total,
};

use super::{Connection, Row, Value, binds};
use crate::error::StoreError;

/// The column under which a list reads the value that it is sorted by.
const POSITION: &str = "sort_position";

/// The column under which a list reads its length.
const TOTAL: &str = "list_total";

/// The parts of a list's SQL, which are texts of this program and never of a caller.
pub(crate) struct ListQuery<'q> {
    /// Among them the id, as `id`.
    pub(crate) columns: &'q str,
    /// From `FROM` to the last filter of the `WHERE` clause, with the placeholders `$1` to `$N`.
    pub(crate) source: &'q str,
    /// The values of the filters, one for each of the N placeholders.
    pub(crate) filters: Vec<Value>,
    pub(crate) order: Order<'q>,
}

/// A total order: rows with equal values are ordered by id.
#[derive(Clone, Copy)]
pub(crate) struct Order<'q> {
    /// The column of the id.
    pub(crate) id: &'q str,
    /// `None` to sort by id alone.
    pub(crate) by: Option<SortBy<'q>>,
    pub(crate) ascending: bool,
}

/// What rows are sorted by before their ids.
#[derive(Clone, Copy)]
pub(crate) struct SortBy<'q> {
    pub(crate) key: SortKey,
    pub(crate) expression: &'q str,
    /// Whether it can be NULL. Such rows come last in either direction.
    pub(crate) nullable: bool,
}

impl<'q> Order<'q> {
    /// Newest or oldest first.
    pub(crate) const fn by_creation(id: &'q str, expression: &'q str, ascending: bool) -> Self {
        let key = telepath_core::page::CREATED_AT;
        Self { id, by: Some(SortBy { key, expression, nullable: false }), ascending }
    }

    /// The `ORDER BY` clause. A column that is never NULL needs no `NULLS LAST`, without which an index provides the order.
    fn clause(self) -> String {
        let direction = if self.ascending { "ASC" } else { "DESC" };
        let id = self.id;
        match self.by {
            None => format!("{id} {direction}"),
            Some(by) => {
                let nulls = if by.nullable { " NULLS LAST" } else { "" };
                format!("{} {direction}{nulls}, {id} {direction}", by.expression)
            }
        }
    }

    /// The condition for rows behind the cursor, with its values from placeholder `$first` on.
    fn behind(self, cursor: &Cursor, first: usize) -> (String, Vec<Value>) {
        let (id, beyond) = (self.id, if self.ascending { ">" } else { "<" });
        let Some((by, value)) = self.by.zip(cursor.value()) else {
            return (format!("{id} {beyond} ${first}"), binds![cursor.id()]);
        };
        let (expression, second) = (by.expression, first + 1);
        let value: Value = match value {
            SortValue::Missing => {
                return (format!("{expression} IS NULL AND {id} {beyond} ${first}"), binds![cursor.id()]);
            }
            SortValue::Number(number) => (*number).into(),
            SortValue::Text(text) => text.as_str().into(),
        };
        let or_null = if by.nullable { format!(" OR {expression} IS NULL") } else { String::new() };
        let condition = format!(
            "({expression} {beyond} ${first} OR ({expression} = ${first} AND {id} {beyond} ${second}){or_null})"
        );
        (condition, vec![value, cursor.id().into()])
    }

    fn cursor_of(self, row: &Row) -> Result<Cursor, StoreError> {
        let id = row.text("id")?;
        let Some(by) = self.by else { return Ok(Cursor::by_id(id)) };
        let value = match by.key.kind {
            SortKind::Number => row.maybe_integer(POSITION)?.map(SortValue::Number),
            SortKind::Text => row.maybe_text(POSITION)?.map(SortValue::Text),
        };
        Ok(Cursor::by(by.key, value.unwrap_or(SortValue::Missing), id))
    }
}

impl ListQuery<'_> {
    /// The rows of a page. Only a page that starts at an offset counts the list, in the statement that reads its rows, so
    /// that rows and total agree while others write.
    pub(crate) async fn page(self, db: &mut Connection, page: PageRequest) -> Result<Page<Row>, StoreError> {
        let (limit, order) = (page.limit(), self.order);
        // One row more than the page holds tells whether another page follows.
        let mut items = self.rows(db, limit + 1, page.start()).await?;
        let (offset, total) = match page.start() {
            PageStart::Offset(offset) => (*offset, Some(self.total(db, *offset, items.first()).await?)),
            PageStart::After(_) => (0, None),
        };
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|row| order.cursor_of(row)).transpose()?;
        Ok(Page { items, position: PagePosition { limit, offset, total, next } })
    }

    /// The length of the list, which every row of its page carries. A page beyond the end has no row, so it counts again.
    async fn total(
        &self,
        db: &mut Connection,
        offset: u32,
        first: Option<&Row>,
    ) -> Result<Total, StoreError> {
        let counted = match first {
            Some(row) => row.number(TOTAL)?,
            None if offset == 0 => 0,
            None => {
                let sql = format!("SELECT {} AS {TOTAL}", self.count());
                db.fetch_one(sql, self.filters.clone()).await?.number(TOTAL)?
            }
        };
        Ok(Total::of_counted(counted))
    }

    /// A subquery with the number of rows of the list, counted up to one more than the largest exact total.
    fn count(&self) -> String {
        format!("(SELECT count(*) FROM (SELECT 1 {} LIMIT {}) AS counted)", self.source, MAX_EXACT_TOTAL + 1)
    }

    async fn rows(&self, db: &mut Connection, limit: u32, start: &PageStart) -> Result<Vec<Row>, StoreError> {
        let Self { columns, source, order, .. } = self;
        let mut values = self.filters.clone();
        let position = order.by.map(|by| format!(", {} AS {POSITION}", by.expression)).unwrap_or_default();
        let (total, behind, offset) = match start {
            PageStart::Offset(offset) => (format!(", {} AS {TOTAL}", self.count()), String::new(), *offset),
            PageStart::After(cursor) => {
                let (condition, cursor) = order.behind(cursor, values.len() + 1);
                values.extend(cursor);
                (String::new(), format!(" AND {condition}"), 0)
            }
        };
        let next = values.len() + 1;
        let sql = format!(
            "SELECT {columns}{position}{total} {source}{behind} ORDER BY {} LIMIT ${next} OFFSET ${}",
            order.clause(),
            next + 1
        );
        values.extend([limit.into(), offset.into()]);
        db.fetch_all(sql, values).await
    }
}
