//! `/v1/trunks`: SIP usernames that carriers call, and the agents that answer. Credentials go in and never come out.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use serde::Serialize;
use telepath_core::call::DisconnectReason;
use telepath_core::clock::Timestamp;
use telepath_core::error::ErrorCode;
use telepath_core::id::TrunkId;
use telepath_core::page::PageRequest;
use telepath_core::trunk::{
    CredentialField, CredentialState, SipPassword, Trunk, TrunkDraft, TrunkFilter, TrunkMetrics,
    TrunkPatchDraft, TrunkStatus,
};
use telepath_store::{CreatedTrunk, RotatedPassword, TrunkChangeError};
use utoipa::ToSchema;

use crate::auth::caller::{Authorized, Caller, TrunksRead, TrunksWrite};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::{NoMembers, OptionalJson, StrictJson};
use crate::extract::page::Pagination;
use crate::extract::path::{PathId, Resource as _};
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::resources::keys::network_texts;
use crate::state::{AppState, Shared};

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_trunks, create_trunk => [MissingRequired], get_trunk, update_trunk, delete_trunk, rotate_sip_password, rotate_password]
}

/// A trunk. Of credentials it shows only that they are set.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Trunk)]
struct TrunkBody {
    /// Its id.
    #[schema(value_type = String, example = "conn_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: TrunkId,
    /// What people call it.
    #[schema(example = "Support")]
    name: String,
    /// `active`, `inactive` or `error`.
    #[schema(value_type = String, example = "active")]
    status: &'static str,
    /// `openai`, `elevenlabs` or `custom`.
    #[schema(value_type = String, example = "custom")]
    ai_provider: &'static str,
    /// The user part of its SIP URI.
    #[schema(example = "support-01")]
    sip_username: String,
    /// Where carriers send calls.
    #[schema(example = "sip:support-01@sip.example.com")]
    sip_endpoint: String,
    /// How a custom agent is spoken to.
    #[schema(value_type = String, example = "telepath.v1")]
    agent_protocol: &'static str,
    /// The OpenAI API key, never in full.
    openai_api_key: Option<CredentialState>,
    /// The ElevenLabs API key, never in full.
    elevenlabs_api_key: Option<CredentialState>,
    /// The headers for a custom agent, never in full.
    custom_headers: Option<CredentialState>,
    /// The ElevenLabs agent.
    elevenlabs_agent_id: Option<String>,
    /// The user's own agent.
    #[schema(example = "wss://agent.example/voice")]
    custom_endpoint: Option<String>,
    /// Said to the agent at the start of each call.
    system_prompt: Option<String>,
    /// The provider's voice.
    voice_id: Option<String>,
    /// The provider's model.
    model: Option<String>,
    /// What the agent says first.
    greeting: Option<String>,
    /// Numbers that may be dialled; empty means any.
    #[schema(example = json!(["+15550100123"]))]
    inbound_numbers: Vec<String>,
    /// Carrier networks that may call without digest.
    #[schema(example = json!(["203.0.113.0/24"]))]
    allowed_ips: Vec<String>,
    /// Calls at once; null means as many as the server takes.
    max_concurrent_calls: Option<u32>,
    /// Seconds after which a call is ended; null means the server's own bound.
    max_call_seconds: Option<u32>,
    /// Codecs in order of preference; empty means the server's order.
    #[schema(value_type = Vec<String>, example = json!(["PCMU", "PCMA"]))]
    codecs: Vec<&'static str>,
    /// Pairs that mean something to you.
    metadata: BTreeMap<String, String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// Today's calls.
    metrics: TrunkMetricsBody,
}

/// Figures of today's calls (UTC); null where there were none.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrunkMetrics)]
struct TrunkMetricsBody {
    /// Calls since midnight.
    calls_today: u64,
    /// Percentage of ended calls that reached the agent, 0–100.
    success_rate: Option<f64>,
    /// Mean AI latency in milliseconds.
    avg_latency_ms: Option<f64>,
}

/// A new trunk.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedTrunk)]
struct CreatedTrunkBody {
    #[serde(flatten)]
    trunk: TrunkBody,
    /// Only when none was given: the password that was made. Shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Password)]
    sip_password: Option<String>,
}

