//! `telepath migrate`: migrates the database schema.

use clap::Args;
use telepath_store::{Database, Store};

use super::arguments::CommonArgs;
use super::output;
use crate::config::{Config, DatabaseConfig};
use crate::data_dir::DataDir;
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
    let (database, folder) = Config::check_database(&layers)?;
    // SQLite is used by one process; on PostgreSQL, concurrent migrations are serialized by a lock in the database.
    let (database, _lock) = match (database, folder) {
        (DatabaseConfig::Postgres(url), _) => (Database::Postgres { url }, None),
        (DatabaseConfig::Embedded, folder) => {
            let data = DataDir::open(&folder.unwrap_or_default())?;
            let lock = data.lock()?;
            (Database::Sqlite { path: data.database() }, Some(lock))
        }
    };
    let report = Store::migrate(&database).await.map_err(|error| wire::store_failure(&error))?;
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
