//! The task of one call: every event that can happen to it in one closed enum, taken one at a time in one `match`. The
//! agent's socket is opened while the call rings; RTP read is written to the agent before anything else is looked at.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::clock::Timestamp;
use telepath_media::bridge::{BargeIn, BridgeConfig, CallBridge, Limits};
use telepath_media::codec::Codec;
use telepath_media::dialect::{AgentMessage, CallId, CallStart, Dialect, Party, SystemPrompt, TrunkId};
use telepath_sip::CallHandle;
use telepath_sip::message::SessionDescription;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::journal::Journal;
use super::sdp_state::SdpState;
use super::{CallFacts, CallSetup, Outcome};
use crate::agent::{AgentLink, AgentSocket, ConnectError, Heard, LinkLost, connect};
use crate::command::{CarrierEvent, Command};
use crate::dice::Rng;
use crate::reject_reason::InviteRejectReason;
use crate::rtp_ports::RtpLease;
use crate::shared::Shared;

/// How long the end of a call waits for the caller to confirm it and for the agent to take its last words.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);
/// The longest datagram read from the media socket; longer ones are no telephone audio.
const MAX_RTP: usize = 2_048;

enum Event {
    Carrier(CarrierEvent),
    /// The signalling task has ended.
    SignallingGone,
    Asked(DisconnectReason),
    Rtp(usize, SocketAddr),
    /// Nothing was received after all.
    RtpError,
    AgentOpened(Box<Result<AgentSocket, ConnectError>>),
    AgentHeard(Heard),
    AgentLost(LinkLost),
    Due,
}

pub(super) type Opening = Pin<Box<dyn Future<Output = Result<AgentSocket, ConnectError>> + Send>>;

pub(super) enum AgentSide {
    Opening(Opening),
    Open(Box<AgentLink>),
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Answered when the agent is ready, or at this time.
    Ringing {
        until: Instant,
    },
    Live,
    /// Over as soon as both sides have taken leave, or at this time.
    Ending {
        until: Instant,
    },
}

pub(super) struct Verdict {
    pub(super) status: CallStatus,
    pub(super) reason: DisconnectReason,
    pub(super) text: Option<String>,
    pub(super) at: Timestamp,
}

pub(super) struct CallTask<'a> {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: &'a Journal,
    pub(super) facts: CallFacts,
    pub(super) handle: CallHandle,
    pub(super) arrived_at: Instant,
    pub(super) lease: RtpLease,
    pub(super) from_carrier: mpsc::Receiver<CarrierEvent>,
    pub(super) asked: mpsc::Receiver<DisconnectReason>,
    pub(super) bridge: CallBridge,
    pub(super) codec: Codec,
    pub(super) agent: AgentSide,
    /// Whether the control plane was told that the agent is there.
    pub(super) announced: bool,
    pub(super) sdp: SdpState,
    /// What our 200 carries.
    pub(super) description: SessionDescription,
    pub(super) stage: Stage,
    pub(super) carrier_over: bool,
    pub(super) verdict: Option<Verdict>,
    pub(super) timer: Pin<Box<Sleep>>,
    pub(super) armed: Option<Instant>,
    pub(super) rtp_sent: u64,
    /// Which of the two media sockets is looked at first; they take turns.
    pub(super) agent_first: bool,
}

/// Runs a call to its end.
pub(super) async fn run(shared: Arc<Shared>, setup: CallSetup, journal: &Journal) -> Outcome {
    let (handle, clock) = (setup.handle, shared.clock.clone());
    let commands = shared.commands.clone();
    match CallTask::new(shared, setup, journal) {
        Ok(task) => task.live().await,
        Err(refusal) => {
            // The signalling task is gone only when the server stops.
            let _ = commands.send(Command::Reject(handle, refusal.rule)).await;
            Outcome::bare(CallStatus::Failed, refusal.reason, refusal.text, clock.now())
        }
    }
}

/// Why a call could not even ring.
struct Refusal {
    rule: InviteRejectReason,
    reason: DisconnectReason,
    text: &'static str,
}

fn introduction(facts: &CallFacts, setup: &mut CallSetup) -> CallStart {
    CallStart {
        call_id: CallId(facts.id.to_string()),
        trunk_id: TrunkId(facts.trunk.to_string()),
        from: Party(facts.from.as_str().to_owned()),
        to: Party(facts.to.as_str().to_owned()),
        system_prompt: setup.system_prompt.take().map(SystemPrompt),
        metadata: std::mem::take(&mut setup.metadata),
    }
}

