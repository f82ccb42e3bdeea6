//! The configuration of an endpoint: its address and product name, the base timers of RFC 3261 section 17.1.1.1, and its
//! limits.

use std::net::SocketAddr;
use std::time::Duration;

use super::flow::Flow;
use super::session_timer::SessionIntervals;
use crate::message::{HostPort, Transport};

/// The value of Server and User-Agent, for example `Telepath/1.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductName(String);

impl ProductName {
    /// Removes control characters from the text.
    pub fn new(text: &str) -> Self {
        Self(text.chars().filter(|c| !c.is_control()).collect())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// 32 random bytes from which tags, branches and Call-IDs are derived. Every start needs new ones.
#[derive(Clone)]
pub struct EndpointSeed(pub [u8; 32]);

/// The base timers of RFC 3261 section 17.1.1.1.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The estimated round-trip time.
    pub t1: Duration,
    /// The maximum retransmission interval of non-INVITE requests and INVITE responses.
    pub t2: Duration,
    /// The maximum time that a message stays in the network.
    pub t4: Duration,
}

impl Timing {
    /// 64*T1, the length of timers B, F, H, L and M, and of D and J over UDP.
    pub(super) fn timer_b(&self) -> Duration {
        self.t1 * 64
    }

    pub(super) fn next_interval(&self, interval: Duration) -> Duration {
        (interval * 2).min(self.t2)
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

/// The limits of an endpoint. A request that exceeds one gets 503 with Retry-After.
#[derive(Clone, Copy, Debug)]
pub struct EndpointLimits {
    /// Concurrent calls, including calls that wait for the response to a BYE.
    pub max_calls: usize,
    /// Concurrent server transactions of INVITEs outside dialogs, including completed ones that absorb
    /// retransmissions. Requests within a dialog are not counted here, so a flood of INVITEs cannot refuse them.
    pub max_server_transactions: usize,
    /// The bytes that the server transactions of INVITEs outside dialogs may keep.
    pub max_server_transaction_bytes: usize,
    /// The bytes of headers of an INVITE outside a dialog; a longer one gets 513.
    pub max_invite_header_bytes: usize,
    /// Concurrent server transactions of requests within the dialog of one call. A BYE is accepted beyond it.
    pub max_transactions_per_call: usize,
    /// The bytes that the server transactions within the dialog of one call may keep. A BYE is accepted beyond it.
    pub max_transaction_bytes_per_call: usize,
    /// Concurrent client transactions.
    pub max_client_transactions: usize,
    /// The capacity of each queue that is polled. If the queue of datagrams or of events is full, incoming datagrams
    /// are dropped; if the queue of trace records is full, its oldest record is dropped.
    pub max_queue: usize,
    /// The value of Retry-After, sent in whole seconds.
    pub retry_after: Duration,
}

impl Default for EndpointLimits {
    fn default() -> Self {
        Self {
            max_calls: 10_000,
            max_server_transactions: 100_000,
            max_server_transaction_bytes: 64 * 1024 * 1024,
            max_invite_header_bytes: 8 * 1024,
            max_transactions_per_call: 64,
            max_transaction_bytes_per_call: 256 * 1024,
            max_client_transactions: 50_000,
            max_queue: 4_096,
            retry_after: Duration::from_secs(5),
        }
    }
}

/// An address under which peers reach a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdvertisedAddress {
    /// The transport of the listener.
    pub transport: Transport,
    /// The address that the listener is bound to, as in [`Flow::local`].
    pub listener: SocketAddr,
    /// The address that peers see.
    pub address: SocketAddr,
}

/// The addresses under which peers reach an endpoint, in order of preference. A listener for both IP versions has two.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AdvertisedAddresses(Vec<AdvertisedAddress>);

impl From<SocketAddr> for AdvertisedAddresses {
    /// One listener for all transports, whose address peers see.
    fn from(address: SocketAddr) -> Self {
        let listeners = Transport::ALL.into_iter();
        listeners.map(|transport| AdvertisedAddress { transport, listener: address, address }).collect()
    }
}

impl FromIterator<AdvertisedAddress> for AdvertisedAddresses {
    fn from_iter<I: IntoIterator<Item = AdvertisedAddress>>(addresses: I) -> Self {
        Self(addresses.into_iter().collect())
    }
}

impl AdvertisedAddresses {
    /// The address for the peer of a flow: that of the flow's listener and of the peer's IP version, as far as there is one.
    pub(super) fn toward(&self, flow: &Flow) -> HostPort {
        let differs = |advertised: &&AdvertisedAddress| {
            (
                advertised.transport != flow.transport,
                advertised.listener != flow.local,
                is_v4(advertised.address) != is_v4(flow.remote),
            )
        };
        self.0.iter().min_by_key(differs).map_or(flow.local, |advertised| advertised.address).into()
    }

    /// The listener that a peer reaches us at over a transport; `None` if there is none for the transport.
    pub(super) fn listener(&self, transport: Transport, peer: SocketAddr) -> Option<SocketAddr> {
        let of_transport = self.0.iter().filter(|advertised| advertised.transport == transport);
        let differs = |advertised: &&AdvertisedAddress| is_v4(advertised.address) != is_v4(peer);
        of_transport.min_by_key(differs).map(|advertised| advertised.listener)
    }

    /// Whether this is one of the addresses.
    pub(super) fn contain(&self, host: &HostPort) -> bool {
        self.0.iter().any(|advertised| HostPort::from(advertised.address) == *host)
    }
}

fn is_v4(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_ipv4()
}

/// The configuration of an endpoint.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The addresses in Via and Contact.
    pub advertised: AdvertisedAddresses,
    /// The value of Server and User-Agent.
    pub product: ProductName,
    /// The base timers.
    pub timing: Timing,
    /// The limits.
    pub limits: EndpointLimits,
    /// The session intervals (RFC 4028) that the endpoint asks for and accepts.
    pub session_intervals: SessionIntervals,
    /// Whether the messages of calls are recorded for [`super::Endpoint::poll_trace`].
    pub trace: bool,
}

impl EndpointConfig {
    /// Default timers and limits, with trace.
    pub fn new(advertised: impl Into<AdvertisedAddresses>) -> Self {
        Self {
            advertised: advertised.into(),
            product: ProductName::new(concat!("Telepath/", env!("CARGO_PKG_VERSION"))),
            timing: Timing::default(),
            limits: EndpointLimits::default(),
            session_intervals: SessionIntervals::default(),
            trace: true,
        }
    }
}
