//! A call: its dialog, where it stands, and the commands that every call takes. The 2xx of an INVITE is repeated
//! here and not in the transaction, because only the ACK of this dialog stops it (RFC 3261 section 13.3.1.4).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::ClientKey;
use super::dialog::Dialog;
use super::event::{CallHandle, DialogEnd, Event, ReInviteMethod, WrongCallState};
use super::server::ServerId;
use super::timer::TimerId;
use super::uac::Calling;
use super::{Deadline, Endpoint};
use crate::message::{Headers, KnownHeader, Method, Request, StatusCode};

pub(crate) struct Call {
    pub(crate) dialog: Dialog,
    pub(crate) state: CallState,
    pub(crate) unacked: Option<Unacked>,
    pub(crate) reinvite: Option<ReInvite>,
    /// A callee may not send BYE before the ACK (RFC 3261 section 15).
    pub(crate) hang_up_after_ack: bool,
}

pub(crate) enum CallState {
    /// The INVITE waits for our final answer.
    Incoming(ServerId),
    /// Our INVITE waits for the peer's.
    Calling(Box<Calling>),
    Established,
    /// Our BYE waits for its answer.
    Ending(DialogEnd),
}

/// A 2xx of ours that waits for its ACK.
pub(crate) struct Unacked {
    pub(crate) cseq: u32,
    pub(crate) payload: Arc<[u8]>,
    pub(crate) to: SocketAddr,
    pub(crate) interval: Duration,
    pub(crate) retransmit: TimerId,
    pub(crate) overdue: TimerId,
}

/// A change of session that waits for our answer.
#[derive(Clone, Copy)]
pub(crate) struct ReInvite {
    pub(crate) transaction: ServerId,
    pub(crate) method: ReInviteMethod,
    pub(crate) cseq: u32,
}

impl Call {
    pub(crate) fn new(dialog: Dialog, state: CallState) -> Self {
        Self { dialog, state, unacked: None, reinvite: None, hang_up_after_ack: false }
    }
}

impl Endpoint {
    /// Ends a call at whatever point it is: refuses it with 480, cancels it, or sends BYE. When an ACK is
    /// still awaited the BYE waits for it. Hanging up a second time does nothing.
    pub fn hang_up(&mut self, call: CallHandle, now: Instant) -> Result<(), WrongCallState> {
        let found = self.calls.get_mut(&call).ok_or(WrongCallState(call))?;
        match &found.state {
            CallState::Incoming(_) => {
                self.reject(call, StatusCode::TEMPORARILY_UNAVAILABLE, None, now)?;
            }
            CallState::Calling(_) => self.cancel(call, now)?,
            CallState::Established if found.unacked.is_some() => found.hang_up_after_ack = true,
            CallState::Established => {
                self.send_bye(call, DialogEnd::ByeSent { confirmed: false }, now);
            }
            CallState::Ending(_) => {}
        }
        Ok(())
    }

    /// Sends BYE; the call ends when it is answered, or when it never is.
    pub(crate) fn send_bye(&mut self, handle: CallHandle, cause: DialogEnd, now: Instant) {
        let over = self.clients.len() >= self.config.limits.max_client_transactions;
        let Some(call) = self.calls.get_mut(&handle) else { return };
        if let Some(unacked) = call.unacked.take() {
            self.timers.clear(Some(unacked.retransmit));
            self.timers.clear(Some(unacked.overdue));
        }
        if over {
            return self.end_call(handle, cause, now);
        }
        let mut headers = Headers::default();
        headers.push(KnownHeader::UserAgent, self.config.product.as_str().to_owned());
        let bye = call.dialog.request(Method::Bye, &mut self.tokens, &self.config.advertised, headers);
        call.state = CallState::Ending(cause);
        // A change of session has no sense any more, and must not be answered behind the BYE.
        if let Some(reinvite) = call.reinvite.take() {
            self.answer(reinvite.transaction, StatusCode::REQUEST_TERMINATED, Headers::default(), None, now);
        }
        let key = ClientKey { branch: bye.branch, method: Method::Bye };
        self.client_start(key, bye.payload, bye.to, Some(handle), now);
    }

