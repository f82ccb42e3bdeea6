//! Client transactions (RFC 3261 section 17.1, with the state Accepted of RFC 6026): they retransmit a request until a
//! response arrives, retransmit the ACK of a final response, and time out after 64*T1. Over TCP and TLS nothing is retransmitted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client_key::ClientKey;
use super::dialog::OutgoingRequest;
use super::event::CallHandle;
use super::failure_ack::FailureAck;
use super::flow::Flow;
use super::method_class::ClientMethod;
use super::timer::TimerId;
use super::{Deadline, Endpoint};
use crate::message::Response;

/// The retransmissions of a request over its flow before another one is tried.
const RETRANSMISSIONS_BEFORE_FALLBACK: u8 = 2;

/// The longest time between a provisional and the final response to a re-INVITE, which nobody has to pick up.
const MAX_REINVITE_TIME: Duration = Duration::from_mins(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientState {
    /// Also Trying, of a non-INVITE transaction.
    Calling,
    Proceeding,
    Completed,
    Accepted,
}

pub(super) struct ClientTransaction {
    state: ClientState,
    request: Arc<[u8]>,
    flow: Flow,
    pub(super) call: Option<CallHandle>,
    /// The ACK that we sent, for retransmission.
    ack: Option<SentAck>,
    /// For a re-INVITE: its rejection is acknowledged here, because its call may be over by then.
    failure_ack: Option<Box<FailureAck>>,
    interval: Duration,
    retransmissions: u8,
    /// Where the request is sent when retransmissions over its flow had no response.
    fallback: Option<Flow>,
    retransmit: Option<TimerId>,
    end: Option<TimerId>,
}

/// An ACK that we sent.
pub(super) struct SentAck {
    pub(super) payload: Arc<[u8]>,
    pub(super) flow: Flow,
    /// The To tag of the response that it acknowledges.
    pub(super) remote_tag: Option<String>,
}

pub(super) type ClientTable = HashMap<ClientKey, ClientTransaction>;

/// What a response means for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseEffect {
    /// The call must process it.
    New,
    /// The transaction has absorbed it, for example a retransmission.
    Absorbed,
    /// A 2xx from a second callee.
    Forked,
}

impl Endpoint {
    /// Sends a request and starts its transaction.
    pub(super) fn client_start(
        &mut self,
        key: ClientKey,
        request: Arc<[u8]>,
        flow: Flow,
        call: Option<CallHandle>,
        now: Instant,
    ) {
        let timing = self.config.timing;
        // Timers A and E.
        let retransmit = (!flow.transport.is_reliable())
            .then(|| self.timers.set(now + timing.t1, Deadline::ClientRetransmit(key.clone())));
        let end = Some(self.timers.set(now + timing.timer_b(), Deadline::ClientTimeout(key.clone())));
        self.flows.add_client(&flow, &key);
        self.transmit(flow, request.clone(), call, now);
        let state = ClientState::Calling;
        let tx = ClientTransaction {
            state,
            request,
            flow,
            call,
            ack: None,
            failure_ack: None,
            interval: timing.t1,
            retransmissions: 0,
            fallback: None,
            retransmit,
            end,
        };
        self.clients.insert(key, tx);
    }

    /// Sends a request within a dialog and starts its transaction.
    pub(super) fn client_start_in_dialog(
        &mut self,
        key: &ClientKey,
        request: OutgoingRequest,
        call: Option<CallHandle>,
        now: Instant,
    ) {
        self.client_start(key.clone(), request.payload, request.flow, call, now);
        if let Some(tx) = self.clients.get_mut(key) {
            tx.failure_ack = request.failure_ack;
        }
    }

    /// Sends further retransmissions over another flow if the first ones have no response.
    pub(super) fn client_fall_back(&mut self, key: &ClientKey, flow: Flow) {
        if let Some(tx) = self.clients.get_mut(key) {
            tx.fallback = Some(flow);
        }
    }

