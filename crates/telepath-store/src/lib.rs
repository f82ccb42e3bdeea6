//! Storage: the only room that names the SQL library. One file per resource with the SQL beside its function, over
//! SQLite or PostgreSQL; and the tables in memory from which requests are admitted without touching the database.
//!
//! Every change takes the account first and the [`Origin`](telepath_core::audit::Origin) last, and writes the change, its
//! audit entry and its outbox event in one transaction.

mod account;
mod audit;
mod backend;
mod call;
mod delivery;
mod error;
mod event;
mod key;
mod key_table;
mod limit;
mod migrate;
mod postgres;
mod sql;
mod sqlite;
#[cfg(test)]
mod suite;
mod trunk;
mod usage;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use telepath_core::clock::{Clock, Timestamp};
use telepath_core::entropy::Entropy;
use telepath_core::id::Id;
use telepath_core::limit::RateLimit;
use telepath_core::secret::SecretText;
use telepath_core::vault::Vault;

pub use audit::AuditVerdict;
pub use call::CallListError;
pub use delivery::{
    AttemptRecord, Claimed, DeliveryDetails, DeliveryFilter, DeliveryRecord, DueWebhook, Grant, Receiver,
    Recovered,
};
pub use error::{DatabaseError, StoreError};
pub use key::{CreatedKey, KeyChangeError};
pub use key_table::{Admission, KeyHandle, KeyTable};
pub use limit::memory::AddressWindows;
pub use migrate::MigrationReport;
pub use trunk::{CreatedTrunk, RotatedPassword, TrunkChangeError};
pub use webhook::{WebhookChangeError, WebhookWithSecret};

use backend::{Backend, Driver};
use postgres::PostgresBackend;
use sql::{Connection, binds};
use sqlite::SqliteBackend;

/// Which database.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file, made when it is not there.
    Sqlite {
        /// Where it is.
        path: PathBuf,
    },
    /// A server, 14 or newer.
    Postgres {
        /// Its `postgres://` URL, which may hold a password.
        url: SecretText,
    },
}

/// How storage is to be opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Which database.
    pub database: Database,
    /// Requests per minute of an address that shows no valid key.
    pub address_limit: RateLimit,
}

impl StoreOptions {
    /// Requests per minute of an address that shows no valid key, unless told otherwise.
    pub const DEFAULT_ADDRESS_LIMIT: u32 = 600;

    /// A database with everything else as usual.
    pub fn new(database: Database) -> Self {
        let usual = RateLimit::per_minute(Self::DEFAULT_ADDRESS_LIMIT);
        // The constant is not zero, so there is always a usual limit.
        let address_limit = usual.unwrap_or(MIN_LIMIT);
        Self { database, address_limit }
    }
}

const MIN_LIMIT: RateLimit = match RateLimit::per_minute(1) {
    Some(limit) => limit,
    None => unreachable!(),
};

/// What storage needs from outside: keys, time and randomness.
#[derive(Clone)]
pub struct Seams {
    /// Hashes API keys and seals credentials.
    pub vault: Arc<Vault>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes for ids and secrets.
    pub entropy: Arc<dyn Entropy>,
}

/// An open database and the tables in memory that belong to it.
pub struct Store {
    backend: Backend,
    seams: Seams,
    keys: KeyTable,
    addresses: AddressWindows,
    /// When live calls were last known to be live, in Unix milliseconds.
    last_beat: Arc<AtomicI64>,
}

