//! `/v1/trunks`: SIP usernames that carriers call, and the agents that answer. Credentials are write-only.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use telepath_api_types::enums;
use telepath_api_types::trunks::{
    CreateTrunk, CreatedTrunk, RotatedSipPassword, Trunk, TrunkList, UpdateTrunk,
};
use telepath_core::call::DisconnectReason;
use telepath_core::error::ErrorCode;
use telepath_core::id::TrunkId;
use telepath_core::page::{CREATED_AT, Page, PageRequest};
use telepath_core::trunk::{AgentUrl, TrunkDraft, TrunkFilter, TrunkMetrics, TrunkStatus};
use telepath_store::{RotatedPassword, TrunkChangeError};

use crate::auth::caller::{Authorized, AuthorizedWithin, Caller, TrunksRead, TrunksWrite};
use crate::destination::require_agent_url;
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::{NoMembers, OptionalJson, StrictJson};
use crate::extract::path::{PathId, Resource as _};
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::state::{AppState, Shared};

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_trunks, create_trunk => [MissingRequired, LimitReached], get_trunk, update_trunk, delete_trunk, rotate_sip_password, rotate_password]
}

/// Which trunks a list shows.
struct TrunkQuery {
    filter: TrunkFilter,
    page: PageRequest,
}

impl QueryForm for TrunkQuery {
    fn read(query: &mut QueryReader) -> Self {
        let status =
            query.choice("status", TrunkStatus::from_name, TrunkStatus::ALL.iter().map(|s| s.name()));
        let oldest_first = query.oldest_first();
        Self { filter: TrunkFilter { status, oldest_first }, page: query.page::<TrunkId>(Some(CREATED_AT)) }
    }
}

fn change_error(id: TrunkId) -> impl FnOnce(TrunkChangeError) -> ApiError {
    move |error| match error {
        TrunkChangeError::NotFound => TrunkId::not_found(&id.to_string()),
        TrunkChangeError::UsernameTaken | TrunkChangeError::Invalid(_) | TrunkChangeError::Store(_) => {
            error.into()
        }
    }
}

impl From<TrunkChangeError> for ApiError {
    fn from(error: TrunkChangeError) -> Self {
        match error {
            // Handlers that know the id name it; see `change_error`.
            TrunkChangeError::NotFound => ApiError::of(ErrorCode::TrunkNotFound),
            TrunkChangeError::UsernameTaken => ApiError::of(ErrorCode::SipUsernameTaken),
            TrunkChangeError::Invalid(problems) => problems.into(),
            TrunkChangeError::Store(error) => error.into(),
        }
    }
}

/// List trunks
#[utoipa::path(get, path = "/v1/trunks", tag = "Trunks", operation_id = "listTrunks",
    params(
        ("status" = inline(Option<enums::TrunkStatus>), Query, description = "`active`, `inactive` or `error`."),
        ("sort" = inline(Option<enums::OrderByCreation>), Query, description = "`created_at` or `-created_at` (newest first, the default)."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Trunks per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Trunks to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page, with the same filters and sort; replaces `offset`.")),
    responses((status = 200, description = "A page of trunks.", body = TrunkList)))]
async fn list_trunks(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<TrunksRead>,
    StrictQuery(query): StrictQuery<TrunkQuery>,
) -> Result<Json<TrunkList>, ApiError> {
    let Page { items, position } = state.store.list_trunks(caller.reach(), query.filter, query.page).await?;
    let trunks = items
        .into_iter()
        .map(|(trunk, metrics)| Trunk::new(trunk, metrics, &state.options.sip_host))
        .collect();
    Ok(Json(TrunkList { trunks, pagination: position.into() }))
}

/// Create a trunk
#[utoipa::path(post, path = "/v1/trunks", tag = "Trunks", operation_id = "createTrunk", request_body = CreateTrunk,
    responses(
        (status = 201, description = "The trunk, with its SIP password if one was generated.", body = CreatedTrunk),
        (status = 409, description = "`SIP_USERNAME_TAKEN`, `LIMIT_REACHED`")))]
async fn create_trunk(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<TrunksWrite>,
    StrictJson(draft): StrictJson<CreateTrunk>,
) -> Result<impl IntoResponse, ApiError> {
    let new = TrunkDraft::from(draft).check()?;
    if let Some(url) = &new.settings.custom_endpoint {
        require_agent_url(&state, url)?;
    }
    let telepath_store::CreatedTrunk { trunk, generated_password } =
        state.store.create_trunk(caller.account, new, caller.origin()).await?;
    let location = format!("/v1/trunks/{}", trunk.id);
    let body = CreatedTrunk {
        // Nobody can have called it yet.
        trunk: Trunk::new(trunk, TrunkMetrics::default(), &state.options.sip_host),
        sip_password: generated_password.map(|password| password.secret().clone()),
    };
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(body)))
}

