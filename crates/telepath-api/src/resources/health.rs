//! Liveness (`/livez`) and readiness (`/readyz`).

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::caller::Uncounted;
use crate::endpoint::{Endpoints, endpoints};
use crate::error::{ApiError, cause_chain};
use crate::state::{AppState, Shared};

/// The time limit of a storage check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) fn endpoints() -> Endpoints {
    endpoints![livez, readyz]
}

/// The health of the server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthBody {
    /// Always `ok`.
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
}

/// Check liveness
#[utoipa::path(get, path = "/livez", tag = "Operation", operation_id = "livez",
    responses((status = 200, description = "The process is running.", body = HealthBody)))]
async fn livez(_uncounted: Uncounted) -> Json<HealthBody> {
    Json(HealthBody { status: "ok" })
}

/// Check readiness
#[utoipa::path(get, path = "/readyz", tag = "Operation", operation_id = "readyz",
    responses((status = 200, description = "The storage responds and the server is not shutting down.", body = HealthBody)))]
async fn readyz(State(state): State<AppState>, _uncounted: Uncounted) -> Result<Json<HealthBody>, ApiError> {
    if !state.readiness.is_ready() {
        return Err(ApiError::unavailable("the server is not ready or is shutting down"));
    }
    match check_storage(&state).await {
        Ok(()) => Ok(Json(HealthBody { status: "ok" })),
        Err(cause) => Err(ApiError::unavailable(format!("the storage does not respond: {cause}"))),
    }
}

async fn check_storage(shared: &Shared) -> Result<(), String> {
    let ping = async || match tokio::time::timeout(CHECK_TIMEOUT, shared.store.ping()).await {
        Ok(ping) => ping.map_err(|error| cause_chain(&error)),
        Err(_elapsed) => Err(format!("no answer within {CHECK_TIMEOUT:?}")),
    };
    shared.storage_check.result(ping).await
}
