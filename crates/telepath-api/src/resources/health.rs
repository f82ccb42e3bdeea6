//! Liveness (`/livez`) and readiness (`/readyz`).

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::caller::Uncounted;
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
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
    if storage_responds(&state).await {
        Ok(Json(HealthBody { status: "ok" }))
    } else {
        Err(ApiError::unavailable("the storage does not respond"))
    }
}

async fn storage_responds(shared: &Shared) -> bool {
    let ping = async || {
        tokio::time::timeout(CHECK_TIMEOUT, shared.store.ping()).await.is_ok_and(|ping| ping.is_ok())
    };
    shared.storage_check.result(ping).await
}
