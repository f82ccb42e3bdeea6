//! What a gateway is told when it starts, and the ways in which starting can fail. Everything has a default but the
//! address, so that a test or a quickstart names only what it cares about.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use telepath_core::entropy::EntropyError;
use telepath_egress::Egress;

/// Everything that a gateway can be told.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// Where SIP over UDP is served. Port 0 takes a free one, see [`crate::Gateway::sip_addr`].
    pub sip_listen: SocketAddr,
    /// The address put into Contact, Via and SDP. `None` means the address listened on, or, when that is unspecified,
    /// the one the system would use toward the Internet.
    pub advertise: Option<IpAddr>,
    /// UDP ports for media; only even ones are used (RFC 3550 section 11). Outside the kernel's ephemeral range by
    /// default, so that no other program's outgoing socket can take one.
    pub rtp_ports: RangeInclusive<u16>,
    /// How long a media port rests after a call, so that late packets of one call never reach the next.
    pub rtp_port_drain: Duration,
    /// Calls at once; beyond, callers get 503 with Retry-After.
    pub max_calls: usize,
    /// How long a call rings at most while its agent is not ready.
    pub answer_delay: Duration,
    /// How long the agent's socket may take to open, counted from the INVITE.
    pub agent_connect_timeout: Duration,
    /// The longest a call may last when its trunk does not say.
    pub max_call_duration: Duration,
    /// A call without packets from the caller ends after this, unless it is held.
    pub media_inactivity: Duration,
    /// Agent audio that may wait to be played to the caller; the oldest is dropped beyond.
    pub playout_queue: Duration,
    /// Caller audio that may wait for a slow agent; the oldest is dropped beyond.
    pub agent_queue: Duration,
    /// How long one question to the control plane may take.
    pub control_timeout: Duration,
    /// How long a call's record is tried to be written before it is given up.
    pub record_patience: Duration,
    /// Refused digests that one address block (an IPv4 address or an IPv6 /64) may send in a minute before its
    /// further ones are refused unread.
    pub auth_failures_per_minute: u32,
    /// Which agents may be reached: public ones only, unless told otherwise.
    pub egress: Egress,
}

impl GatewayOptions {
    /// The defaults, listening here.
    pub fn new(sip_listen: SocketAddr) -> Self {
        Self {
            sip_listen,
            advertise: None,
            rtp_ports: 20_000..=29_999,
            rtp_port_drain: Duration::from_secs(5),
            max_calls: 2_000,
            answer_delay: Duration::from_secs(2),
            agent_connect_timeout: Duration::from_secs(5),
            max_call_duration: Duration::from_hours(4),
            media_inactivity: Duration::from_secs(30),
            playout_queue: Duration::from_mins(1),
            agent_queue: Duration::from_secs(2),
            control_timeout: Duration::from_secs(5),
            record_patience: Duration::from_mins(5),
            auth_failures_per_minute: 30,
            egress: Egress::default(),
        }
    }
}

/// Why a gateway could not start. Each message is one line that names the remedy where there is one.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another program has the port.
    #[error("UDP port {} on {} is in use by another program; stop it or listen for SIP elsewhere", .0.port(), .0.ip())]
    PortTaken(SocketAddr),
    /// The socket cannot be opened for another reason.
    #[error("cannot listen for SIP on udp {address}: {source}")]
    Socket {
        /// Where it was tried.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The range of media ports holds no even port.
    #[error("the range of RTP ports must hold at least one even port")]
    NoRtpPorts,
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}
