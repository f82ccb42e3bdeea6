//! The list of resources, and the routes and the OpenAPI document taken from it. Both come from the same handlers, so
//! neither can have a route that the other lacks.

use axum::Router;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;

use crate::openapi;
use crate::resources::{
    account, alerts, audit_events, calls, deliveries, health, key_presets, keys, leaks, metrics, requests,
    trunks, webhooks, whoami,
};
use crate::state::AppState;

/// All routes, and the document that describes them.
pub(crate) fn router_and_document() -> (Router<AppState>, String) {
    let (router, document) = OpenApiRouter::with_openapi(openapi::header())
        .merge(whoami::router())
        .merge(keys::router())
        .merge(key_presets::router())
        .merge(account::router())
        .merge(leaks::router())
        .merge(trunks::router())
        .merge(calls::router())
        .merge(requests::router())
        .merge(audit_events::router())
        .merge(alerts::router())
        .merge(webhooks::router())
        .merge(deliveries::router())
        .merge(health::router())
        .merge(metrics::router())
        .merge(openapi::router())
        .split_for_parts();
    let mut document = json!(document);
    openapi::complete(&mut document);
    let mut text = format!("{document:#}");
    text.push('\n');
    (router, text)
}
