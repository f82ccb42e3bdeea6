//! The door: every request passes the checks of RFC 3261 section 8.2 here, in its order, and is then a new call,
//! part of one, or answered on the spot. What is turned away costs no memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::Endpoint;
use super::answer::{ACCEPT, ALLOW, Rejection};
use super::call::{Call, CallState};
use super::dialog::{Dialog, DialogKey};
use super::event::{
    CallHandle, DialogEnd, Event, IncomingCall, ReInviteMethod, RejectReason, RetryAfter, WrongCallState,
};
use super::server::{ServerId, ServerKey};
use crate::digest::Challenge;
use crate::message::{Headers, KnownHeader, MAX_VIAS, Method, Request, SessionDescription, StatusCode, Uri};

impl Endpoint {
    pub(crate) fn receive_request(&mut self, source: SocketAddr, request: Request, now: Instant) {
        match request.method() {
            Method::Ack => return self.route_ack(&request, now),
            Method::Cancel => return self.receive_cancel(source, &request, now),
            Method::Invite
            | Method::Bye
            | Method::Options
            | Method::Register
            | Method::Info
            | Method::Update
            | Method::Prack
            | Method::Refer
            | Method::Subscribe
            | Method::Notify
            | Method::Message
            | Method::Publish
            | Method::Other(_) => {}
        }
        if let Some(id) = ServerKey::of(&request, request.method()).and_then(|key| self.servers.find(&key)) {
            self.note_owner(id);
            return self.server_repeat(id, now);
        }
        if let Err(refuse) = self.check(&request) {
            return self.refuse(&request, source, refuse, now);
        }
        let Some(key) = DialogKey::of(&request) else { return self.out_of_dialog(source, request, now) };
        match self.dialogs.get(&key).copied() {
            Some(call) => self.in_dialog(call, source, &request, now),
            None => self.refuse_unknown_dialog(source, &request, now),
        }
    }

    fn note_owner(&mut self, id: ServerId) {
        if let Some(call) = self.servers.get(id).and_then(|tx| tx.call) {
            self.trace.belongs_to(call);
        }
    }

    fn refuse_unknown_dialog(&mut self, source: SocketAddr, request: &Request, now: Instant) {
        let refuse = Rejection::new(RejectReason::UnknownDialog, StatusCode::CALL_DOES_NOT_EXIST);
        self.refuse(request, source, refuse, now);
    }

    /// An ACK is never answered: it ends a refusal, confirms a 2xx, or is nothing to us.
    fn route_ack(&mut self, ack: &Request, now: Instant) {
        if let Some(id) = self.servers.find_acknowledged(ack) {
            self.note_owner(id);
            self.server_acknowledged(id, now);
        }
        if let Some(call) = DialogKey::of(ack).and_then(|key| self.dialogs.get(&key).copied()) {
            self.trace.belongs_to(call);
            self.receive_ack(call, ack, now);
        }
    }

    fn check(&self, request: &Request) -> Result<(), Rejection> {
        check_method(request)?;
        check_uri(request.uri())?;
        if request.vias().len() > MAX_VIAS {
            return Err(Rejection::new(RejectReason::TooManyHops, StatusCode::TOO_MANY_HOPS));
        }
        if request.vias().iter().any(|via| *via.sent_by() == self.config.advertised) {
            return Err(Rejection::new(RejectReason::LoopedRequest, StatusCode::LOOP_DETECTED));
        }
        if request.to().tag().is_none() && self.servers.is_merged(request) {
            return Err(Rejection::new(RejectReason::MergedRequest, StatusCode::LOOP_DETECTED));
        }
        let required = request.require();
        if !required.is_empty() {
            // No extension is served, so every one that is required is unsupported.
            return Err(Rejection::new(RejectReason::UnsupportedExtension, StatusCode::BAD_EXTENSION)
                .with(KnownHeader::Unsupported, required.join(", ")));
        }
        check_content(request)
    }

    fn out_of_dialog(&mut self, source: SocketAddr, request: Request, now: Instant) {
        match request.method() {
            Method::Invite => match self.begin_call(source, request, now) {
                Ok(()) => {}
                Err((request, refuse)) => self.refuse(&request, source, refuse, now),
            },
            Method::Options => {
                let mut headers = self.dialog_headers();
                headers.push(KnownHeader::Accept, ACCEPT.to_owned());
                self.answer_stateless(&request, source, StatusCode::OK, None, headers, now);
            }
            Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Register
            | Method::Info
            | Method::Update
            | Method::Prack
            | Method::Refer
            | Method::Subscribe
            | Method::Notify
            | Method::Message
            | Method::Publish
            | Method::Other(_) => self.refuse_unknown_dialog(source, &request, now),
        }
    }

