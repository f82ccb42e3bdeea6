//! `GET /v1/whoami`: the caller's own key.

use axum::Json;
use axum::extract::State;
use telepath_api_types::text::scope_names;
use telepath_api_types::whoami::Whoami;
use telepath_core::error::ErrorCode;
use telepath_core::principal::Principal;
use telepath_store::{KeyDescription, KeyHandle};

use crate::auth::caller::{AnyKey, AuthorizedWithin, Caller};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::resources::account::account_of;
use crate::state::{AppState, Shared};

pub(crate) fn endpoints() -> Endpoints {
    endpoints![whoami]
}

/// Get the caller's own key
#[utoipa::path(get, path = "/v1/whoami", tag = "Keys", operation_id = "whoami",
    responses((status = 200, description = "The key that made this request.", body = Whoami)))]
async fn whoami(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<AnyKey>,
) -> Result<Json<Whoami>, ApiError> {
    match &caller.principal {
        Principal::ApiKey(key) => key_body(&state, &caller, key).await.map(Json),
        Principal::Local { .. } => local_body(&state, &caller).await.map(Json),
        // The session of a user means nothing to the API.
        Principal::User(_) | Principal::Anonymous => Err(ApiError::of(ErrorCode::MissingApiKey)),
    }
}

async fn local_body(shared: &Shared, caller: &Caller) -> Result<Whoami, ApiError> {
    Ok(Whoami {
        id: None,
        name: "Local administration".to_owned(),
        preset: None,
        scopes: scope_names(caller.scopes),
        trunk_ids: Vec::new(),
        rate_limit_per_minute: shared.options.local_limit.get(),
        expires_at: None,
        account: account_of(shared, caller).await?.as_ref().into(),
    })
}

async fn key_body(shared: &Shared, caller: &Caller, key: &KeyHandle) -> Result<Whoami, ApiError> {
    let account = account_of(shared, caller).await?;
    let KeyDescription { name, preset, scopes, rate_limit, expires_at } = key.description();
    Ok(Whoami {
        id: Some(key.key_id()),
        name: name.into_string(),
        preset: Some(preset.name().to_owned()),
        scopes: scope_names(scopes),
        trunk_ids: caller.reach().trunks.ids().to_vec(),
        rate_limit_per_minute: rate_limit.get(),
        expires_at,
        account: account.as_ref().into(),
    })
}
