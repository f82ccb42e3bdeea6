//! SQLite: its file, its backups and its migrations; and the schema that both databases share.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Fixture, NOON, on};
use crate::error::StoreError;
use crate::migrate::{MIGRATIONS, Migration, migrate_sqlite};
use crate::options::Database;
use crate::sql::Connection;
use crate::sqlite;

/// Migrations that only these tests have; each adds a table.
const LATER: [&str; 7] = [
    "CREATE TABLE later_1 (n INTEGER) STRICT",
    "CREATE TABLE later_2 (n INTEGER) STRICT",
    "CREATE TABLE later_3 (n INTEGER) STRICT",
    "CREATE TABLE later_4 (n INTEGER) STRICT",
    "CREATE TABLE later_5 (n INTEGER) STRICT",
    "CREATE TABLE later_6 (n INTEGER) STRICT",
    "CREATE TABLE later_7 (n INTEGER) STRICT",
];

/// The version of this program's last migration.
fn newest() -> i64 {
    MIGRATIONS.last().unwrap().version
}

/// This program's migrations plus `later` more.
fn migrations_with(later: usize) -> Vec<Migration> {
    let later = LATER.iter().zip(newest() + 1..).take(later).map(|(script, version)| Migration {
        version,
        name: "later",
        sqlite: script,
        postgres: script,
    });
    MIGRATIONS.iter().copied().chain(later).collect()
}

fn path_of(fixture: &Fixture) -> PathBuf {
    match &fixture.database {
        Database::Sqlite { path } => path.clone(),
        Database::Postgres { .. } => panic!("these tests are about files"),
    }
}

fn copies(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path.parent().unwrap()).unwrap();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".backup-"))
        .collect();
    found.sort();
    found
}

/// The journal files that reading a backup leaves beside it.
fn is_journal(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with("-shm") || name.ends_with("-wal")
}

async fn table_exists(connection: &mut Connection, name: &str) -> bool {
    let sql = "SELECT name FROM sqlite_schema WHERE name = $1";
    connection.fetch_optional(sql, crate::sql::binds![name]).await.unwrap().is_some()
}

async fn migrate_with(path: &Path, later: usize) -> Result<crate::MigrationReport, StoreError> {
    let mut connection = sqlite::connect(path).await?;
    let now = NOON.plus(std::time::Duration::from_secs(later as u64));
    migrate_sqlite(&mut connection, path, &migrations_with(later), now).await
}

#[tokio::test]
async fn a_database_is_backed_up_before_migration_and_five_backups_are_kept() {
    on(Fixture::sqlite(), async |fixture: std::sync::Arc<Fixture>| {
        let path = path_of(&fixture);
        fixture.open().await.close().await;
        assert!(copies(&path).is_empty(), "no backup of an empty database");
        for later in 1..=7 {
            let report = migrate_with(&path, later).await.unwrap();
            assert_eq!(report.to, newest() + i64::try_from(later).unwrap());
            let copy = report.backup.unwrap();
            assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
            let mut old = sqlite::connect(&copy).await.unwrap();
            assert!(table_exists(&mut old, "keys").await);
            assert!(!table_exists(&mut old, &format!("later_{later}")).await);
        }
        let report = migrate_with(&path, 7).await.unwrap();
        assert_eq!((report.applied.len(), report.backup), (0, None));
        let databases: Vec<_> = copies(&path).into_iter().filter(|path| !is_journal(path)).collect();
        assert_eq!(databases.len(), 5);
        let third = format!(".backup-{:04}-", newest() + 2);
        assert!(databases[0].to_string_lossy().contains(&third), "the oldest secret was deleted first");
    })
    .await;
}

