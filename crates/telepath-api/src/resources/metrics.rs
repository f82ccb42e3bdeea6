//! `GET /metrics`: all metrics of the process, as Prometheus text.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::endpoint::{Endpoints, endpoints};
use crate::state::AppState;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![metrics]
}

/// Get the metrics of the process
#[utoipa::path(get, path = "/metrics", tag = "Operation", operation_id = "metrics",
    responses((status = 200, description = "Prometheus text exposition format 0.0.4.", body = String,
        content_type = "text/plain")))]
async fn metrics(State(state): State<AppState>) -> impl IntoResponse {
    state.metrics.look(&state.store);
    let mut text = state.prometheus.render();
    state.metrics.write_answers(&mut text);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
