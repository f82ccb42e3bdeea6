//! The message writers (RFC 3261 section 7). Everything that this stack sends passes through them: Content-Length is always
//! computed, and a value can never contain a line break.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use super::encoding::encode;
use super::{
    CSeq, HeaderName, Headers, KnownHeader, MalformedResponse, Message, Method, NameAddr, Request, Response,
    StatusCode, Uri, Via,
};

fn line(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(": ");
    out.extend(value.chars().filter(|c| !matches!(c, '\r' | '\n')));
    out.push_str("\r\n");
}

fn finish(mut out: String, body: &[u8]) -> Arc<[u8]> {
    let _infallible = write!(out, "Content-Length: {}\r\n\r\n", body.len());
    let mut bytes = encode(out);
    bytes.extend_from_slice(body);
    bytes.into()
}

fn write_headers(out: &mut String, headers: &Headers) {
    for (name, value) in headers.iter() {
        if *name != HeaderName::Known(KnownHeader::ContentLength) {
            line(out, name.as_str(), value);
        }
    }
}

impl Request {
    /// The request as bytes, with its headers in order and a computed Content-Length.
    pub fn to_bytes(&self) -> Arc<[u8]> {
        let mut out = format!("{} {} SIP/2.0\r\n", self.method, self.uri);
        write_headers(&mut out, &self.headers);
        finish(out, &self.body)
    }
}

impl Response {
    /// The response as bytes, with its headers in order and a computed Content-Length.
    pub fn to_bytes(&self) -> Arc<[u8]> {
        let mut out = format!("SIP/2.0 {} {}\r\n", self.status, self.reason);
        write_headers(&mut out, &self.headers);
        finish(out, &self.body)
    }
}

impl Message {
    /// The message as bytes.
    pub fn to_bytes(&self) -> Arc<[u8]> {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

/// The parts of a request that we send.
pub(crate) struct RequestWriter<'a> {
    pub(crate) method: Method,
    pub(crate) uri: &'a Uri,
    pub(crate) via: &'a Via,
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) call_id: &'a str,
    pub(crate) cseq: u32,
    pub(crate) headers: Headers,
    pub(crate) body: &'a [u8],
}

impl RequestWriter<'_> {
    pub(crate) fn write(self) -> Arc<[u8]> {
        let mut out = String::with_capacity(512);
        let cseq = CSeq { number: self.cseq, method: self.method };
        let _infallible = write!(out, "{} {} SIP/2.0\r\n", cseq.method, self.uri);
        line(&mut out, "Via", &self.via.to_string());
        line(&mut out, "Max-Forwards", "70");
        line(&mut out, "From", self.from);
        line(&mut out, "To", self.to);
        line(&mut out, "Call-ID", self.call_id);
        line(&mut out, "CSeq", &cseq.to_string());
        write_headers(&mut out, &self.headers);
        finish(out, self.body)
    }
}

/// The parts of a request that its responses repeat (RFC 3261 section 8.2.6.2), and their destination.
#[derive(Clone, Debug)]
pub(crate) struct ResponseTemplate {
    vias: Vec<Via>,
    echo: Headers,
    has_to_tag: bool,
    /// Repeated only in responses that create a dialog.
    record_routes: Vec<String>,
    /// Where the responses are sent over UDP.
    pub(crate) udp_destination: SocketAddr,
}

impl ResponseTemplate {
    pub(crate) fn of(request: &Request, source: SocketAddr) -> Self {
        let mut echo = Headers::default();
        for name in [KnownHeader::From, KnownHeader::To, KnownHeader::CallId, KnownHeader::CSeq] {
            if let Some(value) = request.headers.first(name) {
                echo.push(name, value.to_owned());
            }
        }
        let routes = request.headers.all(KnownHeader::RecordRoute).map(str::to_owned).collect();
        Self::new(request.vias().to_vec(), echo, request.to().tag().is_some(), routes, source)
    }

    pub(crate) fn of_malformed(malformed: &MalformedResponse, source: SocketAddr) -> Self {
        let to = malformed.echo.first(KnownHeader::To).and_then(NameAddr::parse);
        // A malformed To may contain a tag, so none is added.
        let has_to_tag = to.is_none_or(|to| to.tag().is_some());
        Self::new(malformed.vias.clone(), malformed.echo.clone(), has_to_tag, Vec::new(), source)
    }

    pub(crate) fn top_via(&self) -> Option<&Via> {
        self.vias.first()
    }

    /// The port that the sender listens on, as it says.
    pub(crate) fn sent_by_port(&self) -> Option<u16> {
        self.top_via()?.sent_by().port
    }

    pub(crate) fn call_id(&self) -> &str {
        self.echo.first(KnownHeader::CallId).unwrap_or_default()
    }

    fn new(
        mut vias: Vec<Via>,
        echo: Headers,
        has_to_tag: bool,
        record_routes: Vec<String>,
        source: SocketAddr,
    ) -> Self {
        let mut udp_destination = source;
        if let Some(top) = vias.first_mut() {
            udp_destination = top.response_destination(source);
            top.set_received(source);
        }
        Self { vias, echo, has_to_tag, record_routes, udp_destination }
    }
}

/// The parts of a response that we send.
pub(crate) struct ResponseWriter<'a> {
    pub(crate) template: &'a ResponseTemplate,
    pub(crate) status: StatusCode,
    /// Replaces the default reason phrase.
    pub(crate) phrase: Option<&'a str>,
    /// Added to To if the request had none; `None` only for 100.
    pub(crate) to_tag: Option<&'a str>,
    pub(crate) with_record_route: bool,
    pub(crate) headers: Headers,
    pub(crate) body: &'a [u8],
}

impl ResponseWriter<'_> {
    pub(crate) fn write(self) -> Arc<[u8]> {
        let mut out = String::with_capacity(512);
        let phrase = self.phrase.unwrap_or_else(|| self.status.phrase());
        let _infallible = write!(out, "SIP/2.0 {} ", self.status);
        out.extend(phrase.chars().filter(|c| !c.is_control()));
        out.push_str("\r\n");
        for via in &self.template.vias {
            line(&mut out, "Via", &via.to_string());
        }
        if self.with_record_route {
            for route in &self.template.record_routes {
                line(&mut out, "Record-Route", route);
            }
        }
        for (name, value) in self.template.echo.iter() {
            let tag = self.to_tag.filter(|_| !self.template.has_to_tag);
            match (name, tag) {
                (HeaderName::Known(KnownHeader::To), Some(tag)) => {
                    line(&mut out, "To", &format!("{value};tag={tag}"));
                }
                (HeaderName::Known(_) | HeaderName::Other(_), _) => line(&mut out, name.as_str(), value),
            }
        }
        write_headers(&mut out, &self.headers);
        finish(out, self.body)
    }
}
