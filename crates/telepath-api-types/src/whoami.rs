//! `/v1/whoami`: the caller's own key.

use serde::{Deserialize, Serialize};
use telepath_core::account;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId, TrunkId};

#[cfg(feature = "openapi")]
use crate::enums;

/// The caller's own key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Whoami {
    /// The key's id; null for local administration.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "key_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: Option<KeyId>,
    /// The key's name.
    #[cfg_attr(feature = "openapi", schema(example = "Production"))]
    pub name: String,
    /// The preset it was created from; null for local administration.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::Preset>, example = "production"))]
    pub preset: Option<String>,
    /// Its scopes.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<enums::Scope>, example = json!(["trunks:read", "trunks:write"])))]
    pub scopes: Vec<String>,
    /// The trunks that it reaches; empty means all.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, example = json!(["conn_01k9v1n2xrf6t8g3m5q7w9y0za"])))]
    #[serde(default)]
    pub trunk_ids: Vec<TrunkId>,
    /// Requests per minute.
    #[cfg_attr(feature = "openapi", schema(example = 6000))]
    pub rate_limit_per_minute: u32,
    /// When it stops working; null when never.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Timestamp>,
    /// The key's account.
    pub account: WhoamiAccount,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WhoamiAccount {
    /// The id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "acct_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: AccountId,
    /// A name for people.
    #[cfg_attr(feature = "openapi", schema(example = "Default"))]
    pub name: String,
    /// `live` or `test`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::KeyMode, example = "live"))]
    pub mode: String,
}

impl From<&account::Account> for WhoamiAccount {
    fn from(account: &account::Account) -> Self {
        Self { id: account.id, name: account.name.clone(), mode: account.mode.name().to_owned() }
    }
}
