//! Ending a call in any state: reject it, cancel it, or send BYE (RFC 3261 section 15), and clean up what it leaves open.

use std::time::Instant;

use super::Endpoint;
use super::call::CallState;
use super::client_key::ClientKey;
use super::dialog::{RequestContext, RequestParts};
use super::event::{CallHandle, DialogEnd, Event, InviteRejection, WrongCallState};
use super::method_class::ClientMethod;
use crate::message::{Headers, KnownHeader, Method, Reason, StatusCode, Warning};

impl Endpoint {
    /// Ends a call in any state: rejects it with 480, cancels it, or sends BYE. While an ACK is outstanding, the BYE
    /// waits for it. Does nothing if the call is already ending.
    ///
    /// # Errors
    /// [`WrongCallState`] if the call does not exist.
    pub fn hang_up(&mut self, call: CallHandle, now: Instant) -> Result<(), WrongCallState> {
        self.hang_up_because(call, None, now)
    }

    /// Ends a call as [`Endpoint::hang_up`] does, with a Reason header (RFC 3326) in the BYE.
    ///
    /// # Errors
    /// [`WrongCallState`] if the call does not exist.
    pub fn hang_up_because(
        &mut self,
        call: CallHandle,
        reason: Option<Reason>,
        now: Instant,
    ) -> Result<(), WrongCallState> {
        let found = self.calls.get_mut(&call).ok_or(WrongCallState(call))?;
        match &found.state {
            CallState::Incoming(_) => {
                let status = StatusCode::TEMPORARILY_UNAVAILABLE;
                let warning = reason.map(|reason| Warning::miscellaneous(reason.text));
                self.reject_with(call, InviteRejection { warning, ..InviteRejection::of(status) }, now)?;
            }
            CallState::Outgoing(_) => self.cancel(call, now)?,
            CallState::Established if found.unacked.is_some() => {
                found.hang_up_after_ack = true;
                found.bye_reason = found.bye_reason.or(reason);
            }
            CallState::Established => {
                found.bye_reason = reason;
                self.send_bye(call, DialogEnd::ByeSent { confirmed: false }, now);
            }
            CallState::Ending(_) => {}
        }
        Ok(())
    }

    /// Sends BYE. The call ends with its final response or when timer F fires.
    pub(super) fn send_bye(&mut self, handle: CallHandle, end: DialogEnd, now: Instant) {
        let full = self.clients.len() >= self.config.limits.max_client_transactions;
        let Some(call) = self.calls.get_mut(&handle) else { return };
        if let Some(unacked) = call.unacked.take() {
            self.timers.clear(Some(unacked.retransmit));
            self.timers.clear(Some(unacked.timeout));
        }
        if full {
            return self.end_call(handle, end, now);
        }
        let mut headers = Headers::default();
        headers.push(KnownHeader::UserAgent, self.config.product.as_str().to_owned());
        if let Some(reason) = call.bye_reason {
            headers.push(KnownHeader::Reason, reason.to_string());
        }
        let mut context = RequestContext {
            tokens: &mut self.tokens,
            flows: &mut self.flows,
            advertised: &self.config.advertised,
        };
        let bye = call.dialog.request(RequestParts::bodiless(Method::Bye, headers), &mut context);
        let last = call.dialog.flow();
        call.state = CallState::Ending(end);
        self.end_client_requests(handle);
        let Some(call) = self.calls.get_mut(&handle) else { return };
        // A pending re-INVITE no longer makes sense, and no response to it may follow the BYE.
        if let Some(reinvite) = call.reinvite.take() {
            self.respond(reinvite.transaction, StatusCode::REQUEST_TERMINATED, Headers::default(), None, now);
        }
        let key = ClientKey { branch: bye.branch, method: ClientMethod::Bye };
        self.client_start(key.clone(), bye.payload, bye.flow, Some(handle), now);
        if bye.flow != last && bye.flow.transport == last.transport {
            // A Contact or a route may be unreachable from here; the source of the last message is not.
            self.client_fall_back(&key, last);
        }
    }

    /// Ends the call after its BYE: any final response, or none at all, ends the dialog (section 15.1.1).
    pub(super) fn on_bye_done(&mut self, handle: CallHandle, confirmed: bool, now: Instant) {
        let Some(call) = self.calls.get(&handle) else { return };
        let CallState::Ending(end) = &call.state else { return };
        let end = match end {
            DialogEnd::ByeSent { .. } => DialogEnd::ByeSent { confirmed },
            DialogEnd::ByeReceived
            | DialogEnd::Cancelled
            | DialogEnd::RejectedByUs(_)
            | DialogEnd::Challenged
            | DialogEnd::PeerLost
            | DialogEnd::PrackTimeout
            | DialogEnd::SessionExpired
            | DialogEnd::AckTimeout
            | DialogEnd::RejectedByPeer { .. }
            | DialogEnd::InviteTimeout
            | DialogEnd::ConnectionFailed => end.clone(),
        };
        self.end_call(handle, end, now);
    }

    /// Ends what our requests within the dialog wait for. Their transactions go on by themselves.
    fn end_client_requests(&mut self, handle: CallHandle) {
        self.disarm_session(handle);
        self.end_provisional(handle);
        self.end_referral(handle);
        if let Some(backed_off) = self.calls.get_mut(&handle).and_then(|call| call.backed_off.take()) {
            self.timers.clear(Some(backed_off.timer));
        }
    }

    /// Removes a call, sends 487 for its open requests and reports its end.
    pub(super) fn end_call(&mut self, handle: CallHandle, end: DialogEnd, now: Instant) {
        self.end_client_requests(handle);
        let Some(call) = self.calls.remove(&handle) else { return };
        if let Some(key) = call.dialog.key() {
            self.dialogs.remove(&key);
        }
        if let Some(unacked) = call.unacked {
            self.timers.clear(Some(unacked.retransmit));
            self.timers.clear(Some(unacked.timeout));
        }
        if let Some(reinvite) = call.reinvite {
            self.respond(reinvite.transaction, StatusCode::REQUEST_TERMINATED, Headers::default(), None, now);
        }
        match call.state {
            CallState::Incoming(invite) => {
                let id = invite.transaction;
                self.respond(id, StatusCode::REQUEST_TERMINATED, Headers::default(), None, now);
            }
            CallState::Outgoing(invite) => self.timers.clear(invite.cancel_timeout),
            CallState::Established | CallState::Ending(_) => {}
        }
        self.report(Event::Ended { call: handle, end, reason: call.peer_reason });
    }
}
