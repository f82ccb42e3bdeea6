//! The settings of a server.

use std::time::Duration;

use telepath_core::address::NetworkList;

use crate::proxy::ForwardingHeaders;

/// The settings of a server.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// The limits of connections.
    pub limits: ConnectionLimits,
    /// The peers whose forwarding headers are used, and to whose connections the limit per address does not apply.
    pub trusted_proxies: NetworkList,
    /// Which of their headers are used.
    pub forwarding_headers: ForwardingHeaders,
    /// Whether connections of trusted proxies to the TLS listener begin with a PROXY protocol header of version 2.
    pub proxy_protocol: bool,
}

/// The limits that a server applies to its connections. See `connections.rs` for what happens when one is reached.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// The most open connections of all TCP listeners together.
    pub total: usize,
    /// The most open TCP connections of one address; an IPv6 address counts by its /64. Not applied to trusted proxies,
    /// because each carries the connections of many clients.
    pub per_address: usize,
    /// The most open connections of the Unix socket. They are counted apart, so that the network cannot displace local
    /// administration.
    pub local: usize,
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
            total: 10_000,
            per_address: 256,
            local: 128,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            drain: Duration::from_secs(10),
        }
    }
}