/// A page of trunks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrunkList)]
struct TrunkListBody {
    /// The newest first, unless asked otherwise.
    trunks: Vec<TrunkBody>,
    pagination: Pagination,
}

/// A new SIP password. The old one is dead.
#[derive(Serialize, ToSchema)]
#[schema(as = RotatedSipPassword)]
struct RotatedBody {
    /// The trunk's id.
    #[schema(value_type = String, example = "conn_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: TrunkId,
    /// The user part of its SIP URI.
    #[schema(example = "support-01")]
    sip_username: String,
    /// The new password. Shown this once.
    #[schema(format = Password)]
    sip_password: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    rotated_at: Timestamp,
}

fn shown(password: &SipPassword) -> String {
    password.secret().expose().to_owned()
}

impl TrunkBody {
    fn new(shared: &Shared, trunk: Trunk, metrics: TrunkMetrics) -> Self {
        let Trunk { settings, mut credentials, .. } = trunk;
        Self {
            id: trunk.id,
            name: trunk.name,
            status: trunk.status.name(),
            ai_provider: trunk.ai_provider.name(),
            sip_endpoint: format!("sip:{}@{}", trunk.sip_username, shared.options.sip_host),
            sip_username: trunk.sip_username.into(),
            agent_protocol: trunk.agent_protocol.name(),
            openai_api_key: credentials.remove(&CredentialField::OpenAiApiKey),
            elevenlabs_api_key: credentials.remove(&CredentialField::ElevenLabsApiKey),
            custom_headers: credentials.remove(&CredentialField::CustomHeaders),
            elevenlabs_agent_id: settings.elevenlabs_agent_id,
            custom_endpoint: settings.custom_endpoint.map(String::from),
            system_prompt: settings.system_prompt,
            voice_id: settings.voice_id,
            model: settings.model,
            greeting: settings.greeting,
            inbound_numbers: settings.inbound_numbers.into_iter().map(String::from).collect(),
            allowed_ips: network_texts(&trunk.allowed_ips),
            max_concurrent_calls: settings.max_concurrent_calls,
            max_call_seconds: settings.max_call_seconds,
            codecs: settings.codecs.iter().map(|codec| codec.name()).collect(),
            metadata: settings.metadata,
            created_at: trunk.created_at,
            updated_at: trunk.updated_at,
            metrics: TrunkMetricsBody {
                calls_today: metrics.calls_today,
                success_rate: metrics.success_rate,
                avg_latency_ms: metrics.avg_latency_ms,
            },
        }
    }
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
        Self { filter: TrunkFilter { status, oldest_first }, page: query.page() }
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
        ("status" = Option<String>, Query, description = "`active`, `inactive` or `error`."),
        ("sort" = Option<String>, Query, description = "`created_at` or `-created_at` (newest first, the default)."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Trunks per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Trunks to skip.")),
    responses((status = 200, description = "A page of trunks.", body = TrunkListBody)))]
async fn list_trunks(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<TrunksRead>,
    StrictQuery(query): StrictQuery<TrunkQuery>,
) -> Result<Json<TrunkListBody>, ApiError> {
    let page = state.store.list_trunks(caller.account, query.filter, query.page).await?;
    let pagination = Pagination::of(query.page, page.total);
    let trunks =
        page.items.into_iter().map(|(trunk, metrics)| TrunkBody::new(&state, trunk, metrics)).collect();
    Ok(Json(TrunkListBody { trunks, pagination }))
}

/// Create a trunk
#[utoipa::path(post, path = "/v1/trunks", tag = "Trunks", operation_id = "createTrunk", request_body = TrunkDraft,
    responses(
        (status = 201, description = "The trunk, with its SIP password if one was generated.", body = CreatedTrunkBody),
        (status = 409, description = "`SIP_USERNAME_TAKEN`")))]
async fn create_trunk(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<TrunksWrite>,
    StrictJson(draft): StrictJson<TrunkDraft>,
) -> Result<impl IntoResponse, ApiError> {
    let new = draft.check()?;
    let CreatedTrunk { trunk, generated_password } =
        state.store.create_trunk(caller.account, new, caller.origin()).await?;
    let location = format!("/v1/trunks/{}", trunk.id);
    let body = CreatedTrunkBody {
        // Nobody can have called it yet.
        trunk: TrunkBody::new(&state, trunk, TrunkMetrics::default()),
        sip_password: generated_password.as_ref().map(shown),
    };
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(body)))
}

