//! What an endpoint is told when it is made: how it calls itself, its timers and its bounds.

use std::net::SocketAddr;
use std::time::Duration;

use crate::message::HostPort;

/// The value of Server and User-Agent, for example `Telepath/1.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductName(String);

impl ProductName {
    /// Takes the text; control characters are left out.
    pub fn new(text: &str) -> Self {
        Self(text.chars().filter(|c| !c.is_control()).collect())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// 32 random bytes from which tags, branches and Call-IDs are derived; they must differ at each start.
#[derive(Clone)]
pub struct EndpointSeed(pub [u8; 32]);

/// The base times of RFC 3261 section 17.1.1.1.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Estimate of the round trip.
    pub t1: Duration,
    /// Longest gap between retransmissions.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
}

impl Timing {
    /// 64*T1: how long anything is waited for.
    pub(crate) fn timer_b(&self) -> Duration {
        self.t1 * 64
    }

    pub(crate) fn next_interval(&self, interval: Duration) -> Duration {
        (interval * 2).min(self.t2)
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

/// How much an endpoint holds at most. Whatever is over a bound is answered 503 with Retry-After.
#[derive(Clone, Copy, Debug)]
pub struct EndpointLimits {
    /// Calls at once, from the first INVITE to the last BYE.
    pub max_calls: usize,
    /// Server transactions at once, finished ones that absorb retransmissions included.
    pub max_server_transactions: usize,
    /// Client transactions at once.
    pub max_client_transactions: usize,
    /// Datagrams, events and trace records each that wait to be polled. When the first two are full, incoming
    /// datagrams are dropped; when the third is, its oldest record is.
    pub max_queue: usize,
    /// What Retry-After says, in whole seconds.
    pub retry_after: Duration,
}

impl Default for EndpointLimits {
    fn default() -> Self {
        Self {
            max_calls: 10_000,
            max_server_transactions: 100_000,
            max_client_transactions: 50_000,
            max_queue: 4_096,
            retry_after: Duration::from_secs(5),
        }
    }
}

/// Everything an endpoint is told.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Host and port put into Via and Contact: what peers reach us by.
    pub advertised: HostPort,
    /// Named in Server and User-Agent.
    pub product: ProductName,
    /// The base times.
    pub timing: Timing,
    /// The bounds.
    pub limits: EndpointLimits,
    /// Whether every message of a call is kept for [`super::Endpoint::poll_trace`].
    pub trace: bool,
}

impl EndpointConfig {
    /// Usual timers and bounds, trace on.
    pub fn new(advertised: SocketAddr) -> Self {
        Self {
            advertised: advertised.into(),
            product: ProductName::new(concat!("Telepath/", env!("CARGO_PKG_VERSION"))),
            timing: Timing::default(),
            limits: EndpointLimits::default(),
            trace: true,
        }
    }
}
