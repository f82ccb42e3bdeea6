//! `/v1/account`: what holds for all keys of the account.

use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::AccountId;

use crate::client::Client;
use crate::error::Error;

/// The account of the caller's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSettings {
    /// Its id.
    pub id: AccountId,
    /// What people call it.
    pub name: String,
    /// `live` or `test`.
    pub mode: String,
    /// No key of the account may have a higher limit.
    pub max_rate_limit_per_minute: u32,
    /// Whether a key that was sent over plain HTTP is revoked by itself.
    pub revoke_keys_seen_in_clear: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What to change; what is left out stays as it is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AccountChange {
    /// What people call it, 1–100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether a key that was sent over plain HTTP is revoked by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoke_keys_seen_in_clear: Option<bool>,
}

impl Client {
    /// The account.
    pub async fn account(&self) -> Result<AccountSettings, Error> {
        self.get("/v1/account").await
    }

    /// Changes what the change names and nothing else.
    pub async fn update_account(&self, change: &AccountChange) -> Result<AccountSettings, Error> {
        self.patch("/v1/account", change).await
    }
}
