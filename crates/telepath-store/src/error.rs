//! What can go wrong in storage. Errors of the SQL library are wrapped, so that no other crate needs to know which
//! library it is.

use std::path::PathBuf;
use std::sync::Arc;

use telepath_core::entropy::EntropyError;
use telepath_core::vault::SealingKeyId;

/// An error of the database or of its driver.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(Arc<sqlx::Error>);

impl DatabaseError {
    /// Whether a unique index refused the row.
    pub(crate) fn is_unique_violation(&self) -> bool {
        matches!(&*self.0, sqlx::Error::Database(error) if error.is_unique_violation())
    }

    /// Whether the answer to a commit means that nothing was committed. Only a broken rule (SQLSTATE class 23) and a
    /// rollback (class 40) do; an answer such as "the server is shutting down" leaves it open.
    pub(crate) fn is_rollback(&self) -> bool {
        let code = match &*self.0 {
            sqlx::Error::Database(error) => error.code(),
            _ => None,
        };
        code.is_some_and(|code| code.starts_with("23") || code.starts_with("40"))
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// Why storage could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, or refused.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] DatabaseError),
    /// The connection broke while a change was being committed: it may or may not have happened.
    #[error("the database did not say whether the change was committed: {0}")]
    OutcomeUnknown(#[source] DatabaseError),
    /// More changes are waiting than the queue holds.
    #[error("too many changes are waiting to be written")]
    Busy,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The attempt to which the change belongs was given up, so the change did not happen.
    #[error("another attempt of the same request has taken its place")]
    Superseded,
    /// A statement of ours failed in a way that is a mistake in this program.
    #[error("a storage function broke off; this is a fault of Telepath")]
    Broken,
    /// The database was made by an older version and is not migrated on its own.
    #[error(
        "the database schema is at version {found} and this program needs {needed}; run `telepath migrate` first"
    )]
    SchemaBehind {
        /// The version in the database; 0 when it is empty.
        found: i64,
        /// The version that this program knows.
        needed: i64,
    },
    /// The database was made by a newer version.
    #[error(
        "the database schema is at version {found}, newer than the {known} that this program knows; use a newer telepath"
    )]
    SchemaAhead {
        /// The version in the database.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// A migration in the database is not the one that this program has under its number.
    #[error("migration {version} was changed after it was applied to this database")]
    SchemaDiffers {
        /// Its number.
        version: i64,
    },
    /// The loaded master key is not the one that the database was made with.
    #[error("the database belongs to master key {expected}, but master key {given} is loaded")]
    WrongMasterKey {
        /// What stands in the database.
        expected: String,
        /// What is loaded.
        given: SealingKeyId,
    },
    /// The database is older than the oldest that this program works with.
    #[error("{found} is too old; at least {needed} is needed")]
    DatabaseTooOld {
        /// What it is.
        found: String,
        /// What it must be.
        needed: &'static str,
    },
    /// Another server works on the database, and rate limits would be counted in two memories.
    #[error(
        "the server {name} already works on this database; several need one `cluster.redis_url` that all of them have"
    )]
    OtherServer {
        /// What it calls itself.
        name: String,
    },
    /// The server could not take its place among the servers of the database in time.
    #[error("the database did not answer in time for a lease")]
    NoLease,
    /// Where rate limits are counted together cannot be used.
    #[error("the shared rate limits cannot be used: {0}")]
    SharedLimits(String),
    /// A file of the database could not be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// A stored value is not what this program writes there.
    #[error("the database holds an unusable value: {0}")]
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
    /// Whether a unique index refused the row.
    pub(crate) fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Unavailable(error) if error.is_unique_violation())
    }
}
