//! The JSON API: one file per resource, the auth pipeline, error mapping, OpenAPI.
//!
//! [`Api::new`] puts it together over a store; the `serve_*` functions open its doors. Every request goes through one
//! gate ([`Api::handle`]) that admits it, runs its handler and completes its answer.

mod account;
mod alerts;
mod api;
mod audit_events;
mod auth;
mod calls;
mod date;
mod deliveries;
mod error;
mod headers;
mod health;
mod json;
mod key_presets;
mod keys;
mod leaks;
mod listen;
mod meters;
mod metrics;
mod once;
mod openapi;
mod options;
mod page;
mod path;
mod query;
mod request_id;
mod requests;
mod routes;
#[cfg(test)]
mod tests;
mod trunks;
mod webhooks;
mod whoami;

pub use api::{Api, Readiness};
pub use auth::gate::Peer;
pub use json::MAX_BODY_BYTES;
pub use listen::{ALPN_PROTOCOLS, LoopbackError, LoopbackListener};
pub use options::{ApiOptions, ConnectionLimits};
pub use routes::{Access, ROUTES, RouteRow};
