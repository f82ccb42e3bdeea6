//! `/local/keyring`: the master keys of the installation, for local administration only.

use telepath_api_types::keyring::{Keyring, KeyringChange, RotateMasterKey};

use crate::client::Client;
use crate::error::Error;

impl Client {
    /// The master keys, and what each has sealed.
    pub async fn keyring(&self) -> Result<Keyring, Error> {
        self.get("/local/keyring").await
    }

    /// Generates a master key and adds it to the file in the data folder.
    pub async fn add_master_key(&self) -> Result<KeyringChange, Error> {
        self.post_empty("/local/keyring/keys").await
    }

    /// Activates another master key; without an id, the newest one, or a new one.
    pub async fn rotate_master_key(&self, key: Option<&str>) -> Result<KeyringChange, Error> {
        let request = RotateMasterKey { key: key.map(str::to_owned) };
        self.post("/local/keyring/rotate", &request).await
    }

    /// Removes the master keys that were replaced and seal nothing.
    pub async fn prune_master_keys(&self) -> Result<KeyringChange, Error> {
        self.post_empty("/local/keyring/prune").await
    }
}
