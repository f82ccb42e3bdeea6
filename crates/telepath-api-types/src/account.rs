//! `/v1/account`: the caller's account and its policies for keys.

use serde::{Deserialize, Serialize};
use telepath_core::account::{self, AccountAdminDraft, AccountDraft, AccountPatchDraft};
use telepath_core::clock::Timestamp;
use telepath_core::id::AccountId;
use telepath_core::patch::Patch;

#[cfg(feature = "openapi")]
use crate::enums;
use crate::page::Pagination;

/// An account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Account {
    /// The id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "acct_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: AccountId,
    /// A name for people.
    #[cfg_attr(feature = "openapi", schema(example = "Default"))]
    pub name: String,
    /// `live` or `test`: whether its keys start with `sk_live_` or `sk_test_`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::KeyMode, example = "live"))]
    pub mode: String,
    /// The highest limit that a key of the account may have.
    #[cfg_attr(feature = "openapi", schema(example = 60000))]
    pub max_rate_limit_per_minute: u32,
    /// Whether a key that is sent over plain HTTP is revoked at once.
    pub revoke_keys_seen_in_clear: bool,
    /// The longest time from now until a new or changed key expires, in days; null means no limit.
    pub max_key_lifetime_days: Option<u32>,
    /// Whether every new or changed key must expire.
    pub keys_must_expire: bool,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
}

/// A request to change the account. Members that are left out keep their value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"revoke_keys_seen_in_clear": true, "max_key_lifetime_days": 365})))]
#[serde(deny_unknown_fields)]
pub struct UpdateAccount {
    /// A name for people, 1–100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether a key that is sent over plain HTTP is revoked at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoke_keys_seen_in_clear: Option<bool>,
    /// The longest time from now until a new or changed key expires, 1–3650 days; null means no limit.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>))]
    pub max_key_lifetime_days: Patch<u32>,
    /// Whether every new or changed key must expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_must_expire: Option<bool>,
}

/// A page of the installation's accounts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountList {
    /// The oldest first.
    pub accounts: Vec<Account>,
    pub pagination: Pagination,
}

/// A request to create an account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"name": "Staging", "mode": "test"})))]
#[serde(deny_unknown_fields)]
pub struct CreateAccount {
    /// A name for people, 1–100 characters.
    #[cfg_attr(feature = "openapi", schema(required))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `live` (the default) or `test`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::KeyMode>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The highest limit of its keys, in requests per minute; 60000 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rate_limit_per_minute: Option<u32>,
}

/// A request of local administration to change an account. Members that are left out keep their value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"max_rate_limit_per_minute": 12000})))]
#[serde(deny_unknown_fields)]
pub struct AdministerAccount {
    /// A name for people, 1–100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `live` or `test`; can change only while the account has no key that is not revoked.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::KeyMode>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The highest limit of its keys, in requests per minute; not below the limit of a key that is not revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rate_limit_per_minute: Option<u32>,
}

impl From<account::Account> for Account {
    fn from(account: account::Account) -> Self {
        Self {
            id: account.id,
            name: account.name,
            mode: account.mode.name().to_owned(),
            max_rate_limit_per_minute: account.max_rate_limit.get(),
            revoke_keys_seen_in_clear: account.revoke_keys_seen_in_clear,
            max_key_lifetime_days: account.max_key_lifetime_days,
            keys_must_expire: account.keys_must_expire,
            created_at: account.created_at,
        }
    }
}

impl From<UpdateAccount> for AccountPatchDraft {
    fn from(body: UpdateAccount) -> Self {
        let UpdateAccount { name, revoke_keys_seen_in_clear, max_key_lifetime_days, keys_must_expire } = body;
        Self { name, revoke_keys_seen_in_clear, max_key_lifetime_days, keys_must_expire }
    }
}

impl From<CreateAccount> for AccountDraft {
    fn from(body: CreateAccount) -> Self {
        let CreateAccount { name, mode, max_rate_limit_per_minute } = body;
        Self { name, mode, max_rate_limit_per_minute }
    }
}

impl From<AdministerAccount> for AccountAdminDraft {
    fn from(body: AdministerAccount) -> Self {
        let AdministerAccount { name, mode, max_rate_limit_per_minute } = body;
        Self { name, mode, max_rate_limit_per_minute }
    }
}
