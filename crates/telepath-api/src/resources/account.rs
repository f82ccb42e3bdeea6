//! `/v1/account`: what the caller's account is called and what it decides for all of its keys.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use telepath_core::account::{Account, AccountPatchDraft};
use telepath_core::clock::Timestamp;
use telepath_core::id::AccountId;
use utoipa::ToSchema;

use crate::auth::caller::{Authorized, Caller, KeysRead, KeysWrite};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::StrictJson;
use crate::state::{AppState, Shared};

pub(crate) fn endpoints() -> Endpoints {
    endpoints![get_account, update_account]
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
struct AccountBody {
    /// Its id.
    #[schema(value_type = String, example = "acct_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: AccountId,
    /// What people call it.
    #[schema(example = "Default")]
    name: String,
    /// Whether its keys begin with `sk_live_` or `sk_test_`: `live` or `test`.
    #[schema(value_type = String, example = "live")]
    mode: &'static str,
    /// No key of the account may have a higher limit.
    #[schema(example = 60000)]
    max_rate_limit_per_minute: u32,
    /// Whether a key that was sent over plain HTTP is revoked at once.
    revoke_keys_seen_in_clear: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Account> for AccountBody {
    fn from(account: Account) -> Self {
        Self {
            id: account.id,
            name: account.name,
            mode: account.mode.name(),
            max_rate_limit_per_minute: account.max_rate_limit.get(),
            revoke_keys_seen_in_clear: account.revoke_keys_seen_in_clear,
            created_at: account.created_at,
        }
    }
}

/// The caller's account, whose bounds apply to the drafts that the caller sends.
pub(crate) async fn account_of(shared: &Shared, caller: &Caller) -> Result<Account, ApiError> {
    let account = shared.store.account(caller.account).await?;
    account.ok_or_else(|| ApiError::internal(format!("account {} is gone", caller.account)))
}

/// Get the account
#[utoipa::path(get, path = "/v1/account", tag = "Keys", operation_id = "getAccount",
    responses((status = 200, description = "The caller's account.", body = AccountBody)))]
async fn get_account(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysRead>,
) -> Result<Json<AccountBody>, ApiError> {
    Ok(Json(account_of(&state, &caller).await?.into()))
}

/// Update the account
#[utoipa::path(patch, path = "/v1/account", tag = "Keys", operation_id = "updateAccount",
    request_body = AccountPatchDraft,
    responses((status = 200, description = "The updated account.", body = AccountBody)))]
async fn update_account(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysWrite>,
    StrictJson(draft): StrictJson<AccountPatchDraft>,
) -> Result<Json<AccountBody>, ApiError> {
    let changed = state.store.update_account(caller.account, draft.check()?, caller.origin()).await?;
    let changed = changed.ok_or_else(|| ApiError::internal(format!("account {} is gone", caller.account)))?;
    Ok(Json(changed.into()))
}
