//! Our requests within a dialog (RFC 3261 section 12.2.1) and their responses: credentials after a challenge (section 22.2),
//! another attempt after a collision (section 14.1), and the end of the call when the peer does not know the dialog or does
//! not respond (section 12.2.1.2).

use std::time::{Duration, Instant};

use super::call::CallState;
use super::client_key::ClientKey;
use super::client_transaction::SentAck;
use super::dialog::{RequestContext, RequestParts};
use super::dialog_request::{BackedOffRequest, DialogRequest, PendingRequest, RequestError};
use super::event::{CallHandle, DialogEnd, Event};
use super::flow::Flow;
use super::method_class::ClientMethod;
use super::refer::ReferStep;
use super::{Deadline, Endpoint};
use crate::digest::{AuthorizationValue, answer_challenge};
use crate::message::{Headers, KnownHeader, Reason, ReasonProtocol, Response, StatusCode};

/// Attempts with credentials: one, and another if the nonce was stale.
const MAX_AUTH_ATTEMPTS: u8 = 2;

/// Attempts after a 491 or a 422.
const MAX_REPETITIONS: u8 = 5;

/// The Reason of our BYE when the peer does not respond or does not know the dialog: recovery on timer expiry.
const PEER_LOST: Reason = Reason { protocol: ReasonProtocol::Q850, cause: 102, text: "peer_lost" };

impl Endpoint {
    /// Sends a request within a dialog. Its final response is reported as [`Event::Response`], or as [`Event::Refer`]. If
    /// there is none, or if it is 408 or 481, the call ends (RFC 3261 section 12.2.1.2).
    ///
    /// # Errors
    /// [`RequestError`] if it cannot be sent now.
    pub fn request(
        &mut self,
        call: CallHandle,
        request: DialogRequest,
        now: Instant,
    ) -> Result<(), RequestError> {
        let found = self.calls.get(&call).ok_or(RequestError::NotEstablished)?;
        found.permits(&request)?;
        if self.clients.len() >= self.config.limits.max_client_transactions {
            return Err(RequestError::TooManyPending);
        }
        self.send_pending(call, PendingRequest::new(request, false), None, now);
        Ok(())
    }

    pub(super) fn send_pending(
        &mut self,
        handle: CallHandle,
        mut pending: PendingRequest,
        authorization: Option<AuthorizationValue>,
        now: Instant,
    ) {
        let Ok(flow) = self.flow_of(handle) else { return };
        let mut headers = match &pending.request {
            DialogRequest::ReInvite(_) | DialogRequest::Update(_) | DialogRequest::Refer(_) => {
                self.dialog_headers(&flow)
            }
            DialogRequest::Info { .. } | DialogRequest::Options => Headers::default(),
        };
        headers.push(KnownHeader::UserAgent, self.config.product.as_str().to_owned());
        if let Some(authorization) = authorization {
            headers.push(authorization.header, authorization.value);
        }
        if let Some(content_type) = pending.request.content_type() {
            headers.push(KnownHeader::ContentType, content_type.to_owned());
        }
        let Some(call) = self.calls.get_mut(&handle) else { return };
        if pending.request.refreshes() {
            call.session.add_to_request(&mut headers);
        }
        if let DialogRequest::Refer(refer) = &pending.request {
            refer.add_to(&mut headers, call.dialog.local_uri());
        }
        let method = pending.request.method();
        let parts = RequestParts {
            method: method.method(),
            acknowledged: None,
            headers,
            body: pending.request.body(),
        };
        let mut context = RequestContext {
            tokens: &mut self.tokens,
            flows: &mut self.flows,
            advertised: &self.config.advertised,
        };
        let request = call.dialog.request(parts, &mut context);
        pending.branch.clone_from(&request.branch);
        pending.cseq = request.cseq;
        let is_refer = matches!(pending.request, DialogRequest::Refer(_));
        call.requests.push(pending);
        if is_refer {
            self.on_refer_sent(handle, request.cseq, now);
        }
        let key = ClientKey { branch: request.branch.clone(), method };
        self.client_start_in_dialog(&key, request, Some(handle), now);
    }

