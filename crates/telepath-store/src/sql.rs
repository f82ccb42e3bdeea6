//! The thin layer between the store functions and the two database drivers. A store function has one SQL text with
//! `$1` placeholders, its binds and its row mapping. Which driver runs it is decided here and nowhere else.

mod list;
mod row;
pub(crate) mod statements;
mod value;
pub(crate) mod within;

use std::borrow::Cow;

use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Postgres, Sqlite};

use crate::error::StoreError;

pub(crate) use list::{ListQuery, Order, SortBy};
pub(crate) use row::{Row, corrupt, to_json};
pub(crate) use value::{Value, binds, placeholders};
use value::{postgres_arguments, sqlite_arguments};

/// The future of a change; its transaction is not yet committed.
pub(crate) type TransactionFuture<'c, T, E> = BoxFuture<'c, Result<T, E>>;

/// A connection to either database.
pub(crate) enum Connection {
    /// The write connection.
    Sqlite(Box<SqliteConnection>),
    /// A read-only connection.
    SqliteReader(PoolConnection<Sqlite>),
    /// A pooled connection.
    Postgres(PoolConnection<Postgres>),
    /// A dedicated connection, so that no other work delays it.
    PostgresOwn(Box<PgConnection>),
}

enum Driver<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

pub(crate) type Text = Cow<'static, str>;

impl Connection {
    fn driver(&mut self) -> Driver<'_> {
        match self {
            Connection::Sqlite(connection) => Driver::Sqlite(connection),
            Connection::SqliteReader(connection) => Driver::Sqlite(connection),
            Connection::Postgres(connection) => Driver::Postgres(connection),
            Connection::PostgresOwn(connection) => Driver::Postgres(connection),
        }
    }

    /// Whether several servers can share the database.
    pub(crate) fn is_postgres(&self) -> bool {
        match self {
            Connection::Sqlite(_) | Connection::SqliteReader(_) => false,
            Connection::Postgres(_) | Connection::PostgresOwn(_) => true,
        }
    }

    /// Notifies, with the commit, the processes that listen on a channel of the database. Correctness must not depend
    /// on it, only latency. `SQLite` has one process, which its own commits wake.
    pub(crate) async fn announce(&mut self, channel: &str) -> Result<(), StoreError> {
        if self.is_postgres() {
            self.execute("SELECT pg_notify($1, '')", binds![channel]).await?;
        }
        Ok(())
    }

    /// Runs a statement; returns the number of affected rows.
    pub(crate) async fn execute(
        &mut self,
        sql: impl Into<Text>,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        statements::sent();
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

    /// All rows of a query. The query must bound their number.
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
        statements::sent();
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

    /// The only row of a query that always returns one.
    pub(crate) async fn fetch_one(
        &mut self,
        sql: impl Into<Text>,
        values: Vec<Value>,
    ) -> Result<Row, StoreError> {
        self.fetch_optional(sql, values)
            .await?
            .ok_or_else(|| StoreError::Corrupt("a required row is missing".to_owned()))
    }

    /// The first row, locked until the transaction ends. SQLite has one writer, so its rows need no lock.
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

    /// The first row, locked until the transaction ends; `None` if another transaction holds it.
    pub(crate) async fn try_lock(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Option<Row>, StoreError> {
        match self {
            Connection::Sqlite(_) | Connection::SqliteReader(_) => self.fetch_optional(sql, values).await,
            Connection::Postgres(_) | Connection::PostgresOwn(_) => {
                self.fetch_optional(format!("{sql} FOR NO KEY UPDATE SKIP LOCKED"), values).await
            }
        }
    }

    /// Locks all rows of a query until the transaction ends.
    pub(crate) async fn lock_all(&mut self, sql: String, values: Vec<Value>) -> Result<(), StoreError> {
        match self {
            Connection::Sqlite(_) | Connection::SqliteReader(_) => Ok(()),
            Connection::Postgres(_) | Connection::PostgresOwn(_) => {
                self.fetch_each(format!("{sql} FOR NO KEY UPDATE"), values, |_| Ok(())).await
            }
        }
    }

    /// The clause that skips rows locked by other processes. SQLite has one writer and needs none.
    pub(crate) const fn skip_locked(&self) -> &'static str {
        match self {
            Connection::Sqlite(_) | Connection::SqliteReader(_) => "",
            Connection::Postgres(_) | Connection::PostgresOwn(_) => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// Passes each row to `each` as it arrives, so that a large result is never held in memory.
    pub(crate) async fn fetch_each(
        &mut self,
        sql: impl Into<Text>,
        values: Vec<Value>,
        mut each: impl FnMut(Row) -> Result<(), StoreError> + Send,
    ) -> Result<(), StoreError> {
        statements::sent();
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
