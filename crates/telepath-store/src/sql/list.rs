//! A page of a filtered list: the total under the filters, and the rows of one page, by offset or behind a cursor.

use telepath_core::page::{CursorPage, Page, PageRequest};

use super::{Connection, Row, Value};
use crate::error::StoreError;

/// The parts of a list's SQL. `source` and `after` hold conditions of this program, never text of a caller.
pub(crate) struct ListQuery<'q> {
    pub(crate) columns: &'q str,
    /// From `FROM` to the last filter of the `WHERE` clause, with the placeholders `$1` to `$N`.
    pub(crate) source: &'q str,
    /// The values of the filters, one for each of the N placeholders.
    pub(crate) filters: Vec<Value>,
    /// The condition under which a row lies behind the cursor, with placeholders from `$N+1` on, and its values.
    pub(crate) after: Option<(String, Vec<Value>)>,
    /// A total order.
    pub(crate) order: &'q str,
}

impl ListQuery<'_> {
    /// A page by offset: its rows, and how many rows there are in all.
    pub(crate) async fn page(self, db: &mut Connection, page: PageRequest) -> Result<Page<Row>, StoreError> {
        let total = self.total(db).await?;
        let items = self.rows(db, page.limit(), page.offset()).await?;
        Ok(Page { items, total })
    }

    /// A page behind the cursor. The total counts every row that passes the filters, wherever the cursor is.
    pub(crate) async fn cursor_page<T, Id>(
        self,
        db: &mut Connection,
        page: PageRequest,
        item_of: impl Fn(&Row) -> Result<T, StoreError>,
        id_of: impl Fn(&T) -> Id,
    ) -> Result<CursorPage<T, Id>, StoreError> {
        let total = self.total(db).await?;
        // One row more than the page holds tells whether another page follows.
        let rows = self.rows(db, page.limit() + 1, page.offset()).await?;
        let mut items = rows.iter().map(item_of).collect::<Result<Vec<_>, _>>()?;
        let more = items.len() > page.limit() as usize;
        items.truncate(page.limit() as usize);
        let next = items.last().filter(|_| more).map(id_of);
        Ok(CursorPage { page: Page { items, total }, next })
    }

    async fn total(&self, db: &mut Connection) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) AS total {}", self.source);
        db.fetch_one(sql, self.filters.clone()).await?.number("total")
    }

    async fn rows(self, db: &mut Connection, limit: u32, offset: u32) -> Result<Vec<Row>, StoreError> {
        let Self { columns, source, filters: mut values, after, order } = self;
        let mut sql = format!("SELECT {columns} {source}");
        if let Some((condition, cursor)) = after {
            sql.push_str(" AND ");
            sql.push_str(&condition);
            values.extend(cursor);
        }
        let next = values.len() + 1;
        let sql = format!("{sql} ORDER BY {order} LIMIT ${next} OFFSET ${}", next + 1);
        values.extend([limit.into(), offset.into()]);
        db.fetch_all(sql, values).await
    }
}
