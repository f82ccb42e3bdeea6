//! The message parser (RFC 3261 sections 7, 18.3 and 20). The result is a message, a malformed request that can be answered
//! with 400 or 505, or a reason to drop the datagram.

use super::lex::{is_number, is_token, number, trim};
use super::{
    CSeq, HeaderName, Headers, KnownHeader, Message, Method, NameAddr, ParsedHeaders, Request, Response,
    SipCallId, StatusCode, Uri, Via, decode,
};

/// The maximum length of a message in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// The maximum number of header lines.
pub const MAX_HEADERS: usize = 256;
/// The maximum number of hops: the recommended initial value of Max-Forwards (section 8.1.1.6).
pub const MAX_VIAS: usize = 70;

/// Why a message is malformed. The text serves as the reason phrase of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the text of each variant explains it")]
pub enum SyntaxError {
    #[error("Malformed Start Line")]
    StartLine,
    #[error("Malformed Request-URI")]
    RequestUri,
    #[error("SIP Version Not Supported")]
    Version,
    #[error("Malformed Header Line")]
    HeaderLine,
    #[error("Too Many Header Lines")]
    TooManyHeaders,
    #[error("Headers Do Not End")]
    NoHeaderEnd,
    #[error("Missing {} Header", .0.as_str())]
    Missing(KnownHeader),
    #[error("Malformed {} Header", .0.as_str())]
    Malformed(KnownHeader),
    #[error("More Than One {} Header", .0.as_str())]
    Repeated(KnownHeader),
    #[error("Body Shorter Than Content-Length")]
    BodyTooShort,
    #[error("Status Code Out Of Range")]
    StatusCode,
}

/// Why a datagram is dropped without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// Only line ends: a keep-alive (RFC 5626 section 3.5.1).
    #[error("keep-alive")]
    KeepAlive,
    /// Longer than [`MAX_MESSAGE_BYTES`].
    #[error("message too long")]
    TooLong,
    /// The start line is not SIP.
    #[error("not SIP")]
    NotSip,
    /// A malformed response.
    #[error("malformed response: {0}")]
    BadResponse(SyntaxError),
}

/// A malformed request, as far as it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedRequest {
    pub(crate) error: SyntaxError,
    pub(crate) method: Method,
    /// The Request-URI; only its user is certain if the rest cannot be parsed.
    pub(crate) uri: Option<Uri>,
    pub(crate) headers: Headers,
    /// `None` for an ACK, and without a usable Via and `CSeq`: the request cannot be answered.
    pub(crate) response: Option<MalformedResponse>,
}

/// The response to a malformed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MalformedResponse {
    /// 400 or 505.
    pub(crate) status: StatusCode,
    pub(crate) vias: Vec<Via>,
    pub(crate) echo: Headers,
}

impl MalformedRequest {
    /// Why the request is malformed.
    pub fn error(&self) -> SyntaxError {
        self.error
    }
}

/// Why a datagram is not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// A malformed request.
    Malformed(Box<MalformedRequest>),
    /// Not answered.
    Dropped(DropReason),
}

/// Parses one datagram.
///
/// # Errors
/// See [`ParseError`].
pub fn parse_datagram(bytes: &[u8]) -> Result<Message, ParseError> {
    parse(bytes, Framing::Datagram)
}

/// Parses one message of a stream, which needs a Content-Length.
///
/// # Errors
/// See [`ParseError`].
pub fn parse_stream_message(bytes: &[u8]) -> Result<Message, ParseError> {
    parse(bytes, Framing::Stream)
}

/// What tells where the body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Datagram,
    Stream,
}