    /// The request that a response or a timeout belongs to.
    fn take_pending(&mut self, handle: CallHandle, key: &ClientKey) -> Option<PendingRequest> {
        let requests = &mut self.calls.get_mut(&handle)?.requests;
        let at = requests.iter().position(|pending| pending.branch == key.branch)?;
        Some(requests.swap_remove(at))
    }

    /// Processes a response to a request within the dialog of a call.
    pub(super) fn on_request_response(
        &mut self,
        key: &ClientKey,
        handle: CallHandle,
        response: &Response,
        flow: Flow,
        now: Instant,
    ) {
        let status = response.status();
        if status.is_provisional() {
            return;
        }
        let Some(pending) = self.take_pending(handle, key) else { return };
        let Some(call) = self.calls.get_mut(&handle) else { return };
        if status.is_success() && pending.request.refreshes() {
            call.dialog.refresh_target_by(response, flow);
        }
        if status.is_success() && key.method == ClientMethod::Invite {
            let mut context = RequestContext {
                tokens: &mut self.tokens,
                flows: &mut self.flows,
                advertised: &self.config.advertised,
            };
            let ack = call.dialog.request(RequestParts::ack(pending.cseq), &mut context);
            let remote_tag = response.to().tag().map(str::to_owned);
            self.client_acknowledge(key, SentAck { payload: ack.payload, flow: ack.flow, remote_tag }, now);
        }
        let Some(call) = self.calls.get_mut(&handle) else { return };
        if let CallState::Ending(_) = call.state {
            return;
        }
        if status.is_success() {
            return self.on_request_success(handle, &pending, response, now);
        }
        match status {
            StatusCode::CALL_DOES_NOT_EXIST | StatusCode::REQUEST_TIMEOUT => self.lose_peer(handle, now),
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                self.repeat_with_credentials(handle, pending, response, now);
            }
            StatusCode::SESSION_INTERVAL_TOO_SMALL
                if pending.request.refreshes()
                    && pending.repetitions < MAX_REPETITIONS
                    && call.session.lengthen(response.headers()) =>
            {
                let repetitions = pending.repetitions + 1;
                self.send_pending(handle, PendingRequest { repetitions, ..pending }, None, now);
            }
            StatusCode::REQUEST_PENDING
                if pending.request.offer().is_some() && pending.repetitions < MAX_REPETITIONS =>
            {
                self.back_off(handle, pending, now);
            }
            _ => self.on_request_failure(handle, &pending, status, response.reason(), now),
        }
    }

    fn repeat_with_credentials(
        &mut self,
        handle: CallHandle,
        pending: PendingRequest,
        response: &Response,
        now: Instant,
    ) {
        let cnonce = self.tokens.cnonce();
        let Some(call) = self.calls.get(&handle) else { return };
        let uri = call.dialog.request_uri().to_string();
        let method = pending.request.method().method();
        let authorization = call
            .credentials
            .as_ref()
            .filter(|_| pending.auth_attempts < MAX_AUTH_ATTEMPTS)
            .and_then(|credentials| answer_challenge(response, credentials, &method, &uri, &cnonce))
            // After a rejected attempt, only a stale nonce justifies another one.
            .filter(|authorization| pending.auth_attempts == 0 || authorization.stale);
        if authorization.is_none() {
            return self.on_request_failure(handle, &pending, response.status(), response.reason(), now);
        }
        let auth_attempts = pending.auth_attempts + 1;
        self.send_pending(handle, PendingRequest { auth_attempts, ..pending }, authorization, now);
    }

    /// Both sides made an offer at the same time. The owner of the Call-ID waits 2.1 to 4 s, the other side 0 to 2 s, so that
    /// they do not collide again (section 14.1).
    fn back_off(&mut self, handle: CallHandle, pending: PendingRequest, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let (from, steps) = if call.we_placed { (210, 191) } else { (0, 201) };
        let wait = Duration::from_millis(10 * (from + self.tokens.number_below(steps)));
        let timer = self.timers.set(now + wait, Deadline::RequestRepeat(handle));
        let repetitions = pending.repetitions + 1;
        call.backed_off =
            Some(BackedOffRequest { pending: PendingRequest { repetitions, ..pending }, timer });
    }

    /// Sends a request again that collided with one of the peer.
    pub(super) fn repeat_request(&mut self, handle: CallHandle, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let Some(BackedOffRequest { pending, timer: _ }) = call.backed_off.take() else { return };
        match call.permits(&pending.request) {
            Ok(()) => self.send_pending(handle, pending, None, now),
            Err(RequestError::OfferPending) if pending.repetitions < MAX_REPETITIONS => {
                self.back_off(handle, pending, now);
            }
            Err(_) => {
                let status = StatusCode::REQUEST_PENDING;
                self.on_request_failure(handle, &pending, status, status.phrase(), now);
            }
        }
    }

    fn on_request_success(
        &mut self,
        handle: CallHandle,
        pending: &PendingRequest,
        response: &Response,
        now: Instant,
    ) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        call.note_allowed(response.headers());
        if pending.request.refreshes() {
            call.session.refreshed(response.headers(), now);
            self.arm_session(handle);
        }
        let Some(call) = self.calls.get_mut(&handle) else { return };
        if let DialogRequest::Refer(_) = pending.request {
            return self.on_refer_step(handle, ReferStep::Accepted(response.headers()));
        }
        let answer = pending.request.offer().and_then(|_| response.session_description());
        if let Some(offer) = pending.request.offer() {
            call.local_description = Some(offer.clone());
        }
        if pending.is_refresh {
            return self.report(Event::SessionRefreshed { call: handle, answer });
        }
        let method = pending.request.method().method();
        let (status, phrase) = (response.status(), response.reason().to_owned());
        self.report(Event::Response { call: handle, method, status, phrase, answer });
    }

    fn on_request_failure(
        &mut self,
        handle: CallHandle,
        pending: &PendingRequest,
        status: StatusCode,
        phrase: &str,
        now: Instant,
    ) {
        if pending.is_refresh {
            return self.on_refresh_failure(handle, &pending.request, status, now);
        }
        if let DialogRequest::Refer(_) = pending.request {
            return self.on_refer_step(handle, ReferStep::Refused(status, phrase));
        }
        let method = pending.request.method().method();
        let phrase = phrase.to_owned();
        self.report(Event::Response { call: handle, method, status, phrase, answer: None });
    }

    /// No response to a request within a dialog arrived: timer B or F fired.
    pub(super) fn on_request_timeout(&mut self, handle: CallHandle, key: &ClientKey, now: Instant) {
        if self.take_pending(handle, key).is_some() {
            self.lose_peer(handle, now);
        }
    }

    /// The connection of a request has been closed, which counts as a 503 (section 8.1.3.1).
    pub(super) fn on_request_lost(&mut self, handle: CallHandle, key: &ClientKey, now: Instant) {
        if let Some(pending) = self.take_pending(handle, key) {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            self.on_request_failure(handle, &pending, status, status.phrase(), now);
        }
    }

    /// The peer does not know the dialog or does not respond, so the call ends with a BYE (section 12.2.1.2).
    fn lose_peer(&mut self, handle: CallHandle, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        match &call.state {
            CallState::Established => {
                call.bye_reason.get_or_insert(PEER_LOST);
                self.send_bye(handle, DialogEnd::PeerLost, now);
            }
            CallState::Incoming(_) => self.end_call(handle, DialogEnd::PeerLost, now),
            CallState::Outgoing(_) | CallState::Ending(_) => {}
        }
    }
}
