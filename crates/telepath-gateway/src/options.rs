//! The options of a gateway. Every option except the SIP address has a default, so a test
//! or the quickstart sets only what it needs.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use telepath_core::address::NetworkList;
use telepath_core::trunk::ProviderUrls;
use telepath_egress::Egress;
use telepath_sip::digest::DigestAlgorithms;

use crate::transport::{SipConnectionLimits, SipConnectionTimeouts, SipTls, TransportOptions};

/// The options of a gateway.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// The UDP addresses for SIP. Port 0 takes a free port, see [`crate::Gateway::sip_listeners`]. RTP uses the IP address of
    /// the first one.
    pub sip_listen: Vec<SocketAddr>,
    /// The TCP addresses for SIP.
    pub sip_tcp_listen: Vec<SocketAddr>,
    /// The TLS addresses for SIP; not used without [`Self::sip_tls`].
    pub sip_tls_listen: Vec<SocketAddr>,
    /// The certificates of the TLS listeners.
    pub sip_tls: Option<SipTls>,
    /// The limits of SIP connections over TCP and TLS.
    pub sip_connections: SipConnectionLimits,
    /// The times after which a SIP connection is closed.
    pub sip_timeouts: SipConnectionTimeouts,
    /// The address in Contact, Via and SDP, or a host name that is resolved once at the start. `None` means the listen
    /// address or, if that is unspecified, the address that the routing table selects for traffic to the Internet.
    pub advertise: Option<String>,
    /// UDP ports for RTP; only even ports are used (RFC 3550 section 11). The default lies outside the kernel's
    /// ephemeral range, so that no outgoing socket of another program takes one.
    pub rtp_ports: RangeInclusive<u16>,
    /// How long an RTP port stays unused after a call, so that late packets never reach the next call.
    pub rtp_port_drain: Duration,
    /// The maximum number of live calls; further callers get 503 with Retry-After.
    pub max_calls: usize,
    /// How long a call rings at most while its agent is not ready.
    pub answer_delay: Duration,
    /// How long it may take until the agent is connected and, if its dialect has a handshake, ready: counted from the INVITE.
    pub agent_connect_timeout: Duration,
    /// The maximum duration of a call whose trunk does not set one.
    pub max_call_duration: Duration,
    /// A call ends after this time without RTP or RTCP from the caller, unless the caller is on hold or does not send.
    pub media_inactivity: Duration,
    /// How much agent audio may wait for play-out to the caller; when the queue is full, the newest is refused.
    pub playout_queue: Duration,
    /// How much caller audio may wait for a slow agent, in our queue and in the buffers of the connection together; when
    /// it is more, the oldest in the queue is dropped.
    pub agent_queue: Duration,
    /// How long one request to the control plane may take.
    pub control_timeout: Duration,
    /// The delay before the networks in `allowed_ips` of all trunks are read again after a failure.
    pub trusted_networks_retry: Duration,
    /// How long writing a call record is retried before the record is dropped.
    pub record_retry_timeout: Duration,
    /// Failed digests over live nonces of ours that one address block (an IPv4 address or an IPv6 /64) may send in a
    /// minute before further failures get 403 instead of a new challenge. Correct digests always pass.
    pub auth_failures_per_minute: u32,
    /// The algorithms of digest challenges.
    pub digest_algorithms: DigestAlgorithms,
    /// What call records say of DTMF digits.
    pub dtmf_records: DtmfRecords,
    /// The destinations at which agents may be reached; only public ones by default.
    pub egress: Egress,
    /// Where the providers of agents are reached.
    pub providers: ProviderUrls,
    /// Networks to which RTP may be sent although they are not public.
    pub media_networks: NetworkList,
}

impl GatewayOptions {
    /// The defaults for a gateway that listens on `sip_listen` over UDP only.
    pub fn new(sip_listen: SocketAddr) -> Self {
        Self {
            sip_listen: vec![sip_listen],
            sip_tcp_listen: Vec::new(),
            sip_tls_listen: Vec::new(),
            sip_tls: None,
            sip_connections: SipConnectionLimits::default(),
            sip_timeouts: SipConnectionTimeouts::default(),
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
            trusted_networks_retry: Duration::from_secs(1),
            record_retry_timeout: Duration::from_mins(5),
            auth_failures_per_minute: 30,
            digest_algorithms: DigestAlgorithms::Both,
            dtmf_records: DtmfRecords::default(),
            egress: Egress::default(),
            providers: ProviderUrls::default(),
            media_networks: NetworkList::default(),
        }
    }

    /// The options of the transports of SIP.
    pub(crate) fn transports(&self) -> TransportOptions<'_> {
        TransportOptions {
            udp: &self.sip_listen,
            tcp: &self.sip_tcp_listen,
            tls: self.sip_tls.as_ref().map(|certificates| (certificates, self.sip_tls_listen.as_slice())),
            connections: self.sip_connections,
            timeouts: self.sip_timeouts,
            egress: &self.egress,
        }
    }
}

/// What call records say of the digits that callers press.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DtmfRecords {
    /// When and how a digit arrived, but not which: it may belong to a PIN or a card number.
    #[default]
    Masked,
    /// The digits too.
    Digits,
}
