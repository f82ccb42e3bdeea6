//! Requests within a dialog (RFC 3261 section 12.2.2): the `CSeq` number must increase. A re-INVITE or an UPDATE with an
//! offer waits for the application; every other request is answered immediately.

use std::time::{Duration, Instant};

use super::Endpoint;
use super::call::{CallState, PendingReInvite};
use super::dtmf_info;
use super::event::{
    CallHandle, DialogEnd, Event, InviteRejection, ReInviteMethod, RetryAfter, WrongCallState,
};
use super::flow::Flow;
use super::method_class::ServedMethod;
use super::reject_reason::RejectReason;
use super::response::{Rejection, rejection_status, retry_after};
use super::server_transaction::ServerId;
use crate::message::{Headers, KnownHeader, Request, SdpBody, StatusCode, Warning, received_reason};
use crate::redact::DTMF_TYPES;

const INFO_ACCEPT: &str = "application/dtmf-relay, application/dtmf";
/// The Retry-After of a re-INVITE that collides with another one: 0 to 10 s are allowed (section 14.2).
const GLARE_RETRY_AFTER: RetryAfter = RetryAfter(Duration::from_secs(2));

impl Endpoint {
    pub(super) fn in_dialog(
        &mut self,
        handle: CallHandle,
        method: ServedMethod,
        flow: Flow,
        request: &Request,
        now: Instant,
    ) {
        let full = self.servers.is_call_full(handle, &self.config.limits);
        if full && method != ServedMethod::Bye {
            let rejection = self.over_limit(RejectReason::CallTransactionsFull);
            return self.reject_request(request, flow, rejection, now);
        }
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let number = request.cseq().number;
        // Section 12.2.2 demands 500 for a lower number only. A BYE with an equal one is accepted: it can do no harm, and
        // without it the call would go on.
        let in_order = |last| number > last || (number == last && method == ServedMethod::Bye);
        if !call.dialog.remote_seq.is_none_or(in_order) {
            let rejection = Rejection::new(RejectReason::CSeqNotAdvanced, StatusCode::SERVER_INTERNAL_ERROR);
            return self.reject_request(request, flow, rejection.with_phrase("CSeq Not Advanced"), now);
        }
        call.dialog.remote_seq = Some(number);
        call.note_allowed(request.headers());
        if full {
            // A BYE needs no transaction: its retransmission finds no dialog and gets 481, which ends the call too.
            self.respond_stateless(request, flow, StatusCode::OK, None, Headers::default(), now);
            return self.receive_bye(handle, request, now);
        }
        let Some(id) = self.servers.add(request, flow, None, Some(handle)) else { return };
        match method {
            ServedMethod::Bye => {
                self.respond(id, StatusCode::OK, Headers::default(), None, now);
                self.receive_bye(handle, request, now);
            }
            ServedMethod::Invite => {
                self.receive_reinvite(handle, id, ReInviteMethod::Invite, flow, request, now);
            }
            ServedMethod::Update => {
                self.receive_reinvite(handle, id, ReInviteMethod::Update, flow, request, now);
            }
            ServedMethod::Info => self.receive_info(handle, id, flow, request, now),
            ServedMethod::Prack => self.receive_prack(handle, id, flow, request, now),
            ServedMethod::Notify => self.receive_notify(handle, id, flow, request, now),
            ServedMethod::Options => {
                let headers = self.capability_headers(&flow);
                self.respond(id, StatusCode::OK, headers, None, now);
            }
        }
    }

    /// If both sides hang up at the same time, the call ends with the response to our own BYE.
    fn receive_bye(&mut self, handle: CallHandle, bye: &Request, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        call.peer_reason = received_reason(bye.headers());
        if !matches!(call.state, CallState::Ending(_)) {
            self.end_call(handle, DialogEnd::ByeReceived, now);
        }
    }

    fn receive_info(
        &mut self,
        handle: CallHandle,
        id: ServerId,
        flow: Flow,
        request: &Request,
        now: Instant,
    ) {
        let content_type = request.content_type().unwrap_or_default();
        if request.headers().first(KnownHeader::InfoPackage).is_some() {
            // We are willing to receive no package (RFC 6086 section 4.2.2). DTMF comes without one.
            let status = StatusCode::BAD_INFO_PACKAGE;
            let rejection = Rejection::new(RejectReason::UnknownInfoPackage, status)
                .with_header(KnownHeader::RecvInfo, String::new());
            self.respond_rejection(id, rejection, &flow, now);
        } else if request.body().is_empty() {
            self.respond(id, StatusCode::OK, Headers::default(), None, now);
        } else if DTMF_TYPES.contains(&content_type.as_str()) {
            let signal = dtmf_info::parse(&content_type, request.body());
            let Some(signal) = signal else {
                let headers = self.reason_headers(RejectReason::UnsupportedContent, &flow);
                self.respond(id, StatusCode::BAD_REQUEST, headers, None, now);
                return;
            };
            self.respond(id, StatusCode::OK, Headers::default(), None, now);
            self.report(Event::Dtmf { call: handle, signal });
        } else {
            let mut headers = self.reason_headers(RejectReason::UnsupportedContent, &flow);
            headers.push(KnownHeader::Accept, INFO_ACCEPT.to_owned());
            self.respond(id, StatusCode::UNSUPPORTED_MEDIA_TYPE, headers, None, now);
        }
    }

