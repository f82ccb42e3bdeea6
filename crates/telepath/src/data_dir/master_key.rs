//! The master key, from the configuration or from `master.key` in the data folder. A server or `telepath migrate` creates it
//! for a new database; never for one that has a master key already, because what that key sealed would be unreadable.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use telepath_core::entropy::Entropy;
use telepath_core::keyring::{MasterKeyFile, MasterKeyFileError};
use telepath_core::secret::SecretText;
use telepath_core::vault::MasterKey;

use super::{DataDir, unusable, write_private};
use crate::exit::{Exit, Failure};

/// Parses the configured master keys.
pub(crate) fn configured_master_keys(text: &SecretText) -> Result<Vec<MasterKey>, Failure> {
    MasterKey::parse_all(text.expose())
        .map_err(|error| Failure::new(Exit::Config, format!("TELEPATH_MASTER_KEY: {error}")))
}

/// `master.key` in the data folder, which the server changes itself.
#[derive(Debug)]
pub(crate) struct OwnKeyFile(pub(crate) DataDir);

impl MasterKeyFile for OwnKeyFile {
    fn read(&self) -> Result<Vec<MasterKey>, MasterKeyFileError> {
        let keys = self.0.read_master_keys().and_then(|keys| keys.ok_or_else(|| self.0.missing_master_key()));
        keys.map_err(|failure| MasterKeyFileError::Unusable(failure.to_string()))
    }

    fn write(&self, keys: &[MasterKey]) -> Result<(), MasterKeyFileError> {
        let written = self.0.write_master_keys(keys);
        written.map_err(|failure| MasterKeyFileError::Unusable(failure.to_string()))
    }
}

/// A file that the configuration names, such as one of a secret store.
#[derive(Debug)]
pub(crate) struct ConfiguredKeyFile(pub(crate) PathBuf);

impl MasterKeyFile for ConfiguredKeyFile {
    fn read(&self) -> Result<Vec<MasterKey>, MasterKeyFileError> {
        let text = fs::read_to_string(&self.0)
            .map(SecretText::new)
            .map_err(|error| MasterKeyFileError::Unusable(unusable(&self.0, &error).to_string()))?;
        MasterKey::parse_all(text.expose())
            .map_err(|error| MasterKeyFileError::Unusable(format!("{}: {error}", self.0.display())))
    }

    fn write(&self, _keys: &[MasterKey]) -> Result<(), MasterKeyFileError> {
        Err(MasterKeyFileError::ReadOnly(self.0.display().to_string()))
    }
}

impl DataDir {
    /// The master keys in the folder; `None` if there is no file.
    pub fn read_master_keys(&self) -> Result<Option<Vec<MasterKey>>, Failure> {
        let path = self.master_key();
        let mode = match fs::metadata(&path) {
            Ok(found) => found.permissions().mode() & 0o777,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, &error)),
        };
        if mode & 0o077 != 0 {
            return Err(Failure::new(
                Exit::Config,
                format!("{} is readable by other users (mode {mode:03o})", path.display()),
            )
            .remedy(format!(
                "Run `chmod 600 {}` after making sure that nobody has copied it.",
                path.display()
            )));
        }
        let text = fs::read_to_string(&path).map(SecretText::new).map_err(|error| unusable(&path, &error))?;
        let keys = MasterKey::parse_all(text.expose())
            .map_err(|error| Failure::new(Exit::Config, format!("{}: {error}", path.display())))?;
        Ok(Some(keys))
    }

    /// Creates the master key of a new database.
    pub fn create_master_key(&self, entropy: &dyn Entropy) -> Result<MasterKey, Failure> {
        let key = MasterKey::generate(entropy).map_err(|error| Failure::plain(error.to_string()))?;
        self.write_master_keys(std::slice::from_ref(&key))?;
        Ok(key)
    }

    /// Replaces the file of master keys, one key on each line.
    pub fn write_master_keys(&self, keys: &[MasterKey]) -> Result<(), Failure> {
        let path = self.master_key();
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            return Err(Failure::new(Exit::Config, format!("{} is a link, which is not followed to change keys", path.display()))
                .remedy("Change the file that it leads to: one key on each line, the newest last, each made by `openssl rand -base64 32`."));
        }
        let lines = keys.iter().map(|key| format!("{}\n", key.to_text().expose()));
        let text = SecretText::new(lines.collect());
        write_private(&path, text.expose().as_bytes())
    }

    /// The failure that the database has a master key which is not in the folder.
    pub fn missing_master_key(&self) -> Failure {
        let path = self.master_key();
        Failure::new(
            Exit::Config,
            format!("the master key is missing: the database has one, but there is no {}", path.display()),
        )
        .remedy(
            "Copy master.key from the server or the command that created the database, or from a backup; or set \
             TELEPATH_MASTER_KEY_FILE. A new key could not decrypt the stored data.",
        )
    }
}