fn parse(bytes: &[u8], framing: Framing) -> Result<Message, ParseError> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(ParseError::Dropped(DropReason::TooLong));
    }
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n' | 0));
    let Some(start) = start else { return Err(ParseError::Dropped(DropReason::KeepAlive)) };
    let bytes = &bytes[start..];
    let (line, rest) = split_line(bytes).ok_or(ParseError::Dropped(DropReason::NotSip))?;
    let line = decode(line);
    let section = HeaderSection::read(rest);
    if line.starts_with("SIP/") {
        return response(&line, section, framing)
            .map(|r| Message::Response(Box::new(r)))
            .map_err(|error| ParseError::Dropped(DropReason::BadResponse(error)));
    }
    let method = line.split([' ', '\t']).next().and_then(Method::parse);
    let Some(method) = method else { return Err(ParseError::Dropped(DropReason::NotSip)) };
    match request(&line, &method, &section, framing) {
        Ok((uri, parsed, body)) => {
            Ok(Message::Request(Box::new(Request { method, uri, headers: section.headers, parsed, body })))
        }
        Err(error) => Err(ParseError::Malformed(Box::new(malformed(error, &line, method, section.headers)))),
    }
}

/// The headers as far as they could be parsed, the first error in them, and the rest of the datagram.
struct HeaderSection<'a> {
    headers: Headers,
    error: Option<SyntaxError>,
    body: &'a [u8],
}

impl<'a> HeaderSection<'a> {
    fn read(mut rest: &'a [u8]) -> Self {
        let mut section = Self { headers: Headers::default(), error: None, body: &[] };
        loop {
            let Some((line, after)) = split_line(rest) else {
                section.record(SyntaxError::NoHeaderEnd);
                return section;
            };
            if line.is_empty() {
                section.body = after;
                return section;
            }
            if section.headers.len() >= MAX_HEADERS {
                section.record(SyntaxError::TooManyHeaders);
                return section;
            }
            let (text, after) = unfold(line, after);
            rest = after;
            match header(&text) {
                Some((name, value)) => section.headers.push(name, value),
                None => section.record(SyntaxError::HeaderLine),
            }
        }
    }

    fn record(&mut self, error: SyntaxError) {
        self.error.get_or_insert(error);
    }
}

/// A header line with the folded lines that continue it after one space (section 7.3.1), and what follows them.
fn unfold<'a>(line: &[u8], mut rest: &'a [u8]) -> (String, &'a [u8]) {
    let mut text = decode(line);
    while matches!(rest.first(), Some(b' ' | b'\t')) {
        let Some((folded, after)) = split_line(rest) else { break };
        text.push(' ');
        text.push_str(trim(&decode(folded)));
        rest = after;
    }
    (text, rest)
}

/// The Content-Length in a head, which is a start line and headers.
///
/// # Errors
/// [`SyntaxError::Malformed`] or [`SyntaxError::Repeated`].
pub(super) fn content_length(head: &[u8]) -> Result<Option<usize>, SyntaxError> {
    let name = KnownHeader::ContentLength;
    let (mut found, mut rest) = (None, split_line(head).map_or(&[][..], |(_, after)| after));
    while let Some((line, after)) = split_line(rest) {
        let (text, after) = unfold(line, after);
        rest = after;
        match header(&text) {
            Some((HeaderName::Known(known), value)) if known == name => {
                let length = number(&value).ok_or(SyntaxError::Malformed(name))?;
                if found.replace(length).is_some() {
                    return Err(SyntaxError::Repeated(name));
                }
            }
            Some(_) | None => {}
        }
    }
    Ok(found)
}

fn header(line: &str) -> Option<(HeaderName, String)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim_end_matches([' ', '\t']);
    // A bare CR or LF in a value would let a peer inject headers into our messages.
    let value: String = value.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    Some((HeaderName::parse(name)?, trim(&value).to_owned()))
}

/// Splits off the next line. A bare LF also ends a line, because many stacks send it.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|b| *b == b'\n')?;
    let line = &bytes[..at];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[at + 1..]))
}

