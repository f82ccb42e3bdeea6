//! SQLite: one write connection behind a queue, and a pool of read-only connections. The file is readable by its
//! owner only and in WAL mode. Every commit is flushed to disk before the caller gets its result.

mod backup;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

pub(crate) use backup::back_up;
use writer::Writer;

use crate::error::StoreError;
use crate::sql::{Connection, TransactionFuture};

/// The oldest SQLite release without a known bug that can lose a committed write-ahead log.
const MIN_VERSION: [u32; 3] = [3, 51, 3];
/// Read-only connections.
const MAX_READERS: u32 = 4;
/// Read-only connections for the admission of calls.
const MAX_CALL_READERS: u32 = 2;
/// How long a statement waits for a lock held by another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for a read connection before the database counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 5 });

#[derive(Clone)]
pub(crate) struct SqliteBackend {
    writer: Arc<Writer>,
    readers: SqlitePool,
    call_readers: SqlitePool,
}

/// Opens the write connection. Creates the file, with mode 0600, if it does not exist.
pub(crate) async fn connect(path: &Path) -> Result<Connection, StoreError> {
    make_private(path)?;
    let connection = options(path).connect().await?;
    let mut connection = Connection::Sqlite(Box::new(connection));
    check_version(&mut connection).await?;
    Ok(connection)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
}

impl SqliteBackend {
    /// Makes a migrated connection the single writer.
    pub(crate) fn start(path: &Path, connection: Connection) -> Self {
        let readers = |max| {
            SqlitePoolOptions::new()
                .max_connections(max)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .connect_lazy_with(options(path).read_only(true).pragma("query_only", "ON"))
        };
        Self {
            writer: Arc::new(Writer::start(path.to_owned(), connection)),
            readers: readers(MAX_READERS),
            call_readers: readers(MAX_CALL_READERS),
        }
    }

    pub(crate) async fn write<T, E, F>(&self, change: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c mut Connection) -> TransactionFuture<'c, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.write(change).await
    }

    pub(crate) async fn read(&self) -> Result<Connection, StoreError> {
        Ok(Connection::SqliteReader(self.readers.acquire().await?))
    }

    pub(crate) async fn read_for_calls(&self) -> Result<Connection, StoreError> {
        Ok(Connection::SqliteReader(self.call_readers.acquire().await?))
    }

    /// Closes the readers first, so that the writer's last checkpoint can empty the write-ahead log.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.call_readers.close().await;
        self.writer.close().await;
    }
}

async fn check_version(connection: &mut Connection) -> Result<(), StoreError> {
    let found = connection.fetch_one("SELECT sqlite_version() AS version", vec![]).await?.text("version")?;
    let parts: Vec<u32> = found.split('.').filter_map(|part| part.parse().ok()).collect();
    if parts.as_slice() < MIN_VERSION.as_slice() {
        Err(StoreError::DatabaseTooOld { found: format!("SQLite {found}"), needed: "3.51.3" })
    } else {
        Ok(())
    }
}

/// SQLite gives its journal files the mode of the database file, so only this file needs mode 0600.
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

    let file_error = |source| file_error(path, source);
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(file_error)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(file_error)
}

pub(crate) fn file_error(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::File { path: PathBuf::from(path), source: Arc::new(source) }
}

/// Checkpoints the write-ahead log and closes the connection.
async fn finish(connection: Connection) {
    if let Connection::Sqlite(mut connection) = connection {
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *connection).await {
            tracing::warn!(%error, "could not checkpoint the write-ahead log on close; the next start does it");
        }
        if let Err(error) = SqliteConnection::close(*connection).await {
            tracing::warn!(%error, "could not close the database cleanly");
        }
    }
}