    fn receive_reinvite(
        &mut self,
        handle: CallHandle,
        id: ServerId,
        method: ReInviteMethod,
        flow: Flow,
        request: &Request,
        now: Instant,
    ) {
        let session = match self.inspect_session_timer(request) {
            Ok(session) => session,
            Err(rejection) => return self.respond_rejection(id, rejection, &flow, now),
        };
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let offer = request.session_description();
        let idle = matches!(call.state, CallState::Established) && call.reinvite.is_none();
        let target_refresh_only = method == ReInviteMethod::Update && offer.is_none();
        if matches!(call.state, CallState::Ending(_)) {
            let headers = self.reason_headers(RejectReason::UnknownDialog, &flow);
            self.respond(id, StatusCode::CALL_DOES_NOT_EXIST, headers, None, now);
        } else if target_refresh_only {
            call.dialog.refresh_target(request, flow);
            let mut headers = self.dialog_headers(&flow);
            self.agree_on_session(handle, session, &mut headers, now);
            self.respond(id, StatusCode::OK, headers, None, now);
        } else if call.has_offer_pending() {
            // Our own offer has no answer yet (section 14.2, RFC 3311 section 5.2).
            self.reject_glare(id, StatusCode::REQUEST_PENDING, Headers::default(), flow, now);
        } else if !idle {
            self.reject_outstanding_offer(id, flow, now);
        } else if call.unacked.is_some() {
            self.reject_glare(id, StatusCode::REQUEST_PENDING, Headers::default(), flow, now);
        } else {
            call.dialog.refresh_target(request, flow);
            let cseq = request.cseq().number;
            call.reinvite = Some(PendingReInvite { transaction: id, method, cseq, session });
            if method == ReInviteMethod::Invite {
                self.respond(id, StatusCode::TRYING, Headers::default(), None, now);
            }
            self.report(Event::ReInvite { call: handle, method, offer });
        }
    }

    /// Rejects an offer of the peer while another one of it has no answer (section 14.2, RFC 3311 section 5.2).
    pub(super) fn reject_outstanding_offer(&mut self, id: ServerId, flow: Flow, now: Instant) {
        let headers = retry_after(GLARE_RETRY_AFTER);
        self.reject_glare(id, StatusCode::SERVER_INTERNAL_ERROR, headers, flow, now);
    }

    /// Rejects a re-INVITE that collides with another offer ("glare").
    fn reject_glare(
        &mut self,
        id: ServerId,
        status: StatusCode,
        mut headers: Headers,
        flow: Flow,
        now: Instant,
    ) {
        let reason = Warning::miscellaneous(RejectReason::ReInvitePending.name());
        headers.push(KnownHeader::Warning, self.warning(reason, &flow));
        self.respond(id, status, headers, None, now);
        self.report_rejection(RejectReason::ReInvitePending, &flow, Some(status));
    }

    fn take_reinvite(&mut self, handle: CallHandle) -> Result<PendingReInvite, WrongCallState> {
        self.calls.get_mut(&handle).and_then(|call| call.reinvite.take()).ok_or(WrongCallState(handle))
    }

    /// Accepts a re-INVITE or UPDATE with 200.
    ///
    /// # Errors
    /// [`WrongCallState`] if none is pending.
    pub fn accept_reinvite(
        &mut self,
        call: CallHandle,
        sdp: &SdpBody,
        now: Instant,
    ) -> Result<(), WrongCallState> {
        let reinvite = self.take_reinvite(call)?;
        let mut headers = self.dialog_headers(&self.flow_of(call)?);
        self.agree_on_session(call, reinvite.session, &mut headers, now);
        if let Some(found) = self.calls.get_mut(&call) {
            found.local_description = Some(sdp.clone());
        }
        let payload = self.respond(reinvite.transaction, StatusCode::OK, headers, Some(sdp), now);
        if let (ReInviteMethod::Invite, Some(payload)) = (reinvite.method, payload) {
            self.await_ack(call, reinvite.transaction, reinvite.cseq, payload, now);
        }
        Ok(())
    }

    /// Rejects a re-INVITE or UPDATE, usually with 488 and a Warning; the session stays as it is. A status below 300 is sent as
    /// 500.
    ///
    /// # Errors
    /// [`WrongCallState`] if none is pending.
    pub fn reject_reinvite(
        &mut self,
        call: CallHandle,
        rejection: InviteRejection,
        now: Instant,
    ) -> Result<(), WrongCallState> {
        let reinvite = self.take_reinvite(call)?;
        let headers = self.rejection_headers(rejection, &self.flow_of(call)?);
        self.respond(reinvite.transaction, rejection_status(rejection.status), headers, None, now);
        Ok(())
    }
}
