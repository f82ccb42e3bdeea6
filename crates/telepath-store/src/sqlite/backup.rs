//! The backup made before a schema migration.

use std::path::{Path, PathBuf};

use telepath_core::clock::Timestamp;

use super::file_error;
use crate::error::StoreError;
use crate::sql::{Connection, binds};

/// Backups kept beside a database.
const KEPT: usize = 5;

/// Copies the database to `NAME.backup-VERSION-TIME` beside it and deletes the oldest backups.
pub(crate) async fn back_up(
    connection: &mut Connection,
    path: &Path,
    version: i64,
    now: Timestamp,
) -> Result<PathBuf, StoreError> {
    let prefix = backup_prefix(path);
    let copy = path.with_file_name(format!("{prefix}{version:04}-{}", now.unix_ms()));
    // SQLite writes into an empty file, so nobody else can open the copy while it grows.
    super::make_private(&copy)?;
    connection.execute("VACUUM INTO $1", binds![copy.to_string_lossy().into_owned()]).await?;
    let synced = std::fs::File::open(&copy).and_then(|file| file.sync_all());
    synced.map_err(|source| file_error(&copy, source))?;
    remove_oldest(path, &prefix)?;
    Ok(copy)
}

fn backup_prefix(path: &Path) -> String {
    format!("{}.backup-", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Backup names end with the time in milliseconds, which has a fixed number of digits in this era, so sorting by that
/// part sorts by age.
fn remove_oldest(path: &Path, prefix: &str) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let entries = std::fs::read_dir(folder).map_err(|source| file_error(folder, source))?;
    let mut copies: Vec<(String, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let (_, time) = name.strip_prefix(prefix)?.split_once('-')?;
            Some((time.to_owned(), entry.path()))
        })
        .collect();
    copies.sort();
    for (_, old) in copies.iter().rev().skip(KEPT) {
        std::fs::remove_file(old).map_err(|source| file_error(old, source))?;
    }
    Ok(())
}
