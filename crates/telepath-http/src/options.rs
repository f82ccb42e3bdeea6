//! The settings of a server.

use std::time::Duration;

use telepath_core::address::NetworkList;

/// The settings of a server.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// The limits of each listener.
    pub limits: ConnectionLimits,
    /// The peers whose `X-Forwarded-For` and `X-Forwarded-Proto` headers are used.
    pub trusted_proxies: NetworkList,
}

/// The limits that a listener applies to its connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// The most open connections; further ones wait in the accept queue of the system.
    pub at_once: usize,
    /// The time for the first byte and the TLS handshake.
    pub handshake: Duration,
    /// The time for a whole request head, and the time that an HTTP/1.1 connection may stay open between requests.
    pub head: Duration,
    /// The interval of the idle check. A connection is closed if no request was handled and no part of a response body was
    /// sent between two checks.
    pub idle: Duration,
    /// The time that running requests have to complete after the server was asked to stop, or the connection became idle.
    pub drain: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            at_once: 10_000,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            drain: Duration::from_secs(10),
        }
    }
}
