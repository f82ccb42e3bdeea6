//! Migrations: numbered scripts, with the same numbers for both databases, embedded in the binary. Each applied
//! migration is recorded with a checksum, so a script that was changed afterwards is detected.

use std::path::{Path, PathBuf};

use telepath_core::clock::{Clock as _, SystemClock, Timestamp};

use crate::error::StoreError;
use crate::options::Database;
use crate::postgres::PostgresBackend;
use crate::sql::{Connection, binds};
use crate::sqlite;

/// One version of the schema.
#[derive(Clone, Copy)]
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal;)+) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        }),+]
    };
}

/// Every migration, in order.
pub(crate) const MIGRATIONS: &[Migration] = migrations! {
    1 "0001_foundation";
    2 "0002_usage";
    3 "0003_key_life";
    4 "0004_alerts";
    5 "0005_cluster";
    6 "0006_webhooks";
    7 "0007_alert_subjects";
    8 "0008_accounts";
    9 "0009_users";
    10 "0010_trunk_numbers";
    11 "0011_webhook_limits";
    12 "0012_rate_windows";
    13 "0013_clock_epoch";
    14 "0014_call_hangups";
    15 "0015_webhook_headers";
    16 "0016_pending_revocations";
    17 "0017_call_sip";
    18 "0018_account_changes";
    19 "0019_key_details";
    20 "0020_key_trunks";
    21 "0021_caller_actions";
    22 "0022_audit_chain";
    23 "0023_sealed_sip_digests";
    24 "0024_quotas";
    25 "0025_key_quotas";
    26 "0026_calls_by_age";
    27 "0027_usage_of_secrets";
    28 "0028_account_totals";
    29 "0029_call_orders";
    30 "0030_keyring";
    31 "0031_known_time";
    32 "0032_webhook_failed_at";
    33 "0033_ended_subjects";
    34 "0034_call_statistics";
    35 "0035_deliveries_of_accounts";
    36 "0036_alert_notes";
    37 "0037_attempted_deliveries";
    38 "0038_user_identities";
    39 "0039_grace_periods";
    40 "0040_stored_bytes";
    41 "0041_leak_guides";
    42 "0042_account_usage";
    43 "0043_agent_failures";
    44 "0044_key_usage";
};

/// The advisory lock held while a PostgreSQL database is migrated, so that two programs that start at once do not
/// both migrate it. The number is arbitrary and must never change.
const ADVISORY_LOCK: i64 = 0x7465_6c65_7061_7468;

/// The result of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationReport {
    /// The schema version before; 0 for an empty database.
    pub from: i64,
    /// The schema version after.
    pub to: i64,
    /// The names of the applied migrations.
    pub applied: Vec<&'static str>,
    /// The backup made first, unless the database was empty.
    pub backup: Option<PathBuf>,
}

/// Migrates either database to the newest schema.
pub(crate) async fn migrate(database: &Database) -> Result<MigrationReport, StoreError> {
    match database {
        Database::Sqlite { path } => {
            let mut connection = sqlite::connect(path).await?;
            migrate_sqlite(&mut connection, path, MIGRATIONS, SystemClock.now()).await
        }
        Database::Postgres { url } => {
            let postgres = PostgresBackend::open(url).await?;
            let report = migrate_postgres(&postgres, MIGRATIONS, SystemClock.now()).await;
            postgres.close().await;
            report
        }
    }
}

