//! The user agent client, as far as a test caller needs it: INVITE with one response to a digest challenge (RFC 3261
//! section 22.2), CANCEL (section 9.1), ACK of every final response, and BYE for further 2xx from forking
//! (section 13.2.2.4).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::call::{Call, CallState, CancelState, OutgoingInvite};
use super::client_key::ClientKey;
use super::client_transaction::{ResponseEffect, SentAck};
use super::config::AdvertisedAddresses;
use super::dialog::{Dialog, RequestContext, RequestParts};
use super::event::{CallHandle, DialogEnd, EndpointFull, Event, OutgoingCall, WrongCallState};
use super::flow::{Flow, NextHop};
use super::method_class::ClientMethod;
use super::provisional_state::EarlyDialog;
use super::reject_reason::RejectReason;
use super::response::{ACCEPT, SUPPORTED};
use super::session_timer::{self, SessionState, TIMER};
use super::{Deadline, Endpoint};
use crate::digest::{AuthorizationValue, answer_challenge};
use crate::message::{Headers, KnownHeader, Method, RequestWriter, Response, StatusCode, Uri, Via};

/// INVITEs with credentials per call: one, and another if the nonce was stale.
const MAX_AUTH_ATTEMPTS: u8 = 2;

/// INVITEs after a 422 per call: each proxy on the path may have a minimum of its own.
const MAX_SESSION_ATTEMPTS: u8 = 5;

impl Endpoint {
    /// Places a call.
    ///
    /// # Errors
    /// [`EndpointFull`] if a limit of calls or transactions is reached.
    pub fn invite(&mut self, outgoing: OutgoingCall, now: Instant) -> Result<CallHandle, EndpointFull> {
        let limits = self.config.limits;
        if self.calls.len() >= limits.max_calls || self.clients.len() >= limits.max_client_transactions {
            return Err(EndpointFull);
        }
        let handle = self.new_handle();
        let uri = Uri::Sip(outgoing.target.clone());
        let from = Uri::Sip(outgoing.from.clone());
        let (call_id, tag) = (self.tokens.call_id(), self.tokens.tag());
        let flow = self.flow_to(outgoing.next_hop.clone());
        let dialog = Dialog::of_uac(call_id, tag, &from, uri.clone(), flow);
        let intervals = SessionState::new(&self.config.session_intervals);
        let invite = OutgoingInvite::new(outgoing, uri, flow, self.tokens.branch());
        self.calls.insert(handle, Call::new(dialog, CallState::Outgoing(Box::new(invite)), intervals));
        self.send_invite(handle, None, now);
        Ok(handle)
    }

    /// The flow to a destination, from the listener that its peer can reach.
    fn flow_to(&mut self, hop: NextHop) -> Flow {
        let listener = self.config.advertised.listener(hop.transport, hop.address);
        let unspecified = match hop.address {
            SocketAddr::V4(_) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
            SocketAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
        };
        self.flows.open(hop, listener.unwrap_or(unspecified))
    }

    fn send_invite(&mut self, handle: CallHandle, authorization: Option<AuthorizationValue>, now: Instant) {
        let Some(CallState::Outgoing(invite)) = self.calls.get(&handle).map(|call| &call.state) else {
            return;
        };
        // A reliable provisional response would contain the offer that we do not make.
        let supported = if invite.call.offer.is_some() { SUPPORTED } else { TIMER };
        // The connection may have been closed after a challenge.
        let flow = self.flow_to(invite.call.next_hop.clone());
        let mut headers = self.dialog_headers_with(&flow, supported);
        let Some(call) = self.calls.get(&handle) else { return };
        headers.push(KnownHeader::UserAgent, self.config.product.as_str().to_owned());
        headers.push(KnownHeader::Accept, ACCEPT.to_owned());
        call.session.add_to_request(&mut headers);
        if let Some(authorization) = authorization {
            headers.push(authorization.header, authorization.value);
        }
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let CallState::Outgoing(invite) = &mut call.state else { return };
        invite.flow = flow;
        if invite.call.offer.is_some() {
            headers.push(KnownHeader::ContentType, ACCEPT.to_owned());
        }
        let cseq = call.dialog.next_cseq();
        let to = format!("<{}>", invite.uri);
        let body = invite.call.offer.as_ref().map_or(&[][..], |sdp| sdp.as_bytes());
        let payload = InviteRequest { method: Method::Invite, cseq, to: &to, headers, body }.write(
            &self.config.advertised,
            invite,
            &call.dialog,
        );
        let key = ClientKey { branch: invite.branch.clone(), method: ClientMethod::Invite };
        self.client_start(key, payload, flow, Some(handle), now);
    }

