//! Bytes to messages (RFC 3261 sections 7, 18.3 and 20). A datagram ends in one of three ways: a message, a
//! request too broken to obey but whole enough to be told so, or something that is dropped with a named reason.

use super::lex::{is_token, number, trim};
use super::{
    CSeq, CallId, Essentials, HeaderName, Headers, KnownHeader, Message, Method, NameAddr, Request, Response,
    StatusCode, Uri, Via,
};

/// Longest message that is read, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Most header lines that are read.
pub const MAX_HEADERS: usize = 256;
/// Most Via hops that are followed: the recommended start value of Max-Forwards.
pub const MAX_VIAS: usize = 70;

/// What is wrong with a message; the text is the reason phrase of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it means")]
pub enum Flaw {
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

/// Why a datagram gets no answer at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// Nothing but line ends: a keep-alive (RFC 5626 section 3.5.1).
    #[error("keep-alive")]
    KeepAlive,
    /// Longer than [`MAX_MESSAGE_BYTES`].
    #[error("message too long")]
    TooLong,
    /// No start line that looks like SIP.
    #[error("not SIP")]
    NotSip,
    /// A response that is malformed.
    #[error("malformed response: {0}")]
    BadResponse(Flaw),
    /// A request that is malformed and has no readable Via or `CSeq` to answer to, or is an ACK.
    #[error("malformed request that cannot be answered: {0}")]
    BadRequest(Flaw),
}

/// A malformed request that can still be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub(crate) flaw: Flaw,
    pub(crate) status: StatusCode,
    pub(crate) vias: Vec<Via>,
    pub(crate) echo: Headers,
}

impl Unreadable {
    /// What is wrong.
    pub fn flaw(&self) -> Flaw {
        self.flaw
    }

    /// The status to answer with: 400 or 505.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

/// How parsing can fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseFailure {
    /// The sender can be told.
    Answerable(Box<Unreadable>),
    /// It cannot.
    Dropped(DropReason),
}

/// Reads one datagram.
pub fn parse_datagram(bytes: &[u8]) -> Result<Message, ParseFailure> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(ParseFailure::Dropped(DropReason::TooLong));
    }
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n' | 0));
    let Some(start) = start else { return Err(ParseFailure::Dropped(DropReason::KeepAlive)) };
    let bytes = &bytes[start..];
    let (line, rest) = split_line(bytes).ok_or(ParseFailure::Dropped(DropReason::NotSip))?;
    let line = std::str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Into::into);
    let section = HeaderSection::read(rest);
    if line.starts_with("SIP/") {
        return response(&line, section)
            .map(|r| Message::Response(Box::new(r)))
            .map_err(|flaw| ParseFailure::Dropped(DropReason::BadResponse(flaw)));
    }
    let method = line.split([' ', '\t']).next().and_then(Method::parse);
    let Some(method) = method else { return Err(ParseFailure::Dropped(DropReason::NotSip)) };
    match request(&line, &method, &section) {
        Ok((uri, essentials, body)) => Ok(Message::Request(Box::new(Request {
            method,
            uri,
            headers: section.headers,
            essentials,
            body,
        }))),
        Err(flaw) => Err(refuse(flaw, &method, &section.headers)),
    }
}

/// The headers as far as they could be read, the first flaw in them, and what follows.
struct HeaderSection<'a> {
    headers: Headers,
    flaw: Option<Flaw>,
    body: &'a [u8],
}

impl<'a> HeaderSection<'a> {
    fn read(mut rest: &'a [u8]) -> Self {
        let mut section = Self { headers: Headers::default(), flaw: None, body: &[] };
        loop {
            let Some((line, after)) = split_line(rest) else {
                section.note(Flaw::NoHeaderEnd);
                return section;
            };
            rest = after;
            if line.is_empty() {
                section.body = rest;
                return section;
            }
            if section.headers.len() >= MAX_HEADERS {
                section.note(Flaw::TooManyHeaders);
                return section;
            }
            let mut text = String::from_utf8_lossy(line).into_owned();
            while matches!(rest.first(), Some(b' ' | b'\t')) {
                let Some((folded, after)) = split_line(rest) else { break };
                // A fold is one space to the reader (RFC 3261 section 7.3.1).
                text.push(' ');
                text.push_str(trim(&String::from_utf8_lossy(folded)));
                rest = after;
            }
            match header(&text) {
                Some((name, value)) => section.headers.push(name, value),
                None => section.note(Flaw::HeaderLine),
            }
        }
    }