impl<'a> CallTask<'a> {
    fn new(shared: Arc<Shared>, mut setup: CallSetup, journal: &'a Journal) -> Result<Self, Refusal> {
        let now = Instant::now();
        let dice = Rng::roll(&*shared.entropy).map_err(|_| Refusal {
            rule: InviteRejectReason::NoEntropy,
            reason: DisconnectReason::Unknown,
            text: "the system's random generator failed",
        })?;
        let address = SocketAddr::new(shared.media_ip, setup.lease.port());
        let mut sdp = SdpState::new(address, dice.session, std::mem::take(&mut setup.codecs));
        let (description, negotiated) = match &setup.offer {
            None => sdp.offer(),
            Some(offer) => sdp.answer(offer).map_err(|_| Refusal {
                rule: InviteRejectReason::NoCommonCodec,
                reason: DisconnectReason::CarrierError,
                text: "the caller offers no codec in common",
            })?,
        };
        let options = &shared.options;
        let facts = setup.facts.clone();
        let config = BridgeConfig {
            negotiated,
            stream: dice.stream,
            dialect: Dialect::telepath_v1(),
            call: introduction(&facts, &mut setup),
            limits: Limits {
                playout_queue: options.playout_queue,
                agent_queue: options.agent_queue,
                media_timeout: options.media_inactivity,
                max_duration: setup.max_duration.unwrap_or(options.max_call_duration),
            },
            barge_in: BargeIn::AgentDecides,
        };
        let bridge = CallBridge::new(config, now);
        let (opener, patience) = (shared.clone(), options.agent_connect_timeout);
        let (id, plan, subprotocol) = (facts.id, setup.agent, bridge.subprotocol());
        let opening = async move { connect(&plan, id, subprotocol, &opener.options.egress, patience).await };
        Ok(Self {
            stage: Stage::Ringing { until: now + options.answer_delay },
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            shared,
            journal,
            facts,
            handle: setup.handle,
            arrived_at: setup.arrived_at,
            lease: setup.lease,
            from_carrier: setup.from_carrier,
            asked: setup.asked,
            bridge,
            codec: negotiated.codec,
            agent: AgentSide::Opening(Box::pin(opening)),
            announced: false,
            sdp,
            description,
            carrier_over: false,
            verdict: None,
            armed: None,
            rtp_sent: 0,
            agent_first: false,
        })
    }

    async fn live(mut self) -> Outcome {
        let mut buffer = vec![0; MAX_RTP];
        self.tell(Command::Ring(self.handle)).await;
        while !self.is_over() {
            let event = poll_fn(|cx| self.poll_event(cx, &mut buffer)).await;
            let now = Instant::now();
            match event {
                Event::Rtp(length, from) => {
                    self.bridge.handle_rtp(buffer.get(..length).unwrap_or_default(), from, now);
                }
                Event::RtpError => {}
                Event::AgentHeard(Heard::Binary(bytes)) => {
                    self.bridge.handle_agent_message(AgentMessage::Binary(&bytes), now);
                }
                Event::AgentHeard(Heard::Text(text)) => {
                    self.bridge.handle_agent_message(AgentMessage::Text(&text), now);
                }
                Event::AgentOpened(opened) => self.agent_opened(*opened, now).await,
                Event::AgentLost(lost) => self.agent_lost(lost, now).await,
                Event::Carrier(message) => self.carrier_says(message, now).await,
                Event::SignallingGone => {
                    self.carrier_over = true;
                    self.end(DisconnectReason::ServerShutdown, None, now).await;
                }
                Event::Asked(reason) => self.end(reason, None, now).await,
                Event::Due => self.due(now).await,
            }
            self.carry_out(now).await;
        }
        self.outcome()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Event> {
        if let AgentSide::Open(link) = &mut self.agent
            && let Poll::Ready(Err(lost)) = link.poll_write(&mut self.bridge, cx)
        {
            return Poll::Ready(Event::AgentLost(lost));
        }
        if !self.carrier_over
            && let Poll::Ready(message) = self.from_carrier.poll_recv(cx)
        {
            return Poll::Ready(message.map_or(Event::SignallingGone, Event::Carrier));
        }
        if let Poll::Ready(Some(reason)) = self.asked.poll_recv(cx) {
            return Poll::Ready(Event::Asked(reason));
        }
        if self.poll_timer(cx).is_ready() {
            return Poll::Ready(Event::Due);
        }
        self.agent_first = !self.agent_first;
        if self.agent_first {
            self.poll_agent(cx).or_else(|| poll_rtp(&self.lease, cx, buffer))
        } else {
            poll_rtp(&self.lease, cx, buffer).or_else(|| self.poll_agent(cx))
        }
    }

    fn poll_agent(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        match &mut self.agent {
            AgentSide::Opening(opening) => {
                opening.as_mut().poll(cx).map(|opened| Event::AgentOpened(Box::new(opened)))
            }
            AgentSide::Open(link) => {
                link.poll_read(cx).map(|heard| heard.map_or_else(Event::AgentLost, Event::AgentHeard))
            }
            AgentSide::Gone => Poll::Pending,
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stage = match self.stage {
            Stage::Ringing { until } | Stage::Ending { until } => Some(until),
            Stage::Live => None,
        };
        let link = match &self.agent {
            AgentSide::Open(link) => Some(link.poll_timeout()),
            AgentSide::Opening(_) | AgentSide::Gone => None,
        };
        let Some(due) = [stage, link, self.bridge.poll_timeout()].into_iter().flatten().min() else {
            return Poll::Pending;
        };
        // Each packet moves some deadline back. Waking up early and looking again is cheaper than setting the timer anew
        // fifty times a second.
        if self.armed.is_none_or(|armed| due < armed) {
            self.armed = Some(due);
            self.timer.as_mut().reset(due.into());
        }
        self.timer.as_mut().poll(cx)
    }
}

fn poll_rtp(lease: &RtpLease, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Event> {
    let Some(socket) = lease.socket() else { return Poll::Pending };
    poll_datagram(socket, cx, buffer)
}

fn poll_datagram(socket: &UdpSocket, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Event> {
    let mut buffer = ReadBuf::new(buffer);
    let received = socket.poll_recv_from(cx, &mut buffer);
    received.map(|received| match received {
        Ok(from) => Event::Rtp(buffer.filled().len(), from),
        Err(_) => Event::RtpError,
    })
}

/// `Poll` has no such method: the second source is asked only when the first has nothing.
trait OrElse<T> {
    fn or_else(self, other: impl FnOnce() -> Poll<T>) -> Poll<T>;
}

impl<T> OrElse<T> for Poll<T> {
    fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if self.is_ready() { self } else { other() }
    }
}
