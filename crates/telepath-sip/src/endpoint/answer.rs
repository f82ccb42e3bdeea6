//! Answers: the headers that go with each status, and the two ways to send one, through a transaction or, for
//! what is turned away at the door, without keeping anything (RFC 3261 section 8.2.7).

use std::net::SocketAddr;
use std::time::Instant;

use super::Endpoint;
use super::event::{RejectReason, RetryAfter};
use super::server::ServerId;
use crate::message::{
    Headers, KnownHeader, Request, ResponseSeed, ResponseWriter, SessionDescription, StatusCode,
};

/// The methods that are served.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE";
/// The one kind of body that is read.
pub(crate) const ACCEPT: &str = "application/sdp";

/// A request turned away: by which rule, with what.
pub(crate) struct Rejection {
    pub(crate) rule: RejectReason,
    pub(crate) status: StatusCode,
    pub(crate) reason: Option<&'static str>,
    pub(crate) headers: Headers,
}

impl Rejection {
    pub(crate) fn new(rule: RejectReason, status: StatusCode) -> Self {
        Self { rule, status, reason: None, headers: Headers::default() }
    }

    pub(crate) fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    pub(crate) fn with(mut self, name: KnownHeader, value: impl Into<String>) -> Self {
        self.headers.push(name, value.into());
        self
    }

    pub(crate) fn retry_after(self, after: RetryAfter) -> Self {
        self.with(KnownHeader::RetryAfter, after.0.as_secs().to_string())
    }
}

impl Endpoint {
    pub(crate) fn over_limit(&self, rule: RejectReason) -> Rejection {
        let after = RetryAfter(self.config.limits.retry_after);
        Rejection::new(rule, StatusCode::SERVICE_UNAVAILABLE).retry_after(after)
    }

    /// Contact and Allow, which answers that build or keep a dialog carry.
    pub(crate) fn dialog_headers(&self) -> Headers {
        let mut headers = Headers::default();
        headers.push(KnownHeader::Contact, format!("<sip:{}>", self.config.advertised));
        headers.push(KnownHeader::Allow, ALLOW.to_owned());
        headers
    }

    fn named(&self, mut headers: Headers) -> Headers {
        headers.push(KnownHeader::Server, self.config.product.as_str().to_owned());
        headers
    }

    /// Answers without a transaction.
    pub(crate) fn answer_stateless(
        &mut self,
        request: &Request,
        source: SocketAddr,
        status: StatusCode,
        reason: Option<&str>,
        headers: Headers,
        now: Instant,
    ) {
        let seed = ResponseSeed::of(request, source);
        let tag = self.tokens.stateless_tag(&seed);
        let headers = self.named(headers);
        let to_tag = Some(tag.as_str());
        let payload =
            ResponseWriter { seed: &seed, status, reason, to_tag, with_routes: false, headers, body: &[] }
                .write();
        let call = self.trace.current();
        self.transmit(seed.answer_to, payload, call, now);
    }

    pub(crate) fn answer_unreadable(
        &mut self,
        seed: &ResponseSeed,
        status: StatusCode,
        reason: Option<&str>,
        now: Instant,
    ) {
        let headers = self.named(Headers::default());
        let tag = self.tokens.stateless_tag(seed);
        let to_tag = Some(tag.as_str());
        let payload =
            ResponseWriter { seed, status, reason, to_tag, with_routes: false, headers, body: &[] }.write();
        self.transmit(seed.answer_to, payload, None, now);
    }

    /// Turns a request away and says so.
    pub(crate) fn refuse(&mut self, request: &Request, source: SocketAddr, refuse: Rejection, now: Instant) {
        self.answer_stateless(request, source, refuse.status, refuse.reason, refuse.headers, now);
        self.note_rejection(refuse.rule, source, Some(refuse.status));
    }

    /// Answers through a transaction; with SDP when there is one. Gives back what was sent.
    pub(crate) fn answer(
        &mut self,
        id: ServerId,
        status: StatusCode,
        headers: Headers,
        sdp: Option<&SessionDescription>,
        now: Instant,
    ) -> Option<std::sync::Arc<[u8]>> {
        let mut headers = self.named(headers);
        let tx = self.servers.get(id)?;
        if sdp.is_some() {
            headers.push(KnownHeader::ContentType, ACCEPT.to_owned());
        }
        let payload = ResponseWriter {
            seed: &tx.seed,
            status,
            reason: None,
            to_tag: tx
                .local_tag
                .as_ref()
                .filter(|_| status != StatusCode::TRYING)
                .map(crate::message::Tag::as_str),
            with_routes: status != StatusCode::TRYING && status.code() < 300,
            headers,
            body: sdp.map_or(&[], SessionDescription::as_bytes),
        }
        .write();
        self.server_send(id, status, payload.clone(), now);
        Some(payload)
    }
}
