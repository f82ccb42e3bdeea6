//! Reliable provisional responses (RFC 3262). As the UAS, we send 180 reliably only if the caller requires it: a caller that
//! merely supports it gains nothing from a PRACK for a response without a session description. As the UAC, we acknowledge
//! every reliable provisional response with PRACK.

use std::time::Instant;

use super::call::{CallState, IncomingInvite};
use super::client_key::ClientKey;
use super::dialog::{RequestContext, RequestParts};
use super::event::{CallHandle, DialogEnd, WrongCallState};
use super::flow::Flow;
use super::method_class::ClientMethod;
use super::provisional_state::{EarlyDialog, ReliableProvisional, Unacknowledged};
use super::reject_reason::RejectReason;
use super::response::Rejection;
use super::server_transaction::ServerId;
use super::{Deadline, Endpoint};
use crate::digest::{AuthorizationValue, answer_challenge};
use crate::message::{Headers, KnownHeader, Method, Request, Response, StatusCode, SyntaxError, Tag, number};

/// The option tag of RFC 3262.
pub(super) const RELIABLE: &str = "100rel";

/// `RSeq` numbers begin below this (RFC 3262 section 3), so that they never overflow.
const FIRST_RSEQ_LIMIT: u64 = 1 << 31;

/// Callees of one INVITE, reached by forking, whose reliable responses are acknowledged.
const MAX_EARLY_DIALOGS: usize = 8;

/// PRACKs with credentials per response.
const MAX_PRACK_AUTH_ATTEMPTS: u8 = 1;

/// The value of `RAck`: what a PRACK acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RAck {
    rseq: u32,
    cseq: u32,
    method: Method,
}

impl RAck {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split_ascii_whitespace();
        let (rseq, cseq, method) = (parts.next()?, parts.next()?, parts.next()?);
        let rack = Self { rseq: number(rseq)?, cseq: number(cseq)?, method: Method::parse(method)? };
        parts.next().is_none().then_some(rack)
    }
}

impl Endpoint {
    /// Sends 180 reliably. A late offer would have to be in it, so a caller without an offer gets none (section 5).
    pub(super) fn ring_reliably(
        &mut self,
        handle: CallHandle,
        invite: IncomingInvite,
        mut headers: Headers,
        now: Instant,
    ) -> Result<(), WrongCallState> {
        let call = self.calls.get(&handle).ok_or(WrongCallState(handle))?;
        let waits = call.reliable.as_ref().is_some_and(|reliable| reliable.unacknowledged.is_some());
        if waits || !invite.has_offer {
            return Ok(());
        }
        let rseq = match &call.reliable {
            Some(reliable) => reliable.rseq + 1,
            None => u32::try_from(1 + self.tokens.number_below(FIRST_RSEQ_LIMIT - 1)).unwrap_or(1),
        };
        headers.push(KnownHeader::Require, RELIABLE.to_owned());
        headers.push(KnownHeader::RSeq, rseq.to_string());
        let id = invite.transaction;
        let payload =
            self.respond(id, StatusCode::RINGING, headers, None, now).ok_or(WrongCallState(handle))?;
        let route = self.servers.get(id).map(|tx| tx.route).ok_or(WrongCallState(handle))?;
        let timing = self.config.timing;
        let unacknowledged = Some(Unacknowledged {
            payload,
            route,
            interval: timing.t1,
            retransmit: self.timers.set(now + timing.t1, Deadline::ProvisionalRetransmit(handle)),
            timeout: self.timers.set(now + timing.timer_b(), Deadline::PrackTimeout(handle)),
        });
        if let Some(call) = self.calls.get_mut(&handle) {
            call.reliable = Some(ReliableProvisional { rseq, invite_cseq: invite.cseq, unacknowledged });
        }
        Ok(())
    }

    /// The interval doubles without a limit (section 3).
    pub(super) fn retransmit_provisional(&mut self, handle: CallHandle, now: Instant) {
        let reliable = self.calls.get_mut(&handle).and_then(|call| call.reliable.as_mut());
        let Some(waiting) = reliable.and_then(|reliable| reliable.unacknowledged.as_mut()) else { return };
        waiting.interval *= 2;
        let at = now + waiting.interval;
        waiting.retransmit = self.timers.set(at, Deadline::ProvisionalRetransmit(handle));
        let (route, payload) = (waiting.route, waiting.payload.clone());
        self.transmit_response(route, payload, Some(handle), now);
    }

    /// No PRACK arrived within 64*T1, so the INVITE is rejected (section 3).
    pub(super) fn on_prack_timeout(&mut self, handle: CallHandle, now: Instant) {
        let Some(CallState::Incoming(invite)) = self.calls.get(&handle).map(|call| &call.state) else {
            return;
        };
        let id = invite.transaction;
        self.respond(id, StatusCode::SERVER_TIMEOUT, Headers::default(), None, now);
        self.end_call(handle, DialogEnd::PrackTimeout, now);
    }

    /// Stops to retransmit the provisional response; its PRACK may still arrive.
    pub(super) fn end_provisional(&mut self, handle: CallHandle) {
        let reliable = self.calls.get_mut(&handle).and_then(|call| call.reliable.as_mut());
        if let Some(waiting) = reliable.and_then(|reliable| reliable.unacknowledged.as_mut()) {
            self.timers.clear(Some(waiting.retransmit));
            self.timers.clear(Some(waiting.timeout));
        }
    }