/// Get a trunk
#[utoipa::path(get, path = "/v1/trunks/{id}", tag = "Trunks", operation_id = "getTrunk",
    params(("id" = String, Path, description = "The trunk's id.")),
    responses((status = 200, description = "The trunk.", body = Trunk)))]
async fn get_trunk(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<TrunksRead>,
    PathId(id): PathId<TrunkId>,
) -> Result<Json<Trunk>, ApiError> {
    show(&state, &caller, id).await
}

async fn show(shared: &Shared, caller: &Caller, id: TrunkId) -> Result<Json<Trunk>, ApiError> {
    let found = shared.store.get_trunk(caller.reach(), id).await?;
    let (trunk, metrics) = found.ok_or_else(|| TrunkId::not_found(&id.to_string()))?;
    Ok(Json(Trunk::new(trunk, metrics, &shared.options.sip_host)))
}

/// Update a trunk
///
/// Changes the members that are present; null clears an optional one. An inactive trunk refuses new calls; live calls
/// continue. If scheme, host or port of `custom_endpoint` changes, `custom_headers` that are set must be given again, or
/// removed with null.
#[utoipa::path(patch, path = "/v1/trunks/{id}", tag = "Trunks", operation_id = "updateTrunk",
    request_body = UpdateTrunk,
    params(("id" = String, Path, description = "The trunk's id.")),
    responses((status = 200, description = "The updated trunk.", body = Trunk)))]
async fn update_trunk(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<TrunksWrite>,
    PathId(id): PathId<TrunkId>,
    StrictJson(draft): StrictJson<UpdateTrunk>,
) -> Result<Json<Trunk>, ApiError> {
    // A URL that is not valid is reported with the other problems of the change.
    if let Some(url) = draft.custom_endpoint.clone().and_then(|url| AgentUrl::try_from(url).ok()) {
        require_agent_url(&state, &url)?;
    }
    let changed = state.store.update_trunk(caller.reach(), id, draft.into(), caller.origin()).await;
    changed.map_err(change_error(id))?;
    show(&state, &caller, id).await
}

/// Delete a trunk
///
/// Refuses new calls, ends live ones with the reason `trunk_deleted`, and keeps the call history.
#[utoipa::path(delete, path = "/v1/trunks/{id}", tag = "Trunks", operation_id = "deleteTrunk",
    params(("id" = String, Path, description = "The trunk's id.")),
    responses((status = 204, description = "The trunk is deleted.")))]
async fn delete_trunk(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<TrunksWrite>,
    PathId(id): PathId<TrunkId>,
) -> Result<StatusCode, ApiError> {
    // Spawned, so that it completes when the caller disconnects: otherwise a deleted trunk could keep live calls.
    let work = tokio::spawn({
        let state = Arc::clone(&state);
        async move {
            state.store.delete_trunk(caller.reach(), id, caller.origin()).await?;
            state.live.hang_up_trunk(id, DisconnectReason::TrunkDeleted);
            Ok(())
        }
    });
    work.await
        .map_err(|error| ApiError::internal_because("deleting a trunk failed", &error))?
        .map_err(change_error(id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Rotate the SIP password
///
/// The old password stops working immediately; live calls continue.
#[utoipa::path(post, path = "/v1/trunks/{id}/rotate-sip-password", tag = "Trunks",
    operation_id = "rotateSipPassword",
    params(("id" = String, Path, description = "The trunk's id.")),
    responses((status = 200, description = "The new password. It is shown only here.", body = RotatedSipPassword)))]
async fn rotate_sip_password(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<TrunksWrite>,
    PathId(id): PathId<TrunkId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<Json<RotatedSipPassword>, ApiError> {
    rotate(&state, &caller, id).await
}

/// Rotate the SIP password (older path)
///
/// The same as `rotate-sip-password`.
#[utoipa::path(post, path = "/v1/trunks/{id}/rotate-password", tag = "Trunks", operation_id = "rotatePassword",
    params(("id" = String, Path, description = "The trunk's id.")),
    responses((status = 200, description = "The new password. It is shown only here.", body = RotatedSipPassword)))]
async fn rotate_password(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<TrunksWrite>,
    PathId(id): PathId<TrunkId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<Json<RotatedSipPassword>, ApiError> {
    rotate(&state, &caller, id).await
}

async fn rotate(shared: &Shared, caller: &Caller, id: TrunkId) -> Result<Json<RotatedSipPassword>, ApiError> {
    let rotated = shared.store.rotate_sip_password(caller.reach(), id, caller.origin()).await;
    let RotatedPassword { trunk, password, rotated_at } = rotated.map_err(change_error(id))?;
    let sip_password = Some(password.secret().clone());
    Ok(Json(RotatedSipPassword { id, sip_username: trunk.sip_username.into(), sip_password, rotated_at }))
}
