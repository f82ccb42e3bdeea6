//! The task of one call: a closed enum of all events, handled one at a time in one `match`. The agent's WebSocket is
//! opened while the call is ringing. RTP is written to the agent before any other event is handled.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::clock::Timestamp;
use telepath_core::entropy::EntropyError;
use telepath_core::trunk::OutboundRules;
use telepath_media::bridge::{BargeIn, BridgeConfig, BridgeLimits, CallBridge};
use telepath_media::dialect::{AgentMessage, CallContext, Dialect};
use telepath_media::sdp::Negotiated;
use telepath_sip::CallHandle;
use telepath_sip::message::SdpBody;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::agent_history::AgentHistory;
use super::journal::Journal;
use super::offer_answer::OfferAnswer;
use super::pending_transfer::PendingTransfer;
use super::{CallFacts, CallSetup, CallSummary};
use crate::agent::{AgentEndpoint, AgentLink, AgentSocket, ConnectError, LinkLost, ReceivedFrame, connect};
use crate::command::{CarrierEvent, Command};
use crate::media_policy::MediaPolicy;
use crate::media_seeds::MediaSeeds;
use crate::reject_reason::InviteRejectReason;
use crate::rtp_ports::RtpLease;
use crate::shared::Shared;

/// Maximum length of a datagram read from the RTP socket; the rest of a longer one is discarded.
const MAX_RTP: usize = 2_048;

enum CallEvent {
    Carrier(CarrierEvent),
    /// The signalling task has stopped.
    SignallingStopped,
    HangUpRequested(DisconnectReason),
    Rtp(usize, SocketAddr),
    Rtcp(usize, SocketAddr),
    /// Reading a media socket failed.
    RtpError,
    AgentConnected(Box<Result<AgentSocket, ConnectError>>),
    AgentFrame(ReceivedFrame),
    AgentLost(LinkLost),
    Timer,
}

pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<AgentSocket, ConnectError>> + Send>>;

pub(super) enum AgentConnection {
    /// Connects when the ACK has proved that the caller receives what we send to its source address. Until then, a forged
    /// INVITE from an address in `allowed_ips` would open agents, which cost money, and attract RTP.
    AwaitingAck(Connecting),
    Connecting(Connecting),
    Open(Box<AgentLink>),
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CallPhase {
    /// Answered when the agent is connected, at this time at the latest.
    Ringing {
        until: Instant,
    },
    Connected,
    /// Over when the dialog and the agent's connection have ended, at this time at the latest.
    Draining {
        until: Instant,
    },
}

/// How the call ended.
pub(super) struct Disconnection {
    pub(super) status: CallStatus,
    pub(super) reason: DisconnectReason,
    pub(super) reason_text: Option<String>,
    pub(super) at: Timestamp,
}

pub(super) struct CallTask<'a> {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: &'a Journal,
    pub(super) facts: CallFacts,
    pub(super) handle: CallHandle,
    pub(super) arrived_at: Instant,
    pub(super) lease: RtpLease,
    pub(super) carrier_events: mpsc::Receiver<CarrierEvent>,
    pub(super) hang_up_requests: mpsc::Receiver<DisconnectReason>,
    pub(super) bridge: CallBridge,
    /// The media in effect.
    pub(super) media: Negotiated,
    /// The media of a re-INVITE or UPDATE whose answer is not out yet.
    pub(super) offered_media: Option<Negotiated>,
    pub(super) agent: AgentConnection,
    /// When the agent must be ready, if it is not before its socket is open.
    pub(super) agent_ready_by: Instant,
    /// How to connect to the agent again.
    pub(super) endpoint: Arc<AgentEndpoint>,
    pub(super) agent_history: AgentHistory,
    pub(super) offer_answer: OfferAnswer,
    pub(super) outbound: OutboundRules,
    pub(super) pending_transfer: Option<PendingTransfer>,
    pub(super) media_policy: MediaPolicy,
    /// The body of our 200.
    pub(super) description: SdpBody,
    pub(super) phase: CallPhase,
    pub(super) dialog_ended: bool,
    pub(super) disconnection: Option<Disconnection>,
    pub(super) timer: Pin<Box<Sleep>>,
    /// When `timer` fires; `None` after it fired.
    pub(super) timer_deadline: Option<Instant>,
    pub(super) rtp_sent: u64,
    /// Which of agent and RTP socket is polled first; they alternate.
    pub(super) agent_first: bool,
}

/// Runs a call to its end.
pub(super) async fn run(shared: Arc<Shared>, setup: CallSetup, journal: &Journal) -> CallSummary {
    let (handle, clock) = (setup.handle, shared.clock.clone());
    let commands = shared.commands.clone();
    match CallTask::new(shared, setup, journal) {
        // The state of a call is too large to be moved from future to future.
        Ok(task) => Box::pin(task.run()).await,
        Err(error) => {
            // Fails only when the server is shutting down.
            let _ = commands.send(Command::Reject(handle, InviteRejectReason::NoEntropy)).await;
            let (status, reason) = (CallStatus::Failed, DisconnectReason::Unknown);
            CallSummary::without_media(status, reason, &error.to_string(), clock.now())
        }
    }
}

