//! Messages to bytes. Everything this stack sends goes through the two writers here, so Content-Length is
//! always counted and never copied, and a value can never break out of its line.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{
    CSeq, HeaderName, Headers, KnownHeader, Message, Method, NameAddr, Request, Response, StatusCode,
    Unreadable, Uri, Via,
};

fn line(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(": ");
    out.extend(value.chars().filter(|c| !matches!(c, '\r' | '\n')));
    out.push_str("\r\n");
}

fn finish(mut out: String, body: &[u8]) -> Arc<[u8]> {
    let _infallible = write!(out, "Content-Length: {}\r\n\r\n", body.len());
    let mut bytes = out.into_bytes();
    bytes.extend_from_slice(body);
    bytes.into()
}

fn own_headers(out: &mut String, headers: &Headers) {
    for (name, value) in headers.iter() {
        if *name != HeaderName::Known(KnownHeader::ContentLength) {
            line(out, name.as_str(), value);
        }
    }
}

impl Request {
    /// The request as bytes, headers in order, Content-Length counted anew.
    pub fn to_bytes(&self) -> Arc<[u8]> {
        let mut out = format!("{} {} SIP/2.0\r\n", self.method, self.uri);
        own_headers(&mut out, &self.headers);
        finish(out, &self.body)
    }
}

impl Response {
    /// The response as bytes, headers in order, Content-Length counted anew.
    pub fn to_bytes(&self) -> Arc<[u8]> {
        let mut out = format!("SIP/2.0 {} {}\r\n", self.status, self.reason);
        own_headers(&mut out, &self.headers);
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

/// Builds one request of ours.
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
        own_headers(&mut out, &self.headers);
        finish(out, self.body)
    }
}

/// What of a request is needed to answer it, however much later (RFC 3261 section 8.2.6).
#[derive(Clone, Debug)]
pub(crate) struct ResponseSeed {
    vias: Vec<Via>,
    echo: Headers,
    has_to_tag: bool,
    /// Record-Route goes back only in answers that build a dialog.
    record_routes: Vec<String>,
    pub(crate) answer_to: SocketAddr,
}

impl ResponseSeed {
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

    pub(crate) fn of_unreadable(unreadable: &Unreadable, source: SocketAddr) -> Self {
        let to = unreadable.echo.first(KnownHeader::To).and_then(NameAddr::parse);
        // A broken To may or may not hold a tag; adding none is the safe reading.
        let has_to_tag = to.is_none_or(|to| to.tag().is_some());
        Self::new(unreadable.vias.clone(), unreadable.echo.clone(), has_to_tag, Vec::new(), source)
    }

    pub(crate) fn top_via(&self) -> Option<&Via> {
        self.vias.first()
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
        let mut answer_to = source;
        if let Some(top) = vias.first_mut() {
            answer_to = top.answer_to(source);
            top.stamp(source);
        }
        Self { vias, echo, has_to_tag, record_routes, answer_to }
    }
}

/// Builds one response of ours.
pub(crate) struct ResponseWriter<'a> {
    pub(crate) seed: &'a ResponseSeed,
    pub(crate) status: StatusCode,
    pub(crate) reason: Option<&'a str>,
    /// Added to To when the request had none; absent only in 100.
    pub(crate) to_tag: Option<&'a str>,
    pub(crate) with_routes: bool,
    pub(crate) headers: Headers,
    pub(crate) body: &'a [u8],
}

impl ResponseWriter<'_> {
    pub(crate) fn write(self) -> Arc<[u8]> {
        let mut out = String::with_capacity(512);
        let reason = self.reason.unwrap_or_else(|| self.status.phrase());
        let _infallible = write!(out, "SIP/2.0 {} ", self.status);
        out.extend(reason.chars().filter(|c| !c.is_control()));
        out.push_str("\r\n");
        for via in &self.seed.vias {
            line(&mut out, "Via", &via.to_string());
        }
        if self.with_routes {
            for route in &self.seed.record_routes {
                line(&mut out, "Record-Route", route);
            }
        }
        for (name, value) in self.seed.echo.iter() {
            let tag = self.to_tag.filter(|_| !self.seed.has_to_tag);
            match (name, tag) {
                (HeaderName::Known(KnownHeader::To), Some(tag)) => {
                    line(&mut out, "To", &format!("{value};tag={tag}"));
                }
                (HeaderName::Known(_) | HeaderName::Other(_), _) => line(&mut out, name.as_str(), value),
            }
        }
        own_headers(&mut out, &self.headers);
        finish(out, self.body)
    }
}
