//! The user agent server (RFC 3261 section 8.2): routes a request to its transaction, its dialog or a new call, and
//! implements the commands for an incoming call (section 13.3). Rejecting a request creates no state.

use std::sync::Arc;
use std::time::Instant;

use super::Endpoint;
use super::call::{Call, CallState, IncomingInvite};
use super::dialog::{Dialog, DialogKey};
use super::event::{
    CallHandle, DialogEnd, Event, IncomingCall, InviteRejection, ReInviteMethod, RetryAfter, WrongCallState,
};
use super::flow::Flow;
use super::method_class::{MethodClass, ServedMethod};
use super::reject_reason::RejectReason;
use super::reliable_provisional::RELIABLE;
use super::response::{ALLOW, Rejection, rejection_status};
use super::screen::{InviteScreen, InviteScreening};
use super::server_transaction::{ServerId, ServerKey, ServerTransaction};
use super::session_timer::SessionState;
use crate::digest::Challenge;
use crate::message::{Headers, KnownHeader, Method, Request, SdpBody, StatusCode, received_reason};

impl Endpoint {
    pub(super) fn receive_request(
        &mut self,
        flow: Flow,
        request: Request,
        screen: &mut dyn InviteScreen,
        now: Instant,
    ) {
        match MethodClass::of(request.method()) {
            MethodClass::Ack => return self.route_ack(&request, now),
            MethodClass::Cancel => return self.receive_cancel(flow, &request, now),
            MethodClass::Served(_) | MethodClass::NotAllowed | MethodClass::Unknown => {}
        }
        if let Some(id) = ServerKey::of(&request, request.method()).and_then(|key| self.servers.find(&key)) {
            self.trace_transaction(id);
            return self.resend_last_response(id, now);
        }
        // A request that is rejected belongs to its call too.
        let dialog = DialogKey::of(&request).map(|key| self.dialogs.get(&key).copied());
        if let Some(Some(call)) = dialog {
            self.trace.belongs_to(call);
        }
        let method = match self.inspect(&request) {
            Ok(method) => method,
            Err(rejection) => return self.reject_request(&request, flow, rejection, now),
        };
        match dialog {
            None => self.out_of_dialog(method, flow, request, screen, now),
            Some(Some(call)) => self.in_dialog(call, method, flow, &request, now),
            Some(None) => self.reject_unknown_dialog(flow, &request, now),
        }
    }

    /// Adds the message being processed to the trace of the call that owns this transaction.
    fn trace_transaction(&mut self, id: ServerId) {
        if let Some(call) = self.servers.get(id).and_then(|tx| tx.call) {
            self.trace.belongs_to(call);
        }
    }

    fn reject_unknown_dialog(&mut self, flow: Flow, request: &Request, now: Instant) {
        let rejection = Rejection::new(RejectReason::UnknownDialog, StatusCode::CALL_DOES_NOT_EXIST);
        self.reject_request(request, flow, rejection, now);
    }

    /// ACK is never answered: it completes a rejected INVITE, confirms a 2xx, or is ignored.
    fn route_ack(&mut self, ack: &Request, now: Instant) {
        if let Some(id) = self.servers.find_acknowledged(ack) {
            self.trace_transaction(id);
            self.server_acknowledged(id, now);
        }
        if let Some(call) = DialogKey::of(ack).and_then(|key| self.dialogs.get(&key).copied()) {
            self.trace.belongs_to(call);
            self.receive_ack(call, ack, now);
        }
    }

    fn out_of_dialog(
        &mut self,
        method: ServedMethod,
        flow: Flow,
        request: Request,
        screen: &mut dyn InviteScreen,
        now: Instant,
    ) {
        match method {
            ServedMethod::Invite => {
                if let Err((request, rejection)) = self.receive_invite(flow, request, screen, now) {
                    self.reject_request(&request, flow, rejection, now);
                }
            }
            ServedMethod::Options => {
                let headers = self.capability_headers(&flow);
                self.respond_stateless(&request, flow, StatusCode::OK, None, headers, now);
            }
            ServedMethod::Bye
            | ServedMethod::Info
            | ServedMethod::Update
            | ServedMethod::Prack
            | ServedMethod::Notify => {
                self.reject_unknown_dialog(flow, &request, now);
            }
        }
    }

