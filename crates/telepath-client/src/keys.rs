//! `/v1/keys`: create, list, change, rotate and revoke API keys.

mod presets;
mod rotation;
mod usage;

pub use rotation::{MAX_REPORTED, RotatedKeys};
pub use usage::UsageQuery;

use telepath_api_types::keys::{self, CreateKey, Key, KeyList, RevokeKey, UpdateKey};
use telepath_core::clock::Timestamp;
use telepath_core::id::KeyId;
use telepath_core::secret::SecretText;

use crate::client::Client;
use crate::error::Error;
use crate::page::ListPage;
use crate::request::Query;

/// A key with its new secret, which is shown only once.
#[derive(Debug, Clone)]
pub struct CreatedKey {
    /// The key.
    pub key: Key,
    /// The secret, for the `Authorization` header.
    pub secret: SecretText,
}

/// A response that repeats an earlier one leaves the secret out.
fn created(body: keys::CreatedKey) -> Result<CreatedKey, Error> {
    match body.secret {
        Some(secret) => Ok(CreatedKey { key: body.key, secret }),
        None => Err(Error::SecretLost { id: body.key.id.to_string() }),
    }
}

/// Which keys to list.
#[derive(Debug, Clone, Default)]
pub struct KeysQuery {
    /// Only keys in this state.
    pub status: Option<String>,
    /// Only keys of this preset.
    pub preset: Option<String>,
    /// Only keys not used for this many days.
    pub idle_days: Option<u32>,
    /// Only keys that expire before this moment.
    pub expires_before: Option<Timestamp>,
    /// Only keys that never expire, or only those that do.
    pub never_expires: Option<bool>,
    /// Only keys with this text in their name, with this id, with a secret that ends in these four characters, or used
    /// from this address.
    pub q: Option<String>,
    /// The order, such as `-last_used_at`.
    pub sort: Option<String>,
    /// Items per page, 1–100.
    pub limit: Option<u32>,
    /// Items to skip.
    pub offset: Option<u32>,
    /// The `next_cursor` of the page before, instead of `offset`.
    pub cursor: Option<String>,
}

impl Client {
    /// Creates a key. Its secret is in this response only.
    pub async fn create_key(&self, request: &CreateKey) -> Result<CreatedKey, Error> {
        created(self.post("/v1/keys", request).await?)
    }

    /// One page of the account's keys, newest first.
    pub async fn list_keys(&self, query: &KeysQuery) -> Result<ListPage<Key>, Error> {
        let path = Query::new("/v1/keys")
            .add("status", query.status.as_deref())
            .add("preset", query.preset.as_deref())
            .add("idle_days", query.idle_days)
            .add("expires_before", query.expires_before)
            .add("never_expires", query.never_expires)
            .add("q", query.q.as_deref())
            .add("sort", query.sort.as_deref())
            .add("limit", query.limit)
            .add("offset", query.offset)
            .add("cursor", query.cursor.as_deref())
            .finish();
        let list: KeyList = self.get(&path).await?;
        Ok(ListPage { items: list.keys, pagination: list.pagination })
    }

    /// One key.
    pub async fn get_key(&self, id: KeyId) -> Result<Key, Error> {
        self.get(&format!("/v1/keys/{id}")).await
    }

    /// Changes a key: once this returns, the server admits no request under the old scopes, limit, networks or expiry.
    pub async fn update_key(&self, id: KeyId, change: &UpdateKey) -> Result<Key, Error> {
        self.patch(&format!("/v1/keys/{id}"), change).await
    }

    /// Pauses a key: once this returns, the server admits no request with it until it is resumed.
    pub async fn pause_key(&self, id: KeyId) -> Result<Key, Error> {
        self.post(&format!("/v1/keys/{id}/pause"), &serde_json::json!({})).await
    }

    /// Resumes a paused key.
    pub async fn resume_key(&self, id: KeyId) -> Result<Key, Error> {
        self.post(&format!("/v1/keys/{id}/resume"), &serde_json::json!({})).await
    }

    /// Revokes a key: once this returns, the server admits no request with it.
    pub async fn revoke_key(&self, id: KeyId, reason: Option<&str>) -> Result<Key, Error> {
        self.post(&format!("/v1/keys/{id}/revoke"), &RevokeKey { reason: reason.map(str::to_owned) }).await
    }
}
