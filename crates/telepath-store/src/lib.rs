//! Storage: the only room that names the SQL library. One file per resource with the SQL beside its function, over
//! SQLite or PostgreSQL; and the tables in memory from which requests are admitted without touching the database.
//!
//! Every change takes the account first and the [`Origin`](telepath_core::audit::Origin) last, and writes the change, its
//! audit entry and its outbox event in one transaction.

mod account;
mod alert;
mod audit;
mod backend;
mod call;
mod cluster;
mod delivery;
mod error;
mod event;
mod idempotency;
mod key;
mod key_clock;
mod key_table;
mod leak;
mod limit;
mod migrate;
mod per_thread;
mod postgres;
mod preset;
mod request_log;
mod retention;
mod sql;
mod sqlite;
#[cfg(test)]
mod suite;
mod trunk;
mod upkeep;
mod usage;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use telepath_core::alert::AlertSettings;
use telepath_core::clock::{Clock, Timestamp};
use telepath_core::entropy::Entropy;
use telepath_core::id::{Id, IdempotencyId};
use telepath_core::limit::RateLimit;
use telepath_core::secret::SecretText;
use telepath_core::vault::Vault;

pub use alert::{MailFate, OwedMail};
pub use audit::{AuditListError, AuditVerdict};
pub use call::CallListError;
pub use cluster::{ClusterFigures, Role};
pub use delivery::{
    AttemptRecord, Claimed, DeliveryDetails, DeliveryFilter, DeliveryRecord, DueWebhook, Grant, Receiver,
    Recovered,
};
pub use error::{DatabaseError, StoreError};
pub use idempotency::{IdempotencyClaim, IdempotentRequest};
pub use key::{CreatedKey, KeyChangeError, RotateAllError, RotatedKeys};
pub use key_table::{Admission, KeyHandle, KeyTable};
pub use limit::memory::AddressWindows;
pub use limit::{Outage, SharedWindows, WindowOptions};
pub use migrate::MigrationReport;
pub use per_thread::PerThread;
pub use request_log::{LogFigures, RequestCursor, RequestLog, RequestOrder, RequestPage};
pub use retention::{Expired, Retention};
pub use trunk::{CreatedTrunk, RotatedPassword, TrunkChangeError};
pub use usage::KeyUsage;
pub use webhook::{WebhookChangeError, WebhookWithSecret};

use alert::{AlertCounters, SecuritySignals};
use backend::{Backend, Driver};
use call::{Orphans, close_orphans};
use cluster::{Cluster, Joining};
use limit::shared::Windows;
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
    /// What the rules of alerts go by.
    pub alerts: AlertSettings,
    /// What part the process takes.
    pub role: Role,
    /// Where the windows of keys are counted.
    pub windows: WindowOptions,
    /// What the server calls itself among others; its id when nothing is said.
    pub node_name: Option<String>,
}

impl StoreOptions {
    /// Requests per minute of an address that shows no valid key, unless told otherwise.
    pub const DEFAULT_ADDRESS_LIMIT: u32 = 600;

    /// A database with everything else as usual.
    pub fn new(database: Database) -> Self {
        let usual = RateLimit::per_minute(Self::DEFAULT_ADDRESS_LIMIT);
        // The constant is not zero, so there is always a usual limit.
        let address_limit = usual.unwrap_or(MIN_LIMIT);
        let (role, windows) = (Role::default(), WindowOptions::default());
        let alerts = AlertSettings::default();
        Self { database, address_limit, alerts, role, windows, node_name: None }
    }
}

const MIN_LIMIT: RateLimit = match RateLimit::per_minute(1) {
    Some(limit) => limit,
    None => unreachable!(),
};

/// What storage needs from outside: keys, time and randomness.
#[derive(Clone)]
pub struct StoreContext {
    /// Hashes API keys and seals credentials.
    pub vault: Arc<Vault>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes for ids and secrets.
    pub entropy: Arc<dyn Entropy>,
}

impl StoreContext {
    fn new_id<T: Id>(&self, now: Timestamp) -> Result<T, StoreError> {
        Ok(T::generate(now, &*self.entropy)?)
    }
}

