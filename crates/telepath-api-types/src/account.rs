//! `/v1/account`: the caller's account and its policies for keys.

use serde::{Deserialize, Serialize};
use telepath_core::account::{self, AccountPatchDraft};
use telepath_core::clock::Timestamp;
use telepath_core::id::AccountId;

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
    #[cfg_attr(feature = "openapi", schema(example = "live"))]
    pub mode: String,
    /// The highest limit that a key of the account may have.
    #[cfg_attr(feature = "openapi", schema(example = 60000))]
    pub max_rate_limit_per_minute: u32,
    /// Whether a key that is sent over plain HTTP is revoked at once.
    pub revoke_keys_seen_in_clear: bool,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
}

/// A request to change the account. Members that are left out keep their value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateAccount {
    /// A name for people, 1–100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether a key that is sent over plain HTTP is revoked at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoke_keys_seen_in_clear: Option<bool>,
}

impl From<account::Account> for Account {
    fn from(account: account::Account) -> Self {
        Self {
            id: account.id,
            name: account.name,
            mode: account.mode.name().to_owned(),
            max_rate_limit_per_minute: account.max_rate_limit.get(),
            revoke_keys_seen_in_clear: account.revoke_keys_seen_in_clear,
            created_at: account.created_at,
        }
    }
}

impl From<UpdateAccount> for AccountPatchDraft {
    fn from(body: UpdateAccount) -> Self {
        let UpdateAccount { name, revoke_keys_seen_in_clear } = body;
        Self { name, revoke_keys_seen_in_clear }
    }
}
