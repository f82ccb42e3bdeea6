//! Client transactions (RFC 3261 section 17.1, with the Accepted state of RFC 6026): they repeat a request until
//! it is answered, acknowledge refusals of an INVITE, and give up after 64*T1.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event::CallHandle;
use super::timer::TimerId;
use super::{Deadline, Endpoint};
use crate::message::{Method, Response};

/// By what a response is matched to its request (RFC 3261 section 17.1.3). A CANCEL shares the branch of its
/// INVITE, hence the method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey {
    pub(crate) branch: String,
    pub(crate) method: Method,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientState {
    Calling,
    Proceeding,
    Completed,
    Accepted,
}

pub(crate) struct ClientTransaction {
    state: ClientState,
    request: Arc<[u8]>,
    to: SocketAddr,
    pub(crate) call: Option<CallHandle>,
    /// The ACK sent, kept to be repeated.
    ack: Option<SentAck>,
    interval: Duration,
    retransmit: Option<TimerId>,
    end: Option<TimerId>,
}

/// An ACK that was sent, and to whose answer.
pub(crate) struct SentAck {
    pub(crate) payload: Arc<[u8]>,
    pub(crate) to: SocketAddr,
    pub(crate) remote_tag: Option<String>,
}

pub(crate) type ClientTable = HashMap<ClientKey, ClientTransaction>;

/// What the call has to do about a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseEffect {
    /// New to the call.
    New,
    /// Seen before, or without meaning now.
    Ignore,
    /// A second callee answered the same INVITE.
    Forked,
}

impl Endpoint {
    pub(crate) fn client_start(
        &mut self,
        key: ClientKey,
        request: Arc<[u8]>,
        to: SocketAddr,
        call: Option<CallHandle>,
        now: Instant,
    ) {
        let timing = self.config.timing;
        let retransmit = Some(self.timers.set(now + timing.t1, Deadline::ClientRetransmit(key.clone())));
        let end = Some(self.timers.set(now + timing.timer_b(), Deadline::ClientTimeout(key.clone())));
        self.transmit(to, request.clone(), call, now);
        let state = ClientState::Calling;
        let tx =
            ClientTransaction { state, request, to, call, ack: None, interval: timing.t1, retransmit, end };
        self.clients.insert(key, tx);
    }

    /// Moves the transaction on and tells what the call has to do.
    pub(crate) fn client_receive(
        &mut self,
        key: &ClientKey,
        response: &Response,
        now: Instant,
    ) -> ResponseEffect {
        let timing = self.config.timing;
        let is_invite = key.method == Method::Invite;
        let Some(tx) = self.clients.get_mut(key) else { return ResponseEffect::Ignore };
        let status = response.status();
        match tx.state {
            ClientState::Completed | ClientState::Accepted => {
                let forked = tx.state == ClientState::Accepted && status.is_success();
                let Some(ack) = tx.ack.as_ref().filter(|_| !status.is_provisional()) else {
                    return ResponseEffect::Ignore;
                };
                if ack.remote_tag.as_deref() != response.to().tag() {
                    return if forked { ResponseEffect::Forked } else { ResponseEffect::Ignore };
                }
                let (to, payload, call) = (ack.to, ack.payload.clone(), tx.call);
                self.transmit(to, payload, call, now);
                return ResponseEffect::Ignore;
            }
            ClientState::Calling | ClientState::Proceeding => {}
        }
        if status.is_provisional() {
            if is_invite {
                // A ringing INVITE is neither repeated nor given up by the transaction.
                self.timers.clear(tx.retransmit.take());
                self.timers.clear(tx.end.take());
            }
            tx.state = ClientState::Proceeding;
            return ResponseEffect::New;
        }
        self.timers.clear(tx.retransmit.take());
        self.timers.clear(tx.end.take());
        tx.state =
            if is_invite && status.is_success() { ClientState::Accepted } else { ClientState::Completed };
        // Timers D and M; K for the rest.
        let linger = if is_invite { timing.timer_b() } else { timing.t4 };
        tx.end = Some(self.timers.set(now + linger, Deadline::ClientEnd(key.clone())));
        ResponseEffect::New
    }

    /// Sends an ACK and keeps it for repetition.
    pub(crate) fn client_acknowledge(&mut self, key: &ClientKey, ack: SentAck, now: Instant) {
        let (to, payload) = (ack.to, ack.payload.clone());
        let Some(tx) = self.clients.get_mut(key) else { return };
        tx.ack = Some(ack);
        let call = tx.call;
        self.transmit(to, payload, call, now);
    }

    /// Where the transaction sends its request.
    pub(crate) fn client_peer(&self, key: &ClientKey) -> Option<SocketAddr> {
        self.clients.get(key).map(|tx| tx.to)
    }

    pub(crate) fn client_retransmit_due(&mut self, key: &ClientKey, now: Instant) {
        let timing = self.config.timing;
        let Some(tx) = self.clients.get_mut(key) else { return };
        // Timer A doubles without limit; E stops at T2, and stays there once a provisional answer is in.
        tx.interval = if key.method == Method::Invite {
            tx.interval * 2
        } else if tx.state == ClientState::Proceeding {
            timing.t2
        } else {
            timing.next_interval(tx.interval)
        };
        tx.retransmit = Some(self.timers.set(now + tx.interval, Deadline::ClientRetransmit(key.clone())));
        let (to, request, call) = (tx.to, tx.request.clone(), tx.call);
        self.transmit(to, request, call, now);
    }

    pub(crate) fn client_end(&mut self, key: &ClientKey) -> Option<ClientTransaction> {
        let tx = self.clients.remove(key)?;
        self.timers.clear(tx.retransmit);
        self.timers.clear(tx.end);
        Some(tx)
    }
}