/// Connects to the agent of a call.
pub(super) fn connecting(
    shared: &Arc<Shared>,
    endpoint: &Arc<AgentEndpoint>,
    facts: &CallFacts,
    subprotocol: Option<&'static str>,
    timeout: Duration,
) -> Connecting {
    let (shared, endpoint, id) = (Arc::clone(shared), Arc::clone(endpoint), facts.id);
    Box::pin(async move { connect(&endpoint, id, subprotocol, &shared.options.egress, timeout).await })
}

fn call_context(facts: &CallFacts, setup: &mut CallSetup) -> CallContext {
    CallContext {
        call_id: facts.id.to_string(),
        trunk_id: facts.trunk.to_string(),
        from: facts.from.as_str().to_owned(),
        to: facts.to.as_str().to_owned(),
        system_prompt: setup.system_prompt.take(),
        metadata: std::mem::take(&mut setup.metadata),
        sip_headers: facts.sip.headers.clone(),
    }
}

impl<'a> CallTask<'a> {
    fn new(shared: Arc<Shared>, mut setup: CallSetup, journal: &'a Journal) -> Result<Self, EntropyError> {
        let now = Instant::now();
        let seeds = MediaSeeds::generate(&*shared.entropy)?;
        let codecs = std::mem::take(&mut setup.codecs);
        let (port, addresses) = (setup.lease.port(), std::mem::take(&mut setup.media_addresses));
        let (policy, entropy) = (setup.media_policy.clone(), shared.entropy.clone());
        let mut offer_answer =
            OfferAnswer::new(port, addresses, seeds.session, codecs, policy, setup.srtp, entropy);
        let (description, negotiated) = match setup.offer.take() {
            None => offer_answer.offer(),
            Some(offer) => offer_answer.answer(offer),
        }?;
        let media = negotiated.clone();
        let options = &shared.options;
        let facts = setup.facts.clone();
        let config = BridgeConfig {
            negotiated,
            stream: seeds.stream,
            rtcp: seeds.rtcp,
            dialect: Dialect::new(setup.dialect.clone()),
            call: call_context(&facts, &mut setup),
            limits: BridgeLimits {
                playout_queue: options.playout_queue,
                // The other half may be on its way to the agent.
                agent_queue: options.agent_queue / 2,
                media_timeout: options.media_inactivity,
                max_duration: setup.max_duration.unwrap_or(options.max_call_duration),
            },
            barge_in: BargeIn::AgentDecides,
            has_tool_endpoint: false,
        };
        let bridge = CallBridge::new(config, now);
        setup.lease.set_rtcp_muxed(bridge.is_rtcp_muxed());
        let timeout = options.agent_connect_timeout;
        let endpoint = Arc::new(setup.agent);
        let connecting = connecting(&shared, &endpoint, &facts, bridge.subprotocol(), timeout);
        Ok(Self {
            phase: CallPhase::Ringing { until: now + options.answer_delay },
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            shared,
            journal,
            facts,
            handle: setup.handle,
            arrived_at: setup.arrived_at,
            lease: setup.lease,
            carrier_events: setup.carrier_events,
            hang_up_requests: setup.hang_up_requests,
            outbound: setup.outbound,
            pending_transfer: None,
            bridge,
            media,
            offered_media: None,
            agent: if setup.return_path_proved {
                AgentConnection::Connecting(connecting)
            } else {
                AgentConnection::AwaitingAck(connecting)
            },
            endpoint,
            agent_ready_by: now + timeout,
            agent_history: AgentHistory::default(),
            offer_answer,
            media_policy: setup.media_policy,
            description,
            dialog_ended: false,
            disconnection: None,
            timer_deadline: None,
            rtp_sent: 0,
            agent_first: false,
        })
    }