/// Get a trunk
#[utoipa::path(get, path = "/v1/trunks/{id}", tag = "Trunks", operation_id = "getTrunk",
    params(("id" = String, Path, description = "The trunk's id.")),
    responses((status = 200, description = "The trunk.", body = TrunkBody)))]
async fn get_trunk(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<TrunksRead>,
    PathId(id): PathId<TrunkId>,
) -> Result<Json<TrunkBody>, ApiError> {
    show(&state, &caller, id).await
}

async fn show(shared: &Shared, caller: &Caller, id: TrunkId) -> Result<Json<TrunkBody>, ApiError> {
    let found = shared.store.get_trunk(caller.account, id).await?;
    let (trunk, metrics) = found.ok_or_else(|| TrunkId::not_found(&id.to_string()))?;
    Ok(Json(TrunkBody::new(shared, trunk, metrics)))
}

/// Update a trunk
///
/// Changes the members that are present; null clears an optional one. An inactive trunk refuses new calls; live calls
/// continue.
#[utoipa::path(patch, path = "/v1/trunks/{id}", tag = "Trunks", operation_id = "updateTrunk",
    request_body = TrunkPatchDraft,
    params(("id" = String, Path, description = "The trunk's id.")),
    responses((status = 200, description = "The updated trunk.", body = TrunkBody)))]
async fn update_trunk(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<TrunksWrite>,
    PathId(id): PathId<TrunkId>,
    StrictJson(draft): StrictJson<TrunkPatchDraft>,
) -> Result<Json<TrunkBody>, ApiError> {
    let changed = state.store.update_trunk(caller.account, id, draft, caller.origin()).await;
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
    Authorized { caller, .. }: Authorized<TrunksWrite>,
    PathId(id): PathId<TrunkId>,
) -> Result<StatusCode, ApiError> {
    // A task of its own: a caller that goes away must not leave a deleted trunk with live calls.
    let work = tokio::spawn({
        let state = Arc::clone(&state);
        async move {
            state.store.delete_trunk(caller.account, id, caller.origin()).await?;
            state.live.hang_up_trunk(id, DisconnectReason::TrunkDeleted);
            Ok(())
        }
    });
    work.await.map_err(|_| ApiError::internal("deleting a trunk panicked"))?.map_err(change_error(id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Rotate the SIP password
///
/// The old password stops working immediately; live calls continue.
#[utoipa::path(post, path = "/v1/trunks/{id}/rotate-sip-password", tag = "Trunks",
    operation_id = "rotateSipPassword",
    params(("id" = String, Path, description = "The trunk's id.")),
    responses((status = 200, description = "The new password. It is shown only here.", body = RotatedBody)))]
async fn rotate_sip_password(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<TrunksWrite>,
    PathId(id): PathId<TrunkId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<Json<RotatedBody>, ApiError> {
    rotate(&state, &caller, id).await
}

/// Rotate the SIP password (older path)
///
/// The same as `rotate-sip-password`.
#[utoipa::path(post, path = "/v1/trunks/{id}/rotate-password", tag = "Trunks", operation_id = "rotatePassword",
    params(("id" = String, Path, description = "The trunk's id.")),
    responses((status = 200, description = "The new password. It is shown only here.", body = RotatedBody)))]
async fn rotate_password(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<TrunksWrite>,
    PathId(id): PathId<TrunkId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<Json<RotatedBody>, ApiError> {
    rotate(&state, &caller, id).await
}

async fn rotate(shared: &Shared, caller: &Caller, id: TrunkId) -> Result<Json<RotatedBody>, ApiError> {
    let rotated = shared.store.rotate_sip_password(caller.account, id, caller.origin()).await;
    let RotatedPassword { trunk, password, rotated_at } = rotated.map_err(change_error(id))?;
    let sip_password = shown(&password);
    Ok(Json(RotatedBody { id, sip_username: trunk.sip_username.into(), sip_password, rotated_at }))
}
