//! `GET /v1/whoami`: what the server knows of the caller's own key. Programs ask it to check a key, so its answers are
//! kept and a repeated question does not reach the database.

mod answers;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use bytes::Bytes;
use serde::Serialize;
use telepath_core::account::Account;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};
use telepath_store::KeyHandle;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::{AppState, Shared};
use crate::auth::caller::{AnyKey, Authorized, Caller};
use crate::error::ApiError;
use crate::keys::{account_of, scope_names};
use crate::path::Resource as _;

pub(crate) use answers::WhoamiAnswers;

pub(crate) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(whoami))
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

/// Show the caller's own key
#[utoipa::path(get, path = "/v1/whoami", tag = "Keys", operation_id = "whoami",
    responses((status = 200, description = "The key that made this request.", body = WhoamiBody)))]
async fn whoami(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<AnyKey>,
) -> Result<impl IntoResponse, ApiError> {
    let body = match &caller.key {
        Some(key) => of_key(&state, &caller, key).await?,
        None => Box::pin(of_local(&state, &caller)).await?,
    };
    Ok(([(CONTENT_TYPE, "application/json")], body))
}

async fn of_local(shared: &Shared, caller: &Caller) -> Result<Bytes, ApiError> {
    render(&WhoamiBody {
        id: None,
        name: "Local administration".to_owned(),
        preset: None,
        scopes: scope_names(caller.scopes),
        rate_limit_per_minute: shared.options.local_limit.get(),
        expires_at: None,
        account: account_of(shared, caller).await?.into(),
    })
}

async fn of_key(shared: &Shared, caller: &Caller, key: &KeyHandle) -> Result<Bytes, ApiError> {
    // Asked before the database is: what is read below is not older than this version.
    let (id, version) = (key.key_id(), key.version());
    match shared.whoami.get(id, version) {
        Some(known) => Ok(known),
        // On the heap, where it is seldom needed: the future of every request would be as large as this one.
        None => Box::pin(read(shared, caller, id, version)).await,
    }
}

async fn read(shared: &Shared, caller: &Caller, id: KeyId, version: i64) -> Result<Bytes, ApiError> {
    let account = account_of(shared, caller).await?;
    let record = shared.store.find_key(caller.account, id).await?;
    let record = record.ok_or_else(|| KeyId::not_found(&id.to_string()))?;
    let body = render(&WhoamiBody {
        id: Some(id),
        name: record.name,
        preset: Some(record.preset.name()),
        scopes: scope_names(record.scopes),
        rate_limit_per_minute: record.rate_limit.get(),
        expires_at: record.expires_at,
        account: account.into(),
    })?;
    shared.whoami.put(id, version, body.clone());
    Ok(body)
}

fn render(body: &WhoamiBody) -> Result<Bytes, ApiError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|error| ApiError::internal(error.to_string()))
}
