//! `GET /v1/whoami`: what the server knows of the caller's own key.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use telepath_core::account::{Account, Actor};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::auth::caller::{AnyKey, Authorized, Caller};
use crate::error::ApiError;
use crate::keys::{account_of, scope_names};
use crate::path::Resource as _;

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
#[schema(as = Account)]
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
) -> Result<Json<WhoamiBody>, ApiError> {
    let account = account_of(&state, &caller).await?;
    let body = match caller.actor {
        Actor::Key(id) => of_key(&state, &caller, id, account).await?,
        Actor::Local | Actor::User(_) | Actor::System => WhoamiBody {
            id: None,
            name: "Local administration".to_owned(),
            preset: None,
            scopes: scope_names(caller.scopes),
            rate_limit_per_minute: state.options.local_limit.get(),
            expires_at: None,
            account: account.into(),
        },
    };
    Ok(Json(body))
}

async fn of_key(
    state: &AppState,
    caller: &Caller,
    id: KeyId,
    account: Account,
) -> Result<WhoamiBody, ApiError> {
    let record = state.store.get_key(caller.account, id).await?;
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
