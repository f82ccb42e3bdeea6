//! Address headers (From, To, Contact, Route and Record-Route, RFC 3261 section 20.10), Via with `received` and `rport`
//! (section 18.2, RFC 3581), and `CSeq`.

use std::fmt;
use std::net::SocketAddr;

use super::lex::{Params, is_token, number, quoted_len, split_unquoted, trim, unquote};
use super::transport::{DEFAULT_SIP_PORT, Transport};
use super::uri::{HostPort, Uri};

/// The magic cookie with which every RFC 3261 branch begins (section 8.1.1.7).
pub(crate) const BRANCH_COOKIE: &str = "z9hG4bK";

/// An address in one of its two forms: `"Display" <uri>;params` or `uri;params`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    display: Option<String>,
    uri: Uri,
    params: Params,
}

impl NameAddr {
    /// Parses one address with its header parameters.
    pub fn parse(text: &str) -> Option<Self> {
        let text = trim(text);
        let (display, rest) = if let Some(len) = quoted_len(text) {
            (Some(unquote(&text[..len])?), trim(&text[len..]))
        } else if let Some(at) = text.find('<') {
            // The grammar allows only tokens without quotes, but carriers send names such as `Smith, John` as they are.
            let name = trim(&text[..at]);
            if name.contains(['"', '>']) {
                return None;
            }
            ((!name.is_empty()).then(|| name.to_owned()), &text[at..])
        } else {
            return Self::parse_bare(text);
        };
        let inner = rest.strip_prefix('<')?;
        let (uri, params) = inner.split_once('>')?;
        Some(Self { display, uri: Uri::parse(uri)?, params: Params::parse_header(params)? })
    }

    /// Parses a From header, whose name and URI are only shown and repeated. What stands before the last `<` is the name,
    /// however it is quoted, and a URI without a user, or with an odd one, is accepted.
    pub(crate) fn parse_from(text: &str) -> Option<Self> {
        if let Some(strict) = Self::parse(text) {
            return Some(strict);
        }
        let (name, rest) = text.rsplit_once('<')?;
        let (uri, params) = rest.split_once('>')?;
        let name: String = trim(name).chars().filter(|c| *c != '"').collect();
        Some(Self {
            display: (!name.is_empty()).then(|| trim(&name).to_owned()),
            uri: Uri::parse(uri).or_else(|| Uri::parse_unusable(uri))?,
            params: Params::parse_header(params)?,
        })
    }

    /// Parses the form without angle brackets: everything after the first `;` is a header parameter, and the URI must not
    /// contain `?` or `,` (RFC 3261 section 20.10).
    fn parse_bare(text: &str) -> Option<Self> {
        let at = text.find(';').unwrap_or(text.len());
        let uri = trim(&text[..at]);
        if uri.contains(['?', ',', '"']) {
            return None;
        }
        Some(Self { display: None, uri: Uri::parse(uri)?, params: Params::parse_header(&text[at..])? })
    }

    /// Parses a comma-separated list of addresses. A part that is no address begins a name such as `Smith, John`.
    pub(crate) fn parse_list(text: &str) -> Option<Vec<Self>> {
        let mut list = Vec::new();
        let mut pending = String::new();
        for part in split_unquoted(text, b',')? {
            pending.push_str(part);
            match Self::parse(&pending) {
                Some(address) => {
                    list.push(address);
                    pending.clear();
                }
                None => pending.push_str(", "),
            }
        }
        pending.is_empty().then_some(list)
    }

    /// The display name without quotes and escapes.
    pub fn display(&self) -> Option<&str> {
        self.display.as_deref()
    }

    /// The URI.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The header parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The tag of a From or To header.
    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag")
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", super::lex::quote(display))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

/// The transport in a Via header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ViaTransport {
    /// One of ours.
    Known(Transport),
    /// Any other, in upper case.
    Other(String),
}

impl ViaTransport {
    fn parse(text: &str) -> Option<Self> {
        let other = || is_token(text).then(|| Self::Other(text.to_ascii_uppercase()));
        Transport::parse(text).map(Self::Known).or_else(other)
    }
}

