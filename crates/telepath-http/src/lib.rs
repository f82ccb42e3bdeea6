//! The HTTP server under every application: it accepts connections over TLS, over plain HTTP on a loopback address and on
//! a Unix socket, and hands requests to an [`App`].
//!
//! The crate holds each client to [`ConnectionLimits`], resolves the client's address behind trusted proxies, refuses
//! requests that travelled over plain HTTP, and makes sure that every response is complete and reaches the client. It knows
//! nothing about API keys, accounts or pages.

mod activity;
mod app;
mod connections;
mod counters;
mod dispatcher;
mod host;
mod linger;
mod listener;
mod options;
mod peer;
mod proxy;
mod proxy_protocol;
mod request_id;
mod rewrite;
mod server;
#[cfg(test)]
mod tests;
mod unread;

pub use app::{App, BoxError};
pub use connections::{ConnectionCounts, ConnectionLimit};
pub use dispatcher::Dispatcher;
pub use listener::{LoopbackError, LoopbackListener};
pub use options::{ConnectionLimits, ServerOptions};
pub use peer::{ClientScheme, ConnectionMode, Peer};
pub use proxy::ForwardingHeaders;
pub use request_id::{REQUEST_ID, RequestIds};
pub use rewrite::Unreadable;
pub use server::{ALPN_PROTOCOLS, HttpServer};
