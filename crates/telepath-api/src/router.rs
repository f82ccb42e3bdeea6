//! The list of resources, and the routes, the route table and the OpenAPI document taken from it. All three come from the
//! same handlers, so none of them can have a route that another lacks. The routes below `/local` are for local
//! administration only: they exist on the Unix socket, and are not in the published document.

use axum::Router;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;

use crate::endpoint::Endpoints;
use crate::openapi;
use crate::resources::{
    account, accounts, alerts, analytics, audit_events, calls, deliveries, health, invitations, key_presets,
    keyring, keys, leaks, metrics, requests, sip, stream, trunks, users, webhooks, whoami,
};
use crate::routes::{RouteConflict, RouteTable};
use crate::state::AppState;

/// All routes.
pub(crate) struct Routes {
    pub(crate) router: Router<AppState>,
    pub(crate) table: RouteTable,
    /// The published OpenAPI document as JSON.
    pub(crate) document: String,
}

/// Takes the routes from every resource.
pub(crate) fn routes() -> Result<Routes, RouteConflict> {
    let published = Endpoints::with(OpenApiRouter::with_openapi(openapi::header()))
        .merge(whoami::endpoints())
        .merge(keys::endpoints())
        .merge(key_presets::endpoints())
        .merge(account::endpoints())
        .merge(leaks::endpoints())
        .merge(trunks::endpoints())
        .merge(calls::endpoints())
        .merge(analytics::endpoints())
        .merge(requests::endpoints())
        .merge(audit_events::endpoints())
        .merge(alerts::endpoints())
        .merge(webhooks::endpoints())
        .merge(deliveries::endpoints())
        .merge(stream::endpoints())
        .merge(health::endpoints())
        .merge(metrics::endpoints())
        .merge(openapi::endpoints());
    let local = local_endpoints();
    let (router, document) = published.router.split_for_parts();
    let document = openapi::published(json!(document), &published.rows);
    let table = RouteTable::new(published.rows.into_iter().chain(local.rows).collect())?;
    Ok(Routes { router: router.merge(local.router.split_for_parts().0), table, document })
}

fn local_endpoints() -> Endpoints {
    Endpoints::with(OpenApiRouter::with_openapi(openapi::local_header()))
        .merge(accounts::endpoints())
        .merge(keyring::endpoints())
        .merge(sip::endpoints())
        .merge(users::endpoints())
        .merge(invitations::endpoints())
}

/// The document of the routes for local administration, which is a file in the repository only.
#[cfg(test)]
pub(crate) fn local_document() -> String {
    let local = local_endpoints();
    openapi::complete(json!(local.router.split_for_parts().1), &local.rows)
}
