//! The endpoint: one struct that is told what arrives and what time it is, and is asked what to send, what
//! happened and when to wake it. It holds every transaction and dialog; whoever drives it owns the socket.

mod answer;
mod call;
mod client;
mod config;
mod dialog;
mod event;
mod inside;
mod server;
mod timer;
mod tokens;
mod trace;
mod uac;
mod uas;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::message::{Message, ParseFailure, ResponseSeed, StatusCode, parse_datagram};
use call::Call;
use client::{ClientKey, ClientTable};
pub use config::{EndpointConfig, EndpointLimits, EndpointSeed, ProductName, Timing};
use dialog::DialogKey;
pub use event::{
    CallHandle, DialogEnd, EndpointCounts, EndpointFull, Event, IncomingCall, Info, OutgoingCall,
    ReInviteMethod, RejectReason, RetryAfter, TraceDirection, TraceRecord, Transmit, WrongCallState,
};
use server::{ServerId, ServerTable};
use timer::Timers;
use tokens::Tokens;
use trace::TraceBuffer;

/// Why the endpoint wants to be woken.
#[derive(Debug)]
pub(crate) enum Deadline {
    ServerRetransmit(ServerId),
    ServerEnd(ServerId),
    ClientRetransmit(ClientKey),
    ClientTimeout(ClientKey),
    ClientEnd(ClientKey),
    /// Our 2xx is due again.
    AnswerRetransmit(CallHandle),
    /// Our 2xx was never acknowledged.
    AckOverdue(CallHandle),
    /// Our INVITE was cancelled but got no final answer.
    CancelOverdue(CallHandle),
}

/// A SIP endpoint without I/O.
///
/// Feed it with [`Endpoint::handle_datagram`] and [`Endpoint::handle_timeout`]; after each of these and after
/// each command, drain [`Endpoint::poll_transmit`], [`Endpoint::poll_event`] and [`Endpoint::poll_trace`], and
/// arrange to be woken at [`Endpoint::poll_timeout`].
pub struct Endpoint {
    pub(crate) config: EndpointConfig,
    pub(crate) tokens: Tokens,
    pub(crate) servers: ServerTable,
    pub(crate) clients: ClientTable,
    pub(crate) calls: HashMap<CallHandle, Call>,
    pub(crate) dialogs: HashMap<DialogKey, CallHandle>,
    pub(crate) timers: Timers<Deadline>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    pub(crate) trace: TraceBuffer,
    calls_made: u64,
    dropped_when_full: u64,
}

impl Endpoint {
    /// Makes an endpoint.
    pub fn new(config: EndpointConfig, seed: EndpointSeed) -> Self {
        let trace = TraceBuffer::new(config.trace, config.limits.max_queue);
        Self {
            config,
            tokens: Tokens::new(seed),
            servers: ServerTable::default(),
            clients: ClientTable::new(),
            calls: HashMap::new(),
            dialogs: HashMap::new(),
            timers: Timers::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            trace,
            calls_made: 0,
            dropped_when_full: 0,
        }
    }

    /// Takes one UDP datagram.
    pub fn handle_datagram(&mut self, source: SocketAddr, bytes: &[u8], now: Instant) {
        if self.is_full() {
            self.dropped_when_full += 1;
            return;
        }
        self.trace.begin_receive();
        match parse_datagram(bytes) {
            Ok(Message::Request(request)) => self.receive_request(source, *request, now),
            Ok(Message::Response(response)) => self.receive_response(source, &response, now),
            Err(ParseFailure::Answerable(unreadable)) => {
                let seed = ResponseSeed::of_unreadable(&unreadable, source);
                let (status, phrase) = (unreadable.status(), unreadable.flaw().to_string());
                let reason = (status == StatusCode::BAD_REQUEST).then_some(phrase.as_str());
                self.answer_unreadable(&seed, status, reason, now);
                self.note_rejection(RejectReason::Malformed(unreadable.flaw()), source, Some(status));
            }
            Err(ParseFailure::Dropped(reason)) => {
                self.note_rejection(RejectReason::Unparsable(reason), source, None);
            }
        }
        self.trace.end_receive(source, bytes, now);
    }

    /// Does what is due at this time.
    pub fn handle_timeout(&mut self, now: Instant) {
        while !self.is_full() {
            let Some(deadline) = self.timers.pop_due(now) else { return };
            match deadline {
                Deadline::ServerRetransmit(id) => self.server_retransmit_due(id, now),
                Deadline::ServerEnd(id) => self.server_end(id),
                Deadline::ClientRetransmit(key) => self.client_retransmit_due(&key, now),
                Deadline::ClientTimeout(key) => self.client_timeout(&key, now),
                Deadline::ClientEnd(key) => drop(self.client_end(&key)),
                Deadline::AnswerRetransmit(call) => self.answer_retransmit_due(call, now),
                Deadline::AckOverdue(call) => self.ack_overdue(call, now),
                Deadline::CancelOverdue(call) => self.cancel_overdue(call, now),
            }
        }
    }

    /// When [`Endpoint::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next message of a call for its SIP trace, secrets removed.
    pub fn poll_trace(&mut self) -> Option<TraceRecord> {
        self.trace.pop()
    }

    /// How much is alive.
    pub fn counts(&self) -> EndpointCounts {
        EndpointCounts {
            calls: self.calls.len(),
            dialogs: self.dialogs.len(),
            server_transactions: self.servers.len(),
            client_transactions: self.clients.len(),
            timers: self.timers.len(),
        }
    }

    /// How many datagrams were dropped because nobody polled.
    pub fn dropped_when_full(&self) -> u64 {
        self.dropped_when_full
    }

    fn is_full(&self) -> bool {
        let bound = self.config.limits.max_queue;
        self.transmits.len() >= bound || self.events.len() >= bound
    }

    pub(crate) fn transmit(
        &mut self,
        to: SocketAddr,
        payload: Arc<[u8]>,
        call: Option<CallHandle>,
        now: Instant,
    ) {
        if let Some(call) = call {
            self.trace.sent(call, to, &payload, now);
        }
        self.transmits.push_back(Transmit { to, payload });
    }

    pub(crate) fn report(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(crate) fn note_rejection(
        &mut self,
        reason: RejectReason,
        source: SocketAddr,
        status: Option<StatusCode>,
    ) {
        self.report(Event::Rejected { reason, source, status });
    }

    pub(crate) fn new_handle(&mut self) -> CallHandle {
        self.calls_made += 1;
        CallHandle(self.calls_made)
    }
}
