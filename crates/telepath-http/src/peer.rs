//! The other end of a connection and of a request. The two differ behind a reverse proxy.

use std::net::IpAddr;

/// The client that sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A client at this address. Its connection was encrypted, or it is on the same machine.
    Remote(IpAddr),
    /// A process that opened the Unix socket in the data directory. The socket's file mode decides who may do that.
    Local {
        /// The user id of the process, if the system tells it.
        uid: Option<u32>,
    },
}

/// How a connection arrived, and from which address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionMode {
    /// Over TLS. The address may be that of a trusted proxy.
    Tls(IpAddr),
    /// Over plain HTTP on the TLS port. Its one request is refused and the connection closed.
    PlainHttp(IpAddr),
    /// Over plain HTTP where it is served: on a loopback address, or to an application that takes no credentials.
    Plain(IpAddr),
    /// Through the Unix socket.
    Unix {
        /// The user id of the connecting process, if the system tells it.
        uid: Option<u32>,
    },
}

/// How the client of a request reached the first server of its way: this one, or a trusted proxy. The server puts it into the
/// extensions of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientScheme {
    /// Over HTTPS.
    Https,
    /// Over plain HTTP on a loopback address.
    LoopbackHttp,
}
