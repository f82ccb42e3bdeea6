//! The master key, from the configuration or from `master.key` in the data folder, which the first start creates. It is
//! never created beside an existing database, because everything sealed in that database would silently become unreadable.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;

use telepath_core::entropy::Entropy;
use telepath_core::secret::SecretText;
use telepath_core::vault::MasterKey;

use super::{DataDir, write_private};
use crate::exit::{Exit, Failure};

#[derive(Debug)]
pub struct LoadedMasterKey {
    pub key: MasterKey,
    /// Whether this call created it.
    pub is_new: bool,
}

impl DataDir {
    /// Loads the master key, or creates it on the first start. With `has_database`, a missing key is an error.
    pub fn load_master_key(
        &self,
        configured: Option<&SecretText>,
        has_database: bool,
        entropy: &dyn Entropy,
    ) -> Result<LoadedMasterKey, Failure> {
        let found = |key| LoadedMasterKey { key, is_new: false };
        if let Some(text) = configured {
            return MasterKey::parse(text.expose())
                .map(found)
                .map_err(|error| Failure::new(Exit::Config, format!("TELEPATH_MASTER_KEY: {error}")));
        }
        let path = self.master_key();
        match fs::metadata(&path) {
            Ok(found) if found.permissions().mode() & 0o077 != 0 => Err(Failure::new(
                Exit::Config,
                format!("{} is readable by other users (mode {:03o})", path.display(), found.permissions().mode() & 0o777),
            )
            .remedy(format!("Run `chmod 600 {}` after making sure that nobody has copied it.", path.display()))),
            Ok(_) => self.read_master_key().map(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound && has_database => Err(Failure::new(
                Exit::Config,
                format!("the master key is missing: there is a database but no {}", path.display()),
            )
            .remedy("Restore the file from a backup, or set TELEPATH_MASTER_KEY_FILE. A new key could not decrypt the stored data.")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = MasterKey::generate(entropy).map_err(|error| Failure::plain(error.to_string()))?;
                write_private(&path, format!("{}\n", key.to_text().expose()).as_bytes())?;
                tracing::info!(path = %path.display(), "created the master key; keep a copy of it, apart from the database");
                Ok(LoadedMasterKey { key, is_new: true })
            }
            Err(error) => Err(Failure::plain(format!("cannot read {}: {error}", path.display()))),
        }
    }

    fn read_master_key(&self) -> Result<MasterKey, Failure> {
        let path = self.master_key();
        let text = fs::read_to_string(&path)
            .map(SecretText::new)
            .map_err(|error| Failure::plain(format!("cannot read {}: {error}", path.display())))?;
        MasterKey::parse(text.expose())
            .map_err(|error| Failure::new(Exit::Config, format!("{}: {error}", path.display())))
    }
}
