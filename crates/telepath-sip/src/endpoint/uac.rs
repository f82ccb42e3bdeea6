//! Calls we place, as far as a test caller needs: INVITE with one answer to a digest challenge, CANCEL that waits
//! until it may be sent, the ACK of every final answer, and BYE to a second callee that answers the same INVITE
//! (RFC 3261 sections 9.1, 13.2 and 22.2).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::call::{Call, CallState};
use super::client::{ClientKey, ResponseEffect, SentAck};
use super::dialog::Dialog;
use super::event::{CallHandle, DialogEnd, EndpointFull, Event, OutgoingCall, RejectReason, WrongCallState};
use super::timer::TimerId;
use super::{Deadline, Endpoint};
use crate::digest::{Answer, answer_challenge};
use crate::message::{
    Headers, KnownHeader, Method, RequestWriter, Response, StatusCode, Transport, Uri, Via,
};

/// INVITEs with credentials sent for one call at most: one, and one more when the nonce was too old.
const MAX_PROOFS: u8 = 2;

/// A call of ours that is not answered yet.
pub(crate) struct Calling {
    invite: OutgoingCall,
    uri: Uri,
    branch: String,
    proofs: u8,
    provisional: bool,
    cancel: Cancel,
    pub(crate) overdue: Option<TimerId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cancel {
    No,
    /// Wanted, but nothing has come back yet, so it may not be sent (section 9.1).
    Wanted,
    Sent,
}

impl Endpoint {
    /// Places a call.
    pub fn invite(&mut self, invite: OutgoingCall, now: Instant) -> Result<CallHandle, EndpointFull> {
        let limits = self.config.limits;
        if self.calls.len() >= limits.max_calls || self.clients.len() >= limits.max_client_transactions {
            return Err(EndpointFull);
        }
        let handle = self.new_handle();
        let uri = Uri::Sip(invite.target.clone());
        let from = Uri::Sip(invite.from.clone());
        let (call_id, tag) = (self.tokens.call_id(), self.tokens.tag());
        let dialog = Dialog::of_outgoing(call_id, tag, &from, uri.clone(), invite.via);
        let branch = self.tokens.branch();
        let calling =
            Calling { invite, uri, branch, proofs: 0, provisional: false, cancel: Cancel::No, overdue: None };
        self.calls.insert(handle, Call::new(dialog, CallState::Calling(Box::new(calling))));
        self.send_invite(handle, None, now);
        Ok(handle)
    }

    fn send_invite(&mut self, handle: CallHandle, proof: Option<Answer>, now: Instant) {
        let mut headers = self.dialog_headers();
        headers.push(KnownHeader::UserAgent, self.config.product.as_str().to_owned());
        headers.push(KnownHeader::Accept, super::answer::ACCEPT.to_owned());
        if let Some(proof) = proof {
            headers.push(proof.header, proof.value);
        }
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let CallState::Calling(calling) = &call.state else { return };
        if calling.invite.offer.is_some() {
            headers.push(KnownHeader::ContentType, super::answer::ACCEPT.to_owned());
        }
        let cseq = call.dialog.advance();
        let to = format!("<{}>", calling.uri);
        let body = calling.invite.offer.as_ref().map_or(&[][..], |sdp| sdp.as_bytes());
        let payload =
            outside(&self.config.advertised, calling, &call.dialog, Method::Invite, cseq, &to, headers, body);
        let key = ClientKey { branch: calling.branch.clone(), method: Method::Invite };
        let peer = calling.invite.via;
        self.client_start(key, payload, peer, Some(handle), now);
    }

    /// Takes a call of ours back; CANCEL is sent as soon as it may be.
    pub fn cancel(&mut self, handle: CallHandle, now: Instant) -> Result<(), WrongCallState> {
        let call = self.calls.get_mut(&handle).ok_or(WrongCallState(handle))?;
        let CallState::Calling(calling) = &mut call.state else { return Err(WrongCallState(handle)) };
        if calling.cancel == Cancel::No {
            calling.cancel = Cancel::Wanted;
            if calling.provisional {
                self.send_cancel(handle, now);
            }
        }
        Ok(())
    }

