//! One interface to both databases: a change runs as one transaction, a read runs on a read-only connection. A change
//! is a closure over a connection; it does not know how its transaction begins, is grouped with others, or ends.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::error::StoreError;
use crate::postgres::PostgresBackend;
use crate::sql::{Connection, TransactionFuture, Value};
use crate::sqlite::SqliteBackend;

/// An open database.
#[derive(Clone)]
pub(crate) struct Backend {
    driver: Driver,
    committed: Arc<Notify>,
}

/// The database driver.
#[derive(Clone)]
pub(crate) enum Driver {
    Sqlite(SqliteBackend),
    Postgres(PostgresBackend),
}

impl Backend {
    pub(crate) fn new(driver: Driver) -> Self {
        Self { driver, committed: Arc::default() }
    }

    /// The driver, for features that only one database has.
    pub(crate) const fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Notified after each commit of this process and when another process announces one. A notification that arrives
    /// while nobody waits is kept for the next waiter.
    pub(crate) fn committed(&self) -> &Notify {
        &self.committed
    }

    /// Runs a change in its own transaction and returns after the commit. A change that fails is rolled back.
    pub(crate) async fn write<T, E, F>(&self, change: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c mut Connection) -> TransactionFuture<'c, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let result = match &self.driver {
            Driver::Sqlite(sqlite) => sqlite.write(change).await,
            Driver::Postgres(postgres) => postgres.write(change).await,
        };
        if result.is_ok() {
            self.ring();
        }
        result
    }

    /// Runs a change of keys in its own task, where an overload of the server does not delay it.
    pub(crate) fn spawn_key_change<T, F>(&self, change: impl FnOnce(Self) -> F) -> JoinHandle<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        match &self.driver {
            // The writer has a thread of its own, and a transaction makes no round trips.
            Driver::Sqlite(_) => tokio::spawn(change(self.clone())),
            Driver::Postgres(postgres) => postgres.spawn_key_change(|own| {
                change(Self { driver: Driver::Postgres(own), committed: Arc::clone(&self.committed) })
            }),
        }
    }

    /// Runs one statement as a change; returns the number of affected rows.
    pub(crate) async fn execute(
        &self,
        sql: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        let sql = sql.into();
        self.write(move |db| Box::pin(async move { db.execute(sql, values).await })).await
    }

    /// Wakes the waiters of [`Backend::committed`].
    pub(crate) fn ring(&self) {
        self.committed.notify_one();
    }

    /// A connection for reads.
    pub(crate) async fn read(&self) -> Result<Connection, StoreError> {
        match &self.driver {
            Driver::Sqlite(sqlite) => sqlite.read().await,
            Driver::Postgres(postgres) => postgres.connection().await,
        }
    }

    /// A connection for the admission of calls. API requests cannot use up these connections, so a busy API does not make
    /// callers hear that the service is unavailable.
    pub(crate) async fn read_for_calls(&self) -> Result<Connection, StoreError> {
        match &self.driver {
            Driver::Sqlite(sqlite) => sqlite.read_for_calls().await,
            Driver::Postgres(postgres) => postgres.connection_for_calls().await,
        }
    }

    /// Stops all work and closes the database. Committed changes are kept.
    pub(crate) async fn close(&self) {
        match &self.driver {
            Driver::Sqlite(sqlite) => sqlite.close().await,
            Driver::Postgres(postgres) => postgres.close().await,
        }
    }
}