    /// Advances the state of the transaction.
    pub(super) fn client_receive(
        &mut self,
        key: &ClientKey,
        response: &Response,
        now: Instant,
    ) -> ResponseEffect {
        let timing = self.config.timing;
        let is_invite = key.method == ClientMethod::Invite;
        let Some(tx) = self.clients.get_mut(key) else { return ResponseEffect::Absorbed };
        let status = response.status();
        match tx.state {
            ClientState::Completed | ClientState::Accepted => {
                let forked = tx.state == ClientState::Accepted && status.is_success();
                let Some(ack) = tx.ack.as_ref().filter(|_| !status.is_provisional()) else {
                    return ResponseEffect::Absorbed;
                };
                if ack.remote_tag.as_deref() != response.to().tag() {
                    return if forked { ResponseEffect::Forked } else { ResponseEffect::Absorbed };
                }
                let (flow, payload, call) = (ack.flow, ack.payload.clone(), tx.call);
                self.transmit(flow, payload, call, now);
                return ResponseEffect::Absorbed;
            }
            ClientState::Calling | ClientState::Proceeding => {}
        }
        if status.is_provisional() {
            if is_invite {
                // In Proceeding, an INVITE has no timers: the callee may ring for a long time.
                self.timers.clear(tx.retransmit.take());
                self.timers.clear(tx.end.take());
                if tx.failure_ack.is_some() {
                    let deadline = Deadline::ClientTimeout(key.clone());
                    tx.end = Some(self.timers.set(now + MAX_REINVITE_TIME, deadline));
                }
            }
            tx.state = ClientState::Proceeding;
            return ResponseEffect::New;
        }
        self.timers.clear(tx.retransmit.take());
        self.timers.clear(tx.end.take());
        tx.state =
            if is_invite && status.is_success() { ClientState::Accepted } else { ClientState::Completed };
        let linger = match (tx.state, is_invite) {
            // Timer M.
            (ClientState::Accepted, _) => timing.timer_b(),
            // Timers D and K.
            (ClientState::Calling | ClientState::Proceeding | ClientState::Completed, _)
                if tx.flow.transport.is_reliable() =>
            {
                Duration::ZERO
            }
            (ClientState::Calling | ClientState::Proceeding | ClientState::Completed, true) => {
                timing.timer_b()
            }
            (ClientState::Calling | ClientState::Proceeding | ClientState::Completed, false) => timing.t4,
        };
        tx.end = Some(self.timers.set(now + linger, Deadline::ClientEnd(key.clone())));
        if let (false, Some(ack)) = (status.is_success(), tx.failure_ack.take()) {
            let remote_tag = response.to().tag().map(str::to_owned);
            let ack = SentAck { payload: ack.write(response), flow: tx.flow, remote_tag };
            self.client_acknowledge(key, ack, now);
        }
        ResponseEffect::New
    }

    /// Sends an ACK and stores it for retransmission.
    pub(super) fn client_acknowledge(&mut self, key: &ClientKey, ack: SentAck, now: Instant) {
        let (flow, payload) = (ack.flow, ack.payload.clone());
        let Some(tx) = self.clients.get_mut(key) else { return };
        tx.ack = Some(ack);
        let call = tx.call;
        self.transmit(flow, payload, call, now);
    }

    /// The flow of the transaction's request.
    pub(super) fn client_flow(&self, key: &ClientKey) -> Option<Flow> {
        self.clients.get(key).map(|tx| tx.flow)
    }

    pub(super) fn client_retransmit(&mut self, key: &ClientKey, now: Instant) {
        let timing = self.config.timing;
        let Some(tx) = self.clients.get_mut(key) else { return };
        // Timer A doubles without a limit. Timer E doubles up to T2 and is T2 in Proceeding.
        tx.interval = if key.method == ClientMethod::Invite {
            tx.interval * 2
        } else if tx.state == ClientState::Proceeding {
            timing.t2
        } else {
            timing.next_interval(tx.interval)
        };
        tx.retransmit = Some(self.timers.set(now + tx.interval, Deadline::ClientRetransmit(key.clone())));
        tx.retransmissions = tx.retransmissions.saturating_add(1);
        if tx.state == ClientState::Calling && tx.retransmissions > RETRANSMISSIONS_BEFORE_FALLBACK {
            tx.flow = tx.fallback.take().unwrap_or(tx.flow);
        }
        let (flow, request, call) = (tx.flow, tx.request.clone(), tx.call);
        self.transmit(flow, request, call, now);
    }

    pub(super) fn client_end(&mut self, key: &ClientKey) -> Option<ClientTransaction> {
        let tx = self.clients.remove(key)?;
        self.flows.remove_client(&tx.flow, key);
        self.timers.clear(tx.retransmit);
        self.timers.clear(tx.end);
        Some(tx)
    }
}