    /// Creates a call and sends 100 if the INVITE is admitted, or returns the request with its rejection.
    fn receive_invite(
        &mut self,
        flow: Flow,
        request: Request,
        screen: &mut dyn InviteScreen,
        now: Instant,
    ) -> Result<(), (Box<Request>, Rejection)> {
        if let Err(rejection) = inspect_invite(&request, self.config.limits.max_invite_header_bytes) {
            return Err((Box::new(request), rejection));
        }
        let session = match self.inspect_session_timer(&request) {
            Ok(session) => session,
            Err(rejection) => return Err((Box::new(request), rejection)),
        };
        let trying_at_once = match screen.screen(&request, flow.remote) {
            InviteScreening::Admit => true,
            InviteScreening::AdmitUnauthenticated => false,
            InviteScreening::Challenge(challenges) => {
                let headers = challenge_headers(&challenges);
                self.respond_stateless(&request, flow, StatusCode::UNAUTHORIZED, None, headers, now);
                return Ok(());
            }
            InviteScreening::Reject(rejection) => {
                let headers = self.rejection_headers(rejection, &flow);
                let status = rejection_status(rejection.status);
                self.respond_stateless(&request, flow, status, None, headers, now);
                return Ok(());
            }
        };
        if let Err(rejection) = self.inspect_limits() {
            return Err((Box::new(request), rejection));
        }
        let tag = self.tokens.tag();
        let handle = self.new_handle();
        let Some(dialog) = Dialog::of_uas(&request, tag.clone(), flow) else { return Ok(()) };
        let Some(id) = self.servers.add(&request, flow, Some(tag), Some(handle)) else { return Ok(()) };
        if let Some(key) = dialog.key() {
            self.dialogs.insert(key, handle);
        }
        let offer = request.session_description();
        let invite = IncomingInvite {
            transaction: id,
            cseq: request.cseq().number,
            session,
            has_offer: offer.is_some(),
            requires_reliable: request.headers().lists(KnownHeader::Require, RELIABLE),
        };
        let intervals = SessionState::new(&self.config.session_intervals);
        let mut call = Call::new(dialog, CallState::Incoming(invite), intervals);
        call.note_allowed(request.headers());
        self.calls.insert(handle, call);
        self.trace.belongs_to(handle);
        if trying_at_once {
            self.send_trying(id, now);
        } else {
            self.defer_trying(id, now);
        }
        let incoming = IncomingCall { call: handle, flow, request: Arc::new(request), offer };
        self.report(Event::Incoming(Box::new(incoming)));
        Ok(())
    }

    /// The limits of the endpoint for a new call.
    fn inspect_limits(&self) -> Result<(), Rejection> {
        let limits = &self.config.limits;
        if self.calls.len() >= limits.max_calls {
            return Err(self.over_limit(RejectReason::CallTableFull));
        }
        let servers = &self.servers;
        if servers.initial() >= limits.max_server_transactions
            || servers.initial_bytes() >= limits.max_server_transaction_bytes
        {
            return Err(self.over_limit(RejectReason::TransactionTableFull));
        }
        Ok(())
    }

    /// CANCEL gets its own response, independent of the INVITE (section 9.2).
    fn receive_cancel(&mut self, flow: Flow, cancel: &Request, now: Instant) {
        let found = ServerKey::of(cancel, &Method::Invite).and_then(|key| self.servers.find(&key));
        let Some(id) = found else {
            let rejection = Rejection::new(RejectReason::UnknownTransaction, StatusCode::CALL_DOES_NOT_EXIST);
            return self.reject_request(cancel, flow, rejection, now);
        };
        self.trace_transaction(id);
        // The To tag is that of the response to the INVITE (section 9.2).
        let tag = self.servers.get(id).and_then(|tx| tx.local_tag.clone());
        self.respond_stateless_as(cancel, flow, StatusCode::OK, tag, now);
        let open = self.servers.get(id).filter(|tx| tx.is_proceeding()).and_then(|tx| tx.call);
        let Some(handle) = open else { return };
        let Some(call) = self.calls.get_mut(&handle) else { return };
        if let CallState::Incoming(_) = call.state {
            call.peer_reason = received_reason(cancel.headers());
            return self.end_call(handle, DialogEnd::Cancelled, now);
        }
        let cancelled = call
            .reinvite
            .take_if(|reinvite| reinvite.transaction == id && reinvite.method == ReInviteMethod::Invite);
        if cancelled.is_some() {
            self.respond(id, StatusCode::REQUEST_TERMINATED, Headers::default(), None, now);
            self.report(Event::ReInviteCancelled { call: handle });
        }
    }

    /// The flow of the last message of a call's peer.
    pub(super) fn flow_of(&self, handle: CallHandle) -> Result<Flow, WrongCallState> {
        self.calls.get(&handle).map(|call| call.dialog.flow()).ok_or(WrongCallState(handle))
    }

    fn incoming(&self, handle: CallHandle) -> Result<IncomingInvite, WrongCallState> {
        match self.calls.get(&handle).map(|call| &call.state) {
            Some(CallState::Incoming(invite)) => Ok(*invite),
            Some(CallState::Outgoing(_) | CallState::Established | CallState::Ending(_)) | None => {
                Err(WrongCallState(handle))
            }
        }
    }

