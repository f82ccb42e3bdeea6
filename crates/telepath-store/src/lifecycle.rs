//! Opening, migrating, checking and closing the store. The parts are assembled here; nothing imports this file.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};

use telepath_core::clock::{Clock as _, SystemClock, Timestamp};
use telepath_core::entropy::random_text;
use telepath_core::known_time::KnownMoment;
use telepath_core::vault::{StoredKeyring, Vault};
use tokio::sync::{Notify, Semaphore};

use crate::account::table::AccountTable;
use crate::alert::security_signal::SecuritySignals;
use crate::audit;
use crate::backend::{Backend, Driver};
use crate::call::orphan::{OrphanedCalls, close_orphaned_calls};
use crate::cluster::{Cluster, JoinOptions, ProcessRole, clock};
use crate::context::StoreContext;
use crate::delivery::claim::void_leases;
use crate::error::StoreError;
use crate::key_clock;
use crate::key_table::{KeyTable, load};
use crate::keyring::state::KeyringState;
use crate::keyring::stored::stored;
use crate::limit::memory::AddressWindows;
use crate::limit::saved;
use crate::limit::shared::KeyWindows;
use crate::migrate::{self, MigrationReport};
use crate::options::{Database, StoreOptions};
use crate::postgres::PostgresBackend;
use crate::request_log::RequestLog;
use crate::retention_time;
use crate::sql::{Connection, binds};
use crate::sqlite::{self, SqliteBackend};
use crate::store::Store;
use crate::trunk::seal_stored;
use crate::user::hashing::PasswordHashing;

impl Store {
    /// Opens the database and loads the in-memory tables. SQLite is backed up and migrated first; a PostgreSQL
    /// database with an older schema is refused. Calls that a crash left live are closed.
    ///
    /// # Errors
    /// [`StoreError::SchemaBehind`], [`StoreError::SchemaAhead`] and [`StoreError::WrongMasterKey`] name the fix; the
    /// other errors say why the database is unusable.
    pub async fn open(options: StoreOptions, context: StoreContext) -> Result<Arc<Store>, StoreError> {
        let backend = open_backend(&options.database, context.clock.now()).await?;
        check_master_key(&backend, &context.vault).await?;
        audit::adopt_chains(&backend, context.vault.audit_chain()).await?;
        seal_stored(&backend, &context).await?;
        let cluster = match (backend.driver(), options.role) {
            (Driver::Sqlite(_), ProcessRole::Server | ProcessRole::Admin) => {
                close_all_live_calls(&backend, &context).await?;
                Cluster::standalone()
            }
            (Driver::Postgres(_), ProcessRole::Admin) => Cluster::non_member(),
            (Driver::Postgres(_), ProcessRole::Server) => {
                Cluster::server(context.new_id(context.clock.now())?)
            }
        };
        let windows = KeyWindows::open(&options.windows).await?;
        let epoch = random_text(&*context.entropy, b"0123456789abcdef", 32)?;
        let claimed: Result<(), StoreError> =
            backend.write(move |db| Box::pin(key_clock::claim_epoch(db, epoch))).await;
        claimed?;
        // Read before the keys are loaded: changes made during the load are read again.
        let confirmed = clock(&backend).await?;
        let keys = match options.role {
            ProcessRole::Server => {
                load::load(&backend, Arc::clone(cluster.lease()), Arc::clone(&context.clock)).await?
            }
            // It admits no requests by key, so it needs none of them.
            ProcessRole::Admin => {
                KeyTable::with_lease(Arc::clone(cluster.lease()), Arc::clone(&context.clock))
            }
        };
        let name = options.node_name.or_else(|| Some(cluster.node_id()?.to_string())).unwrap_or_default();
        let joining = JoinOptions { name, shared_windows: windows.are_shared(), confirmed };
        let accounts = AccountTable::default();
        cluster.join(&backend, &context, (&keys, &accounts), joining).await?;
        if options.role == ProcessRole::Server && !windows.are_shared() {
            saved::restore(&backend, &context, &keys).await?;
        }
        let addresses = AddressWindows::new(options.address_limit);
        let run = context.new_id(context.clock.now())?;
        let reading = context.clock.read();
        let known: Result<KnownMoment, StoreError> =
            backend.write(move |db| Box::pin(retention_time::at_start(db, reading))).await;
        let store = Store {
            known_time: Mutex::new(known?),
            run,
            backend,
            context,
            keys,
            accounts,
            addresses,
            requests: RequestLog::new(),
            storage_limits: options.storage_limits,
            request_log_bytes: options.request_log_bytes,
            alert_settings: Arc::new(options.alerts),
            alert_counters: Arc::default(),
            security_signals: SecuritySignals::default(),
            cluster,
            audit_verification: Semaphore::new(1),
            audit_heads: Mutex::default(),
            password_hashing: PasswordHashing::default(),
            windows,
            keyring: KeyringState::new(options.master_keys, options.role == ProcessRole::Admin),
            exposures: Notify::new(),
            watched_until: AtomicI64::default(),
            last_heartbeat: Arc::new(AtomicI64::new(i64::MIN)),
        };
        Ok(Arc::new(store))
    }