    async fn run(mut self) -> CallSummary {
        let mut buffer = vec![0; MAX_RTP];
        self.send_command(Command::Ring(self.handle)).await;
        if matches!(self.agent, AgentConnection::AwaitingAck(_)) {
            self.answer(Instant::now()).await;
        }
        while !self.is_over() {
            let event = poll_fn(|cx| self.poll_event(cx, &mut buffer)).await;
            let now = Instant::now();
            match event {
                CallEvent::Rtp(length, from) if self.media_policy.permits(from.ip()) => {
                    self.bridge.handle_rtp(buffer.get_mut(..length).unwrap_or_default(), from, now);
                }
                CallEvent::Rtcp(length, from) if self.media_policy.permits(from.ip()) => {
                    self.bridge.handle_rtcp(buffer.get_mut(..length).unwrap_or_default(), from, now);
                }
                CallEvent::Rtp(..) | CallEvent::Rtcp(..) => self.bridge.note_foreign_address(),
                CallEvent::RtpError => {}
                CallEvent::AgentFrame(ReceivedFrame::Binary(bytes)) => {
                    self.bridge.handle_agent_message(AgentMessage::Binary(&bytes), now);
                }
                CallEvent::AgentFrame(ReceivedFrame::Text(text)) => {
                    self.bridge.handle_agent_message(AgentMessage::Text(&text), now);
                }
                CallEvent::AgentConnected(result) => self.on_agent_connected(*result, now).await,
                CallEvent::AgentLost(lost) => self.on_agent_lost(lost, now).await,
                CallEvent::Carrier(event) => self.on_carrier_event(event, now).await,
                CallEvent::SignallingStopped => {
                    self.dialog_ended = true;
                    self.end(DisconnectReason::ServerShutdown, None, now).await;
                }
                CallEvent::HangUpRequested(reason) => self.end(reason, None, now).await,
                CallEvent::Timer => self.on_timer(now).await,
            }
            self.apply_outputs(now).await;
        }
        self.into_summary()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<CallEvent> {
        if let AgentConnection::Open(link) = &mut self.agent
            && let Poll::Ready(Err(lost)) = link.poll_write(&mut self.bridge, cx)
        {
            return Poll::Ready(CallEvent::AgentLost(lost));
        }
        if !self.dialog_ended
            && let Poll::Ready(event) = self.carrier_events.poll_recv(cx)
        {
            return Poll::Ready(event.map_or(CallEvent::SignallingStopped, CallEvent::Carrier));
        }
        if let Poll::Ready(Some(reason)) = self.hang_up_requests.poll_recv(cx) {
            return Poll::Ready(CallEvent::HangUpRequested(reason));
        }
        if self.poll_timer(cx).is_ready() {
            return Poll::Ready(CallEvent::Timer);
        }
        self.agent_first = !self.agent_first;
        if self.agent_first {
            self.poll_agent(cx).or_else(|| self.poll_rtp(cx, buffer))
        } else {
            self.poll_rtp(cx, buffer).or_else(|| self.poll_agent(cx))
        }
    }

    fn poll_agent(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent> {
        match &mut self.agent {
            AgentConnection::Connecting(connecting) => {
                connecting.as_mut().poll(cx).map(|result| CallEvent::AgentConnected(Box::new(result)))
            }
            AgentConnection::Open(link) => {
                link.poll_read(cx).map(|frame| frame.map_or_else(CallEvent::AgentLost, CallEvent::AgentFrame))
            }
            AgentConnection::AwaitingAck(_) | AgentConnection::Closed => Poll::Pending,
        }
    }

    fn poll_rtp(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<CallEvent> {
        let rtp = poll_socket(self.lease.socket(), cx, buffer, CallEvent::Rtp);
        rtp.or_else(|| poll_socket(self.lease.rtcp_socket(), cx, buffer, CallEvent::Rtcp))
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let phase = match self.phase {
            CallPhase::Ringing { until } | CallPhase::Draining { until } => Some(until),
            CallPhase::Connected => None,
        };
        let link = match &self.agent {
            AgentConnection::Open(link) => Some(link.poll_timeout()),
            AgentConnection::AwaitingAck(_) | AgentConnection::Connecting(_) | AgentConnection::Closed => {
                None
            }
        };
        let Some(deadline) = [phase, link, self.agent_ready_deadline(), self.bridge.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
        else {
            return Poll::Pending;
        };
        // Each packet moves a deadline back. Waking up too early is cheaper than resetting the timer 50 times a second.
        if self.timer_deadline.is_none_or(|current| deadline < current) {
            self.timer_deadline = Some(deadline);
            self.timer.as_mut().reset(deadline.into());
        }
        self.timer.as_mut().poll(cx)
    }
}

/// Reads a datagram. An IPv4 address of a peer is an IPv4 address on a dual-stack socket too.
fn poll_socket(
    socket: Option<&UdpSocket>,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
    event: impl Fn(usize, SocketAddr) -> CallEvent,
) -> Poll<CallEvent> {
    let Some(socket) = socket else { return Poll::Pending };
    let mut buffer = ReadBuf::new(buffer);
    let received = socket.poll_recv_from(cx, &mut buffer);
    received.map(|received| match received {
        Ok(from) => event(buffer.filled().len(), SocketAddr::new(from.ip().to_canonical(), from.port())),
        Err(_) => CallEvent::RtpError,
    })
}

/// Polls a second source if the first one is pending; `Poll` has no such method.
trait OrElse<T> {
    fn or_else(self, other: impl FnOnce() -> Poll<T>) -> Poll<T>;
}

impl<T> OrElse<T> for Poll<T> {
    fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if self.is_ready() { self } else { other() }
    }
}
