//! `/v1/key-presets`: the bundles of rights that keys are made from, as the account has them.

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::Error;
use crate::request::percent_encoded;

/// A bundle of rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPreset {
    /// Its name.
    pub name: String,
    /// What keys made from it may do.
    pub scopes: Vec<String>,
    /// Their requests per minute.
    pub rate_limit_per_minute: u32,
    /// Whether it differs from the built-in one.
    #[serde(default)]
    pub modified: bool,
}

/// What to change of a bundle; keys that were made from it stay as they are.
#[derive(Debug, Clone, Default, Serialize)]
pub struct KeyPresetChange {
    /// What keys made from it may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Their requests per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_minute: Option<u32>,
}

impl Client {
    /// The bundles of the account.
    pub async fn list_key_presets(&self) -> Result<Vec<KeyPreset>, Error> {
        #[derive(Deserialize)]
        struct List {
            presets: Vec<KeyPreset>,
        }
        Ok(self.get::<List>("/v1/key-presets").await?.presets)
    }

    /// Changes a bundle.
    pub async fn update_key_preset(&self, name: &str, change: &KeyPresetChange) -> Result<KeyPreset, Error> {
        self.patch(&format!("/v1/key-presets/{}", percent_encoded(name)), change).await
    }

    /// Brings back the built-in bundle.
    pub async fn reset_key_preset(&self, name: &str) -> Result<(), Error> {
        self.delete(&format!("/v1/key-presets/{}", percent_encoded(name))).await
    }
}
