//! A SIP user agent without I/O (RFC 3261): it holds the transactions (section 17) and dialogs (section 12) of all calls.
//! Its driver passes in messages and the time, and polls for messages to send, events and the next timer.

mod ack;
mod call;
mod client_in_dialog;
mod client_key;
mod client_transaction;
mod config;
mod dialog;
mod dialog_request;
mod dtmf_info;
mod event;
mod failure_ack;
mod flow;
mod flow_closed;
mod in_dialog;
mod inspection;
mod malformed;
mod method_class;
mod provisional_state;
mod received_invite;
mod refer;
mod referral;
mod reject_reason;
mod reliable_provisional;
mod request_permission;
mod response;
mod screen;
mod server_transaction;
mod session_deadlines;
mod session_refresh;
mod session_timer;
mod teardown;
mod timer;
mod tokens;
mod trace;
mod uac;
mod uas;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::message::{Message, ParseError, StatusCode, parse_datagram, parse_stream_message};
use call::Call;
use client_key::ClientKey;
use client_transaction::ClientTable;
pub use config::{
    AdvertisedAddress, AdvertisedAddresses, EndpointConfig, EndpointLimits, EndpointSeed, ProductName, Timing,
};
use dialog::DialogKey;
pub use dialog_request::{DialogRequest, RequestError};
pub use dtmf_info::DtmfSignal;
pub use event::{
    CallHandle, DialogEnd, EndpointFull, Event, IncomingCall, InviteRejection, OutgoingCall, ReInviteMethod,
    RetryAfter, WrongCallState,
};
pub use flow::{Flow, FlowId, NextHop};
use flow::{FlowTable, ResponseRoute};
pub use received_invite::{MalformedInvite, ReceivedInvite};
use refer::ReferStep;
pub use referral::{ReferProgress, ReferRequest};
pub use reject_reason::RejectReason;
use screen::AdmitEveryInvite;
pub use screen::{InviteScreen, InviteScreening};
use server_transaction::{ServerId, ServerTable};
pub use session_timer::SessionIntervals;
use timer::Timers;
use tokens::Tokens;
use trace::TraceBuffer;
pub use trace::{TraceDirection, TraceRecord};

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The flow to send it over. If its connection has been closed, the message is lost.
    pub flow: Flow,
    /// Where to open the connection of the flow to, if it is not open yet.
    pub open: Option<NextHop>,
    /// The bytes, shared with the transaction that may retransmit them.
    pub payload: Arc<[u8]>,
}

/// The number of live objects, so that tests can detect leaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EndpointCounts {
    /// Calls whose [`Event::Ended`] has not been reported.
    pub calls: usize,
    /// Dialogs, including early dialogs.
    pub dialogs: usize,
    /// Server transactions, including completed ones that absorb retransmissions.
    pub server_transactions: usize,
    /// Client transactions.
    pub client_transactions: usize,
    /// Pending timers.
    pub timers: usize,
    /// Connections over which messages have been received or sent.
    pub connections: usize,
}

/// What to do when a timer fires; the letters are those of RFC 3261 section 17 and RFC 6026.
#[derive(Debug)]
enum Deadline {
    /// No response to an INVITE has been sent yet (section 17.2.1).
    Trying(ServerId),
    /// Timer G.
    ServerRetransmit(ServerId),
    /// Timers H, I, J and L.
    ServerEnd(ServerId),
    /// Timers A and E.
    ClientRetransmit(ClientKey),
    /// Timers B and F.
    ClientTimeout(ClientKey),
    /// Timers D, K and M.
    ClientEnd(ClientKey),
    /// Retransmit our 2xx (section 13.3.1.4).
    SuccessRetransmit(CallHandle),
    /// No ACK for our 2xx arrived (section 13.3.1.4).
    AckTimeout(CallHandle),
    /// Our reliable provisional response has no PRACK yet (RFC 3262 section 3).
    ProvisionalRetransmit(CallHandle),
    /// No PRACK arrived (RFC 3262 section 3).
    PrackTimeout(CallHandle),
    /// A request that collided with one of the peer is sent again (section 14.1).
    RequestRepeat(CallHandle),
    /// Our part to refresh the session (RFC 4028 section 7.2).
    SessionRefresh(CallHandle),
    /// Nobody has refreshed the session (RFC 4028 section 10).
    SessionExpiry(CallHandle),
    /// Our REFER has no result.
    ReferTimeout(CallHandle),
    /// No final response to our cancelled INVITE arrived (section 9.1).
    CancelTimeout(CallHandle),
}

/// A SIP user agent without I/O.
///
/// Pass in messages with [`Endpoint::handle_message`], the end of connections with [`Endpoint::handle_flow_closed`] and the
/// time with [`Endpoint::handle_timeout`]. After each of these and after each command, drain [`Endpoint::poll_transmit`], [`Endpoint::poll_event`] and
/// [`Endpoint::poll_trace`], and set a timer for [`Endpoint::poll_timeout`].
pub struct Endpoint {
    config: EndpointConfig,
    tokens: Tokens,
    servers: ServerTable,
    clients: ClientTable,
    flows: FlowTable,
    calls: HashMap<CallHandle, Call>,
    dialogs: HashMap<DialogKey, CallHandle>,
    timers: Timers<Deadline>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    trace: TraceBuffer,
    last_handle: u64,
    dropped_when_full: u64,
}

