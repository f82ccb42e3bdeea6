//! The errors of starting a gateway.

use std::io;
use std::net::SocketAddr;

use telepath_core::entropy::EntropyError;
use telepath_sip::message::Transport;

/// Why a gateway could not start. Each message is one line and says what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another program uses the port.
    #[error(
        "{} port {} on {} is in use by another program; stop it or choose another SIP port",
        transport.ip_protocol(), address.port(), address.ip()
    )]
    PortTaken {
        /// The transport.
        transport: Transport,
        /// The address.
        address: SocketAddr,
    },
    /// A SIP socket could not be opened.
    #[error("could not listen for SIP on {} {address}: {source}", transport.name())]
    Socket {
        /// The transport.
        transport: Transport,
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The advertised host name has no address of the family of the SIP socket.
    #[error("could not resolve {host}, which SIP and SDP advertise, to an {family} address: {cause}")]
    Unresolved {
        /// The host name.
        host: String,
        /// The address family of the SIP socket.
        family: &'static str,
        /// Why it could not be resolved.
        cause: String,
    },
    /// SIP needs a UDP address.
    #[error("SIP needs at least one address for UDP")]
    NoUdp,
    /// The range of RTP ports contains no even port.
    #[error("the RTP port range must contain at least one even port")]
    NoRtpPorts,
    /// The operating system returned no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}
