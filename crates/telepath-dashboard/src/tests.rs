//! The dashboard over a real store, with a clock that stands still and a browser that keeps cookies.

mod access;
mod account_settings;
mod alerts;
mod analytics;
mod api_keys;
mod calls;
mod connections;
mod filled;
mod forgery;
mod harness;
mod headers;
mod letters;
mod links;
mod metrics;
mod new_connection;
mod oidc;
mod overview;
mod profile;
mod requests;
pub(crate) mod server;
mod set_up;
mod sign_in;
mod step_up;
mod streams;
mod tail;
mod team;
mod webhooks;
