//! The data folder: who may look into it (nobody but its owner), who uses it (one process at a time), and where things
//! are in it.
//!
//! ```text
//! DATA/telepath.db   the SQLite database        DATA/tls/         local authority and server certificate
//! DATA/master.key    the master key             DATA/admin.sock   local administration
//! DATA/lock          held by who works on it     DATA/local.sock  the same, of a command without a server
//! ```

mod master_key;

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

pub use master_key::LoadedMasterKey;

use crate::exit::{Exit, Failure};

/// The longest path of a Unix socket in bytes (`sun_path` holds 108 with its end).
const MAX_SOCKET_PATH: usize = 107;
/// By these files an existing folder is known to be ours.
const OURS: &[&str] = &["lock", "telepath.db", "master.key"];

/// A data folder that only its owner can look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

/// The right to use a data folder; given back when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl DataDir {
    /// Opens the folder, or makes it with mode 0700. An existing folder that others can look into is closed to them if
    /// it is empty or already a data folder; any other folder is refused rather than changed.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        match fs::metadata(path) {
            Ok(found) if !found.is_dir() => {
                return Err(Failure::new(Exit::Config, format!("{} is not a folder", path.display()))
                    .remedy("Give another --data-dir."));
            }
            Ok(found) if found.permissions().mode() & 0o077 != 0 => close_to_others(path)?,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|error| unusable(path, &error))?,
            Err(error) => return Err(unusable(path, &error)),
        }
        // The absolute path is what messages and the client's examples show.
        path.canonicalize().map(Self).map_err(|error| unusable(path, &error))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The SQLite database.
    pub fn database(&self) -> PathBuf {
        self.0.join("telepath.db")
    }

    /// The master key.
    pub fn master_key(&self) -> PathBuf {
        self.0.join("master.key")
    }

    /// The folder of the local authority.
    pub fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }

    /// The certificate that clients trust.
    pub fn ca_certificate(&self) -> PathBuf {
        self.tls().join("ca.pem")
    }

    /// The socket of a server's local administration.
    ///
    /// # Errors
    /// When its path is longer than the system takes.
    pub fn admin_socket(&self) -> Result<PathBuf, Failure> {
        self.socket("admin.sock")
    }

    /// The socket of a command that serves itself because no server runs. Others must not find it: it is gone when that
    /// command ends, whoever else is in the middle of a request.
    pub fn command_socket(&self) -> Result<PathBuf, Failure> {
        self.socket("local.sock")
    }

    fn socket(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.0.join(name);
        let length = path.as_os_str().len();
        if length > MAX_SOCKET_PATH {
            return Err(Failure::new(
                Exit::Config,
                format!(
                    "the path {} has {length} bytes; a socket's path has at most {MAX_SOCKET_PATH}",
                    path.display()
                ),
            )
            .remedy("Choose a --data-dir with a shorter path."));
        }
        Ok(path)
    }

    /// Takes the folder for this process; `None` when another process has it.
    pub fn try_lock(&self) -> Result<Option<Lock>, Failure> {
        let path = self.0.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| unusable(&path, &error))?;
        match file.try_lock() {
            Ok(()) => {
                // The number only helps people to find the process; the lock is what counts.
                let noted = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
                noted.map_err(|error| unusable(&path, &error))?;
                Ok(Some(Lock { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(unusable(&path, &error)),
        }
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// When another process has it.
    pub fn lock(&self) -> Result<Lock, Failure> {
        self.try_lock()?.ok_or_else(|| self.in_use())
    }

    /// The failure that the folder is in use, naming the process.
    pub fn in_use(&self) -> Failure {
        let holder = self.holder().map(|pid| format!(" (process {pid})")).unwrap_or_default();
        Failure::new(Exit::Busy, format!("{} is in use by another telepath{holder}", self.0.display()))
            .remedy("Stop that one first, or give another --data-dir.")
    }

    fn holder(&self) -> Option<u32> {
        let mut text = String::new();
        let mut file = File::open(self.0.join("lock")).ok()?;
        file.rewind().ok()?;
        file.take(32).read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }
}

fn close_to_others(path: &Path) -> Result<(), Failure> {
    let mut entries = fs::read_dir(path).map_err(|error| unusable(path, &error))?;
    let empty = entries.next().is_none();
    if !empty && !OURS.iter().any(|name| path.join(name).exists()) {
        return Err(Failure::new(
            Exit::Config,
            format!("{} is open to other users and holds files that are not Telepath's", path.display()),
        )
        .remedy("Give a new or empty folder as --data-dir."));
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::plain(format!("cannot use {}: {error}", path.display()))
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    write_with_mode(path, content, 0o600)
}

/// Writes a file that everybody may read, whole or not at all.
pub(crate) fn write_public(path: &Path, content: &[u8]) -> Result<(), Failure> {
    write_with_mode(path, content, 0o644)
}

fn write_with_mode(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    // A process that dies half-way leaves the temporary file, never half a key under its real name.
    let temporary = path.with_extension("new");
    let written = || -> io::Result<()> {
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    written().map_err(|error| Failure::plain(format!("cannot write {}: {error}", path.display())))
}

#[cfg(test)]
mod tests;
