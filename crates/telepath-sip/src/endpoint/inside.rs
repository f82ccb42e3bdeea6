//! Requests within a call (RFC 3261 section 12.2.2): sequence numbers are strictly checked, a change of session
//! is passed on and answered when told to, everything else is answered at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Endpoint;
use super::answer::{ACCEPT, Rejection};
use super::call::{CallState, ReInvite};
use super::event::{
    CallHandle, DialogEnd, Event, Info, ReInviteMethod, RejectReason, RetryAfter, WrongCallState,
};
use super::server::ServerId;
use super::uas::refusal_status;
use crate::message::{Headers, KnownHeader, Method, Request, SessionDescription, StatusCode};

/// The bodies of INFO that are passed on.
const DTMF_TYPES: [&str; 2] = ["application/dtmf-relay", "application/dtmf"];
const INFO_ACCEPT: &str = "application/dtmf-relay, application/dtmf";
/// What a peer whose change collides with another is told to wait; it may be from 0 to 10 s (section 14.2).
const GLARE_WAIT: RetryAfter = RetryAfter(Duration::from_secs(2));

impl Endpoint {
    pub(crate) fn in_dialog(
        &mut self,
        handle: CallHandle,
        source: SocketAddr,
        request: &Request,
        now: Instant,
    ) {
        self.trace.belongs_to(handle);
        if self.servers.len() >= self.config.limits.max_server_transactions {
            let refuse = self.over_limit(RejectReason::TransactionTableFull);
            return self.refuse(request, source, refuse, now);
        }
        let Some(call) = self.calls.get_mut(&handle) else { return };
        if call.dialog.remote_seq.is_some_and(|last| request.cseq().number <= last) {
            let refuse = Rejection::new(RejectReason::CSeqNotAdvanced, StatusCode::SERVER_INTERNAL_ERROR);
            return self.refuse(request, source, refuse.because("CSeq Not Advanced"), now);
        }
        call.dialog.remote_seq = Some(request.cseq().number);
        let Some(id) = self.servers.add(request, source, None, Some(handle)) else { return };
        match request.method() {
            Method::Bye => {
                self.answer(id, StatusCode::OK, Headers::default(), None, now);
                self.receive_bye(handle, now);
            }
            Method::Invite => self.receive_reinvite(handle, id, ReInviteMethod::Invite, source, request, now),
            Method::Update => self.receive_reinvite(handle, id, ReInviteMethod::Update, source, request, now),
            Method::Info => self.receive_info(handle, id, request, now),
            Method::Options => {
                let mut headers = self.dialog_headers();
                headers.push(KnownHeader::Accept, ACCEPT.to_owned());
                self.answer(id, StatusCode::OK, headers, None, now);
            }
            // Turned away at the door; answered all the same should the door ever change.
            Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Prack
            | Method::Refer
            | Method::Subscribe
            | Method::Notify
            | Method::Message
            | Method::Publish
            | Method::Other(_) => {
                self.answer(id, StatusCode::METHOD_NOT_ALLOWED, self.dialog_headers(), None, now);
            }
        }
    }

    /// When both sides hang up at once, our own BYE still waits for its answer.
    fn receive_bye(&mut self, handle: CallHandle, now: Instant) {
        let ending = self.calls.get(&handle).is_some_and(|call| matches!(call.state, CallState::Ending(_)));
        if !ending {
            self.end_call(handle, DialogEnd::ByeReceived, now);
        }
    }

    fn receive_info(&mut self, handle: CallHandle, id: ServerId, request: &Request, now: Instant) {
        let content_type = request.content_type().unwrap_or_default();
        if request.body().is_empty() {
            self.answer(id, StatusCode::OK, Headers::default(), None, now);
        } else if DTMF_TYPES.contains(&content_type.as_str()) {
            self.answer(id, StatusCode::OK, Headers::default(), None, now);
            self.report(Event::Info(Info { call: handle, content_type, body: request.body().to_vec() }));
        } else {
            let mut headers = Headers::default();
            headers.push(KnownHeader::Accept, INFO_ACCEPT.to_owned());
            self.answer(id, StatusCode::UNSUPPORTED_MEDIA_TYPE, headers, None, now);
        }
    }

    fn receive_reinvite(
        &mut self,
        handle: CallHandle,
        id: ServerId,
        method: ReInviteMethod,
        source: SocketAddr,
        request: &Request,
        now: Instant,
    ) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let offer = request.session_description();
        let idle = matches!(call.state, CallState::Established) && call.reinvite.is_none();
        let refreshes_only = method == ReInviteMethod::Update && offer.is_none();
        if matches!(call.state, CallState::Ending(_)) {
            self.answer(id, StatusCode::CALL_DOES_NOT_EXIST, Headers::default(), None, now);
        } else if refreshes_only {
            call.dialog.refresh_target(request, source);
            self.answer(id, StatusCode::OK, self.dialog_headers(), None, now);
        } else if !idle {
            // An offer is on the table already (section 14.2, RFC 3311 section 5.2).
            let mut headers = Headers::default();
            headers.push(KnownHeader::RetryAfter, GLARE_WAIT.0.as_secs().to_string());
            self.glare(id, StatusCode::SERVER_INTERNAL_ERROR, headers, source, now);
        } else if call.unacked.is_some() {
            self.glare(id, StatusCode::REQUEST_PENDING, Headers::default(), source, now);
        } else {
            call.dialog.refresh_target(request, source);
            call.reinvite = Some(ReInvite { transaction: id, method, cseq: request.cseq().number });
            if method == ReInviteMethod::Invite {
                self.answer(id, StatusCode::TRYING, Headers::default(), None, now);
            }
            self.report(Event::ReInvite { call: handle, method, offer });
        }
    }

    fn glare(
        &mut self,
        id: ServerId,
        status: StatusCode,
        headers: Headers,
        source: SocketAddr,
        now: Instant,
    ) {
        self.answer(id, status, headers, None, now);
        self.note_rejection(RejectReason::ReInvitePending, source, Some(status));
    }

    fn take_reinvite(&mut self, handle: CallHandle) -> Result<ReInvite, WrongCallState> {
        self.calls.get_mut(&handle).and_then(|call| call.reinvite.take()).ok_or(WrongCallState(handle))
    }

    /// Accepts a change of session.
    pub fn accept_reinvite(
        &mut self,
        call: CallHandle,
        sdp: &SessionDescription,
        now: Instant,
    ) -> Result<(), WrongCallState> {
        let reinvite = self.take_reinvite(call)?;
        let headers = self.dialog_headers();
        let payload = self.answer(reinvite.transaction, StatusCode::OK, headers, Some(sdp), now);
        if let (ReInviteMethod::Invite, Some(payload)) = (reinvite.method, payload) {
            self.await_ack(call, reinvite.transaction, reinvite.cseq, payload, now);
        }
        Ok(())
    }

    /// Refuses a change of session, usually with 488; the session stays as it was. A status below 300 is sent
    /// as 500.
    pub fn reject_reinvite(
        &mut self,
        call: CallHandle,
        status: StatusCode,
        now: Instant,
    ) -> Result<(), WrongCallState> {
        let reinvite = self.take_reinvite(call)?;
        self.answer(reinvite.transaction, refusal_status(status), Headers::default(), None, now);
        Ok(())
    }
}
