//! `/v1/key-presets`: named sets of scopes with a rate limit, as the account has them.

use telepath_api_types::key_presets::{KeyPreset, KeyPresetList, UpdateKeyPreset};

use crate::client::Client;
use crate::error::Error;
use crate::request::percent_encoded;

impl Client {
    /// The presets of the account.
    pub async fn list_key_presets(&self) -> Result<Vec<KeyPreset>, Error> {
        Ok(self.get::<KeyPresetList>("/v1/key-presets").await?.presets)
    }

    /// Edits a preset.
    pub async fn update_key_preset(&self, name: &str, change: &UpdateKeyPreset) -> Result<KeyPreset, Error> {
        self.patch(&format!("/v1/key-presets/{}", percent_encoded(name)), change).await
    }

    /// Resets a preset to the built-in one.
    pub async fn reset_key_preset(&self, name: &str) -> Result<(), Error> {
        self.delete(&format!("/v1/key-presets/{}", percent_encoded(name))).await
    }
}
