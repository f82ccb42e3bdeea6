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
use telepath_core::ports::AgentNews;
use telepath_media::bridge::{BargeIn, BridgeConfig, CallBridge, Limits, Output};
use telepath_media::codec::Codec;
use telepath_media::dialect::{AgentMessage, CallId, CallStart, Dialect, Party, SystemPrompt, TrunkId};
use telepath_media::sdp;
use telepath_sip::message::{SessionDescription, StatusCode};
use telepath_sip::{CallHandle, EndCause};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::journal::Journal;
use super::sdp_state::SdpState;
use super::{CallFacts, CallSetup, Outcome, record};
use crate::agent::{AgentLink, AgentSocket, ConnectError, Heard, LinkLost, connect};
use crate::dice::Dice;
use crate::gateway::Shared;
use crate::rtp_ports::RtpLease;
use crate::signalling::{Command, FromCarrier, Rule};

/// How long the end of a call waits for the caller to confirm it and for the agent to take its last words.
const FAREWELL: Duration = Duration::from_secs(2);
/// The longest datagram read from the media socket; longer ones are no telephone audio.
const MAX_RTP: usize = 2_048;
/// What an agent is told that asks for a transfer.
const NO_TRANSFER: &str =
    r#"{"type":"error","code":"transfer_not_supported","message":"this version cannot transfer calls"}"#;