#[tokio::test]
async fn a_newer_or_changed_schema_is_refused() {
    on(Fixture::sqlite(), async |fixture: std::sync::Arc<Fixture>| {
        let path = path_of(&fixture);
        fixture.open().await.close().await;
        migrate_with(&path, 1).await.unwrap();
        let refused = fixture.try_open().await;
        assert!(matches!(refused, Err(StoreError::SchemaAhead { found, known })
            if found == newest() + 1 && known == newest()));
        let mut connection = sqlite::connect(&path).await.unwrap();
        connection.execute("DELETE FROM schema_migrations WHERE name = 'later'", vec![]).await.unwrap();
        connection.execute("UPDATE schema_migrations SET checksum = 'other'", vec![]).await.unwrap();
        drop(connection);
        assert!(matches!(fixture.try_open().await, Err(StoreError::SchemaDiffers { version: 1 })));
    })
    .await;
}

#[tokio::test]
async fn a_failed_migration_leaves_the_schema_unchanged() {
    on(Fixture::sqlite(), async |fixture: std::sync::Arc<Fixture>| {
        let path = path_of(&fixture);
        fixture.open().await.close().await;
        let script = "CREATE TABLE half (n INTEGER) STRICT; CREATE TABLE keys (n INTEGER) STRICT";
        let broken = Migration { version: newest() + 1, name: "broken", sqlite: script, postgres: script };
        let migrations = [MIGRATIONS, &[broken]].concat();
        let mut connection = sqlite::connect(&path).await.unwrap();
        let failed = migrate_sqlite(&mut connection, &path, &migrations, NOON).await;
        assert!(failed.is_err());
        assert!(!table_exists(&mut connection, "half").await);
        drop(connection);
        fixture.open().await.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_database_file_is_private_durable_and_strict() {
    on(Fixture::sqlite(), async |fixture: std::sync::Arc<Fixture>| {
        let path = path_of(&fixture);
        std::fs::write(&path, b"").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let store = fixture.open().await;
        fixture.account(&store).await;
        for file in std::fs::read_dir(path.parent().unwrap()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", file.path().display());
        }
        let pragma = async |sql: &'static str, column: &'static str| {
            let mut connection = sqlite::connect(&path).await.unwrap();
            let row = connection.fetch_one(sql, vec![]).await.unwrap();
            row.text(column).or_else(|_| row.integer(column).map(|n| n.to_string())).unwrap()
        };
        assert_eq!(pragma("PRAGMA journal_mode", "journal_mode").await, "wal");
        assert_eq!(pragma("PRAGMA synchronous", "synchronous").await, "2");
        assert_eq!(pragma("PRAGMA foreign_keys", "foreign_keys").await, "1");
        let loose = "SELECT count(*) AS n FROM pragma_table_list \
                     WHERE schema = 'main' AND type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite_%'";
        assert_eq!(pragma(loose, "n").await, "0");
        let mut reader = store.backend.read().await.unwrap();
        assert!(reader.execute("DELETE FROM settings", vec![]).await.is_err(), "readers only read");
        drop(reader);
        store.close().await;
        assert!(!path.with_extension("db-wal").exists(), "a clean close empties the write-ahead log");
    })
    .await;
}

#[test]
fn both_databases_have_the_same_tables_columns_and_indexes() {
    for migration in MIGRATIONS {
        let normal = |script: &str| {
            let statements: Vec<&str> =
                script.lines().map(|line| line.split("--").next().unwrap_or("").trim_end()).collect();
            let joined = statements.join("\n");
            let joined = joined.replace(") STRICT;", ");").replace(") STRICT, WITHOUT ROWID;", ");");
            let typed = joined.replace(" BIGINT", " INTEGER").replace(" BYTEA", " BLOB");
            // Statements that fill tables may use the functions of one database; the tests of upgrades run them on both.
            let schema =
                typed.split_inclusive(';').filter(|statement| !statement.trim().starts_with("INSERT"));
            let schema: String = schema.collect();
            schema.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(normal(migration.sqlite), normal(migration.postgres), "{}", migration.name);
        assert!(
            migration.sqlite.matches("CREATE TABLE").count() == migration.sqlite.matches("STRICT").count()
        );
    }
    assert!(MIGRATIONS.windows(2).all(|pair| pair[0].version < pair[1].version));
}
