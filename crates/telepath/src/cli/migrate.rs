//! `telepath migrate`: migrates the database schema, and creates the master key of a new database.

use clap::Args;
use telepath_core::entropy::SystemEntropy;
use telepath_store::{Database, Store};

use super::arguments::CommonArgs;
use super::output;
use crate::config::{Config, DatabaseConfig, StorageConfig};
use crate::data_dir::{DataDir, configured_master_keys};
use crate::exit::Failure;
use crate::wire;

/// Arguments of `migrate`.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the command.
pub(crate) async fn run(args: MigrateArgs) -> Result<(), Failure> {
    let layers = args.common.quiet_layers(None)?;
    let storage = Config::check_storage(&layers)?;
    match &storage.database {
        DatabaseConfig::Embedded => {
            let data = DataDir::create(&storage.data_dir)?;
            let migrated = migrate_in(&storage, &data).await;
            if migrated.is_err() {
                data.discard_if_new();
            }
            migrated
        }
        DatabaseConfig::Postgres(url) => {
            let database = Database::Postgres { url: url.clone() };
            migrate(&database).await?;
            register_master_key(&storage, &database).await
        }
    }
}

async fn migrate_in(storage: &StorageConfig, data: &DataDir) -> Result<(), Failure> {
    // SQLite is used by one process; on PostgreSQL, concurrent migrations are serialized by a lock in the database.
    let _lock = data.lock()?;
    let database = wire::database(&storage.database, data);
    migrate(&database).await?;
    register_with(storage, &database, data).await
}

async fn migrate(database: &Database) -> Result<(), Failure> {
    let report = Store::migrate(database).await.map_err(|error| wire::store_failure(&error, database))?;
    if report.applied.is_empty() {
        return output::line(&format_args!("The schema is up to date (version {}).", report.to));
    }
    for name in &report.applied {
        output::line(&format_args!("applied {name}"))?;
    }
    if let Some(backup) = &report.backup {
        output::line(&format_args!("A backup of the database is in {}.", backup.display()))?;
    }
    output::line(&format_args!("Migrated the schema from version {} to {}.", report.from, report.to))
}

/// Gives a new PostgreSQL database its master key. A database that has one needs no data folder here.
async fn register_master_key(storage: &StorageConfig, database: &Database) -> Result<(), Failure> {
    let failed = |error| wire::store_failure(&error, database);
    if Store::stored_keyring(database).await.map_err(failed)?.is_some() {
        return Ok(());
    }
    if let Some(text) = &storage.master_key {
        let vault = wire::vault(&configured_master_keys(text)?, None)?;
        return Store::register_master_key(database, &vault).await.map_err(failed);
    }
    let data = DataDir::create(&storage.data_dir)?;
    let registered = async {
        let _lock = data.lock()?;
        register_with(storage, database, &data).await
    }
    .await;
    if registered.is_err() {
        data.discard_if_new();
    }
    registered
}

/// Registers the configured master key, the one in the data folder, or a new one. The caller holds the folder's lock.
async fn register_with(storage: &StorageConfig, database: &Database, data: &DataDir) -> Result<(), Failure> {
    let failed = |error| wire::store_failure(&error, database);
    if Store::stored_keyring(database).await.map_err(failed)?.is_some() {
        return Ok(());
    }
    let existing = match &storage.master_key {
        Some(text) => Some(configured_master_keys(text)?),
        None => data.read_master_keys()?,
    };
    let is_new = existing.is_none();
    let keys = match existing {
        Some(keys) => keys,
        None => vec![data.create_master_key(&SystemEntropy::default())?],
    };
    let vault = wire::vault(&keys, None)?;
    if let Err(error) = Store::register_master_key(database, &vault).await {
        if is_new {
            wire::discard_unused_key(data, database, &vault).await;
        }
        return Err(failed(error));
    }
    if is_new { announce_master_key(database, data) } else { Ok(()) }
}

fn announce_master_key(database: &Database, data: &DataDir) -> Result<(), Failure> {
    output::line(&format_args!("Created the master key in {}.", data.master_key().display()))?;
    match database {
        Database::Sqlite { .. } => output::line(
            &"Keep a copy of it, apart from the database: without it, the stored data cannot be decrypted.",
        ),
        Database::Postgres { .. } => output::line(
            &"Copy this file into the data folder of every server of this database, or set TELEPATH_MASTER_KEY_FILE there. \
              Keep another copy, apart from the database: without it, the stored data cannot be decrypted.",
        ),
    }
}
