//! What the task of a call does about each event: answering, changing the session, ending, and saying how it went.

use std::time::Instant;

use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::ports::AgentNews;
use telepath_media::bridge::Output;
use telepath_media::sdp;
use telepath_sip::message::{SessionDescription, StatusCode};

use super::run::{AgentSide, CallTask, FAREWELL, Stage, Verdict};
use super::{Outcome, record};
use crate::agent::{AgentLink, AgentSocket, ConnectError, LinkLost};
use crate::command::{CarrierEvent, Command};
use crate::disconnect_reason;
use crate::reject_reason::InviteRejectReason;

/// What an agent is told that asks for a transfer.
const NO_TRANSFER: &str =
    r#"{"type":"error","code":"transfer_not_supported","message":"this version cannot transfer calls"}"#;

impl CallTask<'_> {
    pub(super) async fn due(&mut self, now: Instant) {
        // Whatever is due next, the timer is set anew.
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
    pub(super) async fn carry_out(&mut self, now: Instant) {
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
                Output::HangUp { reason } => {
                    self.end(disconnect_reason::from_bridge(reason), None, now).await
                }
                Output::Transfer { target: _ } => {
                    if let AgentSide::Open(link) = &mut self.agent {
                        link.notify(NO_TRANSFER);
                    }
                }
            }
        }
    }

    pub(super) async fn agent_opened(&mut self, opened: Result<AgentSocket, ConnectError>, now: Instant) {
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

    pub(super) async fn agent_lost(&mut self, lost: LinkLost, now: Instant) {
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

    pub(super) async fn carrier_says(&mut self, message: CarrierEvent, now: Instant) {
        match message {
            CarrierEvent::Confirmed(answer) => self.confirmed(answer, now).await,
            CarrierEvent::ReInvite(offer) => self.on_reinvite(offer, now).await,
            CarrierEvent::Ended(cause) => {
                self.carrier_over = true;
                let (reason, text) = disconnect_reason::from_dialog(&cause);
                self.end(reason, text, now).await;
            }
        }
    }

    /// The ACK must answer our offer, if ours was the offer (RFC 3261 section 13.2.1). Where there is a session already,
    /// it goes on as it was without an answer.
    async fn confirmed(&mut self, answer: Option<SessionDescription>, now: Instant) {
        if !self.sdp.awaits_answer() {
            return;
        }
        if let Some(media) = answer.and_then(|answer| self.sdp.accept(&answer)) {
            self.codec = media.codec;
            self.bridge.handle_negotiated(&media, now);
        } else if self.bridge.remote().is_none() {
            let text = "the caller did not answer our session description".to_owned();
            self.end(DisconnectReason::CarrierError, Some(text), now).await;
        }
    }

    async fn on_reinvite(&mut self, offer: Option<SessionDescription>, now: Instant) {
        let Some(offer) = offer else {
            let (description, _) = self.sdp.offer();
            return self.tell(Command::AcceptReInvite(self.handle, description)).await;
        };
        let read = sdp::SessionDescription::parse(offer.as_bytes());
        let status = match read.map(|offer| self.sdp.answer(&offer)) {
            Ok(Ok((description, media))) => {
                self.codec = media.codec;
                self.bridge.handle_negotiated(&media, now);
                return self.tell(Command::AcceptReInvite(self.handle, description)).await;
            }
            Ok(Err(_)) => StatusCode::NOT_ACCEPTABLE_HERE,
            Err(_) => StatusCode::BAD_REQUEST,
        };
        self.tell(Command::RejectReInvite(self.handle, status)).await;
    }

    /// Ends the call: the first reason counts. Both sides are told, and get a moment to take it.
    pub(super) async fn end(&mut self, reason: DisconnectReason, text: Option<String>, now: Instant) {
        if self.verdict.is_some() {
            return;
        }
        let ringing = matches!(self.stage, Stage::Ringing { .. });
        // A call that never reached its agent has failed, answered or not.
        let failed = ringing || reason == DisconnectReason::ConnectionFailed;
        let status = if failed { CallStatus::Failed } else { CallStatus::Disconnected };
        self.verdict = Some(Verdict { status, reason, text, at: self.shared.clock.now() });
        self.stage = Stage::Ending { until: now + FAREWELL };
        self.bridge.handle_stop(disconnect_reason::to_bridge(reason), now);
        if matches!(self.agent, AgentSide::Opening(_)) {
            self.agent = AgentSide::Gone;
        }
        if !self.carrier_over {
            let unreachable = ringing && reason == DisconnectReason::ConnectionFailed;
            let command = if unreachable {
                Command::Reject(self.handle, InviteRejectReason::AgentUnreachable)
            } else {
                Command::HangUp(self.handle)
            };
            self.tell(command).await;
        }
    }

    pub(super) fn is_over(&self) -> bool {
        let Stage::Ending { until } = self.stage else { return false };
        (self.carrier_over && matches!(self.agent, AgentSide::Gone)) || Instant::now() >= until
    }

    pub(super) fn outcome(mut self) -> Outcome {
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

    pub(super) async fn tell(&mut self, command: Command) {
        // The signalling task is gone only when the server stops, and then the call is told so.
        let _ = self.shared.commands.send(command).await;
    }
}
