//! The HTTPS API: one file per resource, authentication and authorization, error mapping, OpenAPI.
//!
//! [`Api::new`] assembles the API over a store. It is an [`telepath_http::App`], which a [`telepath_http::HttpServer`]
//! serves. Every request goes through [`Api::handle`], which admits it, runs its handler and completes the response.
//!
//! Imports run one way, from the top of this list to the bottom: `app`, `router`, `openapi`, `resources`,
//! `endpoint`, `idempotency`, `auth`, `destination`, `state`, `extract`, `handler`, `error`, and the leaves `headers`, `metrics`, `options`, `refusal`
//! and `routes`.

mod app;
mod auth;
mod destination;
mod document;
mod endpoint;
mod error;
mod extract;
mod handler;
mod headers;
mod idempotency;
mod metrics;
mod openapi;
mod options;
mod refusal;
mod resources;
mod router;
mod routes;
mod state;
#[cfg(test)]
mod tests;

pub use app::{Api, SetupError};
pub use extract::json::MAX_BODY_BYTES;
pub use options::ApiOptions;
pub use routes::RouteConflict;
pub use state::Readiness;
