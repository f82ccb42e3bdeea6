//! `/v1/account`: the caller's own account and its policies for keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use telepath_api_types::account::{Account, UpdateAccount};
use telepath_core::account::{self, AccountPatchDraft};

use crate::auth::caller::{AccountRead, AccountWrite, Authorized, Caller};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::StrictJson;
use crate::state::{AppState, Shared};

pub(crate) fn endpoints() -> Endpoints {
    endpoints![get_account, update_account]
}

/// The caller's account, whose bounds apply to the drafts that the caller sends.
pub(crate) async fn account_of(shared: &Shared, caller: &Caller) -> Result<Arc<account::Account>, ApiError> {
    let account = shared.store.account(caller.account).await?;
    account.ok_or_else(|| ApiError::internal(format!("account {} is gone", caller.account)))
}

/// Get the account
#[utoipa::path(get, path = "/v1/account", tag = "Account", operation_id = "getAccount",
    responses((status = 200, description = "The caller's account.", body = Account)))]
async fn get_account(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<AccountRead>,
) -> Result<Json<Account>, ApiError> {
    Ok(Json(Arc::unwrap_or_clone(account_of(&state, &caller).await?).into()))
}

/// Update the account
#[utoipa::path(patch, path = "/v1/account", tag = "Account", operation_id = "updateAccount",
    request_body = UpdateAccount,
    responses((status = 200, description = "The updated account.", body = Account)))]
async fn update_account(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<AccountWrite>,
    StrictJson(draft): StrictJson<UpdateAccount>,
) -> Result<Json<Account>, ApiError> {
    let changed = state
        .store
        .update_account(caller.account, AccountPatchDraft::from(draft).check()?, caller.origin())
        .await?;
    let changed = changed.ok_or_else(|| ApiError::internal(format!("account {} is gone", caller.account)))?;
    Ok(Json(changed.into()))
}
