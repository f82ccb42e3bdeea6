//! The master key, from the configuration or from `master.key` in the data folder. A server or `telepath migrate` creates it
//! for a new database; never for one that has a master key already, because what that key sealed would be unreadable.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;

use telepath_core::entropy::Entropy;
use telepath_core::secret::SecretText;
use telepath_core::vault::MasterKey;

use super::{DataDir, unusable, write_private};
use crate::exit::{Exit, Failure};

/// Parses a configured master key.
pub(crate) fn configured_master_key(text: &SecretText) -> Result<MasterKey, Failure> {
    MasterKey::parse(text.expose())
        .map_err(|error| Failure::new(Exit::Config, format!("TELEPATH_MASTER_KEY: {error}")))
}

impl DataDir {
    /// The master key in the folder; `None` if there is none.
    pub fn read_master_key(&self) -> Result<Option<MasterKey>, Failure> {
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
        let key = MasterKey::parse(text.expose())
            .map_err(|error| Failure::new(Exit::Config, format!("{}: {error}", path.display())))?;
        Ok(Some(key))
    }

    /// Creates the master key of a new database.
    pub fn create_master_key(&self, entropy: &dyn Entropy) -> Result<MasterKey, Failure> {
        let key = MasterKey::generate(entropy).map_err(|error| Failure::plain(error.to_string()))?;
        write_private(&self.master_key(), format!("{}\n", key.to_text().expose()).as_bytes())?;
        Ok(key)
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
