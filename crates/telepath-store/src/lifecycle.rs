//! Opening, migrating, checking and closing the store: the parts are put together here, and nothing imports this file.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use telepath_core::clock::Timestamp;
use telepath_core::vault::Vault;

use crate::alert::security_signal::SecuritySignals;
use crate::backend::{Backend, Driver};
use crate::call::orphan::{OrphanedCalls, close_orphaned_calls};
use crate::cluster::{Cluster, Joining, ProcessRole, clock};
use crate::context::StoreContext;
use crate::delivery::claim::void_leases;
use crate::error::StoreError;
use crate::key_table::load;
use crate::limit::memory::AddressWindows;
use crate::limit::shared::KeyWindows;
use crate::migrate::{self, MigrationReport};
use crate::options::{Database, StoreOptions};
use crate::postgres::PostgresBackend;
use crate::request_log::RequestLog;
use crate::sql::{Connection, binds};
use crate::sqlite::{self, SqliteBackend};
use crate::store::Store;

impl Store {
    /// Opens the database and loads what is kept in memory. SQLite is migrated on the way, after a copy was made; a
    /// PostgreSQL database that is behind is refused. Calls that a crash left live are closed.
    ///
    /// # Errors
    /// [`StoreError::SchemaBehind`], [`StoreError::SchemaAhead`] and [`StoreError::WrongMasterKey`] say what to put right;
    /// the others say why the database could not be used.
    pub async fn open(options: StoreOptions, context: StoreContext) -> Result<Arc<Store>, StoreError> {
        let backend = open_backend(&options.database, context.clock.now()).await?;
        check_master_key(&backend, &context.vault).await?;
        let cluster = match (backend.driver(), options.role) {
            (Driver::Sqlite(_), ProcessRole::Server | ProcessRole::Admin) => {
                close_all_orphans(&backend, &context).await?;
                Cluster::standalone()
            }
            (Driver::Postgres(_), ProcessRole::Admin) => Cluster::non_member(),
            (Driver::Postgres(_), ProcessRole::Server) => {
                Cluster::server(context.new_id(context.clock.now())?)
            }
        };
        let windows = KeyWindows::open(&options.windows).await?;
        // Before the keys: what changes while they are loaded is read again.
        let confirmed = clock(&backend).await?;
        let keys = load::load(&backend, Arc::clone(cluster.lease())).await?;
        let name = options.node_name.or_else(|| Some(cluster.node_id()?.to_string())).unwrap_or_default();
        let joining = Joining { name, shared_windows: windows.are_shared(), confirmed };
        cluster.join(&backend, &context, &keys, joining).await?;
        let addresses = AddressWindows::new(options.address_limit);
        let run = context.new_id(context.clock.now())?;
        let store = Store {
            run,
            backend,
            context,
            keys,
            addresses,
            requests: RequestLog::new(),
            alert_settings: Arc::new(options.alerts),
            alert_counters: Arc::default(),
            security_signals: SecuritySignals::default(),
            cluster,
            windows,
            watched_until: AtomicI64::default(),
            last_heartbeat: Arc::default(),
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
                tracing::info!(from = report.from, to = report.to, copy = %copy.display(), "migrated; a copy was made before");
            }
            let backend = Backend::new(Driver::Sqlite(SqliteBackend::start(path, connection)));
            // The folder's lock says that no other process is sending.
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

/// The only server of the database has just started, so nobody carries the calls that are written down as live.
async fn close_all_orphans(backend: &Backend, context: &StoreContext) -> Result<(), StoreError> {
    let context = context.clone();
    let closed: Result<u64, StoreError> = backend
        .write(move |db| {
            Box::pin(async move { close_orphaned_calls(db, &context, OrphanedCalls::All).await })
        })
        .await;
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
