//! `/v1/keys`: make, list and revoke API keys.

use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::KeyId;
use telepath_core::secret::SecretText;

use crate::client::Query;
use crate::{Client, Error, ListPage, Pagination};

/// A key without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// The bundle of rights it was made from.
    pub preset: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Requests per minute.
    pub rate_limit_per_minute: u32,
    /// Networks from which it may be used; empty means from everywhere.
    pub allowed_ips: Vec<String>,
    /// `active`, `expiring`, `expired` or `revoked`.
    pub status: String,
    /// When it stops to work.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, at most a second late.
    pub last_used_at: Option<Timestamp>,
    /// Requests with it so far.
    #[serde(default)]
    pub request_count: u64,
    /// Those answered by an error.
    #[serde(default)]
    pub error_count: u64,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
    /// Why it was withdrawn.
    pub revoke_reason: Option<String>,
}

/// A key that was just made, with its secret, which is shown this once.
#[derive(Debug, Clone, Deserialize)]
pub struct CreatedKey {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// What goes into the `Authorization` header.
    pub secret: SecretText,
}

/// What to make. The server checks all of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct KeyRequest {
    /// What people call it, 1–100 characters.
    pub name: String,
    /// `production`, `development`, `testing`, `monitoring` or `custom`.
    pub preset: String,
    /// Required for `custom`; otherwise it may narrow the preset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Requests per minute; the preset's when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_minute: Option<u32>,
    /// Networks in CIDR form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_ips: Vec<String>,
    /// When it stops to work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Which keys to list.
#[derive(Debug, Clone, Default)]
pub struct KeysQuery {
    /// Only keys in this state.
    pub status: Option<String>,
    /// Only keys of this preset.
    pub preset: Option<String>,
    /// Items per page, 1–100.
    pub limit: Option<u32>,
    /// Items to pass over.
    pub offset: Option<u32>,
}

#[derive(Deserialize)]
struct KeyList {
    keys: Vec<Key>,
    pagination: Pagination,
}

impl Client {
    /// Makes a key. The answer is the only place where its secret ever stands.
    pub async fn create_key(&self, request: &KeyRequest) -> Result<CreatedKey, Error> {
        self.post("/v1/keys", request).await
    }

    /// One page of the account's keys, newest first.
    pub async fn list_keys(&self, query: &KeysQuery) -> Result<ListPage<Key>, Error> {
        let path = Query::new("/v1/keys")
            .add("status", query.status.as_deref())
            .add("preset", query.preset.as_deref())
            .add("limit", query.limit)
            .add("offset", query.offset)
            .finish();
        let list: KeyList = self.get(&path).await?;
        Ok(ListPage { items: list.keys, pagination: list.pagination })
    }

    /// One key.
    pub async fn get_key(&self, id: KeyId) -> Result<Key, Error> {
        self.get(&format!("/v1/keys/{id}")).await
    }

    /// Revokes a key: once this returns, the server admits no request with it.
    pub async fn revoke_key(&self, id: KeyId, reason: Option<&str>) -> Result<Key, Error> {
        #[derive(Serialize)]
        struct Reason<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'a str>,
        }
        self.post(&format!("/v1/keys/{id}/revoke"), &Reason { reason }).await
    }
}