impl fmt::Display for ViaTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(transport) => f.write_str(&transport.name().to_ascii_uppercase()),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// A Via header value: one hop of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    protocol: String,
    transport: ViaTransport,
    sent_by: HostPort,
    params: Params,
}

impl Via {
    /// The Via of our own requests, with `rport`.
    pub(crate) fn local(transport: Transport, sent_by: HostPort, branch: &str) -> Self {
        let mut params = Params::default();
        params.set("rport", None);
        params.set("branch", Some(branch.to_owned()));
        Self { protocol: "SIP/2.0".to_owned(), transport: ViaTransport::Known(transport), sent_by, params }
    }

    /// Parses one value.
    pub fn parse(text: &str) -> Option<Self> {
        let at = text.find(';').unwrap_or(text.len());
        let mut parts = text[..at].splitn(3, '/');
        let name = trim(parts.next()?);
        let version = trim(parts.next()?);
        let rest = trim(parts.next()?);
        if !is_token(name) || !is_token(version) {
            return None;
        }
        let (transport, sent_by) = rest.split_once([' ', '\t'])?;
        let sent_by: String = sent_by.chars().filter(|c| !matches!(c, ' ' | '\t')).collect();
        Some(Self {
            protocol: format!("{}/{version}", name.to_ascii_uppercase()),
            transport: ViaTransport::parse(transport)?,
            sent_by: HostPort::parse(&sent_by)?,
            params: Params::parse_header(&text[at..])?,
        })
    }

    /// Parses a comma-separated list of values.
    pub(crate) fn parse_list(text: &str) -> Option<Vec<Self>> {
        split_unquoted(text, b',')?.into_iter().map(Self::parse).collect()
    }

    /// The transport.
    pub fn transport(&self) -> &ViaTransport {
        &self.transport
    }

    /// The address that the sender claims.
    pub fn sent_by(&self) -> &HostPort {
        &self.sent_by
    }

    /// The branch parameter.
    pub fn branch(&self) -> Option<&str> {
        self.params.value("branch")
    }

    /// The branch, if it begins with the magic cookie and is therefore globally unique.
    pub(crate) fn rfc3261_branch(&self) -> Option<&str> {
        let branch = self.branch()?;
        let cookie = branch.get(..BRANCH_COOKIE.len())?;
        (cookie.eq_ignore_ascii_case(BRANCH_COOKIE) && branch.len() > cookie.len()).then_some(branch)
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Records the real source of the request in `received` and `rport` (RFC 3261 section 18.2.1, RFC 3581 section 4).
    pub(crate) fn set_received(&mut self, source: SocketAddr) {
        let wants_port = self.params.has("rport");
        if wants_port {
            self.params.set("rport", Some(source.port().to_string()));
        }
        if wants_port || self.sent_by.host.ip() != Some(source.ip()) {
            self.params.set("received", Some(source.ip().to_string()));
        }
    }

    /// The destination of the response to a request with this top Via over UDP (RFC 3261 section 18.2.2).
    ///
    /// The address is always the source of the request. `maddr` is ignored, because it would let a sender direct our
    /// responses to a third party. The port is the source port if the Via has `rport`, otherwise the one in sent-by.
    pub(crate) fn response_destination(&self, source: SocketAddr) -> SocketAddr {
        if self.params.has("rport") {
            return source;
        }
        SocketAddr::new(source.ip(), self.sent_by.port.unwrap_or(DEFAULT_SIP_PORT))
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}{}", self.protocol, self.transport, self.sent_by, self.params)
    }
}

/// A `CSeq` header: number and method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// The number, below 2^31 (RFC 3261 section 8.1.1.5).
    pub number: u32,
    /// The method.
    pub method: super::Method,
}

impl CSeq {
    /// Parses `number method`.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, method) = text.split_once([' ', '\t'])?;
        let value: u32 = number(digits)?;
        let method = super::Method::parse(trim(method))?;
        (value < 1 << 31).then_some(Self { number: value, method })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}
