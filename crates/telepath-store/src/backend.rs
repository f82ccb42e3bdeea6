//! The two databases behind one door: a change runs as one transaction, a read on a connection that only reads. A change
//! is a closure over a connection; it knows nothing of how its transaction begins, is grouped with others, or ends.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::error::StoreError;
use crate::postgres::PostgresBackend;
use crate::sql::{Connection, TransactionFuture};
use crate::sqlite::SqliteBackend;

/// A database that was opened.
#[derive(Clone)]
pub(crate) struct Backend {
    driver: Driver,
    committed: Arc<Notify>,
}

/// Which database.
#[derive(Clone)]
pub(crate) enum Driver {
    Sqlite(SqliteBackend),
    Postgres(PostgresBackend),
}

impl Backend {
    pub(crate) fn new(driver: Driver) -> Self {
        Self { driver, committed: Arc::default() }
    }

    /// Which database it is, for what only one of them has.
    pub(crate) const fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Rings after each commit of this process, and when another has announced one. Whoever waits for it and was not waiting at that moment is rung at once
    /// when it waits again.
    pub(crate) fn committed(&self) -> &Notify {
        &self.committed
    }

    /// Runs a change in a transaction of its own and answers after it is committed. A change that fails leaves nothing.
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

    /// Wakes whoever waits for commits, as a commit of this process does.
    pub(crate) fn ring(&self) {
        self.committed.notify_one();
    }

    /// A connection to read with.
    pub(crate) async fn read(&self) -> Result<Connection, StoreError> {
        match &self.driver {
            Driver::Sqlite(sqlite) => sqlite.read().await,
            Driver::Postgres(postgres) => postgres.connection().await,
        }
    }

    /// Ends all work; what was answered stays.
    pub(crate) async fn close(&self) {
        match &self.driver {
            Driver::Sqlite(sqlite) => sqlite.close().await,
            Driver::Postgres(postgres) => postgres.close().await,
        }
    }
}
