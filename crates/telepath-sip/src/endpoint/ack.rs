//! Retransmission of our 2xx to an INVITE until its ACK arrives (RFC 3261 section 13.3.1.4). The dialog does this and
//! not the transaction, because the ACK of a 2xx is a transaction of its own; so it is done over TCP and TLS too.

use std::sync::Arc;
use std::time::Instant;

use super::call::UnackedSuccess;
use super::event::{CallHandle, DialogEnd, Event};
use super::server_transaction::ServerId;
use super::{Deadline, Endpoint};
use crate::message::{Reason, ReasonProtocol, Request};

/// The Reason of the BYE after a missing ACK: recovery on timer expiry.
const NO_ACK: Reason = Reason { protocol: ReasonProtocol::Q850, cause: 102, text: "no_answer" };

impl Endpoint {
    /// Starts to retransmit a 2xx.
    pub(super) fn await_ack(
        &mut self,
        handle: CallHandle,
        id: ServerId,
        cseq: u32,
        payload: Arc<[u8]>,
        now: Instant,
    ) {
        let timing = self.config.timing;
        let Some(route) = self.servers.get(id).map(|tx| tx.route) else { return };
        let Some(call) = self.calls.get_mut(&handle) else { return };
        call.unacked = Some(UnackedSuccess {
            cseq,
            payload,
            route,
            interval: timing.t1,
            retransmit: self.timers.set(now + timing.t1, Deadline::SuccessRetransmit(handle)),
            timeout: self.timers.set(now + timing.timer_b(), Deadline::AckTimeout(handle)),
        });
    }

    pub(super) fn retransmit_success(&mut self, handle: CallHandle, now: Instant) {
        let timing = self.config.timing;
        let Some(unacked) = self.calls.get_mut(&handle).and_then(|call| call.unacked.as_mut()) else {
            return;
        };
        unacked.interval = timing.next_interval(unacked.interval);
        unacked.retransmit = self.timers.set(now + unacked.interval, Deadline::SuccessRetransmit(handle));
        let (route, payload) = (unacked.route, unacked.payload.clone());
        self.transmit_response(route, payload, Some(handle), now);
    }

    pub(super) fn on_ack_timeout(&mut self, handle: CallHandle, now: Instant) {
        if let Some(call) = self.calls.get_mut(&handle) {
            call.bye_reason.get_or_insert(NO_ACK);
        }
        self.send_bye(handle, DialogEnd::AckTimeout, now);
    }

    /// Processes an ACK within a dialog.
    pub(super) fn receive_ack(&mut self, handle: CallHandle, ack: &Request, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        let matches = call.unacked.as_ref().is_some_and(|unacked| unacked.cseq == ack.cseq().number);
        let Some(unacked) = call.unacked.take_if(|_| matches) else { return };
        let hang_up = call.hang_up_after_ack;
        self.timers.clear(Some(unacked.retransmit));
        self.timers.clear(Some(unacked.timeout));
        self.report(Event::Confirmed { call: handle, answer: ack.session_description() });
        if hang_up {
            self.send_bye(handle, DialogEnd::ByeSent { confirmed: false }, now);
        }
    }
}
