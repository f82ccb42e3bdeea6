//! The data folder. Only its owner can list it and read its files, except for the certificates; one process uses it at a time.
//!
//! ```text
//! DATA/telepath.db   SQLite database            DATA/tls/         local certificate authority and server certificate
//! DATA/master.key    master key                 DATA/admin.sock   local administration of a running server
//! DATA/lock          held by the process        DATA/local.sock   local administration of a command without a server
//! ```

mod access;
mod master_key;

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

pub(crate) use access::unusable;
pub(crate) use master_key::{ConfiguredKeyFile, OwnKeyFile, configured_master_keys};

use crate::exit::{Exit, Failure};

/// The maximum length of a Unix socket path in bytes (`sun_path` holds 108 with the terminating zero).
const MAX_SOCKET_PATH: usize = 107;
/// A folder that contains one of these is a data folder.
const OUR_FILES: &[&str] = &["lock", "telepath.db", "master.key"];
/// The mode of a new data folder and of its folder `tls`. Other users can reach `tls/ca.pem`, which clients must read, but
/// cannot list the folders; the mode of each file protects its content.
pub(crate) const FOLDER_MODE: u32 = 0o711;
/// The rights of other users that an existing folder must not grant.
const FORBIDDEN_MODE: u32 = 0o066;

/// A data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    path: PathBuf,
    /// The folders that [`DataDir::create`] created, innermost first.
    created: Vec<PathBuf>,
}

/// Exclusive use of a data folder. Released on drop, and by the system when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl DataDir {
    /// Opens the folder, or creates it with mode 0711: for the commands that set up a server. If other users can read an
    /// existing folder, its mode is changed if it is empty or already a data folder; any other folder is rejected.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let created = match fs::metadata(path) {
            Ok(found) => {
                check_folder(path, &found)?;
                Vec::new()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let missing = missing_folders(path);
                let mut builder = DirBuilder::new();
                builder
                    .recursive(true)
                    .mode(FOLDER_MODE)
                    .create(path)
                    .map_err(|error| unusable(path, &error))?;
                // The umask may have taken the right to pass through away.
                fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE))
                    .map_err(|error| unusable(path, &error))?;
                missing
            }
            Err(error) => return Err(unusable(path, &error)),
        };
        Self::at(path, &created)
    }

    /// Opens an existing data folder: for every other command. A mistyped path must not become a new installation.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        match fs::metadata(path) {
            Ok(found) => check_folder(path, &found)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(absent(format!("there is no data folder at {}", absolute(path).display())));
            }
            Err(error) => return Err(unusable(path, &error)),
        }
        if !is_ours(path) {
            return Err(absent(format!("{} is not a data folder of Telepath", absolute(path).display())));
        }
        Self::at(path, &[])
    }

    fn at(path: &Path, created: &[PathBuf]) -> Result<Self, Failure> {
        // Messages and examples show the absolute path.
        let path = path.canonicalize().map_err(|error| unusable(path, &error))?;
        let created = created.iter().map(|folder| folder.canonicalize().unwrap_or_else(|_| folder.clone()));
        Ok(Self { created: created.collect(), path })
    }

    /// Checks that the folder contains the SQLite database.
    ///
    /// # Errors
    /// If it does not.
    pub fn require_database(&self) -> Result<(), Failure> {
        if self.database().exists() {
            return Ok(());
        }
        Err(absent(format!("there is no database in the data folder {}", self.path.display())))
    }

    /// Deletes the folder again if [`DataDir::create`] created it and nothing but its lock is in it. The caller has released
    /// the lock.
    pub fn discard_if_new(&self) {
        if self.created.is_empty() {
            return;
        }
        let only_lock = fs::read_dir(&self.path)
            .is_ok_and(|entries| entries.flatten().all(|entry| entry.file_name() == "lock"));
        if only_lock {
            // What cannot be deleted is harmless: the folder is empty.
            let _ = fs::remove_file(self.path.join("lock"));
            let _ = self.created.iter().try_for_each(fs::remove_dir);
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The SQLite database.
    pub fn database(&self) -> PathBuf {
        self.path.join("telepath.db")
    }

    /// The master key.
    pub fn master_key(&self) -> PathBuf {
        self.path.join("master.key")
    }

    /// The folder of the local certificate authority.
    pub fn tls(&self) -> PathBuf {
        self.path.join("tls")
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
        let path = self.path.join(name);
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
        let path = self.path.join("lock");
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
            format!("{} is in use by another telepath process{holder}", self.path.display()),
        )
        .remedy("Stop that process first, or pass another --data-dir.")
    }

    fn holder(&self) -> Option<u32> {
        let mut text = String::new();
        let mut file = File::open(self.path.join("lock")).ok()?;
        file.rewind().ok()?;
        file.take(32).read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }
}

/// Rejects what is not a folder, and restricts a folder that other users can read.
fn check_folder(path: &Path, found: &fs::Metadata) -> Result<(), Failure> {
    if !found.is_dir() {
        return Err(Failure::new(Exit::Config, format!("{} is not a folder", path.display()))
            .remedy("Pass another --data-dir."));
    }
    if found.permissions().mode() & FORBIDDEN_MODE == 0 {
        return Ok(());
    }
    let mut entries = fs::read_dir(path).map_err(|error| unusable(path, &error))?;
    if entries.next().is_some() && !is_ours(path) {
        return Err(Failure::new(
            Exit::Config,
            format!(
                "{} is readable by other users and contains files that are not Telepath's",
                path.display()
            ),
        )
        .remedy("Pass a new or empty folder as --data-dir."));
    }
    fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE)).map_err(|error| unusable(path, &error))
}

fn is_ours(path: &Path) -> bool {
    OUR_FILES.iter().any(|name| path.join(name).exists())
}

fn absent(message: String) -> Failure {
    Failure::new(Exit::Config, message).remedy(
        "Pass the --data-dir of your server; `telepath serve` and `telepath quickstart` create a new one.",
    )
}

/// The folders of a path that do not exist, innermost first.
fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let named = path.ancestors().filter(|folder| !folder.as_os_str().is_empty());
    named.take_while(|folder| !folder.exists()).map(Path::to_owned).collect()
}

/// For messages; a path without a current folder is shown as it is.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
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
    written().map_err(|error| unusable(path, &error))
}

#[cfg(test)]
mod tests;
