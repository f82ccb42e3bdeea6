//! Why a connection failed.

use std::io;

use crate::address::Forbidden;

/// Why a connection failed. No message contains a host or a URL, because either may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The host is an address that is not allowed.
    #[error("the host is {0}, which is not allowed; add it to egress.allow to permit it")]
    Refused(Forbidden),
    /// An unencrypted connection to anything but a listed service of this machine.
    #[error("without TLS only a loopback host:port listed in egress.allow may be reached")]
    Plain,
    /// The name is not a valid host name.
    #[error("the host name is not valid")]
    Name,
    /// The name has no address, or none that is allowed. Which of them is not told: whoever writes URLs could otherwise
    /// find out the names of an internal network.
    #[error(
        "the host name does not resolve to an address that may be reached; names of private networks need egress.allow"
    )]
    Resolve,
    /// No address accepted a connection.
    #[error("could not connect: {0}")]
    Connect(io::Error),
    /// The peer's address is not the one that was dialed.
    #[error("the peer's address differs from the address that was checked")]
    OtherPeer,
    /// No certificate authority is installed.
    #[error("no certificate authorities are installed on this system")]
    NoRoots,
    /// The handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
}