/// Backs up an existing database that is behind, then migrates it.
pub(crate) async fn migrate_sqlite(
    connection: &mut Connection,
    path: &Path,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<MigrationReport, StoreError> {
    let from = current_version(connection, migrations).await?;
    let behind = from < newest(migrations);
    let backup =
        if behind && from > 0 { Some(sqlite::back_up(connection, path, from, now).await?) } else { None };
    // What a migration drops is overwritten in the file, not only released: it may be a secret.
    connection.execute("PRAGMA secure_delete = ON", vec![]).await?;
    let applied = apply(connection, migrations, from, now).await?;
    connection.execute("PRAGMA secure_delete = OFF", vec![]).await?;
    Ok(MigrationReport { from, to: newest(migrations), applied, backup })
}

/// Migrates while holding the advisory lock.
pub(crate) async fn migrate_postgres(
    postgres: &PostgresBackend,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<MigrationReport, StoreError> {
    let mut connection = postgres.connection().await?;
    connection.execute("SELECT pg_advisory_lock($1)", binds![ADVISORY_LOCK]).await?;
    let report = async {
        let from = current_version(&mut connection, migrations).await?;
        let applied = apply(&mut connection, migrations, from, now).await?;
        Ok(MigrationReport { from, to: newest(migrations), applied, backup: None })
    }
    .await;
    connection.execute("SELECT pg_advisory_unlock($1)", binds![ADVISORY_LOCK]).await?;
    report
}

/// Refuses a database that is not at the newest schema.
pub(crate) async fn require_newest(connection: &mut Connection) -> Result<(), StoreError> {
    let found = current_version(connection, MIGRATIONS).await?;
    let needed = newest(MIGRATIONS);
    if found < needed { Err(StoreError::SchemaBehind { found, needed }) } else { Ok(()) }
}

fn newest(migrations: &[Migration]) -> i64 {
    migrations.last().map_or(0, |migration| migration.version)
}

async fn current_version(connection: &mut Connection, migrations: &[Migration]) -> Result<i64, StoreError> {
    if !has_history(connection).await? {
        return Ok(0);
    }
    let sql = "SELECT version, checksum FROM schema_migrations ORDER BY version";
    let mut found = 0;
    for row in connection.fetch_all(sql, vec![]).await? {
        found = row.integer("version")?;
        let Some(known) = migrations.iter().find(|migration| migration.version == found) else {
            return Err(StoreError::SchemaAhead { found, known: newest(migrations) });
        };
        if row.text("checksum")? != checksum(script(connection, known)) {
            return Err(StoreError::SchemaDiffers { version: found });
        }
    }
    Ok(found)
}

/// Whether a migration was ever applied.
pub(crate) async fn has_history(connection: &mut Connection) -> Result<bool, StoreError> {
    let sql = match connection {
        Connection::Sqlite(_) | Connection::SqliteReader(_) => {
            "SELECT count(*) AS found FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'"
        }
        Connection::Postgres(_) | Connection::PostgresOwn(_) => {
            "SELECT count(*) AS found FROM information_schema.tables \
             WHERE table_schema = current_schema() AND table_name = 'schema_migrations'"
        }
    };
    Ok(connection.fetch_one(sql, vec![]).await?.integer("found")? > 0)
}

fn script(connection: &Connection, migration: &Migration) -> &'static str {
    match connection {
        Connection::Sqlite(_) | Connection::SqliteReader(_) => migration.sqlite,
        Connection::Postgres(_) | Connection::PostgresOwn(_) => migration.postgres,
    }
}

/// FNV-1a, 64 bits: enough to detect an accidental edit. Its values are stored in every database, so it must not
/// change.
fn checksum(script: &str) -> String {
    let hash = script.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Applies each migration in one transaction together with its record.
async fn apply(
    connection: &mut Connection,
    migrations: &[Migration],
    from: i64,
    now: Timestamp,
) -> Result<Vec<&'static str>, StoreError> {
    let mut applied = Vec::new();
    for migration in migrations.iter().filter(|migration| migration.version > from) {
        connection.execute("BEGIN", vec![]).await?;
        let step = apply_one(connection, migration, now).await;
        let end = if step.is_ok() { "COMMIT" } else { "ROLLBACK" };
        connection.execute(end, vec![]).await?;
        step?;
        applied.push(migration.name);
    }
    Ok(applied)
}

async fn apply_one(
    connection: &mut Connection,
    migration: &Migration,
    now: Timestamp,
) -> Result<(), StoreError> {
    let history = match connection {
        Connection::Sqlite(_) | Connection::SqliteReader(_) => {
            "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER NOT NULL PRIMARY KEY, \
             name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
        }
        Connection::Postgres(_) | Connection::PostgresOwn(_) => {
            "CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT NOT NULL PRIMARY KEY, \
             name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)"
        }
    };
    connection.script(history).await?;
    let script = script(connection, migration);
    connection.script(script).await?;
    let sql = "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)";
    connection.execute(sql, binds![migration.version, migration.name, checksum(script), now]).await?;
    Ok(())
}
