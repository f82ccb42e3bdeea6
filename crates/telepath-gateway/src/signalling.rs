//! The signalling task: the one owner of the SIP endpoint and its socket. Datagrams are handled in the order in which
//! they came; nothing here waits for a database or a call. Calls talk to it through bounded channels, and it never
//! waits for them, so the two cannot block each other.

mod admission;
mod refusals;
mod throttle;
mod trace;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use telepath_core::digest_hash::SIP_REALM;
use telepath_core::id::TrunkId;
use telepath_core::ports::ControlUnavailable;
use telepath_core::trunk::TrunkForCall;
use telepath_sip::digest::{DigestConfig, DigestServer, NonceSecret, Realm};
use telepath_sip::message::{DropReason, MAX_MESSAGE_BYTES, SessionDescription, StatusCode};
use telepath_sip::{
    CallHandle, Counts, EndCause, Endpoint, EndpointConfig, EndpointSeed, Event, Limits, RejectReason,
    ReofferKind, RetryAfter,
};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};

use crate::gateway::Shared;
use admission::Asking;
use refusals::RefusalLog;
pub(crate) use refusals::Rule;
use throttle::Throttle;
use trace::SipTrace;

/// Datagrams taken from the socket before timers and calls are looked at again.
const BATCH: usize = 64;
/// How long a nonce is good, in seconds.
const NONCE_LIFETIME_SECONDS: u64 = 300;
/// Nonces whose used counts are remembered.
const MAX_NONCES: usize = 65_536;
/// Messages that may wait for one call; a call that does not take them is broken and is hung up.
pub(crate) const CALL_QUEUE: usize = 32;

/// What calls and the gateway's owner ask of the signalling task.
#[derive(Debug)]
pub(crate) enum Command {
    /// The control plane has answered for a waiting INVITE.
    Found(CallHandle, Box<Result<Option<TrunkForCall>, ControlUnavailable>>),
    /// Send 180.
    Ring(CallHandle),
    /// Send 200.
    Accept(CallHandle, SessionDescription),
    /// Refuse a ringing call.
    Refuse(CallHandle, Rule),
    /// End a call wherever it stands.
    HangUp(CallHandle),
    /// Accept a change of session.
    AnswerReoffer(CallHandle, SessionDescription),
    /// Refuse a change of session.
    RejectReoffer(CallHandle, StatusCode),
    /// The call's task is over: forget the call and give its trace.
    Conclude(CallHandle, oneshot::Sender<String>),
    /// Take no new calls.
    Drain,
    /// Say how much is alive.
    Count(oneshot::Sender<Counts>),
    /// End the task.
    Stop,
}

/// What the signalling task tells a call.
#[derive(Debug)]
pub(crate) enum FromCarrier {
    /// The caller has our 200; its answer when ours was the offer.
    Confirmed(Option<SessionDescription>),
    /// The caller wants to change the session; `None` asks us for an offer.
    Reoffer(Option<SessionDescription>),
    /// The SIP side of the call is over.
    Ended(EndCause),
}

/// What is known here of a call.
struct Known {
    trace: SipTrace,
    stage: Stage,
}

enum Stage {
    /// The control plane is being asked.
    Asking(Box<Asking>),
    /// A task owns the call.
    Owned { to_call: mpsc::Sender<FromCarrier>, trunk: TrunkId },
}

pub(crate) struct Signalling {
    shared: Arc<Shared>,
    socket: UdpSocket,
    endpoint: Endpoint,
    digest: DigestServer,
    throttle: Throttle,
    refusals: RefusalLog,
    calls: HashMap<CallHandle, Known>,
    /// Calls of each trunk that are owned by a task.
    trunks: HashMap<TrunkId, usize>,
    commands: mpsc::Receiver<Command>,
    draining: bool,
    stopped: bool,
}

/// The random values that the signalling task is made from.
pub(crate) struct SignallingSeeds {
    pub(crate) endpoint: [u8; 32],
    pub(crate) nonce_salt: [u8; 32],
    pub(crate) nonce_secret: [u8; 32],
}

enum Happening {
    Command(Command),
    Datagram(io::Result<(usize, SocketAddr)>),
    Due,
    /// Every sender of commands is gone.
    Orphaned,
}

impl Signalling {
    pub(crate) fn new(
        shared: Arc<Shared>,
        socket: UdpSocket,
        advertised: SocketAddr,
        seeds: &SignallingSeeds,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let mut config = EndpointConfig::new(advertised);
        // Room for calls that ring, are being challenged, or wait for the answer to our BYE.
        config.limits =
            Limits { max_calls: shared.options.max_calls.saturating_mul(2) + 1_024, ..config.limits };
        let digest = DigestConfig {
            realm: Realm::new(SIP_REALM),
            nonce_lifetime_seconds: NONCE_LIFETIME_SECONDS,
            max_nonces: MAX_NONCES,
        };
        Self {
            throttle: Throttle::new(shared.options.auth_failures_per_minute),
            endpoint: Endpoint::new(config, EndpointSeed(seeds.endpoint)),
            digest: DigestServer::new(digest, NonceSecret::new(seeds.nonce_secret), seeds.nonce_salt),
            refusals: RefusalLog::default(),
            calls: HashMap::new(),
            trunks: HashMap::new(),
            draining: false,
            stopped: false,
            shared,
            socket,
            commands,
        }
    }