    /// A PRACK must match the provisional response that waits for it. An offer in it is refused: the one in the INVITE has no
    /// answer yet, or has it in the 2xx that crosses the PRACK.
    pub(super) fn receive_prack(
        &mut self,
        handle: CallHandle,
        id: ServerId,
        flow: Flow,
        prack: &Request,
        now: Instant,
    ) {
        let Some(rack) = prack.headers().first(KnownHeader::RAck).and_then(RAck::parse) else {
            let reason = RejectReason::Malformed(SyntaxError::Malformed(KnownHeader::RAck));
            let rejection = Rejection::new(reason, StatusCode::BAD_REQUEST);
            return self.respond_rejection(id, rejection, &flow, now);
        };
        let reliable = self.calls.get_mut(&handle).and_then(|call| call.reliable.as_mut());
        let matching = reliable.filter(|reliable| {
            let expected = (reliable.rseq, reliable.invite_cseq, &Method::Invite);
            (rack.rseq, rack.cseq, &rack.method) == expected
        });
        let Some(waiting) = matching.and_then(|reliable| reliable.unacknowledged.take()) else {
            let status = StatusCode::CALL_DOES_NOT_EXIST;
            let rejection = Rejection::new(RejectReason::UnknownProvisional, status);
            return self.respond_rejection(id, rejection, &flow, now);
        };
        self.timers.clear(Some(waiting.retransmit));
        self.timers.clear(Some(waiting.timeout));
        if prack.session_description().is_some() {
            self.reject_outstanding_offer(id, flow, now);
        } else {
            self.respond(id, StatusCode::OK, Headers::default(), None, now);
        }
    }

    /// Acknowledges a reliable provisional response to our INVITE. Returns whether the response is new: it is not if it is a
    /// retransmission, or if another one before it is missing (section 4).
    pub(super) fn acknowledge_provisional(
        &mut self,
        handle: CallHandle,
        response: &Response,
        flow: Flow,
        now: Instant,
    ) -> bool {
        let headers = response.headers();
        let rseq = headers.first(KnownHeader::RSeq).and_then(number::<u32>);
        let Some(rseq) = rseq.filter(|rseq| *rseq > 0 && headers.lists(KnownHeader::Require, RELIABLE))
        else {
            return true;
        };
        let Some(call) = self.calls.get_mut(&handle) else { return true };
        let CallState::Outgoing(invite) = &mut call.state else { return true };
        // Without our offer, the response would contain one, and the PRACK our answer.
        if invite.call.offer.is_none() {
            return true;
        }
        let tag = response.to().tag();
        let of_tag = |early: &EarlyDialog| early.dialog.remote_tag.as_ref().map(Tag::as_str) == tag;
        let known = invite.early.iter().position(of_tag);
        let at = match known {
            Some(at) => {
                let early = &mut invite.early[at];
                if early.rseq.checked_add(1) != Some(rseq) {
                    return false;
                }
                early.rseq = rseq;
                early.auth_attempts = 0;
                at
            }
            None if tag.is_none() || invite.early.len() >= MAX_EARLY_DIALOGS => return false,
            None => {
                let dialog = call.dialog.confirmed_by(response, flow);
                let branch = String::new();
                invite.early.push(EarlyDialog { dialog, rseq, branch, auth_attempts: 0 });
                invite.early.len() - 1
            }
        };
        self.send_prack(handle, at, None, now);
        true
    }

    fn send_prack(
        &mut self,
        handle: CallHandle,
        at: usize,
        authorization: Option<AuthorizationValue>,
        now: Instant,
    ) {
        if self.clients.len() >= self.config.limits.max_client_transactions {
            return;
        }
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let invite_cseq = call.dialog.local_seq();
        let CallState::Outgoing(invite) = &mut call.state else { return };
        let Some(early) = invite.early.get_mut(at) else { return };
        let mut headers = Headers::default();
        headers.push(KnownHeader::RAck, format!("{} {invite_cseq} INVITE", early.rseq));
        headers.push(KnownHeader::UserAgent, self.config.product.as_str().to_owned());
        if let Some(authorization) = authorization {
            headers.push(authorization.header, authorization.value);
        }
        let mut context = RequestContext {
            tokens: &mut self.tokens,
            flows: &mut self.flows,
            advertised: &self.config.advertised,
        };
        let request = early.dialog.request(RequestParts::bodiless(Method::Prack, headers), &mut context);
        early.branch.clone_from(&request.branch);
        let key = ClientKey { branch: request.branch.clone(), method: ClientMethod::Prack };
        self.client_start_in_dialog(&key, request, Some(handle), now);
    }

    /// A challenge is answered. A PRACK that fails in another way, or that gets no response, ends nothing by itself: the callee
    /// rejects the INVITE if it misses the PRACK.
    pub(super) fn on_prack_response(
        &mut self,
        key: &ClientKey,
        handle: CallHandle,
        response: &Response,
        now: Instant,
    ) {
        let cnonce = self.tokens.cnonce();
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let CallState::Outgoing(invite) = &mut call.state else { return };
        let Some(at) = invite.early.iter().position(|early| early.branch == key.branch) else { return };
        let early = &mut invite.early[at];
        let uri = early.dialog.request_uri().to_string();
        let authorization = invite
            .call
            .credentials
            .as_ref()
            .filter(|_| early.auth_attempts < MAX_PRACK_AUTH_ATTEMPTS)
            .and_then(|known| answer_challenge(response, known, &Method::Prack, &uri, &cnonce));
        if authorization.is_some() {
            early.auth_attempts += 1;
            self.send_prack(handle, at, authorization, now);
        }
    }
}
