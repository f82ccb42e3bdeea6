//! URIs (RFC 3261 section 19.1, RFC 3966): `sip:`, `sips:` and `tel:` are parsed. Other schemes are stored as text, so that
//! a request for one can be answered with 416 (section 8.2.2.1).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::lex::{Params, is_token_byte, number, percent_decode};
use super::transport::{DEFAULT_SIP_PORT, Transport};

/// The host of a URI or Via: an IP address or a domain name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A domain name in lower case.
    Name(String),
}

impl Host {
    /// Parses a host; an IPv6 address needs square brackets. A domain name may be written without the ASCII encoding that it
    /// needs, because nothing here resolves it.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            return inner.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(|ip| Self::Ip(ip.into()));
        }
        if let Ok(ip) = text.parse::<std::net::Ipv4Addr>() {
            return Some(Self::Ip(ip.into()));
        }
        let valid = !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b) || !b.is_ascii());
        valid.then(|| Self::Name(text.to_ascii_lowercase()))
    }

    /// The IP address, if the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A host with an optional port, as in `sent-by` and in a URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// The host.
    pub host: Host,
    /// `None` means the default port.
    pub port: Option<u16>,
}

impl HostPort {
    /// Parses `host[:port]`.
    pub fn parse(text: &str) -> Option<Self> {
        let port_at = match text.rfind(']') {
            Some(end) => text[end..].find(':').map(|at| at + end),
            None => text.find(':'),
        };
        let (host, port) = match port_at {
            Some(at) => (&text[..at], Some(number(&text[at + 1..])?)),
            None => (text, None),
        };
        Some(Self { host: Host::parse(host)?, port })
    }

    /// The socket address, if the host is an IP address; the default port is 5060.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        self.host.ip().map(|ip| SocketAddr::new(ip, self.port.unwrap_or(DEFAULT_SIP_PORT)))
    }
}

impl From<SocketAddr> for HostPort {
    fn from(addr: SocketAddr) -> Self {
        Self { host: Host::Ip(addr.ip()), port: Some(addr.port()) }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A URI in a SIP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uri {
    /// `sip:` or `sips:`.
    Sip(SipUri),
    /// `tel:` (RFC 3966).
    Tel(TelUri),
    /// Any other scheme.
    Other(OtherUri),
}

/// A `sip:` or `sips:` URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipUri {
    secure: bool,
    user: Option<String>,
    password: Option<String>,
    host_port: HostPort,
    params: Params,
    headers: Option<String>,
}

/// A `tel:` URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelUri {
    number: String,
    params: Params,
}

/// A URI of another scheme, not parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherUri {
    scheme: String,
    rest: String,
}

impl Uri {
    /// Parses a URI without angle brackets and white space.
    pub fn parse(text: &str) -> Option<Self> {
        if text.bytes().any(|b| b <= b' ' || b == 0x7f || b"<>\"".contains(&b)) {
            return None;
        }
        let (scheme, rest) = text.split_once(':')?;
        let scheme_valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if !scheme_valid || rest.is_empty() {
            return None;
        }
        match scheme.to_ascii_lowercase().as_str() {
            "sip" => SipUri::parse_rest(false, rest).map(Self::Sip),
            "sips" => SipUri::parse_rest(true, rest).map(Self::Sip),
            "tel" => TelUri::parse_rest(rest).map(Self::Tel),
            other => Some(Self::Other(OtherUri { scheme: other.to_owned(), rest: rest.to_owned() })),
        }
    }

    /// A URI of a known scheme that does not follow its syntax, for a place where it is only shown and repeated.
    pub(crate) fn parse_unusable(text: &str) -> Option<Self> {
        let odd = |b: u8| b <= b' ' || b == 0x7f || b"<>\"".contains(&b);
        let (scheme, rest) = text.split_once(':').filter(|_| !text.bytes().any(odd))?;
        let known = ["sip", "sips", "tel"].iter().any(|known| known.eq_ignore_ascii_case(scheme));
        let other = OtherUri { scheme: scheme.to_ascii_lowercase(), rest: rest.to_owned() };
        (known && !rest.is_empty()).then_some(Self::Other(other))
    }