    fn begin_call(
        &mut self,
        source: SocketAddr,
        request: Request,
        now: Instant,
    ) -> Result<(), (Box<Request>, Rejection)> {
        let limits = self.config.limits;
        let refused = if request.from().tag().is_none() {
            let refuse = Rejection::new(RejectReason::MissingFromTag, StatusCode::BAD_REQUEST);
            Some(refuse.because("Missing From Tag"))
        } else if request.contacts().len() != 1 {
            let refuse = Rejection::new(RejectReason::MissingContact, StatusCode::BAD_REQUEST);
            Some(refuse.because("INVITE Needs One Contact"))
        } else if self.calls.len() >= limits.max_calls {
            Some(self.over_limit(RejectReason::CallTableFull))
        } else if self.servers.len() >= limits.max_server_transactions {
            Some(self.over_limit(RejectReason::TransactionTableFull))
        } else {
            None
        };
        if let Some(refuse) = refused {
            return Err((Box::new(request), refuse));
        }
        let tag = self.tokens.tag();
        let handle = self.new_handle();
        let Some(dialog) = Dialog::of_incoming(&request, tag.clone(), source) else { return Ok(()) };
        let Some(id) = self.servers.add(&request, source, Some(tag), Some(handle)) else { return Ok(()) };
        if let Some(key) = dialog.key() {
            self.dialogs.insert(key, handle);
        }
        self.calls.insert(handle, Call::new(dialog, CallState::Incoming(id)));
        self.trace.belongs_to(handle);
        self.answer(id, StatusCode::TRYING, Headers::default(), None, now);
        let offer = request.session_description();
        let incoming = IncomingCall { call: handle, source, request: Arc::new(request), offer };
        self.report(Event::Incoming(Box::new(incoming)));
        Ok(())
    }

    /// A CANCEL is answered for itself, whatever comes of the INVITE (RFC 3261 section 9.2).
    fn receive_cancel(&mut self, source: SocketAddr, cancel: &Request, now: Instant) {
        let found = ServerKey::of(cancel, &Method::Invite).and_then(|key| self.servers.find(&key));
        let Some(id) = found else {
            let refuse = Rejection::new(RejectReason::UnknownTransaction, StatusCode::CALL_DOES_NOT_EXIST);
            return self.refuse(cancel, source, refuse, now);
        };
        self.note_owner(id);
        self.answer_stateless(cancel, source, StatusCode::OK, None, Headers::default(), now);
        let open = self.servers.get(id).filter(|tx| tx.is_open()).and_then(|tx| tx.call);
        let Some(handle) = open else { return };
        let Some(call) = self.calls.get_mut(&handle) else { return };
        if let CallState::Incoming(_) = call.state {
            return self.end_call(handle, DialogEnd::Cancelled, now);
        }
        let withdrawn = call
            .reinvite
            .take_if(|reinvite| reinvite.transaction == id && reinvite.method == ReInviteMethod::Invite);
        if withdrawn.is_some() {
            self.answer(id, StatusCode::REQUEST_TERMINATED, Headers::default(), None, now);
            self.report(Event::ReInviteCancelled { call: handle });
        }
    }

    fn incoming(&self, handle: CallHandle) -> Result<ServerId, WrongCallState> {
        match self.calls.get(&handle).map(|call| &call.state) {
            Some(CallState::Incoming(id)) => Ok(*id),
            Some(CallState::Calling(_) | CallState::Established | CallState::Ending(_)) | None => {
                Err(WrongCallState(handle))
            }
        }
    }

    /// Sends 180: the callee is being alerted.
    pub fn ring(&mut self, call: CallHandle, now: Instant) -> Result<(), WrongCallState> {
        let id = self.incoming(call)?;
        let headers = self.dialog_headers();
        self.answer(id, StatusCode::RINGING, headers, None, now);
        Ok(())
    }

    /// Sends 200 with the answer, or with an offer when the INVITE had none, and repeats it until the ACK.
    pub fn accept(
        &mut self,
        call: CallHandle,
        sdp: &SessionDescription,
        now: Instant,
    ) -> Result<(), WrongCallState> {
        let id = self.incoming(call)?;
        let headers = self.dialog_headers();
        let payload = self.answer(id, StatusCode::OK, headers, Some(sdp), now).ok_or(WrongCallState(call))?;
        let found = self.calls.get_mut(&call).ok_or(WrongCallState(call))?;
        found.state = CallState::Established;
        let cseq = found.dialog.remote_seq.unwrap_or_default();
        self.await_ack(call, id, cseq, payload, now);
        Ok(())
    }

