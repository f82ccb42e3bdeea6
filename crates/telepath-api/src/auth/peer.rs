//! The other end of a connection.

use std::net::IpAddr;

/// The listener through which a request arrived, and the address it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over TLS from this address, which may be a trusted proxy's.
    Tls(IpAddr),
    /// Over plain HTTP on a loopback address.
    Loopback(IpAddr),
    /// Through the Unix socket in the data directory. A process that can open the socket has every right.
    Local,
}
