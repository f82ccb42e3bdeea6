//! Erasing a call, or a number.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use telepath_api_types::erasures::{EraseNumber, NumberErased};
use telepath_core::call::ErasedNumber;
use telepath_core::error::ErrorCode;
use telepath_core::id::CallId;
use telepath_core::validation::Invalid;
use telepath_store::EraseError;

use crate::auth::caller::{AuthorizedWithin, CallsWrite};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::StrictJson;
use crate::extract::path::{PathId, Resource as _};
use crate::state::AppState;

pub(super) fn endpoints() -> Endpoints {
    endpoints![delete_call => [CallIsLive], erase_number => [MissingRequired]]
}

/// Erase a call
///
/// Deletes its record with turns, actions and SIP messages. Its events and their deliveries stay without the numbers, and without
/// the responses of receivers. Statistics stay; they hold no call. This cannot be undone.
#[utoipa::path(delete, path = "/v1/calls/{id}", tag = "Calls", operation_id = "deleteCall",
    params(("id" = String, Path, description = "The call's id.")),
    responses(
        (status = 204, description = "The call is erased."),
        (status = 409, description = "`CALL_IS_LIVE`")))]
async fn delete_call(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<CallsWrite>,
    PathId(id): PathId<CallId>,
) -> Result<StatusCode, ApiError> {
    state.store.erase_call(caller.reach(), id, caller.origin()).await.map_err(|error| match error {
        EraseError::NotFound => CallId::not_found(&id.to_string()),
        EraseError::Live => ApiError::of(ErrorCode::CallIsLive),
        EraseError::Store(error) => error.into(),
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// Erase a number
///
/// Erases every call from or to the number, and removes the SIP messages and headers of other calls that name it. A response looks at
/// up to 50,000 calls; send `next_cursor` until it is null. This cannot be undone.
#[utoipa::path(post, path = "/v1/calls/erase", tag = "Calls", operation_id = "eraseNumber", request_body = EraseNumber,
    responses((status = 200, description = "What was erased.", body = NumberErased)))]
async fn erase_number(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<CallsWrite>,
    StrictJson(draft): StrictJson<EraseNumber>,
) -> Result<Json<NumberErased>, ApiError> {
    let mut problems = Invalid::default();
    let number = problems.require("number", draft.number, |text| ErasedNumber::parse(&text));
    let cursor = problems.optional("cursor", draft.cursor, |text| text.parse::<CallId>());
    let Some(number) = number.filter(|_| problems.is_empty()) else { return Err(problems.into()) };
    let erased = state.store.erase_number(caller.reach(), number, cursor, caller.origin()).await?;
    Ok(Json(NumberErased {
        erased_calls: erased.erased,
        cleared_calls: erased.cleared,
        live_calls: erased.live,
        next_cursor: erased.next,
    }))
}
