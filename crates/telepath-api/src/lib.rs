//! The HTTPS API: one file per resource, authentication and authorization, error mapping, OpenAPI.
//!
//! [`Api::new`] assembles the API over a store, and the `serve_*` functions serve it on a listener. Every request goes
//! through [`Api::handle`], which admits it, runs its handler and completes the response.
//!
//! Imports run one way, from the top of this list to the bottom: `listen`, `app`, `router`, `openapi`, `resources`,
//! `idempotency`, `auth`, `state`, `extract`, `handler`, `error`, and the leaves `headers`, `metrics`, `options`, `refusal`,
//! `request_id` and `routes`.

mod app;
mod auth;
mod error;
mod extract;
mod handler;
mod headers;
mod idempotency;
mod listen;
mod metrics;
mod openapi;
mod options;
mod refusal;
mod request_id;
mod resources;
mod router;
mod routes;
mod state;
#[cfg(test)]
mod tests;

pub use app::Api;
pub use auth::peer::Peer;
pub use extract::json::MAX_BODY_BYTES;
pub use listen::{ALPN_PROTOCOLS, LoopbackError, LoopbackListener};
pub use options::{ApiOptions, ConnectionLimits};
pub use routes::{Access, ROUTES, RouteRow};
pub use state::Readiness;