    fn note(&mut self, flaw: Flaw) {
        self.flaw.get_or_insert(flaw);
    }
}

fn header(line: &str) -> Option<(HeaderName, String)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim_end_matches([' ', '\t']);
    // A bare line end inside a value would let a peer write headers of its own into what we send.
    let value: String = value.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    Some((HeaderName::parse(name)?, trim(&value).to_owned()))
}

/// The next line and what follows it; a lone LF ends a line too, as many stacks send it.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|b| *b == b'\n')?;
    let line = &bytes[..at];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[at + 1..]))
}

fn request(
    line: &str,
    method: &Method,
    section: &HeaderSection<'_>,
) -> Result<(Uri, Essentials, Vec<u8>), Flaw> {
    let rest = line[method.as_str().len()..].trim_start_matches(' ');
    let (uri, version) = rest.rsplit_once(' ').ok_or(Flaw::StartLine)?;
    check_version(version)?;
    // More than one space between the parts is read as one (RFC 4475 section 3.1.2.9 leaves the choice).
    let uri = Uri::parse(uri.trim_end_matches(' ')).ok_or(Flaw::RequestUri)?;
    let essentials = essentials(&section.headers)?;
    if let Some(flaw) = section.flaw {
        return Err(flaw);
    }
    check_numbers(&section.headers)?;
    let body = body(&section.headers, section.body)?;
    Ok((uri, essentials, body))
}

fn response(line: &str, section: HeaderSection<'_>) -> Result<Response, Flaw> {
    let (version, rest) = line.split_once(' ').ok_or(Flaw::StartLine)?;
    check_version(version)?;
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = (code.len() == 3).then(|| number(code)).flatten().and_then(StatusCode::new);
    let status = status.ok_or(Flaw::StatusCode)?;
    let essentials = essentials(&section.headers)?;
    if let Some(flaw) = section.flaw {
        return Err(flaw);
    }
    let body = body(&section.headers, section.body)?;
    let reason = reason.chars().filter(|c| !c.is_control()).collect();
    Ok(Response { status, reason, headers: section.headers, essentials, body })
}

