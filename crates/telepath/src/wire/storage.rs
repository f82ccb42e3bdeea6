//! Opens the store of a data folder, with its master key, and names its first account.

use std::sync::Arc;

use telepath_core::audit::Origin;
use telepath_core::clock::SystemClock;
use telepath_core::entropy::SystemEntropy;
use telepath_core::id::AccountId;
use telepath_core::secret::KeyMode;
use telepath_core::vault::Vault;
use telepath_store::{Database, ProcessRole, Store, StoreContext, StoreError, StoreOptions, WindowOptions};

use crate::config::{Config, DatabaseConfig};
use crate::data_dir::DataDir;
use crate::exit::{Exit, Failure};

/// What the first account is called until somebody renames it.
const FIRST_ACCOUNT: &str = "Default";

/// Opens the store. The caller holds the folder's lock.
pub(super) async fn open(config: &Config, role: ProcessRole, data: &DataDir) -> Result<Arc<Store>, Failure> {
    let (storage, cluster) = (&config.storage, &config.cluster);
    let entropy = Arc::new(SystemEntropy::default());
    let (database, exists) = match &storage.database {
        DatabaseConfig::Embedded => (Database::Sqlite { path: data.database() }, data.database().exists()),
        // Whether it holds anything is only known once it is open; the store then compares the master key.
        DatabaseConfig::Postgres(url) => (Database::Postgres { url: url.clone() }, false),
    };
    let loaded = data.load_master_key(storage.master_key.as_ref(), exists, entropy.as_ref())?;
    let vault =
        Vault::new(&loaded.key).map_err(|error| Failure::doing("the master key cannot be used", &error))?;
    let context = StoreContext { vault: Arc::new(vault), clock: Arc::new(SystemClock), entropy };
    let options = StoreOptions {
        address_limit: config.limits.address_requests,
        alerts: config.alerts.clone(),
        role,
        windows: match role {
            ProcessRole::Server => cluster.windows.clone(),
            ProcessRole::Admin => WindowOptions::Memory,
        },
        node_name: cluster.node_name.clone(),
        ..StoreOptions::new(database)
    };
    let opened = Store::open(options, context).await;
    opened.map_err(|error| {
        if loaded.is_new && matches!(error, StoreError::WrongMasterKey { .. }) {
            // The database has an older key that is not in this folder; the new one would only be in its way.
            let _ = std::fs::remove_file(data.master_key());
        }
        store_failure(&error)
    })
}

/// The account that local administration works on; made when there is none.
pub(super) async fn first_account(store: &Store) -> Result<AccountId, Failure> {
    let origin = Origin::local(store.clock().now());
    let account = store.ensure_account(FIRST_ACCOUNT, KeyMode::Live, origin).await;
    account.map(|account| account.id).map_err(|error| store_failure(&error))
}

/// Why storage could not be used, with what helps.
pub fn store_failure(error: &StoreError) -> Failure {
    let text = error.to_string();
    match error {
        StoreError::SchemaBehind { .. }
        | StoreError::SchemaAhead { .. }
        | StoreError::SchemaDiffers { .. } => Failure::new(Exit::Config, text),
        StoreError::WrongMasterKey { .. } => Failure::new(Exit::Config, text)
            .remedy("Restore master.key of that database, or give it as TELEPATH_MASTER_KEY_FILE."),
        StoreError::OtherServer { .. } => Failure::new(Exit::Busy, text).remedy(
            "Stop the other server, or give all of them the same Redis; see docs/how-to/several-servers.md.",
        ),
        StoreError::SharedLimits(_) => Failure::new(Exit::Config, text).remedy("Correct cluster.redis_url."),
        StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_) | StoreError::NoLease => {
            Failure::plain(text).remedy("Check that the database runs and that its URL is right.")
        }
        StoreError::Busy
        | StoreError::Closed
        | StoreError::Superseded
        | StoreError::Forbidden
        | StoreError::Broken
        | StoreError::DatabaseTooOld { .. }
        | StoreError::File { .. }
        | StoreError::Corrupt(_)
        | StoreError::Entropy(_) => Failure::plain(text),
    }
}
