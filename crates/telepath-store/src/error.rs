//! Errors of the store. Errors of the SQL library are wrapped, so that no other crate depends on it.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use telepath_core::entropy::EntropyError;
use telepath_core::storage_limit::LimitReached;
use telepath_core::vault::SealingKeyId;

/// SQLSTATE `idle_in_transaction_session_timeout`.
const IDLE: &str = "25P03";
/// SQLSTATE `admin_shutdown`, also of a single session.
const SHUTDOWN: &str = "57P01";

/// An error of the database or its driver.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(Arc<sqlx::Error>);

impl DatabaseError {
    /// Whether the statement violated a unique index.
    pub(crate) fn is_unique_violation(&self) -> bool {
        matches!(&*self.0, sqlx::Error::Database(error) if error.is_unique_violation())
    }

    /// Whether an error from `COMMIT` means that nothing was committed. Only an integrity violation (SQLSTATE class
    /// 23), a rollback (class 40) or a transaction that waited too long for its next statement does; other errors, such as
    /// "the server is shutting down", leave it unknown.
    pub(crate) fn is_rollback(&self) -> bool {
        self.code().is_some_and(|code| code.starts_with("23") || code.starts_with("40") || code == IDLE)
    }

    /// Whether an error from a statement before `COMMIT` may not occur again: the database ended the transaction, or the
    /// connection broke.
    pub(crate) fn is_transient(&self) -> bool {
        let of_connection = matches!(&*self.0, sqlx::Error::Io(_));
        of_connection
            || self.code().is_some_and(|code| code.starts_with("40") || code == IDLE || code == SHUTDOWN)
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        match &*self.0 {
            sqlx::Error::Database(error) => error.code(),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// Why a store function failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database did not respond or refused the statement.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] DatabaseError),
    /// The connection broke during `COMMIT`: the change may or may not be committed.
    #[error("the outcome of the commit is unknown: {0}")]
    OutcomeUnknown(#[source] DatabaseError),
    /// The write queue is full.
    #[error("the write queue is full")]
    Busy,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// Another attempt of the same idempotent request has taken over, so this change did not happen.
    #[error("another attempt of the same request has taken over")]
    Superseded,
    /// The account or the server already stores as much as it can.
    #[error(transparent)]
    LimitReached(#[from] LimitReached),
    /// The role of the user in the account does not allow the change.
    #[error("the role of the user does not allow the change")]
    Forbidden,
    /// A store function panicked or ended without a result: a bug in this program.
    #[error("a store function failed without a result; this is a bug in Telepath")]
    Broken,
    /// The schema is older than this program, and is not migrated automatically.
    #[error(
        "the database schema is at version {found}, but this program requires {needed}; run `telepath migrate`"
    )]
    SchemaBehind {
        /// The version in the database; 0 if it is empty.
        found: i64,
        /// The version that this program requires.
        needed: i64,
    },
    /// The schema is newer than this program.
    #[error(
        "the database schema is at version {found}, newer than {known}, the newest that this program supports; use a newer telepath"
    )]
    SchemaAhead {
        /// The version in the database.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// An applied migration differs from the one in this program.
    #[error("migration {version} in the database differs from the one in this program")]
    SchemaDiffers { version: i64 },
    /// The master key that seals the database is not loaded.
    #[error("the database belongs to master key {expected}, but master key {given} is loaded")]
    WrongMasterKey {
        /// The id stored in the database.
        expected: String,
        /// The id of the key that the process would seal with.
        given: SealingKeyId,
    },
    /// The database server or library is older than the oldest supported version.
    #[error("{found} is too old; {needed} or newer is required")]
    DatabaseTooOld {
        /// The product and version found.
        found: String,
        /// The oldest supported version.
        needed: &'static str,
    },
    /// Another server uses the database, and without a shared limiter each would count rate limits separately.
    #[error(
        "the server {name} already uses this database; several servers need a common `cluster.redis_url`"
    )]
    OtherServer {
        /// The name of the other server.
        name: String,
    },
    /// The server did not get a lease in time.
    #[error("could not get a lease from the database in time")]
    NoLease,
    /// The shared limiter is unusable.
    #[error("the shared limiter cannot be used: {0}")]
    SharedLimits(String),
    /// A file operation failed.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: Arc<std::io::Error> },
    /// A stored value is not one that this program writes.
    #[error("the database contains an invalid value: {0}")]
    Corrupt(String),
    /// No random bytes for an id or a secret.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            error @ (sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)) => Self::Corrupt(error.to_string()),
            error => Self::Unavailable(error.into()),
        }
    }
}

impl StoreError {
    /// Whether SQLite reports that the file is damaged or not a database (`SQLITE_CORRUPT`, `SQLITE_NOTADB`).
    pub fn is_damaged_file(&self) -> bool {
        let (Self::Unavailable(error) | Self::OutcomeUnknown(error)) = self else { return false };
        let sqlx::Error::Database(error) = &*error.0 else { return false };
        let Some(error) = error.try_downcast_ref::<sqlx::sqlite::SqliteError>() else { return false };
        let code = sqlx::error::DatabaseError::code(error).and_then(|code| code.parse::<u32>().ok());
        // The low byte of an extended code is its primary code.
        code.is_some_and(|code| [11, 26].contains(&(code & 0xff)))
    }

    /// Whether the statement violated a unique index.
    pub(crate) fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Unavailable(error) if error.is_unique_violation())
    }
}