    /// The SIP URI, if it is one.
    pub fn as_sip(&self) -> Option<&SipUri> {
        match self {
            Self::Sip(uri) => Some(uri),
            Self::Tel(_) | Self::Other(_) => None,
        }
    }

    /// The decoded user part of a SIP URI, or the telephone number.
    pub fn user(&self) -> Option<String> {
        match self {
            Self::Sip(uri) => uri.user(),
            Self::Tel(uri) => Some(uri.number.clone()),
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sip(uri) => uri.fmt(f),
            Self::Tel(uri) => write!(f, "tel:{}{}", uri.number, uri.params),
            Self::Other(uri) => write!(f, "{}:{}", uri.scheme, uri.rest),
        }
    }
}

impl SipUri {
    /// A `sip:` URI without parameters. `None` if the user contains characters that must be escaped.
    pub fn new(user: Option<&str>, host_port: HostPort) -> Option<Self> {
        if user.is_some_and(|u| !is_user(u) || !u.is_ascii()) {
            return None;
        }
        Some(Self {
            secure: false,
            user: user.map(str::to_owned),
            password: None,
            host_port,
            params: Params::default(),
            headers: None,
        })
    }

    fn parse_rest(secure: bool, rest: &str) -> Option<Self> {
        let (user_info, rest) = match rest.split_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (user, password) = match user_info.map(|info| info.split_once(':').ok_or(info)) {
            None => (None, None),
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
        };
        if user.is_some_and(|u| !is_user(u)) || password.is_some_and(|p| !is_password(p)) {
            return None;
        }
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(headers)),
            None => (rest, None),
        };
        if headers.is_some_and(|h| h.is_empty() || h.contains('@')) {
            return None;
        }
        let params_at = rest.find(';').unwrap_or(rest.len());
        Some(Self {
            secure,
            user: user.map(str::to_owned),
            password: password.map(str::to_owned),
            host_port: HostPort::parse(&rest[..params_at])?,
            params: Params::parse_uri(&rest[params_at..])?,
            headers: headers.map(str::to_owned),
        })
    }

    /// Whether the scheme is `sips:`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The transport that the URI asks for: that of its `transport` parameter, which for `sips:` means TLS over TCP (section
    /// 26.2.2). `None` if it names none, or one that this stack does not have.
    pub fn transport(&self) -> Option<Transport> {
        let named = self.params.value("transport").and_then(Transport::parse);
        if self.secure { Some(Transport::Tls) } else { named }
    }

    /// The decoded user part.
    pub fn user(&self) -> Option<String> {
        self.user.as_deref().map(percent_decode)
    }

    /// The user part as written.
    pub(super) fn escaped_user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host and port.
    pub fn host_port(&self) -> &HostPort {
        &self.host_port
    }

    /// The URI parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The `?name=value` headers as written; a Request-URI must not have any.
    pub fn headers(&self) -> Option<&str> {
        self.headers.as_deref()
    }
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                write!(f, ":{password}")?;
            }
            f.write_str("@")?;
        }
        write!(f, "{}{}", self.host_port, self.params)?;
        self.headers.as_ref().map_or(Ok(()), |headers| write!(f, "?{headers}"))
    }
}

impl TelUri {
    fn parse_rest(rest: &str) -> Option<Self> {
        let params_at = rest.find(';').unwrap_or(rest.len());
        let number = &rest[..params_at];
        let digits = number.strip_prefix('+').unwrap_or(number);
        let valid =
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit() || b"*#-.()".contains(&b));
        let params = Params::parse_uri(&rest[params_at..])?;
        valid.then(|| Self { number: number.to_owned(), params })
    }

    /// The number as written, with visual separators.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The URI parameters, for example `phone-context`.
    pub fn params(&self) -> &Params {
        &self.params
    }
}

impl OtherUri {
    /// The scheme in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }
}

/// Characters outside of ASCII must be escaped, but some peers write them as they are.
fn is_user(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| is_unreserved(b) || b"&=+$,;?/%#".contains(&b) || !b.is_ascii())
}

fn is_password(text: &str) -> bool {
    text.bytes().all(|b| is_unreserved(b) || b"&=+$,%".contains(&b) || !b.is_ascii())
}

fn is_unreserved(byte: u8) -> bool {
    (is_token_byte(byte) && byte != b'`') || b"()".contains(&byte)
}