    /// Cancels an outgoing call; CANCEL is sent once a provisional response has arrived (section 9.1).
    ///
    /// # Errors
    /// [`WrongCallState`] unless our INVITE waits for a final response.
    pub fn cancel(&mut self, handle: CallHandle, now: Instant) -> Result<(), WrongCallState> {
        let call = self.calls.get_mut(&handle).ok_or(WrongCallState(handle))?;
        let CallState::Outgoing(invite) = &mut call.state else { return Err(WrongCallState(handle)) };
        if invite.cancel == CancelState::NotRequested {
            invite.cancel = CancelState::Requested;
            if invite.provisional {
                self.send_cancel(handle, now);
            }
        }
        Ok(())
    }

    fn send_cancel(&mut self, handle: CallHandle, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let CallState::Outgoing(invite) = &mut call.state else { return };
        invite.cancel = CancelState::Sent;
        let deadline = now + self.config.timing.timer_b();
        invite.cancel_timeout = Some(self.timers.set(deadline, Deadline::CancelTimeout(handle)));
        let to = format!("<{}>", invite.uri);
        let cseq = call.dialog.local_seq();
        let headers = Headers::default();
        let payload = InviteRequest { method: Method::Cancel, cseq, to: &to, headers, body: &[] }.write(
            &self.config.advertised,
            invite,
            &call.dialog,
        );
        let key = ClientKey { branch: invite.branch.clone(), method: ClientMethod::Cancel };
        let flow = invite.flow;
        self.client_start(key, payload, flow, Some(handle), now);
    }

    pub(super) fn receive_response(&mut self, flow: Flow, response: &Response, now: Instant) {
        let key = self.client_key(response);
        let Some((key, call)) =
            key.and_then(|key| self.clients.get(&key).map(|tx| tx.call).map(|call| (key, call)))
        else {
            return self.report_rejection(RejectReason::StrayResponse, &flow, None);
        };
        if let Some(call) = call {
            self.trace.belongs_to(call);
        }
        match (self.client_receive(&key, response, now), call) {
            (ResponseEffect::Absorbed, _) | (ResponseEffect::New, None) => {}
            (ResponseEffect::Forked, call) => self.end_fork(&key, call, response, flow, now),
            (ResponseEffect::New, Some(call)) => self.handle_response(&key, call, response, flow, now),
        }
    }

    /// A response is ours only if its single Via names this endpoint (section 8.1.3.3).
    fn client_key(&self, response: &Response) -> Option<ClientKey> {
        let [via] = response.vias() else { return None };
        let ours = self.config.advertised.contain(via.sent_by());
        let branch = via.branch().filter(|_| ours)?.to_owned();
        Some(ClientKey { branch, method: ClientMethod::of(&response.cseq().method)? })
    }

    fn handle_response(
        &mut self,
        key: &ClientKey,
        call: CallHandle,
        response: &Response,
        flow: Flow,
        now: Instant,
    ) {
        let status = response.status();
        match key.method {
            ClientMethod::Invite if self.is_reinvite(key) => {
                self.on_request_response(key, call, response, flow, now);
            }
            ClientMethod::Invite if status.is_provisional() => self.on_provisional(call, response, flow, now),
            ClientMethod::Invite if status.is_success() => self.on_success(key, call, response, flow, now),
            ClientMethod::Invite => self.on_failure(key, call, response, now),
            ClientMethod::Bye if !status.is_provisional() => self.on_bye_done(call, true, now),
            ClientMethod::Prack if !status.is_provisional() => {
                self.on_prack_response(key, call, response, now);
            }
            ClientMethod::Bye | ClientMethod::Cancel | ClientMethod::Prack => {}
            ClientMethod::Update | ClientMethod::Info | ClientMethod::Options | ClientMethod::Refer => {
                self.on_request_response(key, call, response, flow, now);
            }
        }
    }

    /// Whether an INVITE was sent within the dialog of an established call.
    fn is_reinvite(&self, key: &ClientKey) -> bool {
        let call = self.clients.get(key).and_then(|tx| tx.call).and_then(|call| self.calls.get(&call));
        call.is_some_and(|call| match &call.state {
            CallState::Outgoing(invite) => invite.branch != key.branch,
            CallState::Incoming(_) | CallState::Established | CallState::Ending(_) => true,
        })
    }