    /// What the database says about its master keys; `None` for a new database.
    pub async fn stored_keyring(database: &Database) -> Result<Option<StoredKeyring>, StoreError> {
        match database {
            Database::Sqlite { path } if !path.exists() => Ok(None),
            Database::Sqlite { path } => known_keyring(&mut sqlite::connect(path).await?).await,
            Database::Postgres { url } => {
                let postgres = PostgresBackend::open(url).await?;
                let known = async { known_keyring(&mut postgres.connection().await?).await }.await;
                postgres.close().await;
                known
            }
        }
    }

    /// Records that a migrated database belongs to this master key.
    ///
    /// # Errors
    /// [`StoreError::WrongMasterKey`] if it belongs to another one.
    pub async fn register_master_key(database: &Database, vault: &Vault) -> Result<(), StoreError> {
        let backend = open_backend(database, SystemClock.now()).await?;
        let checked = check_master_key(&backend, vault).await;
        backend.close().await;
        checked
    }

    /// Migrates the database to the newest schema without opening it for use.
    pub async fn migrate(database: &Database) -> Result<MigrationReport, StoreError> {
        migrate::migrate(database).await
    }

    /// Writes what is only in memory, stops all work and closes the database. Every later call fails.
    pub async fn close(&self) {
        if let Err(error) = self.write_requests().await {
            tracing::error!(%error, "could not write the last requests to the request log");
        }
        if let Err(error) = saved::save(&self.backend, &self.context, &self.keys).await {
            tracing::error!(%error, "could not write the rate windows; after a restart, some requests of the last minute are not counted");
        }
        self.cluster.leave(&self.backend).await;
        self.backend.close().await;
    }

    /// Checks that the database responds and that keys can be admitted, for `/readyz`.
    pub async fn ping(&self) -> Result<(), StoreError> {
        if self.cluster.node_id().is_some() && !self.cluster.lease().holds() {
            return Err(StoreError::NoLease);
        }
        if !self.windows.is_available() {
            return Err(StoreError::SharedLimits("no connection".to_owned()));
        }
        self.backend.read().await?.fetch_one("SELECT 1 AS one", vec![]).await.map(drop)
    }
}

async fn open_backend(database: &Database, now: Timestamp) -> Result<Backend, StoreError> {
    match database {
        Database::Sqlite { path } => {
            let mut connection = sqlite::connect(path).await?;
            let report = migrate::migrate_sqlite(&mut connection, path, migrate::MIGRATIONS, now).await?;
            if let Some(copy) = &report.backup {
                tracing::info!(from = report.from, to = report.to, copy = %copy.display(), "backed up and migrated the database");
            }
            let backend = Backend::new(Driver::Sqlite(SqliteBackend::start(path, connection)));
            // The lock on the data folder ensures that no other process is sending.
            backend.write(move |db| Box::pin(void_leases(db, now))).await?;
            Ok(backend)
        }
        Database::Postgres { url } => {
            let postgres = PostgresBackend::open(url).await?;
            migrate::require_newest(&mut postgres.connection().await?).await?;
            Ok(Backend::new(Driver::Postgres(postgres)))
        }
    }
}

/// Closes every live call: the only server of this database has just started, so no process carries them.
async fn close_all_live_calls(backend: &Backend, context: &StoreContext) -> Result<(), StoreError> {
    let context = context.clone();
    let closed: Result<u64, StoreError> = backend
        .write(move |db| {
            Box::pin(async move { close_orphaned_calls(db, &context, OrphanedCalls::All).await })
        })
        .await;
    match closed? {
        0 => {}
        calls => tracing::warn!(calls, "closed calls that the previous run left live"),
    }
    Ok(())
}

async fn known_keyring(db: &mut Connection) -> Result<Option<StoredKeyring>, StoreError> {
    if migrate::has_history(db).await? { stored(db).await } else { Ok(None) }
}

/// The first open stores the id of the master key; every later open compares it.
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
