//! The list of resources, and the routes, the route table and the OpenAPI document taken from it. All three come from the
//! same handlers, so none of them can have a route that another lacks.

use axum::Router;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;

use crate::endpoint::Endpoints;
use crate::openapi;
use crate::resources::{
    account, accounts, alerts, audit_events, calls, deliveries, health, key_presets, keys, leaks, metrics,
    requests, trunks, users, webhooks, whoami,
};
use crate::routes::{RouteConflict, RouteTable};
use crate::state::AppState;

/// All routes.
pub(crate) struct Routes {
    pub(crate) router: Router<AppState>,
    pub(crate) table: RouteTable,
    /// The OpenAPI document as JSON.
    pub(crate) document: String,
}

/// Takes the routes from every resource. Table and document hold the published ones: the routes below `/local` exist on the
/// Unix socket only.
pub(crate) fn routes() -> Result<Routes, RouteConflict> {
    let endpoints = Endpoints::with(OpenApiRouter::with_openapi(openapi::header()))
        .merge(whoami::endpoints())
        .merge(keys::endpoints())
        .merge(key_presets::endpoints())
        .merge(account::endpoints())
        .merge(accounts::endpoints())
        .merge(leaks::endpoints())
        .merge(trunks::endpoints())
        .merge(calls::endpoints())
        .merge(requests::endpoints())
        .merge(audit_events::endpoints())
        .merge(alerts::endpoints())
        .merge(webhooks::endpoints())
        .merge(deliveries::endpoints())
        .merge(health::endpoints())
        .merge(metrics::endpoints())
        .merge(openapi::endpoints());
    let (router, document) = endpoints.router.split_for_parts();
    let table = RouteTable::new(endpoints.rows)?;
    let mut document = json!(document);
    openapi::complete(&mut document, &table);
    let mut text = format!("{document:#}");
    text.push('\n');
    Ok(Routes { router: router.merge(users::local_router()), table, document: text })
}
