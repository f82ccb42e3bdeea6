//! A row of either database, with its columns converted to this program's types.

use std::fmt;
use std::str::FromStr;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use telepath_core::clock::Timestamp;

use crate::error::StoreError;

pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! column {
    ($row:expr, $name:expr) => {
        match $row {
            Row::Sqlite(row) => row.try_get($name)?,
            Row::Postgres(row) => row.try_get($name)?,
        }
    };
}

/// A column by name, or by position in queries with very many rows.
pub(crate) trait ColumnIndex:
    sqlx::ColumnIndex<SqliteRow> + sqlx::ColumnIndex<PgRow> + Copy + fmt::Display
{
}

impl<C: sqlx::ColumnIndex<SqliteRow> + sqlx::ColumnIndex<PgRow> + Copy + fmt::Display> ColumnIndex for C {}

impl Row {
    pub(crate) fn integer(&self, column: impl ColumnIndex) -> Result<i64, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn maybe_integer(&self, column: impl ColumnIndex) -> Result<Option<i64>, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn maybe_real(&self, column: impl ColumnIndex) -> Result<Option<f64>, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn text(&self, column: impl ColumnIndex) -> Result<String, StoreError> {
        Ok(column!(self, column))
    }

    /// A text column without copying.
    pub(crate) fn borrowed(&self, column: impl ColumnIndex) -> Result<&str, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn maybe_text(&self, column: impl ColumnIndex) -> Result<Option<String>, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn bytes(&self, column: impl ColumnIndex) -> Result<Vec<u8>, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn maybe_bytes(&self, column: impl ColumnIndex) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(column!(self, column))
    }

    /// A column of exactly `N` bytes.
    pub(crate) fn array<const N: usize>(&self, column: impl ColumnIndex) -> Result<[u8; N], StoreError> {
        let bytes: &[u8] = column!(self, column);
        bytes.try_into().map_err(|_| corrupt(column))
    }

    /// A text column parsed with [`FromStr`].
    pub(crate) fn parse<T: FromStr>(&self, column: impl ColumnIndex) -> Result<T, StoreError> {
        let text: &str = column!(self, column);
        text.parse().map_err(|_| corrupt(column))
    }

    pub(crate) fn maybe_parse<T: FromStr>(&self, column: impl ColumnIndex) -> Result<Option<T>, StoreError> {
        let text: Option<&str> = column!(self, column);
        text.map(|text| text.parse().map_err(|_| corrupt(column))).transpose()
    }

    /// A text column looked up by `find`, the `from_name` of an enum.
    pub(crate) fn named<T>(
        &self,
        column: impl ColumnIndex,
        find: fn(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        let text: &str = column!(self, column);
        find(text).ok_or_else(|| corrupt(column))
    }

    pub(crate) fn time(&self, column: impl ColumnIndex) -> Result<Timestamp, StoreError> {
        self.integer(column).map(Timestamp::from_unix_ms)
    }

    pub(crate) fn maybe_time(&self, column: impl ColumnIndex) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.maybe_integer(column)?.map(Timestamp::from_unix_ms))
    }

    /// An integer column, converted to a smaller or unsigned type.
    pub(crate) fn number<T: TryFrom<i64>>(&self, column: impl ColumnIndex) -> Result<T, StoreError> {
        T::try_from(self.integer(column)?).map_err(|_| corrupt(column))
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(
        &self,
        column: impl ColumnIndex,
    ) -> Result<T, StoreError> {
        let text: &str = column!(self, column);
        serde_json::from_str(text).map_err(|_| corrupt(column))
    }
}

/// The error for a value that this program never writes.
pub(crate) fn corrupt(column: impl fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("column {column}"))
}

/// A value as JSON text.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}