    /// Refuses the call. A status below 300 is not a refusal and is sent as 500.
    pub fn reject(
        &mut self,
        call: CallHandle,
        status: StatusCode,
        retry_after: Option<RetryAfter>,
        now: Instant,
    ) -> Result<(), WrongCallState> {
        let mut headers = Headers::default();
        if let Some(after) = retry_after {
            headers.push(KnownHeader::RetryAfter, after.0.as_secs().to_string());
        }
        let status = refusal_status(status);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.push(KnownHeader::Allow, ALLOW.to_owned());
        }
        self.finish(call, status, headers, DialogEnd::RejectedByUs(status), now)
    }

    /// Sends 401 with the challenges of a [`crate::digest::DigestServer`]. The caller's next try is a new call.
    pub fn challenge(
        &mut self,
        call: CallHandle,
        challenges: &[Challenge],
        now: Instant,
    ) -> Result<(), WrongCallState> {
        let mut headers = Headers::default();
        for challenge in challenges {
            headers.push(KnownHeader::WwwAuthenticate, challenge.as_str().to_owned());
        }
        self.finish(call, StatusCode::UNAUTHORIZED, headers, DialogEnd::Challenged, now)
    }

    fn finish(
        &mut self,
        call: CallHandle,
        status: StatusCode,
        headers: Headers,
        cause: DialogEnd,
        now: Instant,
    ) -> Result<(), WrongCallState> {
        let id = self.incoming(call)?;
        self.answer(id, status, headers, None, now);
        self.end_call(call, cause, now);
        Ok(())
    }
}

/// What may be used to refuse: anything from 300 on.
pub(crate) fn refusal_status(status: StatusCode) -> StatusCode {
    if status.code() < 300 { StatusCode::SERVER_INTERNAL_ERROR } else { status }
}

/// An unknown method outranks a `CSeq` that does not name it (RFC 4475 section 3.1.2.18).
fn check_method(request: &Request) -> Result<(), Rejection> {
    match request.method() {
        Method::Other(_) => {
            return Err(Rejection::new(RejectReason::UnknownMethod, StatusCode::NOT_IMPLEMENTED)
                .with(KnownHeader::Allow, ALLOW));
        }
        Method::Register
        | Method::Prack
        | Method::Refer
        | Method::Subscribe
        | Method::Notify
        | Method::Message
        | Method::Publish => {
            return Err(Rejection::new(RejectReason::MethodNotAllowed, StatusCode::METHOD_NOT_ALLOWED)
                .with(KnownHeader::Allow, ALLOW));
        }
        Method::Invite
        | Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Options
        | Method::Info
        | Method::Update => {}
    }
    if request.cseq().method != *request.method() {
        return Err(Rejection::new(RejectReason::CSeqMismatch, StatusCode::BAD_REQUEST)
            .because("CSeq Names Another Method"));
    }
    Ok(())
}

fn check_uri(uri: &Uri) -> Result<(), Rejection> {
    match uri {
        Uri::Sip(uri) if uri.headers().is_some() => {
            Err(Rejection::new(RejectReason::HeadersInRequestUri, StatusCode::BAD_REQUEST)
                .because("Headers In Request-URI"))
        }
        Uri::Sip(_) | Uri::Tel(_) => Ok(()),
        Uri::Other(_) => {
            Err(Rejection::new(RejectReason::UnsupportedScheme, StatusCode::UNSUPPORTED_URI_SCHEME))
        }
    }
}

/// A session can only be spoken of in plain SDP (RFC 3261 sections 8.2.3 and 20.1).
fn check_content(request: &Request) -> Result<(), Rejection> {
    if !matches!(request.method(), Method::Invite | Method::Update) {
        return Ok(());
    }
    let encoded = request.headers().first(KnownHeader::ContentEncoding);
    let encoded = encoded.is_some_and(|value| !value.eq_ignore_ascii_case("identity"));
    let is_sdp = request.content_type().is_some_and(|t| t == ACCEPT);
    if !request.body().is_empty() && (encoded || !is_sdp) {
        return Err(Rejection::new(RejectReason::UnsupportedContent, StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .with(KnownHeader::Accept, ACCEPT));
    }
    let takes_sdp = |range: &String| matches!(range.as_str(), ACCEPT | "application/*" | "*/*");
    if request.accepts().is_some_and(|ranges| !ranges.iter().any(takes_sdp)) {
        return Err(Rejection::new(RejectReason::SdpNotAcceptable, StatusCode::NOT_ACCEPTABLE));
    }
    Ok(())
}
