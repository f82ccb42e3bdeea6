//! SIP messages: what they are made of, how bytes become one and how one becomes bytes (RFC 3261 section 7).
//! A message keeps its headers in order and unread, beside the few that every request and response must have,
//! which are read once when the message is made; so a value of these types is always answerable.

mod address;
mod lex;
mod names;
mod parse;
mod uri;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use address::BRANCH_COOKIE;
pub use address::{CSeq, NameAddr, Transport, Via};
pub use lex::{Param, Params};
pub(crate) use lex::{quote, split_outside, trim, unquote};
pub use names::{HeaderName, KnownHeader, Method, StatusCode};
pub use parse::{
    DropReason, Flaw, MAX_HEADERS, MAX_MESSAGE_BYTES, MAX_VIAS, ParseFailure, Unreadable, parse_datagram,
};
pub use uri::{DEFAULT_SIP_PORT, Host, HostPort, OtherUri, SipUri, TelUri, Uri};
pub(crate) use write::{RequestWriter, ResponseSeed, ResponseWriter};

/// What stands in place of credentials wherever a message is shown.
pub(crate) const REDACTED: &str = "[redacted]";

/// The Call-ID of a message; compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(String);

impl CallId {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A From or To tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tag(String);

impl Tag {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A session description as it stands in a body (`application/sdp`); this crate does not read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDescription(Vec<u8>);

impl SessionDescription {
    /// Takes the bytes of a body.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Headers in the order in which they came. Credentials are left out when they are printed for debugging.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(HeaderName, String)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): &(HeaderName, String)| {
            let value = if name.holds_credentials() { REDACTED } else { value.as_str() };
            format!("{}: {value}", name.as_str())
        };
        f.debug_list().entries(self.0.iter().map(shown)).finish()
    }
}

impl Headers {
    pub(crate) fn push(&mut self, name: impl Into<HeaderName>, value: String) {
        self.0.push((name.into(), value));
    }

    /// The first value of a known header.
    pub fn first(&self, name: KnownHeader) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a known header, line by line.
    pub fn all(&self, name: KnownHeader) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(move |(have, value)| match have {
            HeaderName::Known(known) if *known == name => Some(value.as_str()),
            HeaderName::Known(_) | HeaderName::Other(_) => None,
        })
    }

    /// The first value of any header by its text.
    pub fn by_name(&self, name: &str) -> Option<&str> {
        let name = HeaderName::parse(name)?;
        self.0.iter().find(|(have, _)| *have == name).map(|(_, value)| value.as_str())
    }

    /// All headers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &str)> {
        self.0.iter().map(|(name, value)| (name, value.as_str()))
    }

    /// How many header lines there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is no header.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The elements of a header that is a comma-separated list of tokens.
    fn tokens(&self, name: KnownHeader) -> Vec<&str> {
        self.all(name).flat_map(|value| value.split(',')).map(trim).filter(|t| !t.is_empty()).collect()
    }
}

/// The headers that every message has, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Essentials {
    pub(crate) vias: Vec<Via>,
    pub(crate) from: NameAddr,
    pub(crate) to: NameAddr,
    pub(crate) call_id: CallId,
    pub(crate) cseq: CSeq,
    pub(crate) contacts: Vec<NameAddr>,
    pub(crate) record_routes: Vec<NameAddr>,
}

/// A request that is well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: Headers,
    pub(crate) essentials: Essentials,
    pub(crate) body: Vec<u8>,
}

/// A response that is well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
    pub(crate) headers: Headers,
    pub(crate) essentials: Essentials,
    pub(crate) body: Vec<u8>,
}

/// A message of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Box<Request>),
    /// A response.
    Response(Box<Response>),
}

macro_rules! shared_accessors {
    ($kind:ty) => {
        impl $kind {
            /// All headers, unread, in order.
            pub fn headers(&self) -> &Headers {
                &self.headers
            }

            /// The Via hops, topmost first; never empty.
            pub fn vias(&self) -> &[Via] {
                &self.essentials.vias
            }

            /// The From header.
            pub fn from(&self) -> &NameAddr {
                &self.essentials.from
            }

            /// The To header.
            pub fn to(&self) -> &NameAddr {
                &self.essentials.to
            }

            /// The Call-ID.
            pub fn call_id(&self) -> &CallId {
                &self.essentials.call_id
            }

            /// The `CSeq`.
            pub fn cseq(&self) -> &CSeq {
                &self.essentials.cseq
            }

            /// The Contact addresses; a lone `*` gives none.
            pub fn contacts(&self) -> &[NameAddr] {
                &self.essentials.contacts
            }

            /// The Record-Route hops, topmost first.
            pub fn record_routes(&self) -> &[NameAddr] {
                &self.essentials.record_routes
            }

            /// The body.
            pub fn body(&self) -> &[u8] {
                &self.body
            }

            /// The media type of the body, lower-cased and without its parameters.
            pub fn content_type(&self) -> Option<String> {
                let value = self.headers.first(KnownHeader::ContentType)?;
                Some(trim(value.split(';').next()?).to_ascii_lowercase())
            }

            /// The body as a session description, when it is one and not empty.
            pub fn session_description(&self) -> Option<SessionDescription> {
                let is_sdp = self.content_type().is_some_and(|t| t == "application/sdp");
                (is_sdp && !self.body.is_empty()).then(|| SessionDescription(self.body.clone()))
            }
        }
    };
}

shared_accessors!(Request);
shared_accessors!(Response);

impl Request {
    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The Request-URI.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The option tags of every Require header.
    pub fn require(&self) -> Vec<&str> {
        self.headers.tokens(KnownHeader::Require)
    }

    /// The media ranges of every Accept header, lower-cased; `None` when there is no such header.
    pub(crate) fn accepts(&self) -> Option<Vec<String>> {
        self.headers.first(KnownHeader::Accept)?;
        let ranges = self.headers.tokens(KnownHeader::Accept).into_iter();
        Some(ranges.map(|r| trim(r.split(';').next().unwrap_or(r)).to_ascii_lowercase()).collect())
    }
}

impl Response {
    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The reason phrase, which may be empty.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
