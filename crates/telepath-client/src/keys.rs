//! `/v1/keys`: make, list, change, rotate and revoke API keys.

mod presets;
mod rotation;
mod usage;

pub use presets::{KeyPreset, KeyPresetChange};
pub use rotation::{MAX_REPORTED, RotatedKeys};
pub use usage::{KeyUsage, RouteUsage, UsageAddress, UsageBucket, UsageQuery};

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::{KeyId, SecretId};
use telepath_core::patch::Patch;
use telepath_core::secret::SecretText;

use crate::client::Client;
use crate::error::Error;
use crate::page::{ListPage, Pagination};
use crate::request::Query;

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
    /// Before when it does not work yet.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom: a key's or a user's id, `local` or `system`.
    #[serde(default)]
    pub created_by: Option<String>,
    /// When it was last used, at most a second late.
    pub last_used_at: Option<Timestamp>,
    /// From where it was last used.
    #[serde(default)]
    pub last_used_ip: Option<IpAddr>,
    /// Requests with it so far.
    #[serde(default)]
    pub request_count: u64,
    /// Those answered by an error.
    #[serde(default)]
    pub error_count: u64,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
    /// By whom it was withdrawn.
    #[serde(default)]
    pub revoked_by: Option<String>,
    /// Why it was withdrawn.
    pub revoke_reason: Option<String>,
    /// Its secrets, the newest first, never in full.
    #[serde(default)]
    pub secrets: Vec<KeySecret>,
}

/// What may be shown of one secret of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySecret {
    /// Its id.
    pub id: SecretId,
    /// Its first three and last four characters.
    pub masked: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops to work although the key goes on.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// `current`, `grace` or `ended`; `None` from a server that does not say.
    #[serde(default)]
    pub status: Option<String>,
    /// When it was last used.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
    /// From where it was last used.
    #[serde(default)]
    pub last_used_ip: Option<IpAddr>,
}

/// A key with a secret that was just made and is shown this once.
#[derive(Debug, Clone)]
pub struct CreatedKey {
    /// The key.
    pub key: Key,
    /// What goes into the `Authorization` header.
    pub secret: SecretText,
}

/// A key with its secret as it is answered. An answer that is given again, to an attempt whose first answer was lost,
/// leaves the secret out.
#[derive(Deserialize)]
struct Answered {
    #[serde(flatten)]
    key: Key,
    secret: Option<SecretText>,
}

impl Answered {
    fn created(self) -> Result<CreatedKey, Error> {
        match self.secret {
            Some(secret) => Ok(CreatedKey { key: self.key, secret }),
            None => Err(Error::SecretLost { id: self.key.id.to_string() }),
        }
    }
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

/// What to change; what is left out stays as it is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct KeyChange {
    /// What people call it, 1–100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Requests per minute; what was used in the running window stays used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_minute: Option<u32>,
    /// Networks in CIDR form; an empty list means from everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_ips: Option<Vec<String>>,
    /// When it stops to work; [`Patch::Clear`] means never.
    #[serde(skip_serializing_if = "Patch::is_kept")]
    pub expires_at: Patch<Timestamp>,
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
        self.post::<Answered>("/v1/keys", request).await?.created()
    }

    /// One page of the account's keys, newest first.
    pub async fn list_keys(&self, query: &KeysQuery) -> Result<ListPage<Key>, Error> {
        let path = Query::new("/v1/keys")
            .add("status", query.status.as_deref())
            .add("preset", query.preset.as_deref())
            .add("idle_days", query.idle_days)
            .add("expires_before", query.expires_before)
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

    /// Changes a key: once this returns, the server admits no request by the old rights, limit, addresses or expiry.
    pub async fn update_key(&self, id: KeyId, change: &KeyChange) -> Result<Key, Error> {
        self.patch(&format!("/v1/keys/{id}"), change).await
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