enum Event {
    Carrier(FromCarrier),
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

type Opening = Pin<Box<dyn Future<Output = Result<AgentSocket, ConnectError>> + Send>>;

enum AgentSide {
    Opening(Opening),
    Open(Box<AgentLink>),
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
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

struct Verdict {
    status: CallStatus,
    reason: DisconnectReason,
    text: Option<String>,
    at: Timestamp,
}

struct CallTask<'a> {
    shared: Arc<Shared>,
    journal: &'a Journal,
    facts: CallFacts,
    handle: CallHandle,
    arrived_at: Instant,
    lease: RtpLease,
    from_carrier: mpsc::Receiver<FromCarrier>,
    asked: mpsc::Receiver<DisconnectReason>,
    bridge: CallBridge,
    codec: Codec,
    agent: AgentSide,
    /// Whether the control plane was told that the agent is there.
    announced: bool,
    sdp: SdpState,
    /// What our 200 carries.
    description: SessionDescription,
    stage: Stage,
    carrier_over: bool,
    verdict: Option<Verdict>,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    rtp_sent: u64,
    /// Which of the two media sockets is looked at first; they take turns.
    agent_first: bool,
}

/// Runs a call to its end.
pub(super) async fn run(shared: Arc<Shared>, setup: CallSetup, journal: &Journal) -> Outcome {
    let (handle, clock) = (setup.handle, shared.clock.clone());
    let commands = shared.commands.clone();
    match CallTask::new(shared, setup, journal) {
        Ok(task) => task.live().await,
        Err(refusal) => {
            // The signalling task is gone only when the server stops.
            let _ = commands.send(Command::Refuse(handle, refusal.rule)).await;
            Outcome::bare(CallStatus::Failed, refusal.reason, refusal.text, clock.now())
        }
    }
}

/// Why a call could not even ring.
struct Refusal {
    rule: Rule,
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
        let dice = Dice::roll(&*shared.entropy).map_err(|_| Refusal {
            rule: Rule::NoEntropy,
            reason: DisconnectReason::Unknown,
            text: "the system's random generator failed",
        })?;
        let address = SocketAddr::new(shared.media_ip, setup.lease.port());
        let mut sdp = SdpState::new(address, dice.session, std::mem::take(&mut setup.codecs));
        let (description, negotiated) = match &setup.offer {
            None => sdp.offer(),
            Some(offer) => sdp.answer(offer).map_err(|_| Refusal {
                rule: Rule::NoCommonCodec,
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
        let opening = async move { connect(&plan, id, subprotocol, &opener.roots, patience).await };
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
        if self.armed != Some(due) {
            self.armed = Some(due);
            self.timer.as_mut().reset(due.into());
        }
        self.timer.as_mut().poll(cx)
    }

    async fn due(&mut self, now: Instant) {
        // The next deadline may be the same instant.
        self.armed = None;
        self.bridge.handle_timeout(now);
        if let AgentSide::Open(link) = &mut self.agent
            && let Err(lost) = link.handle_timeout(now)
        {
            self.agent_lost(lost, now).await;
        }
        if matches!(self.stage, Stage::Ringing { until } if now >= until) {
            self.answer(now).await;
        }
    }

    /// Does what the bridge wants done.
    async fn carry_out(&mut self, now: Instant) {
        while let Some(output) = self.bridge.poll_output() {
            match output {
                Output::SendRtp { datagram, token } => {
                    let sent = match (self.lease.socket(), self.bridge.remote()) {
                        (Some(socket), Some(remote)) => {
                            socket.try_send_to(datagram.as_bytes(), remote).is_ok()
                        }
                        (_, None) | (None, _) => false,
                    };
                    if sent {
                        self.rtp_sent += 1;
                    } else {
                        metrics::counter!("telepath_rtp_unsent_total").increment(1);
                    }
                    if let Some(token) = token.filter(|_| sent) {
                        self.bridge.handle_written(token, Instant::now());
                    }
                }
                Output::HangUp { reason } => self.end(record::from_bridge(reason), None, now).await,
                Output::Transfer { target: _ } => {
                    if let AgentSide::Open(link) = &mut self.agent {
                        link.notify(NO_TRANSFER);
                    }
                }
            }
        }
    }

    async fn agent_opened(&mut self, opened: Result<AgentSocket, ConnectError>, now: Instant) {
        match opened {
            Ok(socket) => {
                self.agent = AgentSide::Open(Box::new(AgentLink::new(socket, now)));
                match self.stage {
                    Stage::Ringing { .. } => self.answer(now).await,
                    Stage::Live => self.announce(),
                    Stage::Ending { .. } => {}
                }
            }
            Err(error) => {
                self.agent = AgentSide::Gone;
                self.end(DisconnectReason::ConnectionFailed, Some(error.to_string()), now).await;
            }
        }
    }

    async fn agent_lost(&mut self, lost: LinkLost, now: Instant) {
        self.agent = AgentSide::Gone;
        let (reason, message) = match lost {
            LinkLost::Closed => ("closed_by_agent", None),
            LinkLost::Broken(text) => ("connection_lost", Some(text)),
        };
        if self.verdict.is_some() {
            return self.part("call_ended", None);
        }
        let text = message.clone().unwrap_or_else(|| "the agent closed its socket".to_owned());
        self.part(reason, message);
        self.end(DisconnectReason::AiProviderError, Some(text), now).await;
    }

    fn announce(&mut self) {
        if !self.announced {
            self.announced = true;
            self.journal.agent(AgentNews::Connected);
        }
    }

    fn part(&mut self, reason: &'static str, error_message: Option<String>) {
        if std::mem::take(&mut self.announced) {
            self.journal.agent(AgentNews::Disconnected { reason, error_message });
        }
    }

    async fn answer(&mut self, now: Instant) {
        self.stage = Stage::Live;
        self.tell(Command::Accept(self.handle, self.description.clone())).await;
        self.bridge.handle_answered(now);
        self.journal.answered(self.shared.clock.now(), record::codec(self.codec));
        if matches!(self.agent, AgentSide::Open(_)) {
            self.announce();
        }
        let took = now.saturating_duration_since(self.arrived_at);
        metrics::histogram!("telepath_call_setup_seconds").record(took.as_secs_f64());
    }

    async fn carrier_says(&mut self, message: FromCarrier, now: Instant) {
        match message {
            FromCarrier::Confirmed(answer) => self.confirmed(answer, now).await,
            FromCarrier::Reoffer(offer) => self.reoffered(offer, now).await,
            FromCarrier::Ended(cause) => {
                self.carrier_over = true;
                let (reason, text) = told(&cause);
                self.end(reason, text, now).await;
            }
        }
    }

    /// The ACK must answer our offer, if ours was the offer (RFC 3261 section 13.2.1).
    async fn confirmed(&mut self, answer: Option<SessionDescription>, now: Instant) {
        if !self.sdp.awaits_answer() {
            return;
        }
        if let Some(media) = answer.and_then(|answer| self.sdp.accept(&answer)) {
            self.codec = media.codec;
            self.bridge.handle_negotiated(&media, now);
        } else {
            let text = "the caller did not answer our session description".to_owned();
            self.end(DisconnectReason::CarrierError, Some(text), now).await;
        }
    }

    async fn reoffered(&mut self, offer: Option<SessionDescription>, now: Instant) {
        let Some(offer) = offer else {
            let (description, _) = self.sdp.offer();
            return self.tell(Command::AnswerReoffer(self.handle, description)).await;
        };
        let read = sdp::SessionDescription::parse(offer.as_bytes());
        let status = match read.map(|offer| self.sdp.answer(&offer)) {
            Ok(Ok((description, media))) => {
                self.codec = media.codec;
                self.bridge.handle_negotiated(&media, now);
                return self.tell(Command::AnswerReoffer(self.handle, description)).await;
            }
            Ok(Err(_)) => StatusCode::NOT_ACCEPTABLE_HERE,
            Err(_) => StatusCode::BAD_REQUEST,
        };
        self.tell(Command::RejectReoffer(self.handle, status)).await;
    }

    /// Ends the call: the first reason counts. Both sides are told, and get a moment to take it.
    async fn end(&mut self, reason: DisconnectReason, text: Option<String>, now: Instant) {
        if self.verdict.is_some() {
            return;
        }
        let ringing = matches!(self.stage, Stage::Ringing { .. });
        // A call that never reached its agent has failed, answered or not.
        let failed = ringing || reason == DisconnectReason::ConnectionFailed;
        let status = if failed { CallStatus::Failed } else { CallStatus::Disconnected };
        self.verdict = Some(Verdict { status, reason, text, at: self.shared.clock.now() });
        self.stage = Stage::Ending { until: now + FAREWELL };
        self.bridge.handle_stop(record::to_bridge(reason), now);
        if matches!(self.agent, AgentSide::Opening(_)) {
            self.agent = AgentSide::Gone;
        }
        if !self.carrier_over {
            let unreachable = ringing && reason == DisconnectReason::ConnectionFailed;
            let command = if unreachable {
                Command::Refuse(self.handle, Rule::AgentUnreachable)
            } else {
                Command::HangUp(self.handle)
            };
            self.tell(command).await;
        }
    }

    fn is_over(&self) -> bool {
        let Stage::Ending { until } = self.stage else { return false };
        (self.carrier_over && matches!(self.agent, AgentSide::Gone)) || Instant::now() >= until
    }

    fn outcome(mut self) -> Outcome {
        self.part("call_ended", None);
        let report = self.bridge.report(Instant::now());
        let verdict = self.verdict.unwrap_or_else(|| Verdict {
            status: CallStatus::Disconnected,
            reason: DisconnectReason::Unknown,
            text: None,
            at: self.shared.clock.now(),
        });
        tracing::info!(
            call = %self.facts.id,
            trunk = %self.facts.trunk,
            status = verdict.status.name(),
            reason = verdict.reason.name(),
            seconds = report.duration.as_secs(),
            "call ended"
        );
        Outcome {
            status: verdict.status,
            reason: verdict.reason,
            reason_text: verdict.text,
            ended: verdict.at,
            metrics: record::metrics(&report, self.rtp_sent),
            turns: record::turns(&report),
        }
    }

    async fn tell(&mut self, command: Command) {
        // The signalling task is gone only when the server stops, and then the call is told so.
        let _ = self.shared.commands.send(command).await;
    }
}

fn told(cause: &EndCause) -> (DisconnectReason, Option<String>) {
    match cause {
        EndCause::RemoteHangUp => (DisconnectReason::NormalDisconnect, None),
        EndCause::Cancelled => (DisconnectReason::NoAnswer, Some("the caller gave up".to_owned())),
        EndCause::AckTimeout => {
            (DisconnectReason::NoAnswer, Some("the caller never confirmed our answer".to_owned()))
        }
        // Ours; the call has its reason already, unless it did not take its signalling.
        EndCause::LocalHangUp { .. } | EndCause::Rejected(_) | EndCause::Challenged => {
            (DisconnectReason::Unknown, None)
        }
        // Of calls that we place.
        EndCause::Refused(_) | EndCause::NoAnswer => (DisconnectReason::CarrierError, None),
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