    fn send_cancel(&mut self, handle: CallHandle, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let CallState::Calling(calling) = &mut call.state else { return };
        calling.cancel = Cancel::Sent;
        let overdue = now + self.config.timing.timer_b();
        calling.overdue = Some(self.timers.set(overdue, Deadline::CancelOverdue(handle)));
        let to = format!("<{}>", calling.uri);
        let cseq = call.dialog.local_seq();
        let headers = Headers::default();
        let payload =
            outside(&self.config.advertised, calling, &call.dialog, Method::Cancel, cseq, &to, headers, &[]);
        let key = ClientKey { branch: calling.branch.clone(), method: Method::Cancel };
        let peer = calling.invite.via;
        self.client_start(key, payload, peer, Some(handle), now);
    }

    pub(crate) fn receive_response(&mut self, source: SocketAddr, response: &Response, now: Instant) {
        let key = self.client_key(response);
        let Some((key, call)) =
            key.and_then(|key| self.clients.get(&key).map(|tx| tx.call).map(|c| (key, c)))
        else {
            return self.note_rejection(RejectReason::StrayResponse, source, None);
        };
        if let Some(call) = call {
            self.trace.belongs_to(call);
        }
        match (self.client_receive(&key, response, now), call) {
            (ResponseEffect::Ignore, _) | (ResponseEffect::New, None) => {}
            (ResponseEffect::Forked, call) => self.refuse_fork(&key, call, response, source, now),
            (ResponseEffect::New, Some(call)) => self.handle_response(&key, call, response, source, now),
        }
    }

    /// Only responses to our own hop, and to it alone, are ours (section 8.1.3.3).
    fn client_key(&self, response: &Response) -> Option<ClientKey> {
        let [via] = response.vias() else { return None };
        let ours = *via.sent_by() == self.config.advertised;
        let branch = via.branch().filter(|_| ours)?.to_owned();
        Some(ClientKey { branch, method: response.cseq().method.clone() })
    }

    fn handle_response(
        &mut self,
        key: &ClientKey,
        call: CallHandle,
        response: &Response,
        source: SocketAddr,
        now: Instant,
    ) {
        let status = response.status();
        match &key.method {
            Method::Invite if status.is_provisional() => self.invite_progressed(call, response, now),
            Method::Invite if status.is_success() => self.invite_answered(key, call, response, source, now),
            Method::Invite => self.invite_refused(key, call, response, now),
            Method::Bye if !status.is_provisional() => self.bye_done(call, true, now),
            Method::Ack
            | Method::Bye
            | Method::Cancel
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
    }

    fn invite_progressed(&mut self, handle: CallHandle, response: &Response, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let CallState::Calling(calling) = &mut call.state else { return };
        calling.provisional = true;
        if calling.cancel == Cancel::Wanted {
            self.send_cancel(handle, now);
        } else if response.status() != StatusCode::TRYING {
            let early = response.session_description();
            self.report(Event::Ringing { call: handle, status: response.status(), early });
        }
    }

    fn invite_answered(
        &mut self,
        key: &ClientKey,
        handle: CallHandle,
        response: &Response,
        source: SocketAddr,
        now: Instant,
    ) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let CallState::Calling(calling) = &call.state else { return };
        let (overdue, cancelled) = (calling.overdue, calling.cancel != Cancel::No);
        call.dialog = call.dialog.answered(response, source);
        call.state = CallState::Established;
        let ack = acknowledge(&mut call.dialog, &mut self.tokens, &self.config.advertised);
        if let Some(dialog) = call.dialog.key() {
            self.dialogs.insert(dialog, handle);
        }
        self.timers.clear(overdue);
        self.client_acknowledge(key, ack, now);
        if cancelled {
            // The 2xx was on its way when we gave up (section 15).
            self.send_bye(handle, DialogEnd::Cancelled, now);
        } else {
            let answer = response.session_description();
            self.report(Event::Answered { call: handle, answer });
        }
    }

    /// Two phones picked up; the first one has the call.
    fn refuse_fork(
        &mut self,
        key: &ClientKey,
        call: Option<CallHandle>,
        response: &Response,
        source: SocketAddr,
        now: Instant,
    ) {
        let over = self.clients.len() >= self.config.limits.max_client_transactions;
        let Some(first) = call.and_then(|call| self.calls.get(&call)).filter(|_| !over) else { return };
        let mut dialog = first.dialog.answered(response, source);
        let ack = acknowledge(&mut dialog, &mut self.tokens, &self.config.advertised);
        self.transmit(ack.to, ack.payload, call, now);
        let bye = dialog.request(Method::Bye, &mut self.tokens, &self.config.advertised, Headers::default());
        let bye_key = ClientKey { branch: bye.branch, method: Method::Bye };
        debug_assert_ne!(bye_key, *key);
        self.client_start(bye_key, bye.payload, bye.to, None, now);
    }