    /// Sends 180, reliably if the caller requires that (RFC 3262).
    ///
    /// # Errors
    /// [`WrongCallState`] unless the INVITE waits for a final response.
    pub fn ring(&mut self, call: CallHandle, now: Instant) -> Result<(), WrongCallState> {
        let invite = self.incoming(call)?;
        let headers = self.dialog_headers(&self.flow_of(call)?);
        if invite.requires_reliable {
            return self.ring_reliably(call, invite, headers, now);
        }
        self.respond(invite.transaction, StatusCode::RINGING, headers, None, now);
        Ok(())
    }

    /// Sends 200 with our answer, or with our offer if the INVITE had none, and retransmits it until the ACK arrives.
    ///
    /// # Errors
    /// [`WrongCallState`] unless the INVITE waits for a final response.
    pub fn accept(&mut self, call: CallHandle, sdp: &SdpBody, now: Instant) -> Result<(), WrongCallState> {
        let IncomingInvite { transaction: id, cseq, session, .. } = self.incoming(call)?;
        let mut headers = self.dialog_headers(&self.flow_of(call)?);
        let found = self.calls.get_mut(&call).ok_or(WrongCallState(call))?;
        found.state = CallState::Established;
        found.local_description = Some(sdp.clone());
        self.end_provisional(call);
        self.agree_on_session(call, session, &mut headers, now);
        let payload =
            self.respond(id, StatusCode::OK, headers, Some(sdp), now).ok_or(WrongCallState(call))?;
        self.await_ack(call, id, cseq, payload, now);
        Ok(())
    }

    /// Rejects the call. A status below 300 is sent as 500.
    ///
    /// # Errors
    /// [`WrongCallState`] unless the INVITE waits for a final response.
    pub fn reject(
        &mut self,
        call: CallHandle,
        status: StatusCode,
        after: Option<RetryAfter>,
        now: Instant,
    ) -> Result<(), WrongCallState> {
        self.reject_with(call, InviteRejection { retry_after: after, ..InviteRejection::of(status) }, now)
    }

    /// Rejects the call with a Warning header.
    ///
    /// # Errors
    /// [`WrongCallState`] unless the INVITE waits for a final response.
    pub fn reject_with(
        &mut self,
        call: CallHandle,
        rejection: InviteRejection,
        now: Instant,
    ) -> Result<(), WrongCallState> {
        let mut headers = self.rejection_headers(rejection, &self.flow_of(call)?);
        let status = rejection_status(rejection.status);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.push(KnownHeader::Allow, ALLOW.to_owned());
        }
        let end = DialogEnd::RejectedByUs(status);
        self.finish(call, status, headers, rejection.once, end, now)
    }

    /// Sends 401 with the challenges of a [`crate::digest::DigestServer`] (section 22.2), once if no provisional response
    /// has been sent (section 26.3.2.4). The INVITE with credentials is a new call.
    ///
    /// # Errors
    /// [`WrongCallState`] unless the INVITE waits for a final response.
    pub fn challenge(
        &mut self,
        call: CallHandle,
        challenges: &[Challenge],
        now: Instant,
    ) -> Result<(), WrongCallState> {
        let headers = challenge_headers(challenges);
        self.finish(call, StatusCode::UNAUTHORIZED, headers, true, DialogEnd::Challenged, now)
    }

    fn finish(
        &mut self,
        call: CallHandle,
        status: StatusCode,
        headers: Headers,
        once: bool,
        end: DialogEnd,
        now: Instant,
    ) -> Result<(), WrongCallState> {
        let id = self.incoming(call)?.transaction;
        let repeated = !once || self.servers.get(id).is_some_and(ServerTransaction::has_responded);
        self.respond(id, status, headers, None, now);
        if !repeated {
            self.server_end(id);
        }
        self.end_call(call, end, now);
        Ok(())
    }
}

/// What an INVITE needs to create a dialog (section 12.1.1). Its sender is not authenticated yet, so the headers that a
/// transaction would keep are bounded.
fn inspect_invite(invite: &Request, max_header_bytes: usize) -> Result<(), Rejection> {
    if invite.headers().wire_bytes() > max_header_bytes {
        return Err(Rejection::new(RejectReason::HeadersTooLarge, StatusCode::MESSAGE_TOO_LARGE));
    }
    if invite.from().tag().is_none() {
        let rejection = Rejection::new(RejectReason::MissingFromTag, StatusCode::BAD_REQUEST);
        return Err(rejection.with_phrase("Missing From Tag"));
    }
    if invite.contacts().len() != 1 {
        let rejection = Rejection::new(RejectReason::MissingContact, StatusCode::BAD_REQUEST);
        return Err(rejection.with_phrase("INVITE Needs One Contact"));
    }
    Ok(())
}

fn challenge_headers(challenges: &[Challenge]) -> Headers {
    let mut headers = Headers::default();
    for challenge in challenges {
        headers.push(KnownHeader::WwwAuthenticate, challenge.as_str().to_owned());
    }
    headers
}
