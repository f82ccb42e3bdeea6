//! `GET /metrics`: all metrics of the process, as Prometheus text.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use telepath_core::error::ErrorCode;

use crate::auth::caller::{Authorized, MetricsRead};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::state::AppState;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![metrics => [NotFound]]
}

/// Get the metrics of the process
///
/// The metrics are about the whole server and all of its accounts, so only keys of the first account can read them. They are
/// also served without a key on the listener `metrics.listen`, by default on a loopback address.
#[utoipa::path(get, path = "/metrics", tag = "Operation", operation_id = "metrics",
    responses((status = 200, description = "Prometheus text exposition format 0.0.4.", body = String,
        content_type = "text/plain")))]
async fn metrics(
    State(state): State<AppState>,
    allowed: Authorized<MetricsRead>,
) -> Result<impl IntoResponse, ApiError> {
    if allowed.caller.account != state.options.local_account {
        return Err(ApiError::of(ErrorCode::NotFound));
    }
    Ok(([(CONTENT_TYPE, telepath_metrics::CONTENT_TYPE)], state.registry.render()))
}
