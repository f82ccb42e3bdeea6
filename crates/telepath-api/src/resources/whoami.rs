//! `GET /v1/whoami`: the caller's own key.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use telepath_core::account::Account;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};
use utoipa::ToSchema;

use crate::auth::caller::{AnyKey, Authorized, Caller};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::path::Resource as _;
use crate::resources::account::account_of;
use crate::resources::keys::scope_names;
use crate::state::{AppState, Shared};

pub(crate) fn endpoints() -> Endpoints {
    endpoints![whoami]
}

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Whoami)]
struct WhoamiBody {
    /// The key's id; null for local administration.
    #[schema(value_type = Option<String>, example = "key_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: Option<KeyId>,
    /// What people call the key.
    #[schema(example = "Production")]
    name: String,
    /// The bundle it was made from; null for local administration.
    #[schema(value_type = Option<String>, example = "production")]
    preset: Option<&'static str>,
    /// What it may do.
    #[schema(value_type = Vec<String>, example = json!(["trunks:read", "trunks:write"]))]
    scopes: Vec<&'static str>,
    /// Requests per minute.
    #[schema(example = 6000)]
    rate_limit_per_minute: u32,
    /// When it stops to work; null when never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Whose key it is.
    account: AccountBody,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WhoamiAccount)]
struct AccountBody {
    /// Its id.
    #[schema(value_type = String, example = "acct_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: AccountId,
    /// What people call it.
    #[schema(example = "Default")]
    name: String,
    /// `live` or `test`.
    #[schema(value_type = String, example = "live")]
    mode: &'static str,
}

impl From<Account> for AccountBody {
    fn from(account: Account) -> Self {
        Self { id: account.id, name: account.name, mode: account.mode.name() }
    }
}

/// Get the caller's own key
#[utoipa::path(get, path = "/v1/whoami", tag = "Keys", operation_id = "whoami",
    responses((status = 200, description = "The key that made this request.", body = WhoamiBody)))]
async fn whoami(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<AnyKey>,
) -> Result<Json<WhoamiBody>, ApiError> {
    match &caller.key {
        Some(key) => key_body(&state, &caller, key.key_id()).await.map(Json),
        None => local_body(&state, &caller).await.map(Json),
    }
}

async fn local_body(shared: &Shared, caller: &Caller) -> Result<WhoamiBody, ApiError> {
    Ok(WhoamiBody {
        id: None,
        name: "Local administration".to_owned(),
        preset: None,
        scopes: scope_names(caller.scopes),
        rate_limit_per_minute: shared.options.local_limit.get(),
        expires_at: None,
        account: account_of(shared, caller).await?.into(),
    })
}

async fn key_body(shared: &Shared, caller: &Caller, id: KeyId) -> Result<WhoamiBody, ApiError> {
    let account = account_of(shared, caller).await?;
    let record = shared.store.find_key(caller.account, id).await?;
    let record = record.ok_or_else(|| KeyId::not_found(&id.to_string()))?;
    Ok(WhoamiBody {
        id: Some(id),
        name: record.name,
        preset: Some(record.preset.name()),
        scopes: scope_names(record.scopes),
        rate_limit_per_minute: record.rate_limit.get(),
        expires_at: record.expires_at,
        account: account.into(),
    })
}
