//! Responses (RFC 3261 section 8.2.6): their common headers, and sending them through a server transaction or, for
//! requests that are rejected immediately, statelessly (section 8.2.7).

use std::sync::Arc;
use std::time::Instant;

use super::Endpoint;
use super::event::{Event, InviteRejection, RetryAfter};
use super::flow::{Flow, ResponseRoute};
use super::reject_reason::RejectReason;
use super::server_transaction::ServerId;
use crate::message::{
    Headers, KnownHeader, Method, Request, ResponseTemplate, ResponseWriter, SdpBody, StatusCode, Tag,
    Transport, Warning,
};

/// The value of Allow: the methods of the classes `Ack`, `Cancel` and `Served` in [`super::method_class`].
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, NOTIFY";
/// The value of Supported: the extensions that [`super::inspection`] accepts in Require.
pub(super) const SUPPORTED: &str = "timer, 100rel";
/// The only accepted body type.
pub(super) const ACCEPT: &str = "application/sdp";
/// The value of Accept: session descriptions, also within a multipart body (RFC 5621 section 3).
pub(super) const ACCEPT_BODIES: &str = "application/sdp, multipart/mixed";

/// The response to a rejected request, and why it was rejected.
pub(super) struct Rejection {
    reason: RejectReason,
    status: StatusCode,
    /// Replaces the usual reason phrase.
    phrase: Option<&'static str>,
    headers: Headers,
}

impl Rejection {
    pub(super) fn new(reason: RejectReason, status: StatusCode) -> Self {
        Self { reason, status, phrase: None, headers: Headers::default() }
    }

    pub(super) fn with_phrase(mut self, phrase: &'static str) -> Self {
        self.phrase = Some(phrase);
        self
    }

    pub(super) fn with_header(mut self, name: KnownHeader, value: impl Into<String>) -> Self {
        self.headers.push(name, value.into());
        self
    }
}

/// The status for a rejection: a status below 300 does not reject and becomes 500.
pub(super) fn rejection_status(status: StatusCode) -> StatusCode {
    if status.code() < 300 { StatusCode::SERVER_INTERNAL_ERROR } else { status }
}

/// A Retry-After header.
pub(super) fn retry_after(after: RetryAfter) -> Headers {
    let mut headers = Headers::default();
    headers.push(KnownHeader::RetryAfter, after.0.as_secs().to_string());
    headers
}

impl Endpoint {
    /// A 503 with Retry-After for a request that exceeds a limit.
    pub(super) fn over_limit(&self, reason: RejectReason) -> Rejection {
        let headers = retry_after(RetryAfter(self.config.limits.retry_after));
        Rejection { headers, ..Rejection::new(reason, StatusCode::SERVICE_UNAVAILABLE) }
    }

    /// Contact, Allow and Supported, for messages to a peer that create or keep a dialog.
    pub(super) fn dialog_headers(&self, flow: &Flow) -> Headers {
        self.dialog_headers_with(flow, SUPPORTED)
    }

    /// The same with another value of Supported.
    pub(super) fn dialog_headers_with(&self, flow: &Flow, supported: &str) -> Headers {
        let mut headers = Headers::default();
        headers.push(KnownHeader::Contact, self.contact(flow));
        headers.push(KnownHeader::Allow, ALLOW.to_owned());
        headers.push(KnownHeader::Supported, supported.to_owned());
        headers
    }

    /// The URI at which the peer of a flow reaches us over the same transport.
    fn contact(&self, flow: &Flow) -> String {
        let address = self.config.advertised.toward(flow);
        match flow.transport {
            Transport::Udp => format!("<sip:{address}>"),
            Transport::Tcp | Transport::Tls => format!("<sip:{address};transport={}>", flow.transport.name()),
        }
    }

    /// The headers of a 200 to OPTIONS (section 11.2).
    pub(super) fn capability_headers(&self, flow: &Flow) -> Headers {
        let mut headers = self.dialog_headers(flow);
        headers.push(KnownHeader::Accept, ACCEPT_BODIES.to_owned());
        headers
    }

    /// The value of a Warning header to a peer.
    pub(super) fn warning(&self, warning: Warning, flow: &Flow) -> String {
        warning.to_value(&self.config.advertised.toward(flow))
    }

    /// The Warning header that names a reason.
    pub(super) fn reason_headers(&self, reason: RejectReason, flow: &Flow) -> Headers {
        let mut headers = Headers::default();
        headers.push(KnownHeader::Warning, self.warning(Warning::miscellaneous(reason.name()), flow));
        headers
    }