impl Store {
    /// Opens the database and loads what is kept in memory. SQLite is migrated on the way, after a copy was made; a
    /// PostgreSQL database that is behind is refused. Calls that a crash left live are closed.
    ///
    /// # Errors
    /// [`StoreError::SchemaBehind`], [`StoreError::SchemaAhead`] and [`StoreError::WrongMasterKey`] say what to put right;
    /// the others say why the database could not be used.
    pub async fn open(options: StoreOptions, seams: Seams) -> Result<Arc<Store>, StoreError> {
        let backend = open_backend(&options.database, seams.clock.now()).await?;
        check_master_key(&backend, &seams.vault).await?;
        let orphans = backend
            .write({
                let seams = seams.clone();
                move |db| Box::pin(call::close_orphans(db, seams))
            })
            .await?;
        if orphans > 0 {
            tracing::warn!(calls = orphans, "closed calls that the last run left live");
        }
        let keys = key_table::load(&backend).await?;
        let addresses = AddressWindows::new(options.address_limit);
        let store = Store { backend, seams, keys, addresses, last_beat: Arc::default() };
        Ok(Arc::new(store))
    }

    /// Brings the database to the newest schema, without opening it for use.
    pub async fn migrate(database: &Database) -> Result<MigrationReport, StoreError> {
        migrate::migrate(database).await
    }

    /// Writes what is only in memory, ends all work and closes the database. Every later call fails.
    pub async fn close(&self) {
        if let Err(error) = self.flush_usage().await {
            tracing::error!(%error, "the last usage counts could not be written");
        }
        self.backend.close().await;
    }

    /// Whether the database answers, for `/readyz`.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.backend.read().await?.fetch_one("SELECT 1 AS one", vec![]).await.map(drop)
    }

    /// The clock that storage was opened with.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.seams.clock
    }

    /// The random source that storage was opened with.
    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.seams.entropy
    }

    /// The vault that storage was opened with.
    pub fn vault(&self) -> &Arc<Vault> {
        &self.seams.vault
    }

    /// The keys that may be used, in memory.
    pub fn keys(&self) -> &KeyTable {
        &self.keys
    }

    /// The windows of addresses without a valid key.
    pub fn addresses(&self) -> &AddressWindows {
        &self.addresses
    }

    fn now(&self) -> Timestamp {
        self.seams.clock.now()
    }

    fn new_id<T: Id>(&self, now: Timestamp) -> Result<T, StoreError> {
        Ok(T::generate(now, &*self.seams.entropy)?)
    }
}

async fn open_backend(database: &Database, now: Timestamp) -> Result<Backend, StoreError> {
    match database {
        Database::Sqlite { path } => {
            let mut connection = sqlite::connect(path).await?;
            let report = migrate::migrate_sqlite(&mut connection, path, migrate::MIGRATIONS, now).await?;
            if let Some(copy) = &report.backup {
                tracing::info!(from = report.from, to = report.to, copy = %copy.display(), "migrated; a copy was made before");
            }
            let backend = Backend::new(Driver::Sqlite(SqliteBackend::start(path, connection)));
            // The folder's lock says that no other process is sending.
            backend.write(move |db| Box::pin(delivery::void_leases(db, now))).await?;
            Ok(backend)
        }
        Database::Postgres { url } => {
            let postgres = PostgresBackend::open(url).await?;
            migrate::require_newest(&mut postgres.connection().await?).await?;
            Ok(Backend::new(Driver::Postgres(postgres)))
        }
    }
}

/// The first opening writes down which master key the database belongs to; every later one compares.
async fn check_master_key(backend: &Backend, vault: &Vault) -> Result<(), StoreError> {
    let given = vault.sealing_key_id();
    let expected = backend.write(move |db| Box::pin(claim_master_key(db, given.to_string()))).await?;
    if expected == given.to_string() { Ok(()) } else { Err(StoreError::WrongMasterKey { expected, given }) }
}

async fn claim_master_key(db: &mut Connection, given: String) -> Result<String, StoreError> {
    let insert =
        "INSERT INTO settings (name, value) VALUES ('sealing_key_id', $1) ON CONFLICT (name) DO NOTHING";
    db.execute(insert, binds![given]).await?;
    let select = "SELECT value FROM settings WHERE name = 'sealing_key_id'";
    db.fetch_one(select, vec![]).await?.text("value")
}