    fn invite_refused(&mut self, key: &ClientKey, handle: CallHandle, response: &Response, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let CallState::Calling(calling) = &mut call.state else { return };
        let to = response.headers().first(KnownHeader::To).unwrap_or_default();
        let cseq = call.dialog.local_seq();
        let headers = Headers::default();
        let payload =
            outside(&self.config.advertised, calling, &call.dialog, Method::Ack, cseq, to, headers, &[]);
        let remote_tag = response.to().tag().map(str::to_owned);
        let proof = prove(calling, response, &self.tokens.cnonce());
        let cancelled = calling.cancel != Cancel::No;
        if proof.is_some() {
            calling.branch = self.tokens.branch();
            calling.proofs += 1;
            calling.provisional = false;
        }
        if let Some(peer) = self.client_peer(key) {
            self.client_acknowledge(key, SentAck { payload, to: peer, remote_tag }, now);
        }
        if proof.is_some() {
            return self.send_invite(handle, proof, now);
        }
        let cause = if cancelled {
            DialogEnd::Cancelled
        } else {
            DialogEnd::RejectedByPeer { status: response.status(), phrase: response.reason().to_owned() }
        };
        self.end_call(handle, cause, now);
    }

    pub(crate) fn client_timeout(&mut self, key: &ClientKey, now: Instant) {
        let Some(call) = self.client_end(key).and_then(|tx| tx.call) else { return };
        match &key.method {
            Method::Bye => self.bye_done(call, false, now),
            Method::Invite => self.invite_unanswered(call, now),
            Method::Ack
            | Method::Cancel
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
    }

    fn invite_unanswered(&mut self, handle: CallHandle, now: Instant) {
        let Some(CallState::Calling(calling)) = self.calls.get(&handle).map(|call| &call.state) else {
            return;
        };
        let cause =
            if calling.cancel == Cancel::No { DialogEnd::InviteTimeout } else { DialogEnd::Cancelled };
        self.end_call(handle, cause, now);
    }

    /// A cancelled INVITE that is never answered is given up (section 9.1).
    pub(crate) fn cancel_overdue(&mut self, handle: CallHandle, now: Instant) {
        let Some(CallState::Calling(calling)) = self.calls.get(&handle).map(|call| &call.state) else {
            return;
        };
        let key = ClientKey { branch: calling.branch.clone(), method: Method::Invite };
        drop(self.client_end(&key));
        self.end_call(handle, DialogEnd::Cancelled, now);
    }
}

/// The next INVITE's credentials, when it makes sense to send one.
fn prove(calling: &Calling, refusal: &Response, cnonce: &str) -> Option<Answer> {
    if calling.cancel != Cancel::No || calling.proofs >= MAX_PROOFS {
        return None;
    }
    let credentials = calling.invite.credentials.as_ref()?;
    let uri = calling.uri.to_string();
    let answer = answer_challenge(refusal, credentials, &Method::Invite, &uri, cnonce)?;
    // Asked again after a proof: worth another try only when the nonce was the trouble.
    (calling.proofs == 0 || answer.stale).then_some(answer)
}

fn acknowledge(
    dialog: &mut Dialog,
    tokens: &mut super::Tokens,
    sent_by: &crate::message::HostPort,
) -> SentAck {
    let ack = dialog.request(Method::Ack, tokens, sent_by, Headers::default());
    let remote_tag = dialog.remote_tag.as_ref().map(|tag| tag.as_str().to_owned());
    SentAck { payload: ack.payload, to: ack.to, remote_tag }
}

/// INVITE, and the CANCEL and ACK that belong to its transaction and share its branch.
#[expect(clippy::too_many_arguments, reason = "each is one part of a request line or header")]
fn outside(
    sent_by: &crate::message::HostPort,
    calling: &Calling,
    dialog: &Dialog,
    method: Method,
    cseq: u32,
    to: &str,
    headers: Headers,
    body: &[u8],
) -> Arc<[u8]> {
    let via = Via::ours(Transport::Udp, sent_by.clone(), &calling.branch);
    let (from, call_id, uri) = (dialog.local(), dialog.call_id.as_str(), &calling.uri);
    RequestWriter { method, uri, via: &via, from, to, call_id, cseq, headers, body }.write()
}
