//! How the store is opened: the database, the limits, and the role of the process.

use std::path::PathBuf;
use std::sync::Arc;

use telepath_core::alert::AlertSettings;
use telepath_core::keyring::MasterKeyFile;
use telepath_core::limit::RateLimit;
use telepath_core::secret::SecretText;
use telepath_core::storage_limit::StorageLimits;

use crate::cluster::ProcessRole;
use crate::limit::WindowOptions;
use crate::retention::Retention;

/// The database to open.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file; created when it does not exist.
    Sqlite { path: PathBuf },
    /// A PostgreSQL server, version 14 or newer.
    Postgres {
        /// A `postgres://` URL, which may contain a password.
        url: SecretText,
    },
}

/// Options for [`Store::open`](crate::store::Store::open).
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub database: Database,
    /// Requests per minute for an address that presents no valid key.
    pub address_limit: RateLimit,
    /// How much each account can store.
    pub storage_limits: StorageLimits,
    /// The largest size of the request log in bytes; beyond it, the oldest requests are deleted as new ones are written.
    pub request_log_bytes: u64,
    /// Settings of the alert rules.
    pub alerts: AlertSettings,
    /// The role of this process.
    pub role: ProcessRole,
    /// Where the windows of keys are counted.
    pub windows: WindowOptions,
    /// Where the master keys come from; `None` if they cannot change while the process runs.
    pub master_keys: Option<Arc<dyn MasterKeyFile>>,
    /// The name that other servers see; defaults to the node's id.
    pub node_name: Option<String>,
}

impl StoreOptions {
    /// The default of `address_limit`, in requests per minute.
    pub const DEFAULT_ADDRESS_LIMIT: u32 = 600;

    /// Defaults for everything but the database.
    pub fn new(database: Database) -> Self {
        let usual = RateLimit::per_minute(Self::DEFAULT_ADDRESS_LIMIT);
        // The constant is not zero, so the fallback is never used.
        let address_limit = usual.unwrap_or(MIN_LIMIT);
        let (role, windows) = (ProcessRole::default(), WindowOptions::default());
        let alerts = AlertSettings::default();
        Self {
            database,
            address_limit,
            storage_limits: StorageLimits::default(),
            request_log_bytes: Retention::default().bytes,
            alerts,
            role,
            windows,
            master_keys: None,
            node_name: None,
        }
    }
}

const MIN_LIMIT: RateLimit = match RateLimit::per_minute(1) {
    Some(limit) => limit,
    None => unreachable!(),
};
