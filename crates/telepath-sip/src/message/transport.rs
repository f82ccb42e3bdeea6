//! Transports and their default ports (RFC 3261 sections 18 and 19.1.2).

/// The default port of `sip:` over UDP and TCP (RFC 3261 section 19.1.2).
pub const DEFAULT_SIP_PORT: u16 = 5060;
/// The default port of `sip:` over TLS and of `sips:`.
pub const DEFAULT_SIPS_PORT: u16 = 5061;

/// A transport of this stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Transport {
    /// All transports.
    pub const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    /// The name as in the `transport` parameter of a URI (RFC 3261 section 19.1.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// Parses a name, ignoring case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.name().eq_ignore_ascii_case(name))
    }

    /// The protocol that its ports belong to.
    pub fn ip_protocol(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp | Self::Tls => "TCP",
        }
    }

    /// Whether the transport delivers each message once and in order, so that nothing is retransmitted (section 17).
    pub fn is_reliable(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls => true,
        }
    }

    /// The port that a URI without one means (section 19.1.2).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => DEFAULT_SIP_PORT,
            Self::Tls => DEFAULT_SIPS_PORT,
        }
    }
}