    /// Any final answer to a BYE, or none at all, ends the dialog (RFC 3261 section 15.1.1).
    pub(crate) fn bye_done(&mut self, handle: CallHandle, answered: bool, now: Instant) {
        let Some(call) = self.calls.get(&handle) else { return };
        let CallState::Ending(cause) = &call.state else { return };
        let cause = match cause {
            DialogEnd::ByeSent { .. } => DialogEnd::ByeSent { confirmed: answered },
            DialogEnd::ByeReceived
            | DialogEnd::Cancelled
            | DialogEnd::RejectedByUs(_)
            | DialogEnd::Challenged
            | DialogEnd::AckTimeout
            | DialogEnd::RejectedByPeer { .. }
            | DialogEnd::InviteTimeout => cause.clone(),
        };
        self.end_call(handle, cause, now);
    }

    /// Forgets a call, answers what it leaves open, and reports its end.
    pub(crate) fn end_call(&mut self, handle: CallHandle, cause: DialogEnd, now: Instant) {
        let Some(call) = self.calls.remove(&handle) else { return };
        if let Some(key) = call.dialog.key() {
            self.dialogs.remove(&key);
        }
        if let Some(unacked) = call.unacked {
            self.timers.clear(Some(unacked.retransmit));
            self.timers.clear(Some(unacked.overdue));
        }
        if let Some(reinvite) = call.reinvite {
            self.answer(reinvite.transaction, StatusCode::REQUEST_TERMINATED, Headers::default(), None, now);
        }
        match call.state {
            CallState::Incoming(id) => {
                self.answer(id, StatusCode::REQUEST_TERMINATED, Headers::default(), None, now);
            }
            CallState::Calling(calling) => self.timers.clear(calling.overdue),
            CallState::Established | CallState::Ending(_) => {}
        }
        self.report(Event::Ended { call: handle, end: cause });
    }

    /// Starts to repeat a 2xx of ours until its ACK comes.
    pub(crate) fn await_ack(
        &mut self,
        handle: CallHandle,
        id: ServerId,
        cseq: u32,
        payload: Arc<[u8]>,
        now: Instant,
    ) {
        let timing = self.config.timing;
        let Some(to) = self.servers.get(id).map(|tx| tx.seed.answer_to) else { return };
        let Some(call) = self.calls.get_mut(&handle) else { return };
        call.unacked = Some(Unacked {
            cseq,
            payload,
            to,
            interval: timing.t1,
            retransmit: self.timers.set(now + timing.t1, Deadline::AnswerRetransmit(handle)),
            overdue: self.timers.set(now + timing.timer_b(), Deadline::AckOverdue(handle)),
        });
    }

    pub(crate) fn answer_retransmit_due(&mut self, handle: CallHandle, now: Instant) {
        let timing = self.config.timing;
        let Some(unacked) = self.calls.get_mut(&handle).and_then(|call| call.unacked.as_mut()) else {
            return;
        };
        unacked.interval = timing.next_interval(unacked.interval);
        unacked.retransmit = self.timers.set(now + unacked.interval, Deadline::AnswerRetransmit(handle));
        let (to, payload) = (unacked.to, unacked.payload.clone());
        self.transmit(to, payload, Some(handle), now);
    }

    pub(crate) fn ack_overdue(&mut self, handle: CallHandle, now: Instant) {
        self.send_bye(handle, DialogEnd::AckTimeout, now);
    }

    /// An ACK within a dialog.
    pub(crate) fn receive_ack(&mut self, handle: CallHandle, ack: &Request, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let fits = call.unacked.as_ref().is_some_and(|unacked| unacked.cseq == ack.cseq().number);
        let Some(unacked) = call.unacked.take_if(|_| fits) else { return };
        let hang_up = call.hang_up_after_ack;
        self.timers.clear(Some(unacked.retransmit));
        self.timers.clear(Some(unacked.overdue));
        self.report(Event::Confirmed { call: handle, answer: ack.session_description() });
        if hang_up {
            self.send_bye(handle, DialogEnd::ByeSent { confirmed: false }, now);
        }
    }
}
