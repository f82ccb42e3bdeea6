//! The data folder. Only its owner can read it, and one process uses it at a time.
//!
//! ```text
//! DATA/telepath.db   SQLite database            DATA/tls/         local certificate authority and server certificate
//! DATA/master.key    master key                 DATA/admin.sock   local administration of a running server
//! DATA/lock          held by the process        DATA/local.sock   local administration of a command without a server
//! ```

mod master_key;

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

pub use master_key::LoadedMasterKey;

use crate::exit::{Exit, Failure};

/// The maximum length of a Unix socket path in bytes (`sun_path` holds 108 with the terminating zero).
const MAX_SOCKET_PATH: usize = 107;
/// A folder that contains one of these is a data folder.
const OUR_FILES: &[&str] = &["lock", "telepath.db", "master.key"];

/// A data folder that only its owner can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

/// Exclusive use of a data folder. Released on drop, and by the system when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl DataDir {
    /// Opens the folder, or creates it with mode 0700. If other users can read an existing folder, its mode is changed to
    /// 0700 if it is empty or already a data folder; any other folder is rejected.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        match fs::metadata(path) {
            Ok(found) if !found.is_dir() => {
                return Err(Failure::new(Exit::Config, format!("{} is not a folder", path.display()))
                    .remedy("Pass another --data-dir."));
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
        // Messages and examples show the absolute path.
        path.canonicalize().map(Self).map_err(|error| unusable(path, &error))
    }

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

    /// The folder of the local certificate authority.
    pub fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }

    /// The CA certificate that clients trust.
    pub fn ca_certificate(&self) -> PathBuf {
        self.tls().join("ca.pem")
    }

    /// The local administration socket of a server.
    ///
    /// # Errors
    /// If the path is longer than the system allows.
    pub fn admin_socket(&self) -> Result<PathBuf, Failure> {
        self.socket("admin.sock")
    }

    /// The local administration socket of a command that runs without a server. It has a name of its own so that no other
    /// command uses it: it disappears when this command ends.
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
                    "the socket path {} has {length} bytes; the maximum is {MAX_SOCKET_PATH}",
                    path.display()
                ),
            )
            .remedy("Choose a --data-dir with a shorter path."));
        }
        Ok(path)
    }

    /// Locks the folder for this process; `None` if another process holds the lock.
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
                // The process id is only for people; exclusion is by the lock.
                let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
                written.map_err(|error| unusable(&path, &error))?;
                Ok(Some(Lock { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(unusable(&path, &error)),
        }
    }

    /// Locks the folder for this process.
    ///
    /// # Errors
    /// If another process holds the lock.
    pub fn lock(&self) -> Result<Lock, Failure> {
        self.try_lock()?.ok_or_else(|| self.in_use())
    }

    /// The error that another process uses the folder, with its process id.
    pub fn in_use(&self) -> Failure {
        let holder = self.holder().map(|pid| format!(" (process {pid})")).unwrap_or_default();
        Failure::new(
            Exit::Busy,
            format!("{} is in use by another telepath process{holder}", self.0.display()),
        )
        .remedy("Stop that process first, or pass another --data-dir.")
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
    if !empty && !OUR_FILES.iter().any(|name| path.join(name).exists()) {
        return Err(Failure::new(
            Exit::Config,
            format!(
                "{} is readable by other users and contains files that are not Telepath's",
                path.display()
            ),
        )
        .remedy("Pass a new or empty folder as --data-dir."));
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::plain(format!("cannot use {}: {error}", path.display()))
}

/// Writes a file with mode 0600, atomically.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    write_with_mode(path, content, 0o600)
}

/// Writes a file with mode 0644, atomically.
pub(crate) fn write_public(path: &Path, content: &[u8]) -> Result<(), Failure> {
    write_with_mode(path, content, 0o644)
}

fn write_with_mode(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    // After a crash, only the temporary file can be incomplete.
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
