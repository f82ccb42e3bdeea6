//! The session timer of a call (RFC 4028): it is armed by each 2xx, sends the refresh if that is our part, and ends a session
//! that nobody refreshes.

use std::time::{Duration, Instant};

use super::call::CallState;
use super::dialog_request::{DialogRequest, PendingRequest, RequestError};
use super::event::{CallHandle, DialogEnd};
use super::session_deadlines::SessionDeadlines;
use super::session_timer::SessionTimerRequest;
use super::{Deadline, Endpoint};
use crate::message::{Headers, Reason, ReasonProtocol, StatusCode};

/// The Reason of our BYE: recovery on timer expiry.
const SESSION_EXPIRED: Reason =
    Reason { protocol: ReasonProtocol::Q850, cause: 102, text: "session_expired" };

/// The shortest time after which a refresh that was not possible or failed is tried again.
const MIN_RETRY: Duration = Duration::from_secs(2);

impl Endpoint {
    /// Agrees with the peer on a session timer: adds the headers of our 2xx and starts the timer.
    pub(super) fn agree_on_session(
        &mut self,
        handle: CallHandle,
        request: SessionTimerRequest,
        headers: &mut Headers,
        now: Instant,
    ) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let timer = request.agree(call.session.timer());
        request.add_to_response(timer, headers);
        call.session.agreed(timer, now);
        self.arm_session(handle);
    }

    /// Sets the deadlines of a session that was just established or refreshed.
    pub(super) fn arm_session(&mut self, handle: CallHandle) {
        self.disarm_session(handle);
        let Some(call) = self.calls.get_mut(&handle) else { return };
        if !matches!(call.state, CallState::Established) {
            return;
        }
        let timers = &mut self.timers;
        let mut set = |at: Option<Instant>, deadline| at.map(|at| timers.set(at, deadline));
        call.session_deadlines = SessionDeadlines {
            refresh: set(call.session.refresh_at(), Deadline::SessionRefresh(handle)),
            expiry: set(call.session.expires_at(), Deadline::SessionExpiry(handle)),
        };
    }

    pub(super) fn disarm_session(&mut self, handle: CallHandle) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let SessionDeadlines { refresh, expiry } = std::mem::take(&mut call.session_deadlines);
        self.timers.clear(refresh);
        self.timers.clear(expiry);
    }

    /// Refreshes the session: by UPDATE if the peer allows it, because it needs no offer, else by a re-INVITE with our latest
    /// session description, which changes nothing (section 7.4).
    pub(super) fn refresh_session(&mut self, handle: CallHandle, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        call.session_deadlines.refresh = None;
        let request = match &call.local_description {
            Some(description) if !call.peer_allows_update => DialogRequest::ReInvite(description.clone()),
            Some(_) | None => DialogRequest::Update(None),
        };
        let full = self.clients.len() >= self.config.limits.max_client_transactions;
        match call.permits(&request) {
            Ok(()) if !full => self.send_pending(handle, PendingRequest::new(request, true), None, now),
            Ok(()) | Err(RequestError::OfferPending | RequestError::TooManyPending) => {
                self.retry_refresh(handle, now);
            }
            Err(RequestError::NotEstablished | RequestError::ReferPending) => {}
        }
    }

    /// A refresh was rejected. A peer that does not know UPDATE gets a re-INVITE at once.
    pub(super) fn on_refresh_failure(
        &mut self,
        handle: CallHandle,
        request: &DialogRequest,
        status: StatusCode,
        now: Instant,
    ) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let is_update = matches!(request, DialogRequest::Update(_));
        let unknown = matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED);
        if is_update && unknown && std::mem::take(&mut call.peer_allows_update) {
            return self.refresh_session(handle, now);
        }
        self.retry_refresh(handle, now);
    }

    /// Refreshes the session after half of the time that is left, so that there are few attempts, unless it is too late.
    fn retry_refresh(&mut self, handle: CallHandle, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let Some(expiry) = call.session.expires_at() else { return };
        let wait = (expiry.saturating_duration_since(now) / 2).max(MIN_RETRY);
        if now + wait < expiry {
            let deadline = Deadline::SessionRefresh(handle);
            call.session_deadlines.refresh = Some(self.timers.set(now + wait, deadline));
        }
    }

    /// Nobody has refreshed the session in time, so it ends (section 10).
    pub(super) fn on_session_expired(&mut self, handle: CallHandle, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        call.session_deadlines.expiry = None;
        if let CallState::Established = call.state {
            call.bye_reason.get_or_insert(SESSION_EXPIRED);
            self.send_bye(handle, DialogEnd::SessionExpired, now);
        }
    }
}