    pub(crate) async fn run(mut self) {
        let mut buffer = vec![0; MAX_MESSAGE_BYTES + 1];
        while !self.stopped {
            let wake = self.endpoint.poll_timeout();
            let happening = tokio::select! {
                biased;
                command = self.commands.recv() => command.map_or(Happening::Orphaned, Happening::Command),
                received = self.socket.recv_from(&mut buffer) => Happening::Datagram(received),
                () = sleep_until(wake), if wake.is_some() => Happening::Due,
            };
            match happening {
                Happening::Command(command) => self.obey(command),
                Happening::Datagram(received) => self.receive(received, &mut buffer),
                Happening::Due => self.endpoint.handle_timeout(Instant::now()),
                Happening::Orphaned => self.stopped = true,
            }
            self.drain().await;
        }
    }

    /// Takes this datagram and whatever else waits, up to a bound.
    fn receive(&mut self, first: io::Result<(usize, SocketAddr)>, buffer: &mut [u8]) {
        let mut received = first;
        for _ in 0..BATCH {
            match received {
                Ok((length, source)) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    self.endpoint.handle_datagram(source, datagram, Instant::now());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error of an earlier send, reported late; nothing was received.
                Err(_) => metrics::counter!("telepath_sip_socket_errors_total").increment(1),
            }
            received = self.socket.try_recv_from(buffer);
        }
    }

    /// Carries out what the endpoint has to say until it has nothing more.
    async fn drain(&mut self) {
        loop {
            while let Some(event) = self.endpoint.poll_event() {
                self.heed(event, Instant::now());
            }
            let mut quiet = true;
            while let Some(transmit) = self.endpoint.poll_transmit() {
                quiet = false;
                if self.socket.send_to(&transmit.payload, transmit.to).await.is_err() {
                    metrics::counter!("telepath_sip_socket_errors_total").increment(1);
                }
            }
            while let Some(record) = self.endpoint.poll_trace() {
                if let Some(known) = self.calls.get_mut(&record.call) {
                    known.trace.add(&record);
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn heed(&mut self, event: Event, now: Instant) {
        match event {
            Event::Incoming(incoming) => self.begin(incoming, now),
            Event::Confirmed { call, answer } => self.forward(call, FromCarrier::Confirmed(answer), now),
            Event::Reoffer { call, kind: ReofferKind::ReInvite | ReofferKind::Update, offer } => {
                self.forward(call, FromCarrier::Reoffer(offer), now);
            }
            // Digits in INFO are acknowledged by the endpoint and counted: the bridge takes them from RTP only.
            Event::Info(_) => metrics::counter!("telepath_sip_info_total").increment(1),
            Event::Ended { call, cause } => self.ended(call, cause, now),
            Event::Rejected(rejection) => match rejection.rule {
                // Nothing is wrong with those who keep their NAT binding open.
                RejectReason::Unreadable(DropReason::KeepAlive) => {
                    metrics::counter!("telepath_sip_keep_alives_total").increment(1);
                }
                rule => self.refusals.note(rule.name(), now),
            },
            // A call's late answer to a change taken back finds nothing to answer; and no calls are placed here.
            Event::ReofferWithdrawn { .. } | Event::Ringing { .. } | Event::Answered { .. } => {}
        }
    }

    fn ended(&mut self, call: CallHandle, cause: EndCause, now: Instant) {
        match self.calls.get(&call).map(|known| &known.stage) {
            Some(Stage::Owned { .. }) => self.forward(call, FromCarrier::Ended(cause), now),
            Some(Stage::Asking(_)) => drop(self.calls.remove(&call)),
            None => {}
        }
    }

    fn forward(&mut self, call: CallHandle, message: FromCarrier, now: Instant) {
        let Some(Known { stage: Stage::Owned { to_call, .. }, .. }) = self.calls.get(&call) else { return };
        if to_call.try_send(message).is_err() {
            tracing::warn!(%call, "a call does not take its signalling; it is hung up");
            // Over already, if it is not known to the endpoint.
            let _ = self.endpoint.hang_up(call, now);
        }
    }

    fn obey(&mut self, command: Command) {
        let now = Instant::now();
        // A command that finds its call gone crossed with the caller's BYE or CANCEL, of which the call is told.
        let _crossed = match command {
            Command::Found(call, found) => {
                self.decide(call, *found, now);
                Ok(())
            }
            Command::Ring(call) => self.endpoint.ring(call, now),
            Command::Accept(call, sdp) => self.endpoint.accept(call, &sdp, now),
            Command::Refuse(call, rule) => {
                self.refusals.note(rule.name(), now);
                self.endpoint.reject(call, rule.status(), rule.retry_after().map(RetryAfter), now)
            }
            Command::HangUp(call) => self.endpoint.hang_up(call, now),
            Command::AnswerReoffer(call, sdp) => self.endpoint.answer_reoffer(call, &sdp, now),
            Command::RejectReoffer(call, status) => self.endpoint.reject_reoffer(call, status, now),
            Command::Conclude(call, reply) => {
                self.conclude(call, reply);
                self.endpoint.hang_up(call, now)
            }
            Command::Drain => {
                self.draining = true;
                Ok(())
            }
            Command::Count(reply) => {
                // Nobody waits for it any more, if this fails.
                let _ = reply.send(self.endpoint.counts());
                Ok(())
            }
            Command::Stop => {
                self.stopped = true;
                Ok(())
            }
        };
    }

    fn conclude(&mut self, call: CallHandle, reply: oneshot::Sender<String>) {
        let Some(known) = self.calls.remove(&call) else { return };
        if let Stage::Owned { trunk, .. } = known.stage
            && let Some(count) = self.trunks.get_mut(&trunk)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.trunks.remove(&trunk);
            }
        }
        // The call's supervisor waits for it; when it does not, the trace has no use.
        let _ = reply.send(known.trace.into_text());
    }
}

async fn sleep_until(wake: Option<Instant>) {
    if let Some(wake) = wake {
        tokio::time::sleep_until(wake.into()).await;
    }
}