    /// Retry-After and Warning of a rejection.
    pub(super) fn rejection_headers(&self, rejection: InviteRejection, flow: &Flow) -> Headers {
        let mut headers = rejection.retry_after.map(retry_after).unwrap_or_default();
        if let Some(warning) = rejection.warning {
            headers.push(KnownHeader::Warning, self.warning(warning, flow));
        }
        headers
    }

    fn add_server(&self, mut headers: Headers) -> Headers {
        headers.push(KnownHeader::Server, self.config.product.as_str().to_owned());
        headers
    }

    /// Sends a response without a transaction.
    pub(super) fn respond_stateless(
        &mut self,
        request: &Request,
        flow: Flow,
        status: StatusCode,
        phrase: Option<&str>,
        headers: Headers,
        now: Instant,
    ) {
        let template = ResponseTemplate::of(request, flow.remote);
        let payload = self.stateless_response(&template, status, phrase, None, headers);
        let call = self.trace.current_call();
        self.transmit_response(ResponseRoute::new(&template, flow), payload, call, now);
    }

    /// Sends a response without a transaction, with a To tag that another response has used.
    pub(super) fn respond_stateless_as(
        &mut self,
        request: &Request,
        flow: Flow,
        status: StatusCode,
        tag: Option<Tag>,
        now: Instant,
    ) {
        let template = ResponseTemplate::of(request, flow.remote);
        let payload = self.stateless_response(&template, status, None, tag, Headers::default());
        let call = self.trace.current_call();
        self.transmit_response(ResponseRoute::new(&template, flow), payload, call, now);
    }

    /// Sends 400 or 505 to a request that could not be parsed.
    pub(super) fn respond_malformed(
        &mut self,
        template: &ResponseTemplate,
        status: StatusCode,
        phrase: Option<&str>,
        reason: RejectReason,
        flow: Flow,
        now: Instant,
    ) {
        let headers = self.reason_headers(reason, &flow);
        let payload = self.stateless_response(template, status, phrase, None, headers);
        let call = self.trace.current_call();
        self.transmit_response(ResponseRoute::new(template, flow), payload, call, now);
    }

    fn stateless_response(
        &self,
        template: &ResponseTemplate,
        status: StatusCode,
        phrase: Option<&str>,
        tag: Option<Tag>,
        headers: Headers,
    ) -> Arc<[u8]> {
        let tag = tag.unwrap_or_else(|| Tag::new(self.tokens.stateless_tag(template)));
        ResponseWriter {
            template,
            status,
            phrase,
            to_tag: Some(tag.as_str()),
            with_record_route: false,
            headers: self.add_server(headers),
            body: &[],
        }
        .write()
    }

    /// Rejects a request through its transaction and reports it.
    pub(super) fn respond_rejection(
        &mut self,
        id: ServerId,
        rejection: Rejection,
        flow: &Flow,
        now: Instant,
    ) {
        let Rejection { reason, status, phrase: _, mut headers } = rejection;
        headers.push(KnownHeader::Warning, self.warning(Warning::miscellaneous(reason.name()), flow));
        self.respond(id, status, headers, None, now);
        self.report_rejection(reason, flow, Some(status));
    }

    /// Rejects a request statelessly and reports it.
    pub(super) fn reject_request(
        &mut self,
        request: &Request,
        flow: Flow,
        rejection: Rejection,
        now: Instant,
    ) {
        let Rejection { reason, status, phrase, mut headers } = rejection;
        headers.push(KnownHeader::Warning, self.warning(Warning::miscellaneous(reason.name()), &flow));
        self.respond_stateless(request, flow, status, phrase, headers, now);
        let initial = *request.method() == Method::Invite && request.to().tag().is_none();
        let invite = initial.then(|| Arc::new(request.clone()).into());
        let call = self.trace.current_call();
        self.report(Event::Rejected { reason, source: flow.remote, status: Some(status), invite, call });
    }

    /// Sends a response through its transaction and returns its bytes.
    pub(super) fn respond(
        &mut self,
        id: ServerId,
        status: StatusCode,
        headers: Headers,
        sdp: Option<&SdpBody>,
        now: Instant,
    ) -> Option<Arc<[u8]>> {
        let mut headers = self.add_server(headers);
        let tx = self.servers.get(id)?;
        if sdp.is_some() {
            headers.push(KnownHeader::ContentType, ACCEPT.to_owned());
        }
        let trying = status == StatusCode::TRYING;
        let payload = ResponseWriter {
            template: &tx.template,
            status,
            phrase: None,
            to_tag: tx.local_tag.as_ref().filter(|_| !trying).map(Tag::as_str),
            with_record_route: !trying && status.code() < 300,
            headers,
            body: sdp.map_or(&[], SdpBody::as_bytes),
        }
        .write();
        self.server_send(id, status, payload.clone(), now);
        Some(payload)
    }
}
