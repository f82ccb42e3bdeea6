//! SIP messages (RFC 3261 section 7): their parts, the parser and the writers. A message stores all its headers as text and
//! in order, and the mandatory ones also parsed. So every value of these types can be answered.

mod address;
mod encoding;
mod lex;
mod multipart;
mod names;
mod parse;
mod reason;
mod stream;
mod telephone;
mod transport;
mod uri;
mod warning;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use address::BRANCH_COOKIE;
pub use address::{CSeq, NameAddr, Via, ViaTransport};
pub(crate) use encoding::{decode, encode, readable};
pub use lex::{Param, Params};
pub(crate) use lex::{is_number, number, quote, split_unquoted, trim, unquote};
pub(crate) use multipart::UnsupportedBody;
pub use names::{HeaderName, KnownHeader, Method, StatusCode};
pub(crate) use parse::MalformedResponse;
pub use parse::{
    DropReason, MAX_HEADERS, MAX_MESSAGE_BYTES, MAX_VIAS, MalformedRequest, ParseError, SyntaxError,
    parse_datagram, parse_stream_message,
};
pub(crate) use reason::received as received_reason;
pub use reason::{Reason, ReasonProtocol};
pub use stream::{FramingError, FramingReason, MAX_HEAD_BYTES, StreamFramer, StreamItem};
pub use telephone::TelephoneSubscriber;
pub use transport::{DEFAULT_SIP_PORT, DEFAULT_SIPS_PORT, Transport};
pub use uri::{Host, HostPort, OtherUri, SipUri, TelUri, Uri};
pub use warning::{Warning, WarningCode};
pub(crate) use write::{RequestWriter, ResponseTemplate, ResponseWriter};

/// Replaces credentials in traces and debug output.
pub(crate) const REDACTED: &str = "[redacted]";

/// A SIP Call-ID, compared byte by byte (RFC 3261 section 20.8). Not the id of a call record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SipCallId(String);

impl SipCallId {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SipCallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The tag of a From or To header (section 19.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tag(String);

impl Tag {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A body of type `application/sdp`, which this crate does not parse. It may hold keys of SRTP, so debug output omits it.
#[derive(Clone, PartialEq, Eq)]
pub struct SdpBody(Vec<u8>);

impl fmt::Debug for SdpBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SdpBody({} bytes)", self.0.len())
    }
}

impl SdpBody {
    /// Wraps the bytes of a body.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes of the body.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Headers in the order of their arrival. Debug output omits credentials.
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

    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The first value of a known header.
    pub fn first(&self, name: KnownHeader) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of a known header, one per header line.
    pub fn all(&self, name: KnownHeader) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(move |(have, value)| match have {
            HeaderName::Known(known) if *known == name => Some(value.as_str()),
            HeaderName::Known(_) | HeaderName::Other(_) => None,
        })
    }

    /// The first value of any header, by name.
    pub fn by_name(&self, name: &str) -> Option<&str> {
        let name = HeaderName::parse(name)?;
        self.0.iter().find(|(have, _)| *have == name).map(|(_, value)| value.as_str())
    }

    /// All headers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &str)> {
        self.0.iter().map(|(name, value)| (name, value.as_str()))
    }

    /// The values of any header in a form for people: without control characters, and bytes that are not UTF-8 read as
    /// Latin-1.
    pub fn readable(&self, name: &HeaderName) -> impl Iterator<Item = String> {
        let values = self.0.iter().filter(move |(have, _)| have == name);
        values.map(|(_, value)| readable(value).chars().filter(|c| !c.is_control()).collect())
    }

    /// The bytes that these headers take in a message.
    pub fn wire_bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
    }

    /// The number of header lines.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no header.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a header whose value is a comma-separated list contains an option tag or method; both are compared without
    /// regard to case.
    pub(crate) fn lists(&self, name: KnownHeader, element: &str) -> bool {
        self.tokens(name).iter().any(|found| found.eq_ignore_ascii_case(element))
    }

    /// The elements of a header whose value is a comma-separated list.
    fn tokens(&self, name: KnownHeader) -> Vec<&str> {
        self.all(name).flat_map(|value| value.split(',')).map(trim).filter(|t| !t.is_empty()).collect()
    }
}

/// The parsed headers of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParsedHeaders {
    pub(crate) vias: Vec<Via>,
    pub(crate) from: NameAddr,
    pub(crate) to: NameAddr,
    pub(crate) call_id: SipCallId,
    pub(crate) cseq: CSeq,
    pub(crate) contacts: Vec<NameAddr>,
    pub(crate) record_routes: Vec<NameAddr>,
}

/// A well-formed request. Debug output omits the body.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: Headers,
    pub(crate) parsed: ParsedHeaders,
    pub(crate) body: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, uri, headers, parsed: _, body } = self;
        write!(f, "Request({method:?} {uri:?} {headers:?}, {} bytes)", body.len())
    }
}

/// A well-formed response. Debug output omits the body.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
    pub(crate) headers: Headers,
    pub(crate) parsed: ParsedHeaders,
    pub(crate) body: Vec<u8>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, reason, headers, parsed: _, body } = self;
        write!(f, "Response({status:?} {reason:?} {headers:?}, {} bytes)", body.len())
    }
}

/// A request or a response.
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
            /// All headers as text, in order.
            pub fn headers(&self) -> &Headers {
                &self.headers
            }

            /// The Via headers, topmost first; never empty.
            pub fn vias(&self) -> &[Via] {
                &self.parsed.vias
            }

            /// The From header.
            pub fn from(&self) -> &NameAddr {
                &self.parsed.from
            }

            /// The To header.
            pub fn to(&self) -> &NameAddr {
                &self.parsed.to
            }

            /// The Call-ID.
            pub fn call_id(&self) -> &SipCallId {
                &self.parsed.call_id
            }

            /// The `CSeq`.
            pub fn cseq(&self) -> &CSeq {
                &self.parsed.cseq
            }

            /// The Contact addresses; none for `Contact: *`.
            pub fn contacts(&self) -> &[NameAddr] {
                &self.parsed.contacts
            }

            /// The Record-Route addresses, topmost first.
            pub fn record_routes(&self) -> &[NameAddr] {
                &self.parsed.record_routes
            }

            /// The body.
            pub fn body(&self) -> &[u8] {
                &self.body
            }

            /// The media type of the body in lower case, without parameters.
            pub fn content_type(&self) -> Option<String> {
                let value = self.headers.first(KnownHeader::ContentType)?;
                Some(trim(value.split(';').next()?).to_ascii_lowercase())
            }

            /// The session description in the body, alone or as a part of a multipart body (RFC 5621).
            pub fn session_description(&self) -> Option<SdpBody> {
                self.body_content().ok().flatten().map(|found| SdpBody(found.to_vec()))
            }

            /// The session description in the body.
            ///
            /// # Errors
            /// [`UnsupportedBody`] if the body has another part that its receiver must understand.
            pub(crate) fn body_content(&self) -> Result<Option<&[u8]>, UnsupportedBody> {
                let header = |name| self.headers.first(name);
                multipart::BodyPart::whole(
                    header(KnownHeader::ContentType),
                    header(KnownHeader::ContentDisposition),
                    header(KnownHeader::ContentEncoding),
                    &self.body,
                )
                .session_description()
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

    /// The media ranges of all Accept headers in lower case; `None` if there is no such header.
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

    /// The reason phrase; may be empty.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
