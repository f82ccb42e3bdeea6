//! `/local/accounts`: the accounts of the installation, for local administration only.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use telepath_api_types::account::{Account, AccountList, AdministerAccount, CreateAccount};
use telepath_core::account::{AccountAdminDraft, AccountDraft};
use telepath_core::id::AccountId;
use telepath_core::page::{CREATED_AT, Page, PageRequest};
use telepath_store::AccountChangeError;

use crate::auth::caller::LocalAdministration;
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::StrictJson;
use crate::extract::path::{PathId, Resource as _};
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::state::AppState;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![
        list_accounts,
        create_account => [MissingRequired, LimitReached],
        show_account,
        administer_account,
    ]
}

impl From<AccountChangeError> for ApiError {
    fn from(error: AccountChangeError) -> Self {
        match error {
            AccountChangeError::Invalid(problems) => problems.into(),
            AccountChangeError::Store(error) => error.into(),
        }
    }
}

/// Which part of the list.
struct AccountQuery(PageRequest);

impl QueryForm for AccountQuery {
    fn read(query: &mut QueryReader) -> Self {
        Self(query.page::<AccountId>(Some(CREATED_AT)))
    }
}

/// List the accounts
#[utoipa::path(get, path = "/local/accounts", tag = "Account", operation_id = "listAccounts",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Accounts per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Accounts to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page; replaces `offset`.")),
    responses((status = 200, description = "A page of accounts.", body = AccountList)))]
async fn list_accounts(
    State(state): State<AppState>,
    LocalAdministration { .. }: LocalAdministration,
    StrictQuery(AccountQuery(page)): StrictQuery<AccountQuery>,
) -> Result<Json<AccountList>, ApiError> {
    let Page { items, position } = state.store.list_accounts(page).await?;
    let accounts = items.into_iter().map(Account::from).collect();
    Ok(Json(AccountList { accounts, pagination: position.into() }))
}

/// Create an account
#[utoipa::path(post, path = "/local/accounts", tag = "Account", operation_id = "createAccount",
    request_body = CreateAccount,
    responses((status = 201, description = "The account.", body = Account)))]
async fn create_account(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
    StrictJson(draft): StrictJson<CreateAccount>,
) -> Result<(StatusCode, Json<Account>), ApiError> {
    let account = state.store.create_account(AccountDraft::from(draft).check()?, caller.origin()).await?;
    Ok((StatusCode::CREATED, Json(account.into())))
}

/// Show an account
#[utoipa::path(get, path = "/local/accounts/{id}", tag = "Account", operation_id = "getAccountById",
    params(("id" = String, Path, description = "The account's id.")),
    responses((status = 200, description = "The account.", body = Account)))]
async fn show_account(
    State(state): State<AppState>,
    LocalAdministration { .. }: LocalAdministration,
    PathId(id): PathId<AccountId>,
) -> Result<Json<Account>, ApiError> {
    let account = state.store.account(id).await?.map(Arc::unwrap_or_clone);
    account.map(|account| Json(account.into())).ok_or_else(|| AccountId::not_found(&id.to_string()))
}

/// Change name, mode or maximum rate limit of an account
///
/// The account's own policies are changed with `PATCH /v1/account`.
#[utoipa::path(patch, path = "/local/accounts/{id}", tag = "Account", operation_id = "administerAccount",
    params(("id" = String, Path, description = "The account's id.")),
    request_body = AdministerAccount,
    responses((status = 200, description = "The account as it is now.", body = Account)))]
async fn administer_account(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
    PathId(id): PathId<AccountId>,
    StrictJson(draft): StrictJson<AdministerAccount>,
) -> Result<Json<Account>, ApiError> {
    let changed =
        state.store.update_account(id, AccountAdminDraft::from(draft).check()?, caller.origin()).await?;
    changed.map(|account| Json(account.into())).ok_or_else(|| AccountId::not_found(&id.to_string()))
}