fn request(
    line: &str,
    method: &Method,
    section: &HeaderSection<'_>,
    framing: Framing,
) -> Result<(Uri, ParsedHeaders, Vec<u8>), SyntaxError> {
    let rest = line[method.as_str().len()..].trim_start_matches(' ');
    let (uri, version) = rest.rsplit_once(' ').ok_or(SyntaxError::StartLine)?;
    check_version(version)?;
    // Several spaces count as one; RFC 4475 section 3.1.2.9 allows this.
    let uri = Uri::parse(uri.trim_end_matches(' ')).ok_or(SyntaxError::RequestUri)?;
    let parsed = parsed(&section.headers)?;
    if let Some(error) = section.error {
        return Err(error);
    }
    check_unused_headers(&section.headers)?;
    let body = body(&section.headers, section.body, framing)?;
    Ok((uri, parsed, body))
}

fn response(line: &str, section: HeaderSection<'_>, framing: Framing) -> Result<Response, SyntaxError> {
    let (version, rest) = line.split_once(' ').ok_or(SyntaxError::StartLine)?;
    check_version(version)?;
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = (code.len() == 3).then(|| number(code)).flatten().and_then(StatusCode::new);
    let status = status.ok_or(SyntaxError::StatusCode)?;
    let parsed = parsed(&section.headers)?;
    if let Some(error) = section.error {
        return Err(error);
    }
    let body = body(&section.headers, section.body, framing)?;
    let reason = reason.chars().filter(|c| !c.is_control()).collect();
    Ok(Response { status, reason, headers: section.headers, parsed, body })
}

fn check_version(text: &str) -> Result<(), SyntaxError> {
    let digits = text.get(..4).filter(|p| p.eq_ignore_ascii_case("SIP/")).map(|_| &text[4..]);
    match digits {
        Some("2.0") => Ok(()),
        Some(other) if other.split_once('.').is_some_and(|(a, b)| is_number(a) && is_number(b)) => {
            Err(SyntaxError::Version)
        }
        Some(_) | None => Err(SyntaxError::StartLine),
    }
}

/// The value of a header that may appear only once.
fn single(headers: &Headers, name: KnownHeader) -> Result<Option<&str>, SyntaxError> {
    let mut values = headers.all(name);
    let first = values.next();
    if values.next().is_some() { Err(SyntaxError::Repeated(name)) } else { Ok(first) }
}

fn required(headers: &Headers, name: KnownHeader) -> Result<&str, SyntaxError> {
    single(headers, name)?.ok_or(SyntaxError::Missing(name))
}

fn vias(headers: &Headers) -> Result<Vec<Via>, SyntaxError> {
    let mut vias = Vec::new();
    for value in headers.all(KnownHeader::Via) {
        vias.extend(Via::parse_list(value).ok_or(SyntaxError::Malformed(KnownHeader::Via))?);
    }
    if vias.is_empty() { Err(SyntaxError::Missing(KnownHeader::Via)) } else { Ok(vias) }
}

fn parsed(headers: &Headers) -> Result<ParsedHeaders, SyntaxError> {
    let address = |name| NameAddr::parse(required(headers, name)?).ok_or(SyntaxError::Malformed(name));
    let call_id = required(headers, KnownHeader::CallId)?;
    if call_id.is_empty() || call_id.bytes().any(|b| b <= b' ') {
        return Err(SyntaxError::Malformed(KnownHeader::CallId));
    }
    let cseq = CSeq::parse(required(headers, KnownHeader::CSeq)?);
    Ok(ParsedHeaders {
        vias: vias(headers)?,
        from: NameAddr::parse_from(required(headers, KnownHeader::From)?)
            .ok_or(SyntaxError::Malformed(KnownHeader::From))?,
        to: address(KnownHeader::To)?,
        call_id: SipCallId::new(call_id),
        cseq: cseq.ok_or(SyntaxError::Malformed(KnownHeader::CSeq))?,
        contacts: contacts(headers)?,
        record_routes: addresses(headers, KnownHeader::RecordRoute)?,
    })
}

