//! The thin layer between the store functions and the two database drivers. A store function holds one SQL text with
//! `$1` placeholders, its binds and its row mapping; which database runs it is decided here and nowhere else.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use futures_util::TryStreamExt as _;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, ColumnIndex, Postgres, Row as _, Sqlite};
use telepath_core::clock::Timestamp;

use crate::error::StoreError;

/// A value to bind. Every variant can be absent and still says its type, which PostgreSQL wants to know.
#[derive(Clone)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

macro_rules! from_value {
    ($($type:ty, |$value:ident| $made:expr;)+) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $made
            }
        }
    )+};
}

from_value! {
    i64, |value| Value::Integer(Some(value));
    u32, |value| Value::Integer(Some(value.into()));
    Option<u32>, |value| Value::Integer(value.map(i64::from));
    Option<i64>, |value| Value::Integer(value);
    Timestamp, |value| Value::Integer(Some(value.unix_ms()));
    Option<Timestamp>, |value| Value::Integer(value.map(Timestamp::unix_ms));
    &str, |value| Value::Text(Some(value.to_owned()));
    Option<&str>, |value| Value::Text(value.map(str::to_owned));
    String, |value| Value::Text(Some(value));
    Option<String>, |value| Value::Text(value);
    &[u8], |value| Value::Bytes(Some(value.to_vec()));
    Option<IpAddr>, |value| Value::Text(value.map(|address| address.to_string()));
}

/// The values of a statement, in the order of their placeholders.
macro_rules! binds {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Value::from($value)),*] };
}
pub(crate) use binds;

/// A connection to either database.
pub(crate) enum Connection {
    /// The one that writes.
    Sqlite(Box<SqliteConnection>),
    /// One of those that only read.
    SqliteReader(PoolConnection<Sqlite>),
    /// One of the pool.
    Postgres(PoolConnection<Postgres>),
    /// One that is nobody else's, so that no other work can keep it waiting.
    PostgresOwn(Box<PgConnection>),
}

enum Driver<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

type Text = Cow<'static, str>;

fn sqlite_arguments(values: Vec<Value>) -> Result<SqliteArguments, StoreError> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn postgres_arguments(values: Vec<Value>) -> Result<PgArguments, StoreError> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