fn check_version(text: &str) -> Result<(), Flaw> {
    let digits = text.get(..4).filter(|p| p.eq_ignore_ascii_case("SIP/")).map(|_| &text[4..]);
    match digits {
        Some("2.0") => Ok(()),
        Some(other) if other.split_once('.').is_some_and(|(a, b)| is_digits(a) && is_digits(b)) => {
            Err(Flaw::Version)
        }
        Some(_) | None => Err(Flaw::StartLine),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The value of a header that may stand only once.
fn single(headers: &Headers, name: KnownHeader) -> Result<Option<&str>, Flaw> {
    let mut values = headers.all(name);
    let first = values.next();
    if values.next().is_some() { Err(Flaw::Repeated(name)) } else { Ok(first) }
}

fn required(headers: &Headers, name: KnownHeader) -> Result<&str, Flaw> {
    single(headers, name)?.ok_or(Flaw::Missing(name))
}

fn vias(headers: &Headers) -> Result<Vec<Via>, Flaw> {
    let mut vias = Vec::new();
    for value in headers.all(KnownHeader::Via) {
        vias.extend(Via::parse_list(value).ok_or(Flaw::Malformed(KnownHeader::Via))?);
    }
    if vias.is_empty() { Err(Flaw::Missing(KnownHeader::Via)) } else { Ok(vias) }
}

fn essentials(headers: &Headers) -> Result<Essentials, Flaw> {
    let address = |name| NameAddr::parse(required(headers, name)?).ok_or(Flaw::Malformed(name));
    let call_id = required(headers, KnownHeader::CallId)?;
    if call_id.is_empty() || call_id.bytes().any(|b| b <= b' ') {
        return Err(Flaw::Malformed(KnownHeader::CallId));
    }
    let cseq = CSeq::parse(required(headers, KnownHeader::CSeq)?);
    Ok(Essentials {
        vias: vias(headers)?,
        from: address(KnownHeader::From)?,
        to: address(KnownHeader::To)?,
        call_id: CallId::new(call_id),
        cseq: cseq.ok_or(Flaw::Malformed(KnownHeader::CSeq))?,
        contacts: contacts(headers)?,
        record_routes: addresses(headers, KnownHeader::RecordRoute)?,
    })
}

fn contacts(headers: &Headers) -> Result<Vec<NameAddr>, Flaw> {
    if headers.first(KnownHeader::Contact) == Some("*") {
        return Ok(Vec::new());
    }
    addresses(headers, KnownHeader::Contact)
}

fn addresses(headers: &Headers, name: KnownHeader) -> Result<Vec<NameAddr>, Flaw> {
    let mut list = Vec::new();
    for value in headers.all(name) {
        list.extend(NameAddr::parse_list(value).ok_or(Flaw::Malformed(name))?);
    }
    Ok(list)
}

/// Max-Forwards and Content-Type are read by nobody but must be sound where they stand.
fn check_numbers(headers: &Headers) -> Result<(), Flaw> {
    if let Some(value) = single(headers, KnownHeader::MaxForwards)? {
        let significant = value.trim_start_matches('0');
        if !is_digits(value) || !(significant.is_empty() || number::<u8>(significant).is_some()) {
            return Err(Flaw::Malformed(KnownHeader::MaxForwards));
        }
    }
    if let Some(value) = single(headers, KnownHeader::ContentType)? {
        let media = value.split(';').next().unwrap_or(value);
        let sound = media.split_once('/').is_some_and(|(a, b)| is_token(trim(a)) && is_token(trim(b)));
        if !sound {
            return Err(Flaw::Malformed(KnownHeader::ContentType));
        }
    }
    addresses(headers, KnownHeader::Route).map(drop)
}

/// In a datagram a missing Content-Length means all the rest, and bytes after it are ignored (RFC 3261
/// section 18.3).
fn body(headers: &Headers, rest: &[u8]) -> Result<Vec<u8>, Flaw> {
    let Some(value) = single(headers, KnownHeader::ContentLength)? else { return Ok(rest.to_vec()) };
    let length: usize = number(value).ok_or(Flaw::Malformed(KnownHeader::ContentLength))?;
    rest.get(..length).map(<[u8]>::to_vec).ok_or(Flaw::BodyTooShort)
}

/// Answerable when there is a hop to answer to and a `CSeq` to match the answer by; what else is there is echoed.
fn refuse(flaw: Flaw, method: &Method, headers: &Headers) -> ParseFailure {
    let top = headers.first(KnownHeader::Via).and_then(|value| {
        let first = value.split(',').next().unwrap_or(value);
        // A broken parameter list still leaves a hop to answer to.
        Via::parse(first).or_else(|| Via::parse(first.split(';').next().unwrap_or(first)))
    });
    let has_cseq = headers.first(KnownHeader::CSeq).is_some();
    let Some(top) = top.filter(|_| has_cseq && *method != Method::Ack) else {
        return ParseFailure::Dropped(DropReason::BadRequest(flaw));
    };
    let vias = vias(headers).unwrap_or_else(|_| vec![top]);
    let mut echo = Headers::default();
    for name in [KnownHeader::From, KnownHeader::To, KnownHeader::CallId, KnownHeader::CSeq] {
        if let Some(value) = headers.first(name) {
            echo.push(name, value.to_owned());
        }
    }
    let status =
        if flaw == Flaw::Version { StatusCode::VERSION_NOT_SUPPORTED } else { StatusCode::BAD_REQUEST };
    ParseFailure::Answerable(Box::new(Unreadable { flaw, status, vias, echo }))
}
