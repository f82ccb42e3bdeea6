//! Whether the process lives (`/livez`) and whether it wants work (`/readyz`).

use std::sync::PoisonError;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::state::{AppState, Shared};

/// For how long one look at the storage holds: anybody may ask `/readyz`, and nobody may make the database busy by it.
const LOOK_HOLDS: Duration = Duration::from_secs(1);
/// The longest that a look at the storage may take.
const LOOK_TAKES: Duration = Duration::from_secs(2);

pub(crate) fn endpoints() -> Endpoints {
    endpoints![livez, readyz]
}

/// A health answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthBody {
    /// Always `ok`.
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
}

/// Tell whether the process lives
#[utoipa::path(get, path = "/livez", tag = "Operation", operation_id = "livez",
    responses((status = 200, description = "The process lives.", body = HealthBody)))]
async fn livez() -> Json<HealthBody> {
    Json(HealthBody { status: "ok" })
}

/// Tell whether the server wants requests
#[utoipa::path(get, path = "/readyz", tag = "Operation", operation_id = "readyz",
    responses((status = 200, description = "The storage answers and the server is not shutting down.", body = HealthBody)))]
async fn readyz(State(state): State<AppState>) -> Result<Json<HealthBody>, ApiError> {
    if !state.readiness.is_ready() {
        return Err(ApiError::unavailable("the server is not ready or is shutting down"));
    }
    if storage_answers(&state).await {
        Ok(Json(HealthBody { status: "ok" }))
    } else {
        Err(ApiError::unavailable("the storage does not answer"))
    }
}

async fn storage_answers(shared: &Shared) -> bool {
    let now = shared.store.clock().now();
    let seen = *shared.storage_check.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((until, answered)) = seen
        && now < until
    {
        return answered;
    }
    let answered = tokio::time::timeout(LOOK_TAKES, shared.store.ping()).await.is_ok_and(|ping| ping.is_ok());
    let until = now.plus(LOOK_HOLDS);
    *shared.storage_check.lock().unwrap_or_else(PoisonError::into_inner) = Some((until, answered));
    answered
}