/// An open database and the tables in memory that belong to it.
pub struct Store {
    backend: Backend,
    seams: StoreContext,
    keys: KeyTable,
    addresses: AddressWindows,
    requests: RequestLog,
    alerts: Arc<AlertSettings>,
    raised: Arc<AlertCounters>,
    notices: SecuritySignals,
    cluster: Cluster,
    windows: Windows,
    /// Names this opening among all that the database has seen.
    run: IdempotencyId,
    /// Up to which minute all use of keys was looked at by this process, in Unix milliseconds.
    watched_until: AtomicI64,
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
    pub async fn open(options: StoreOptions, seams: StoreContext) -> Result<Arc<Store>, StoreError> {
        let backend = open_backend(&options.database, seams.clock.now()).await?;
        check_master_key(&backend, &seams.vault).await?;
        let cluster = match (backend.driver(), options.role) {
            (Driver::Sqlite(_), Role::Server | Role::Visitor) => {
                close_all_orphans(&backend, &seams).await?;
                Cluster::single()
            }
            (Driver::Postgres(_), Role::Visitor) => Cluster::visitor(),
            (Driver::Postgres(_), Role::Server) => {
                Cluster::server(Id::generate(seams.clock.now(), &*seams.entropy)?)
            }
        };
        let windows = Windows::open(&options.windows).await?;
        // Before the keys: what changes while they are loaded is read again.
        let confirmed = cluster::clock(&backend).await?;
        let keys = key_table::load(&backend, Arc::clone(cluster.lease())).await?;
        let name = options.node_name.or_else(|| Some(cluster.node_id()?.to_string())).unwrap_or_default();
        let joining = Joining { name, shared_windows: windows.are_shared(), confirmed };
        cluster.join(&backend, &seams, &keys, joining).await?;
        let addresses = AddressWindows::new(options.address_limit);
        let run = seams.new_id(seams.clock.now())?;
        let store = Store {
            run,
            backend,
            seams,
            keys,
            addresses,
            requests: RequestLog::new(),
            alerts: Arc::new(options.alerts),
            raised: Arc::default(),
            notices: SecuritySignals::default(),
            cluster,
            windows,
            watched_until: AtomicI64::default(),
            last_beat: Arc::default(),
        };
        Ok(Arc::new(store))
    }

    /// Brings the database to the newest schema, without opening it for use.
    pub async fn migrate(database: &Database) -> Result<MigrationReport, StoreError> {
        migrate::migrate(database).await
    }

    /// Writes what is only in memory, ends all work and closes the database. Every later call fails.
    pub async fn close(&self) {
        if let Err(error) = self.write_requests().await {
            tracing::error!(%error, "the last requests could not be written");
        }
        self.cluster.leave(&self.backend).await;
        self.backend.close().await;
    }

    /// Whether the database answers and keys may be admitted, for `/readyz`.
    pub async fn ping(&self) -> Result<(), StoreError> {
        if self.cluster.node_id().is_some() && !self.cluster.lease().holds() {
            return Err(StoreError::NoLease);
        }
        if !self.windows.answer() {
            return Err(StoreError::Windows("no connection".to_owned()));
        }
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

    /// How this server stands among others; `None` where there can be only one.
    pub fn cluster(&self) -> Option<ClusterFigures> {
        self.cluster.figures()
    }

    /// How long the last request waited for its count elsewhere; `None` where windows are counted here.
    pub fn window_latency(&self) -> Option<Duration> {
        self.windows.latency()
    }

    /// The log of answered requests.
    pub fn requests(&self) -> &RequestLog {
        &self.requests
    }

    fn now(&self) -> Timestamp {
        self.seams.clock.now()
    }

    fn new_id<T: Id>(&self, now: Timestamp) -> Result<T, StoreError> {
        self.seams.new_id(now)
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

/// The only server of the database has just started, so nobody carries the calls that are written down as live.
async fn close_all_orphans(backend: &Backend, seams: &StoreContext) -> Result<(), StoreError> {
    let seams = seams.clone();
    let closed: Result<u64, StoreError> =
        backend.write(move |db| Box::pin(async move { close_orphans(db, &seams, Orphans::All).await })).await;
    match closed? {
        0 => {}
        calls => tracing::warn!(calls, "closed calls that the last run left live"),
    }
    Ok(())
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
