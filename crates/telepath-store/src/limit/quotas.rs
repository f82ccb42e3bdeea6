//! Quotas that are counted in memory are also kept in the database: one row per key, written with the windows.

use telepath_core::id::KeyId;
use telepath_core::limit::quota::{PeriodCount, PeriodCounts, QuotaCounts};

use crate::error::StoreError;
use crate::sql::{Connection, Row, Value, placeholders};

/// Rows per statement.
const ROWS: usize = 500;
const COLUMNS: usize = 9;

/// Writes the counts of these keys.
pub(super) async fn write(db: &mut Connection, counts: &[(KeyId, QuotaCounts)]) -> Result<(), StoreError> {
    for group in counts.chunks(ROWS) {
        let row = |place: usize| format!("({})", placeholders(place * COLUMNS + 1, COLUMNS));
        let rows: Vec<_> = (0..group.len()).map(row).collect();
        let sql = format!(
            "INSERT INTO key_quotas (key_id, day, day_used, other_day, other_day_used, \
             month, month_used, other_month, other_month_used) VALUES {} \
             ON CONFLICT (key_id) DO UPDATE SET day = excluded.day, day_used = excluded.day_used, \
             other_day = excluded.other_day, other_day_used = excluded.other_day_used, \
             month = excluded.month, month_used = excluded.month_used, \
             other_month = excluded.other_month, other_month_used = excluded.other_month_used",
            rows.join(", ")
        );
        db.execute(sql, group.iter().flat_map(values).collect()).await?;
    }
    Ok(())
}

fn values((key, counts): &(KeyId, QuotaCounts)) -> [Value; COLUMNS] {
    let QuotaCounts { day, month } = counts;
    [
        key.to_string().into(),
        day.current.start.into(),
        day.current.used.into(),
        day.other.start.into(),
        day.other.used.into(),
        month.current.start.into(),
        month.current.used.into(),
        month.other.start.into(),
        month.other.used.into(),
    ]
}

/// The counts of every key that has some.
pub(super) async fn read(db: &mut Connection) -> Result<Vec<(KeyId, QuotaCounts)>, StoreError> {
    let sql = "SELECT key_id, day, day_used, other_day, other_day_used, month, month_used, other_month, \
               other_month_used FROM key_quotas";
    let rows = db.fetch_all(sql, vec![]).await?;
    rows.iter().map(|row| Ok((row.parse("key_id")?, counts_of(row)?))).collect()
}

fn counts_of(row: &Row) -> Result<QuotaCounts, StoreError> {
    let count = |start: &'static str, used: &'static str| -> Result<PeriodCount, StoreError> {
        Ok(PeriodCount { start: row.integer(start)?, used: row.number(used)? })
    };
    Ok(QuotaCounts {
        day: PeriodCounts {
            current: count("day", "day_used")?,
            other: count("other_day", "other_day_used")?,
        },
        month: PeriodCounts {
            current: count("month", "month_used")?,
            other: count("other_month", "other_month_used")?,
        },
    })
}
