//! The known time in the database, which everything that is deleted by age goes by.

use std::sync::PoisonError;

use telepath_core::clock::{ClockReading, Timestamp};
use telepath_core::known_time::{ClockCheck, KnownMoment, KnownTime};

use crate::error::StoreError;
use crate::sql::{Connection, binds, corrupt};
use crate::store::Store;

/// The setting with the known time, and since when the clock is in doubt, in Unix milliseconds.
const KNOWN_TIME: &str = "known_time";

/// The bounds of the true time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetentionTime {
    /// What expires later is kept.
    pub(crate) earliest: Timestamp,
    pub(crate) latest: Timestamp,
}

impl Store {
    /// The time to delete by. It is written to the database, so that a clock that is wrong at the next start is noticed.
    pub(crate) async fn retention_time(&self) -> Result<RetentionTime, StoreError> {
        let reading = self.context.clock.read();
        let before = *self.known_time.lock().unwrap_or_else(PoisonError::into_inner);
        let (after, check) =
            self.backend.write(move |db| Box::pin(async move { advance(db, before, reading).await })).await?;
        *self.known_time.lock().unwrap_or_else(PoisonError::into_inner) = after;
        let (wall, known) = (reading.wall, after.known.time);
        match check {
            ClockCheck::Unchanged => {}
            ClockCheck::Jumped => tracing::warn!(
                %wall, %known,
                "the clock differs from the known time; for a day of running time nothing is deleted that had not expired"
            ),
            ClockCheck::Corrected => tracing::info!(%wall, "the clock shows the known time again"),
            ClockCheck::Believed => tracing::warn!(
                %wall,
                "the clock has shown another time for a day; what has expired by it is deleted"
            ),
        }
        Ok(RetentionTime { earliest: after.known.earliest(wall), latest: after.known.latest(wall) })
    }
}

async fn advance(
    db: &mut Connection,
    before: KnownMoment,
    reading: ClockReading,
) -> Result<(KnownMoment, ClockCheck), StoreError> {
    let (after, check) = before.advance(read(db).await?, reading);
    let since = after.known.doubted_since.map_or(String::new(), |since| since.unix_ms().to_string());
    let value = format!("{} {since}", after.known.time.unix_ms());
    let sql = "INSERT INTO settings (name, value) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    db.execute(sql, binds![KNOWN_TIME, value]).await?;
    Ok((after, check))
}

/// The known time in the database; `None` before retention has first run.
async fn read(db: &mut Connection) -> Result<Option<KnownTime>, StoreError> {
    let sql = "SELECT value FROM settings WHERE name = $1";
    let Some(row) = db.fetch_locked(sql, binds![KNOWN_TIME]).await? else { return Ok(None) };
    let value = row.text("value")?;
    let time = |text: &str| text.parse().map(Timestamp::from_unix_ms).map_err(|_| corrupt("value"));
    let (known, since) = value.split_once(' ').unwrap_or((&value, ""));
    let doubted_since = if since.is_empty() { None } else { Some(time(since)?) };
    Ok(Some(KnownTime { time: time(known)?, doubted_since }))
}

/// What is known at the start of a process.
pub(crate) async fn at_start(db: &mut Connection, reading: ClockReading) -> Result<KnownMoment, StoreError> {
    let known = read(db).await?.unwrap_or(KnownTime::of(reading.wall));
    Ok(KnownMoment { known, steady: reading.steady })
}
