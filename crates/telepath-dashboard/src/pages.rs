//! The list of pages. Each one declares its routes and its entry in the navigation; nothing is reachable that is not listed
//! here.

mod account;
mod account_settings;
mod alerts;
mod analytics;
mod api_keys;
mod audit;
mod calls;
mod confirm;
mod connections;
mod export;
mod forgot;
mod invitation;
mod login;
mod me;
mod oidc;
mod overview;
mod provider_link;
mod reference;
mod requests;
mod session;
mod setup;
mod system;
mod team;
mod usage_chart;
mod webhooks;

use crate::navigation::Entry;
use crate::route::Route;

/// The routes of all pages.
pub(crate) fn routes() -> Vec<Route> {
    [
        overview::routes(),
        analytics::routes(),
        setup::routes(),
        invitation::routes(),
        login::routes(),
        session::routes(),
        forgot::routes(),
        oidc::routes(),
        confirm::routes(),
        account::routes(),
        me::routes(),
        team::routes(),
        account_settings::routes(),
        system::routes(),
        connections::routes(),
        calls::routes(),
        webhooks::routes(),
        reference::routes(),
        requests::routes(),
        alerts::routes(),
        audit::routes(),
        api_keys::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The entries of all pages in the sidebar.
pub(crate) fn navigation() -> Vec<Entry> {
    vec![
        overview::ENTRY,
        connections::ENTRY,
        calls::ENTRY,
        analytics::ENTRY,
        requests::ENTRY,
        alerts::ENTRY,
        audit::ENTRY,
        api_keys::ENTRY,
        webhooks::ENTRY,
        team::ENTRY,
        account_settings::ENTRY,
        system::ENTRY,
    ]
}
