//! Opens the store of a data folder, with its master key, and ensures that it has an account.

use std::sync::Arc;

use telepath_core::audit::Origin;
use telepath_core::clock::SystemClock;
use telepath_core::entropy::SystemEntropy;
use telepath_core::id::AccountId;
use telepath_core::keyring::MasterKeyFile;
use telepath_core::secret::KeyMode;
use telepath_core::vault::{MasterKey, StoredKeyring, Vault, VaultError};
use telepath_store::{Database, ProcessRole, Store, StoreContext, StoreError, StoreOptions, WindowOptions};

use crate::config::{Config, DatabaseConfig, StorageConfig};
use crate::data_dir::{ConfiguredKeyFile, DataDir, OwnKeyFile, configured_master_keys, unusable};
use crate::exit::{Exit, Failure};

/// The name of the first account until it is changed.
const FIRST_ACCOUNT: &str = "Default";

/// The database of a configuration.
pub fn database(config: &DatabaseConfig, data: &DataDir) -> Database {
    match config {
        DatabaseConfig::Embedded => Database::Sqlite { path: data.database() },
        DatabaseConfig::Postgres(url) => Database::Postgres { url: url.clone() },
    }
}

/// Opens the store. The caller holds the folder's lock.
pub(super) async fn open(config: &Config, role: ProcessRole, data: &DataDir) -> Result<Arc<Store>, Failure> {
    let (storage, cluster) = (&config.storage, &config.cluster);
    let database = database(&storage.database, data);
    let entropy = Arc::new(SystemEntropy::default());
    let existing = match &storage.master_key {
        Some(text) => Some(configured_master_keys(text)?),
        None => data.read_master_keys()?,
    };
    let is_new = existing.is_none();
    let stored = Store::stored_keyring(&database).await.map_err(|error| store_failure(&error, &database))?;
    let keys = match existing {
        Some(keys) => keys,
        None if role == ProcessRole::Admin || stored.is_some() => return Err(data.missing_master_key()),
        None => vec![create_master_key(data, &entropy)?],
    };
    let vault = Arc::new(vault(&keys, stored.as_ref())?);
    let context = StoreContext { vault: Arc::clone(&vault), clock: Arc::new(SystemClock), entropy };
    let options = StoreOptions {
        address_limit: config.limits.address_requests,
        storage_limits: config.storage_limits,
        request_log_bytes: config.retention.bytes,
        alerts: config.alerts.clone(),
        role,
        windows: match role {
            ProcessRole::Server => cluster.windows.clone(),
            ProcessRole::Admin => WindowOptions::Memory,
        },
        master_keys: key_file(storage, data),
        node_name: cluster.node_name.clone(),
        ..StoreOptions::new(database.clone())
    };
    match Store::open(options, context).await {
        Ok(store) => Ok(store),
        Err(error) => {
            if is_new {
                discard_unused_key(data, &database, &vault).await;
            }
            Err(store_failure(&error, &database))
        }
    }
}

/// Where the master keys come from, unless they are a value of the configuration.
fn key_file(storage: &StorageConfig, data: &DataDir) -> Option<Arc<dyn MasterKeyFile>> {
    match (&storage.master_key, &storage.master_key_file) {
        (None, _) => Some(Arc::new(OwnKeyFile(data.clone()))),
        (Some(_), Some(path)) => Some(Arc::new(ConfiguredKeyFile(path.clone()))),
        (Some(_), None) => None,
    }
}

pub(crate) fn vault(keys: &[MasterKey], stored: Option<&StoredKeyring>) -> Result<Vault, Failure> {
    Vault::of_keyring(keys, stored).map_err(|error| match error {
        VaultError::ActiveKeyMissing { .. } | VaultError::DerivedKeys(_) => {
            Failure::new(Exit::Config, error.to_string()).remedy(OTHER_KEY)
        }
        VaultError::Unusable(_) => Failure::doing("the master key cannot be used", &error),
    })
}

const OTHER_KEY: &str = "Restore master.key of that database, or copy it from another server after a rotation; or set \
     TELEPATH_MASTER_KEY_FILE to its path.";

/// Creates the master key of a new database.
fn create_master_key(data: &DataDir, entropy: &SystemEntropy) -> Result<MasterKey, Failure> {
    let key = data.create_master_key(entropy)?;
    tracing::info!(path = %data.master_key().display(), "created the master key; keep a copy of it, apart from the database");
    Ok(key)
}

/// Deletes a new master key if the database belongs to another one, or to none yet: the next start must not find it. If the
/// database does not say, the key is kept, because something may be sealed with it.
pub(crate) async fn discard_unused_key(data: &DataDir, database: &Database, vault: &Vault) {
    if let Ok(known) = Store::stored_keyring(database).await
        && known.is_none_or(|known| known.active != vault.sealing_key_id())
    {
        // If this fails, the next start names both keys.
        let _ = std::fs::remove_file(data.master_key());
    }
}

/// The account that local administration works on by default; created if there is none.
pub(super) async fn first_account(store: &Store, database: &Database) -> Result<AccountId, Failure> {
    let origin = Origin::local(store.clock().now());
    let account = store.ensure_account(FIRST_ACCOUNT, KeyMode::Live, origin).await;
    account.map(|account| account.id).map_err(|error| store_failure(&error, database))
}

/// The failure to use the database, and its remedy.
pub fn store_failure(error: &StoreError, database: &Database) -> Failure {
    let text = error.to_string();
    match error {
        StoreError::SchemaBehind { .. }
        | StoreError::SchemaAhead { .. }
        | StoreError::SchemaDiffers { .. } => Failure::new(Exit::Config, text),
        StoreError::WrongMasterKey { .. } => Failure::new(Exit::Config, text).remedy(OTHER_KEY),
        StoreError::OtherServer { .. } => Failure::new(Exit::Busy, text).remedy(
            "Stop the other server, or give all of them the same Redis; see docs/how-to/several-servers.md.",
        ),
        StoreError::SharedLimits(_) => Failure::new(Exit::Config, text).remedy("Correct cluster.redis_url."),
        StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_) | StoreError::NoLease => {
            unavailable(error, database)
        }
        StoreError::File { path, source } => unusable(path, source),
        StoreError::Busy
        | StoreError::Closed
        | StoreError::Superseded
        | StoreError::LimitReached(_)
        | StoreError::Forbidden
        | StoreError::Broken
        | StoreError::DatabaseTooOld { .. }
        | StoreError::Corrupt(_)
        | StoreError::Entropy(_) => Failure::plain(text),
    }
}

fn unavailable(error: &StoreError, database: &Database) -> Failure {
    let path = match database {
        Database::Postgres { .. } => {
            return Failure::plain(error.to_string())
                .remedy("Check that the database runs and that its URL is right.");
        }
        Database::Sqlite { path } => path,
    };
    let message = format!("cannot use the database {}: {error}", path.display());
    if error.is_damaged_file() {
        return Failure::plain(message).remedy(format!(
            "The file is damaged or not an SQLite database. Move it away and restore a backup in its place; keep master.key. \
             Copies made before schema migrations are named {}.backup-….",
            path.display()
        ));
    }
    Failure::plain(message).remedy("Check that the disk works and has space left.")
}

#[cfg(test)]
mod tests;