impl Endpoint {
    /// Creates an endpoint without calls.
    pub fn new(config: EndpointConfig, seed: EndpointSeed) -> Self {
        let trace = TraceBuffer::new(config.trace, config.limits.max_queue);
        Self {
            config,
            tokens: Tokens::new(seed),
            servers: ServerTable::default(),
            clients: ClientTable::new(),
            flows: FlowTable::default(),
            calls: HashMap::new(),
            dialogs: HashMap::new(),
            timers: Timers::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            trace,
            last_handle: 0,
            dropped_when_full: 0,
        }
    }

    /// Processes one message: a datagram, or a message of a connection with its body. Every INVITE becomes a call.
    pub fn handle_message(&mut self, flow: Flow, bytes: &[u8], now: Instant) {
        self.handle_screened_message(flow, bytes, &mut AdmitEveryInvite, now);
    }

    /// Processes one message. An INVITE outside a dialog becomes a call only if `screen` admits it; otherwise its
    /// response is stateless (RFC 3261 sections 8.2.7 and 26.3.2.4).
    pub fn handle_screened_message(
        &mut self,
        flow: Flow,
        bytes: &[u8],
        screen: &mut dyn InviteScreen,
        now: Instant,
    ) {
        if self.is_full() {
            self.dropped_when_full += 1;
            return;
        }
        self.flows.receive(&flow);
        self.trace.begin_receive();
        let parsed =
            if flow.transport.is_reliable() { parse_stream_message(bytes) } else { parse_datagram(bytes) };
        match parsed {
            Ok(Message::Request(request)) => self.receive_request(flow, *request, screen, now),
            Ok(Message::Response(response)) => self.receive_response(flow, &response, now),
            Err(ParseError::Malformed(request)) => self.receive_malformed(flow, *request, bytes, now),
            Err(ParseError::Dropped(reason)) => {
                self.report_rejection(RejectReason::Unparsable(reason), &flow, None);
            }
        }
        self.trace.end_receive(flow.remote, bytes, now);
    }

    /// Fires the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while !self.is_full() {
            let Some(deadline) = self.timers.pop_due(now) else { return };
            match deadline {
                Deadline::Trying(id) => self.send_trying(id, now),
                Deadline::ServerRetransmit(id) => self.server_retransmit(id, now),
                Deadline::ServerEnd(id) => self.server_end(id),
                Deadline::ClientRetransmit(key) => self.client_retransmit(&key, now),
                Deadline::ClientTimeout(key) => self.on_client_timeout(&key, now),
                Deadline::ClientEnd(key) => drop(self.client_end(&key)),
                Deadline::SuccessRetransmit(call) => self.retransmit_success(call, now),
                Deadline::AckTimeout(call) => self.on_ack_timeout(call, now),
                Deadline::ProvisionalRetransmit(call) => self.retransmit_provisional(call, now),
                Deadline::PrackTimeout(call) => self.on_prack_timeout(call, now),
                Deadline::RequestRepeat(call) => self.repeat_request(call, now),
                Deadline::SessionRefresh(call) => self.refresh_session(call, now),
                Deadline::SessionExpiry(call) => self.on_session_expired(call, now),
                Deadline::ReferTimeout(call) => self.on_refer_step(call, ReferStep::TimedOut),
                Deadline::CancelTimeout(call) => self.on_cancel_timeout(call, now),
            }
        }
    }

    /// The time of the next timer, at which [`Endpoint::handle_timeout`] must be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next message for the SIP trace of a call, without credentials.
    pub fn poll_trace(&mut self) -> Option<TraceRecord> {
        self.trace.pop()
    }

    /// The number of live objects.
    pub fn counts(&self) -> EndpointCounts {
        EndpointCounts {
            calls: self.calls.len(),
            dialogs: self.dialogs.len(),
            server_transactions: self.servers.len(),
            client_transactions: self.clients.len(),
            timers: self.timers.len(),
            connections: self.flows.len(),
        }
    }

    /// The number of messages dropped because the queues were not polled.
    pub fn dropped_when_full(&self) -> u64 {
        self.dropped_when_full
    }

    fn is_full(&self) -> bool {
        let max = self.config.limits.max_queue;
        self.transmits.len() >= max || self.events.len() >= max
    }

    fn transmit(&mut self, flow: Flow, payload: Arc<[u8]>, call: Option<CallHandle>, now: Instant) {
        if let Some(call) = call {
            self.trace.sent(call, flow.remote, &payload, now);
        }
        let open = self.flows.hop_of(&flow);
        self.transmits.push_back(Transmit { flow, open, payload });
    }

    /// Sends a response over the connection of its request or, if that has been closed, over a new one (section 18.2.2).
    fn transmit_response(
        &mut self,
        route: ResponseRoute,
        payload: Arc<[u8]>,
        call: Option<CallHandle>,
        now: Instant,
    ) {
        let flow = route.flow(&mut self.flows);
        self.transmit(flow, payload, call, now);
    }

    fn report(&mut self, event: Event) {
        self.events.push_back(event);
    }

    fn report_rejection(&mut self, reason: RejectReason, flow: &Flow, status: Option<StatusCode>) {
        let call = self.trace.current_call();
        self.report(Event::Rejected { reason, source: flow.remote, status, invite: None, call });
    }

    fn new_handle(&mut self) -> CallHandle {
        self.last_handle += 1;
        CallHandle(self.last_handle)
    }
}
