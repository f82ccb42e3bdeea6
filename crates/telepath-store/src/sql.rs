//! The thin layer between the store functions and the two database drivers. A store function holds one SQL text with
//! `$1` placeholders, its binds and its row mapping; which database runs it is decided here and nowhere else.

mod list;
mod row;
mod value;

use std::borrow::Cow;

use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Postgres, Sqlite};

use crate::error::StoreError;

pub(crate) use list::ListQuery;
pub(crate) use row::{Row, corrupt, to_json};
pub(crate) use value::{Value, binds, placeholders};
use value::{postgres_arguments, sqlite_arguments};

/// The result of a change, before it is known whether it was committed.
pub(crate) type TransactionFuture<'c, T, E> = BoxFuture<'c, Result<T, E>>;

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
    pub(crate) async fn fetch_locked(
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
    pub(crate) async fn lock_all(&mut self, sql: String, values: Vec<Value>) -> Result<(), StoreError> {
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