    fn on_provisional(&mut self, handle: CallHandle, response: &Response, flow: Flow, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let CallState::Outgoing(invite) = &mut call.state else { return };
        invite.provisional = true;
        let requested = invite.cancel == CancelState::Requested;
        let new = self.acknowledge_provisional(handle, response, flow, now);
        if requested {
            self.send_cancel(handle, now);
        } else if new && response.status() != StatusCode::TRYING {
            let early = response.session_description();
            self.report(Event::Ringing { call: handle, status: response.status(), early });
        }
    }

    fn on_success(
        &mut self,
        key: &ClientKey,
        handle: CallHandle,
        response: &Response,
        flow: Flow,
        now: Instant,
    ) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let CallState::Outgoing(invite) = &call.state else { return };
        let (timeout, cancelled) = (invite.cancel_timeout, invite.cancel != CancelState::NotRequested);
        call.credentials.clone_from(&invite.call.credentials);
        call.local_description.clone_from(&invite.call.offer);
        let cseq = call.dialog.local_seq();
        let mut dialog = call.dialog.confirmed_by(response, flow);
        dialog.continue_from(invite.early.iter().map(EarlyDialog::dialog));
        call.dialog = dialog;
        call.state = CallState::Established;
        call.note_allowed(response.headers());
        call.session.agreed(session_timer::of_response(response.headers()), now);
        let mut context = RequestContext {
            tokens: &mut self.tokens,
            flows: &mut self.flows,
            advertised: &self.config.advertised,
        };
        let ack = ack_success(&mut call.dialog, cseq, &mut context);
        if let Some(dialog) = call.dialog.key() {
            self.dialogs.insert(dialog, handle);
        }
        self.arm_session(handle);
        self.timers.clear(timeout);
        self.client_acknowledge(key, ack, now);
        if cancelled {
            // The 2xx crossed our CANCEL (section 9.1).
            self.send_bye(handle, DialogEnd::Cancelled, now);
        } else {
            let answer = response.session_description();
            self.report(Event::Answered { call: handle, answer });
        }
    }

    /// Ends the dialog of a second callee that answered the same INVITE; the first one keeps the call.
    fn end_fork(
        &mut self,
        key: &ClientKey,
        call: Option<CallHandle>,
        response: &Response,
        flow: Flow,
        now: Instant,
    ) {
        let full = self.clients.len() >= self.config.limits.max_client_transactions;
        let Some(first) = call.and_then(|call| self.calls.get(&call)).filter(|_| !full) else { return };
        let mut dialog = first.dialog.confirmed_by(response, flow);
        let mut context = RequestContext {
            tokens: &mut self.tokens,
            flows: &mut self.flows,
            advertised: &self.config.advertised,
        };
        let ack = ack_success(&mut dialog, response.cseq().number, &mut context);
        self.transmit(ack.flow, ack.payload, call, now);
        let mut context = RequestContext {
            tokens: &mut self.tokens,
            flows: &mut self.flows,
            advertised: &self.config.advertised,
        };
        let bye = dialog.request(RequestParts::bodiless(Method::Bye, Headers::default()), &mut context);
        let bye_key = ClientKey { branch: bye.branch, method: ClientMethod::Bye };
        debug_assert_ne!(bye_key, *key);
        self.client_start(bye_key, bye.payload, bye.flow, None, now);
    }

    /// Acknowledges a non-2xx final response, then repeats the INVITE with credentials or ends the call.
    fn on_failure(&mut self, key: &ClientKey, handle: CallHandle, response: &Response, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let CallState::Outgoing(invite) = &mut call.state else { return };
        let to = response.headers().first(KnownHeader::To).unwrap_or_default();
        let cseq = call.dialog.local_seq();
        let headers = Headers::default();
        let payload = InviteRequest { method: Method::Ack, cseq, to, headers, body: &[] }.write(
            &self.config.advertised,
            invite,
            &call.dialog,
        );
        let remote_tag = response.to().tag().map(str::to_owned);
        let authorization = authorize(invite, response, &self.tokens.cnonce());
        let cancelled = invite.cancel != CancelState::NotRequested;
        // A 422 names a session interval that the callee accepts (RFC 4028 section 7.3).
        let lengthened = !cancelled
            && response.status() == StatusCode::SESSION_INTERVAL_TOO_SMALL
            && invite.session_attempts < MAX_SESSION_ATTEMPTS
            && call.session.lengthen(response.headers());
        let repeated = authorization.is_some() || lengthened;
        if repeated {
            invite.branch = self.tokens.branch();
            invite.auth_attempts += u8::from(authorization.is_some());
            invite.session_attempts += u8::from(lengthened);
            invite.provisional = false;
        }
        if let Some(flow) = self.client_flow(key) {
            self.client_acknowledge(key, SentAck { payload, flow, remote_tag }, now);
        }
        if repeated {
            return self.send_invite(handle, authorization, now);
        }
        let end = if cancelled {
            DialogEnd::Cancelled
        } else {
            DialogEnd::RejectedByPeer { status: response.status(), phrase: response.reason().to_owned() }
        };
        self.end_call(handle, end, now);
    }

    /// Timer B or F: no final response arrived (sections 17.1.1.2 and 17.1.2.2).
    pub(super) fn on_client_timeout(&mut self, key: &ClientKey, now: Instant) {
        let reinvite = self.is_reinvite(key);
        let Some(call) = self.client_end(key).and_then(|tx| tx.call) else { return };
        match key.method {
            ClientMethod::Bye => self.on_bye_done(call, false, now),
            ClientMethod::Invite if reinvite => self.on_request_timeout(call, key, now),
            ClientMethod::Invite => self.fail_invite(call, DialogEnd::InviteTimeout, now),
            ClientMethod::Cancel | ClientMethod::Prack => {}
            ClientMethod::Update | ClientMethod::Info | ClientMethod::Options | ClientMethod::Refer => {
                self.on_request_timeout(call, key, now);
            }
        }
    }

    /// Ends a call whose INVITE has no final response.
    pub(super) fn fail_invite(&mut self, handle: CallHandle, end: DialogEnd, now: Instant) {
        let Some(CallState::Outgoing(invite)) = self.calls.get(&handle).map(|call| &call.state) else {
            return;
        };
        let cancelled = invite.cancel != CancelState::NotRequested;
        self.end_call(handle, if cancelled { DialogEnd::Cancelled } else { end }, now);
    }

    /// Gives up a cancelled INVITE without a final response (section 9.1).
    pub(super) fn on_cancel_timeout(&mut self, handle: CallHandle, now: Instant) {
        let Some(CallState::Outgoing(invite)) = self.calls.get(&handle).map(|call| &call.state) else {
            return;
        };
        let key = ClientKey { branch: invite.branch.clone(), method: ClientMethod::Invite };
        drop(self.client_end(&key));
        self.end_call(handle, DialogEnd::Cancelled, now);
    }
}