impl Connection {
    fn driver(&mut self) -> Driver<'_> {
        match self {
            Connection::Sqlite(connection) => Driver::Sqlite(connection),
            Connection::SqliteReader(connection) => Driver::Sqlite(connection),
            Connection::Postgres(connection) => Driver::Postgres(connection),
            Connection::PostgresOwn(connection) => Driver::Postgres(connection),
        }
    }

    /// Whether several servers may work on the database.
    pub(crate) fn is_postgres(&self) -> bool {
        match self {
            Connection::Sqlite(_) | Connection::SqliteReader(_) => false,
            Connection::Postgres(_) | Connection::PostgresOwn(_) => true,
        }
    }

    /// Wakes, with the commit, the processes that listen on a channel of the database. Nothing may depend on it but how soon
    /// they look. `SQLite` has one process, which its own commits wake.
    pub(crate) async fn announce(&mut self, channel: &str) -> Result<(), StoreError> {
        if self.is_postgres() {
            self.execute("SELECT pg_notify($1, '')", binds![channel]).await?;
        }
        Ok(())
    }

    /// Runs a statement; how many rows it touched.
    pub(crate) async fn execute(
        &mut self,
        sql: impl Into<Text>,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        let sql = AssertSqlSafe(sql.into());
        Ok(match self.driver() {
            Driver::Sqlite(connection) => {
                sqlx::query_with(sql, sqlite_arguments(values)?).execute(connection).await?.rows_affected()
            }
            Driver::Postgres(connection) => {
                sqlx::query_with(sql, postgres_arguments(values)?).execute(connection).await?.rows_affected()
            }
        })
    }

    /// Runs a script of several statements without binds.
    pub(crate) async fn script(&mut self, sql: impl Into<Text>) -> Result<(), StoreError> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.into()));
        match self.driver() {
            Driver::Sqlite(connection) => sql.execute(connection).await?.rows_affected(),
            Driver::Postgres(connection) => sql.execute(connection).await?.rows_affected(),
        };
        Ok(())
    }

    /// All rows of a query, which must bound their number itself.
    pub(crate) async fn fetch_all(
        &mut self,
        sql: impl Into<Text>,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        self.fetch_each(sql, values, |row| {
            rows.push(row);
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    /// The first row of a query.
    pub(crate) async fn fetch_optional(
        &mut self,
        sql: impl Into<Text>,
        values: Vec<Value>,
    ) -> Result<Option<Row>, StoreError> {
        let sql = AssertSqlSafe(sql.into());
        Ok(match self.driver() {
            Driver::Sqlite(connection) => sqlx::query_with(sql, sqlite_arguments(values)?)
                .fetch_optional(connection)
                .await?
                .map(Row::Sqlite),
            Driver::Postgres(connection) => sqlx::query_with(sql, postgres_arguments(values)?)
                .fetch_optional(connection)
                .await?
                .map(Row::Postgres),
        })
    }

    /// The only row of a query that always has one.
    pub(crate) async fn fetch_one(
        &mut self,
        sql: impl Into<Text>,
        values: Vec<Value>,
    ) -> Result<Row, StoreError> {
        self.fetch_optional(sql, values)
            .await?
            .ok_or_else(|| StoreError::Corrupt("a row that must be there is missing".to_owned()))
    }

    /// The first row, held against other changes until the transaction ends. SQLite has one writer, so there it is held
    /// anyway.
    pub(crate) async fn fetch_held(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Option<Row>, StoreError> {
        match self {
            Connection::Sqlite(_) | Connection::SqliteReader(_) => self.fetch_optional(sql, values).await,
            Connection::Postgres(_) | Connection::PostgresOwn(_) => {
                self.fetch_optional(format!("{sql} FOR NO KEY UPDATE"), values).await
            }
        }
    }

    /// Holds all rows of a query against other changes until the transaction ends.
    pub(crate) async fn hold_all(&mut self, sql: String, values: Vec<Value>) -> Result<(), StoreError> {
        match self {
            Connection::Sqlite(_) | Connection::SqliteReader(_) => Ok(()),
            Connection::Postgres(_) | Connection::PostgresOwn(_) => {
                self.fetch_each(format!("{sql} FOR NO KEY UPDATE"), values, |_| Ok(())).await
            }
        }
    }

    /// What ends the choice of rows that other processes may be choosing too. SQLite has one writer.
    pub(crate) const fn skip_locked(&self) -> &'static str {
        match self {
            Connection::Sqlite(_) | Connection::SqliteReader(_) => "",
            Connection::Postgres(_) | Connection::PostgresOwn(_) => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// Hands every row of a query to `each` as it arrives, so that a long result never stands in memory.
    pub(crate) async fn fetch_each(
        &mut self,
        sql: impl Into<Text>,
        values: Vec<Value>,
        mut each: impl FnMut(Row) -> Result<(), StoreError> + Send,
    ) -> Result<(), StoreError> {
        let sql = AssertSqlSafe(sql.into());
        match self.driver() {
            Driver::Sqlite(connection) => {
                let mut rows = sqlx::query_with(sql, sqlite_arguments(values)?).fetch(connection);
                while let Some(row) = rows.try_next().await? {
                    each(Row::Sqlite(row))?;
                }
            }
            Driver::Postgres(connection) => {
                let mut rows = sqlx::query_with(sql, postgres_arguments(values)?).fetch(connection);
                while let Some(row) = rows.try_next().await? {
                    each(Row::Postgres(row))?;
                }
            }
        }
        Ok(())
    }
}

/// A row of either database.
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

/// A column by its name, or by its position where a query has very many rows.
pub(crate) trait Place: ColumnIndex<SqliteRow> + ColumnIndex<PgRow> + Copy + fmt::Display {}

impl<P: ColumnIndex<SqliteRow> + ColumnIndex<PgRow> + Copy + fmt::Display> Place for P {}

impl Row {
    pub(crate) fn integer(&self, column: impl Place) -> Result<i64, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn maybe_integer(&self, column: impl Place) -> Result<Option<i64>, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn maybe_real(&self, column: impl Place) -> Result<Option<f64>, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn text(&self, column: impl Place) -> Result<String, StoreError> {
        Ok(column!(self, column))
    }

    /// A text column without a copy.
    pub(crate) fn borrowed(&self, column: impl Place) -> Result<&str, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn maybe_text(&self, column: impl Place) -> Result<Option<String>, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn bytes(&self, column: impl Place) -> Result<Vec<u8>, StoreError> {
        Ok(column!(self, column))
    }

    /// A column of exactly `N` bytes.
    pub(crate) fn array<const N: usize>(&self, column: impl Place) -> Result<[u8; N], StoreError> {
        let bytes: &[u8] = column!(self, column);
        bytes.try_into().map_err(|_| corrupt(column))
    }

    /// A text column as the type that it is the text of.
    pub(crate) fn parse<T: FromStr>(&self, column: impl Place) -> Result<T, StoreError> {
        let text: &str = column!(self, column);
        text.parse().map_err(|_| corrupt(column))
    }

    pub(crate) fn maybe_parse<T: FromStr>(&self, column: impl Place) -> Result<Option<T>, StoreError> {
        let text: Option<&str> = column!(self, column);
        text.map(|text| text.parse().map_err(|_| corrupt(column))).transpose()
    }

    /// A text column as the value that has it as its name.
    pub(crate) fn named<T>(&self, column: impl Place, find: fn(&str) -> Option<T>) -> Result<T, StoreError> {
        let text: &str = column!(self, column);
        find(text).ok_or_else(|| corrupt(column))
    }

    pub(crate) fn time(&self, column: impl Place) -> Result<Timestamp, StoreError> {
        self.integer(column).map(Timestamp::from_unix_ms)
    }

    pub(crate) fn maybe_time(&self, column: impl Place) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.maybe_integer(column)?.map(Timestamp::from_unix_ms))
    }

    /// An integer column of a smaller or unsigned type.
    pub(crate) fn number<T: TryFrom<i64>>(&self, column: impl Place) -> Result<T, StoreError> {
        T::try_from(self.integer(column)?).map_err(|_| corrupt(column))
    }

    /// A JSON column.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, column: impl Place) -> Result<T, StoreError> {
        let text: &str = column!(self, column);
        serde_json::from_str(text).map_err(|_| corrupt(column))
    }
}

/// The error for a value that this program would not have written.
pub(crate) fn corrupt(column: impl fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("column {column}"))
}

/// The JSON text of something that has one.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// `$first, …` for a list of `count` binds.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 5);
    for place in first..first + count {
        if place > first {
            text.push_str(", ");
        }
        text.push('$');
        text.push_str(&place.to_string());
    }
    text
}