fn contacts(headers: &Headers) -> Result<Vec<NameAddr>, SyntaxError> {
    if headers.first(KnownHeader::Contact) == Some("*") {
        return Ok(Vec::new());
    }
    addresses(headers, KnownHeader::Contact)
}

fn addresses(headers: &Headers, name: KnownHeader) -> Result<Vec<NameAddr>, SyntaxError> {
    let mut list = Vec::new();
    for value in headers.all(name) {
        list.extend(NameAddr::parse_list(value).ok_or(SyntaxError::Malformed(name))?);
    }
    Ok(list)
}

/// Checks the syntax of headers that nothing else parses.
fn check_unused_headers(headers: &Headers) -> Result<(), SyntaxError> {
    if let Some(value) = single(headers, KnownHeader::MaxForwards)? {
        let significant = value.trim_start_matches('0');
        if !is_number(value) || !(significant.is_empty() || number::<u8>(significant).is_some()) {
            return Err(SyntaxError::Malformed(KnownHeader::MaxForwards));
        }
    }
    if let Some(value) = single(headers, KnownHeader::ContentType)? {
        let media = value.split(';').next().unwrap_or(value);
        let valid = media.split_once('/').is_some_and(|(a, b)| is_token(trim(a)) && is_token(trim(b)));
        if !valid {
            return Err(SyntaxError::Malformed(KnownHeader::ContentType));
        }
    }
    addresses(headers, KnownHeader::Route).map(drop)
}

/// In a datagram, the body without Content-Length is the rest; bytes after Content-Length are ignored (section 18.3).
fn body(headers: &Headers, rest: &[u8], framing: Framing) -> Result<Vec<u8>, SyntaxError> {
    let Some(value) = single(headers, KnownHeader::ContentLength)? else {
        return match framing {
            Framing::Datagram => Ok(rest.to_vec()),
            Framing::Stream => Err(SyntaxError::Missing(KnownHeader::ContentLength)),
        };
    };
    let length: usize = number(value).ok_or(SyntaxError::Malformed(KnownHeader::ContentLength))?;
    rest.get(..length).map(<[u8]>::to_vec).ok_or(SyntaxError::BodyTooShort)
}

fn malformed(error: SyntaxError, line: &str, method: Method, headers: Headers) -> MalformedRequest {
    let uri = line.split_ascii_whitespace().nth(1).and_then(|text| {
        // A malformed host does not hide who is called.
        Uri::parse(text).or_else(|| Uri::parse(&format!("{}@malformed.invalid", text.split_once('@')?.0)))
    });
    let response = malformed_response(error, &method, &headers);
    MalformedRequest { error, method, uri, headers, response }
}

/// A malformed request can be answered if it has a Via for the destination and a `CSeq` to match the response. The
/// response repeats whichever of From, To and Call-ID are present.
fn malformed_response(error: SyntaxError, method: &Method, headers: &Headers) -> Option<MalformedResponse> {
    let top = headers.first(KnownHeader::Via).and_then(|value| {
        let first = value.split(',').next().unwrap_or(value);
        // Malformed parameters do not hide the address of the hop.
        Via::parse(first).or_else(|| Via::parse(first.split(';').next().unwrap_or(first)))
    })?;
    if headers.first(KnownHeader::CSeq).is_none() || *method == Method::Ack {
        return None;
    }
    let vias = vias(headers).unwrap_or_else(|_| vec![top]);
    let mut echo = Headers::default();
    for name in [KnownHeader::From, KnownHeader::To, KnownHeader::CallId, KnownHeader::CSeq] {
        if let Some(value) = headers.first(name) {
            echo.push(name, value.to_owned());
        }
    }
    let status = if error == SyntaxError::Version {
        StatusCode::VERSION_NOT_SUPPORTED
    } else {
        StatusCode::BAD_REQUEST
    };
    Some(MalformedResponse { status, vias, echo })
}