/// The credentials for another INVITE; `None` if another attempt cannot succeed.
fn authorize(invite: &OutgoingInvite, response: &Response, cnonce: &str) -> Option<AuthorizationValue> {
    if invite.cancel != CancelState::NotRequested || invite.auth_attempts >= MAX_AUTH_ATTEMPTS {
        return None;
    }
    let credentials = invite.call.credentials.as_ref()?;
    let uri = invite.uri.to_string();
    let authorization = answer_challenge(response, credentials, &Method::Invite, &uri, cnonce)?;
    // After a rejected attempt, only a stale nonce justifies another one.
    (invite.auth_attempts == 0 || authorization.stale).then_some(authorization)
}

/// The ACK of a 2xx (section 13.2.2.4).
fn ack_success(dialog: &mut Dialog, cseq: u32, context: &mut RequestContext<'_>) -> SentAck {
    let ack = dialog.request(RequestParts::ack(cseq), context);
    let remote_tag = dialog.remote_tag.as_ref().map(|tag| tag.as_str().to_owned());
    SentAck { payload: ack.payload, flow: ack.flow, remote_tag }
}

/// An INVITE, or the CANCEL or ACK that belongs to its transaction and has the same branch.
struct InviteRequest<'a> {
    method: Method,
    cseq: u32,
    to: &'a str,
    headers: Headers,
    body: &'a [u8],
}

impl InviteRequest<'_> {
    fn write(self, advertised: &AdvertisedAddresses, invite: &OutgoingInvite, dialog: &Dialog) -> Arc<[u8]> {
        let Self { method, cseq, to, headers, body } = self;
        let via = Via::local(invite.flow.transport, advertised.toward(&invite.flow), &invite.branch);
        let (from, call_id, uri) = (dialog.local(), dialog.call_id.as_str(), &invite.uri);
        RequestWriter { method, uri, via: &via, from, to, call_id, cseq, headers, body }.write()
    }
}
