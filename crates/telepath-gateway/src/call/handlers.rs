//! What the task of a call does for each event: answer, renegotiate, end, and summarize the call.

use std::time::{Duration, Instant};

use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_media::bridge::{HangUpCause, Output};
use telepath_media::dtmf::Digit;
use telepath_media::sdp::Negotiated;
use telepath_sip::DialogEnd;
use telepath_sip::message::SdpBody;

use super::task::{AgentConnection, CallPhase, CallTask, Disconnection};
use super::{CallSummary, record};
use crate::command::{CarrierEvent, Command};
use crate::reject_reason::InviteRejectReason;
use crate::{codec, disconnect_reason};

/// How long an ending call waits for the response to our BYE and for the agent to close its socket.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

impl CallTask<'_> {
    pub(super) async fn on_timer(&mut self, now: Instant) {
        self.timer_deadline = None;
        self.bridge.handle_timeout(now);
        if let AgentConnection::Open(link) = &mut self.agent
            && let Err(lost) = link.handle_timeout(now)
        {
            self.on_agent_lost(lost, now).await;
        }
        self.check_agent_ready_in_time(now).await;
        if matches!(self.phase, CallPhase::Ringing { until } if now >= until) {
            self.answer(now).await;
        }
    }

    /// Carries out the outputs of the bridge.
    pub(super) async fn apply_outputs(&mut self, now: Instant) {
        while let Some(output) = self.bridge.poll_output() {
            match output {
                Output::SendRtp { datagram, token } => {
                    let remote = self.bridge.remote();
                    let sent = remote.is_some_and(|to| self.lease.try_send(datagram.as_bytes(), to));
                    if sent {
                        self.rtp_sent += 1;
                    } else {
                        metrics::counter!("telepath_rtp_unsent_total").increment(1);
                    }
                    if let Some(token) = token.filter(|_| sent) {
                        self.bridge.handle_written(token, Instant::now());
                    }
                }
                Output::SendRtcp { packet, to, muxed } => {
                    let sent = if muxed {
                        self.lease.try_send(&packet, to)
                    } else {
                        self.lease.try_send_rtcp(&packet, to)
                    };
                    if !sent {
                        metrics::counter!("telepath_rtp_unsent_total").increment(1);
                    }
                }
                Output::HangUp { cause, detail } => {
                    let reason = match cause {
                        // A provider that refuses the session was not reached.
                        HangUpCause::ProviderError if !self.agent_history.was_ready => {
                            DisconnectReason::ConnectionFailed
                        }
                        HangUpCause::AgentHangup
                        | HangUpCause::MediaTimeout
                        | HangUpCause::MaxDuration
                        | HangUpCause::ProviderError => disconnect_reason::from_bridge(cause),
                    };
                    // The socket's own words say more than what the bridge makes of the code.
                    let lost = self
                        .agent_history
                        .lost
                        .take()
                        .filter(|_| reason == DisconnectReason::AiProviderError);
                    self.end(reason, lost.or(detail), now).await;
                }
                Output::AgentReady => {
                    if matches!(self.agent, AgentConnection::Open(_)) {
                        self.on_agent_ready(now).await;
                    }
                }
                Output::ProviderError(error) => {
                    tracing::warn!(call = %self.facts.id, "the agent reports an error: {error}; the call continues");
                }
                // The bridge refuses tool calls itself, because it was told that there is no endpoint for them.
                Output::ToolCall(_) | Output::ToolCallCancelled(_) => {}
                Output::Transfer { target } => {
                    self.transfer(target.as_str(), now).await;
                }
            }
        }
    }

    pub(super) async fn answer(&mut self, now: Instant) {
        self.phase = CallPhase::Connected;
        self.send_command(Command::Accept(self.handle, self.description.clone())).await;
        if !matches!(self.agent, AgentConnection::AwaitingAck(_)) {
            self.bridge.handle_answered(now);
        }
        self.journal.record_answer(self.shared.clock.now(), codec::to_core(self.media.codec));
        if matches!(self.agent, AgentConnection::Open(_)) && self.bridge.is_agent_ready() {
            self.report_agent_connected();
        }
        let setup_time = now.saturating_duration_since(self.arrived_at);
        metrics::histogram!("telepath_call_setup_seconds").record(setup_time.as_secs_f64());
    }

    pub(super) async fn on_carrier_event(&mut self, event: CarrierEvent, now: Instant) {
        match event {
            CarrierEvent::Confirmed(answer) => self.on_ack(answer, now).await,
            CarrierEvent::ReInvite(offer) => self.on_reinvite(offer).await,
            CarrierEvent::ReInviteAccepted => self.on_reinvite_accepted(now),
            CarrierEvent::ReInviteWithdrawn => {
                self.offered_media = None;
                self.offer_answer.withdraw_offer();
            }
            CarrierEvent::Dtmf(key) => {
                if let Some(digit) = Digit::from_char(key) {
                    self.bridge.handle_signalled_digit(digit, now);
                }
            }
            // The agent protocols have no event for it.
            CarrierEvent::Flash => self.bridge.handle_signalled_flash(),
            CarrierEvent::SessionRefreshed(answer) => self.on_session_refreshed(&answer, now),
            CarrierEvent::Refer(progress) => self.on_refer(progress, now).await,
            CarrierEvent::Ended(end) => {
                self.dialog_ended = true;
                let (reason, text) = if end == DialogEnd::ByeReceived && self.is_transferred_by_bye() {
                    (DisconnectReason::Transferred, None)
                } else {
                    disconnect_reason::from_dialog(&end)
                };
                self.end(reason, text, now).await;
            }
        }
    }

    /// If our 200 carried the offer, the ACK must carry the answer (RFC 3261 section 13.2.1). Without a valid answer an
    /// established session continues unchanged; otherwise the call ends.
    async fn on_ack(&mut self, answer: Option<SdpBody>, now: Instant) {
        self.open_awaited_agent(now);
        if !self.offer_answer.awaits_answer() {
            return;
        }
        if let Some(media) = answer.and_then(|answer| self.offer_answer.accept_answer(&answer)) {
            self.apply_media(media, now);
        } else if self.bridge.remote().is_none() {
            let text = "the ACK has no valid SDP answer to our offer".to_owned();
            self.end(DisconnectReason::CarrierError, Some(text), now).await;
        }
    }

    /// The ACK carries the tag of our 200, so the caller's address is not forged.
    fn open_awaited_agent(&mut self, now: Instant) {
        match std::mem::replace(&mut self.agent, AgentConnection::Closed) {
            AgentConnection::AwaitingAck(connecting) => {
                self.agent = AgentConnection::Connecting(connecting);
                self.agent_ready_by = now + self.shared.options.agent_connect_timeout;
                self.bridge.handle_answered(now);
            }
            other @ (AgentConnection::Connecting(_) | AgentConnection::Open(_) | AgentConnection::Closed) => {
                self.agent = other;
            }
        }
    }

    /// The answer to a refresh may still move the caller's side elsewhere.
    fn on_session_refreshed(&mut self, answer: &SdpBody, now: Instant) {
        if let Some(media) = self.offer_answer.refreshed(answer).filter(|media| *media != self.media) {
            self.apply_media(media, now);
        }
    }

    /// Our answer is out, so what it says takes effect. Until then the caller may withdraw its offer.
    fn on_reinvite_accepted(&mut self, now: Instant) {
        if let Some(media) = self.offered_media.take() {
            self.apply_media(media, now);
        }
    }

    fn apply_media(&mut self, media: Negotiated, now: Instant) {
        self.bridge.handle_negotiated(&media, now);
        self.lease.set_rtcp_muxed(self.bridge.is_rtcp_muxed());
        self.media = media;
    }

    async fn on_reinvite(&mut self, offer: Option<SdpBody>) {
        self.offered_media = None;
        let Some(offer) = offer else {
            let command = match self.offer_answer.offer() {
                Ok((description, _)) => Command::AcceptReInvite(self.handle, description),
                Err(_) => Command::RejectReInvite(self.handle, InviteRejectReason::NoEntropy),
            };
            return self.send_command(command).await;
        };
        let command = match self.offer_answer.answer_reinvite(&offer) {
            Ok((description, media)) => {
                self.offered_media = Some(media);
                Command::AcceptReInvite(self.handle, description)
            }
            Err(reason) => Command::RejectReInvite(self.handle, reason),
        };
        self.send_command(command).await;
    }

    /// Ends the call on both sides. Only the first reason is recorded.
    pub(super) async fn end(&mut self, reason: DisconnectReason, reason_text: Option<String>, now: Instant) {
        if self.disconnection.is_some() {
            return;
        }
        let ringing = matches!(self.phase, CallPhase::Ringing { .. });
        // A call that never reached its agent has failed, even if it was answered.
        let awaiting = matches!(self.agent, AgentConnection::AwaitingAck(_));
        let failed = ringing || awaiting || reason == DisconnectReason::ConnectionFailed;
        let status = if failed { CallStatus::Failed } else { CallStatus::Disconnected };
        let at = self.shared.clock.now();
        self.disconnection = Some(Disconnection { status, reason, reason_text, at });
        self.phase = CallPhase::Draining { until: now + DRAIN_TIMEOUT };
        self.bridge.handle_stop(disconnect_reason::stop_reason(reason), now);
        if matches!(self.agent, AgentConnection::AwaitingAck(_) | AgentConnection::Connecting(_)) {
            self.agent = AgentConnection::Closed;
        }
        if !self.dialog_ended {
            let unreachable = ringing && reason == DisconnectReason::ConnectionFailed;
            let command = if unreachable {
                Command::Reject(self.handle, InviteRejectReason::AgentUnreachable)
            } else {
                Command::HangUp(self.handle, reason)
            };
            self.send_command(command).await;
        }
    }

    pub(super) fn is_over(&self) -> bool {
        let CallPhase::Draining { until } = self.phase else { return false };
        (self.dialog_ended && matches!(self.agent, AgentConnection::Closed)) || Instant::now() >= until
    }

    pub(super) fn into_summary(mut self) -> CallSummary {
        self.report_agent_disconnected("call_ended", None);
        let report = self.bridge.report(Instant::now());
        let disconnection = self.disconnection.unwrap_or_else(|| Disconnection {
            status: CallStatus::Disconnected,
            reason: DisconnectReason::Unknown,
            reason_text: None,
            at: self.shared.clock.now(),
        });
        tracing::info!(
            call = %self.facts.id,
            trunk = %self.facts.trunk,
            status = disconnection.status.name(),
            reason = disconnection.reason.name(),
            seconds = report.duration.as_secs(),
            "call ended"
        );
        if let Some(lateness) = report.send_lateness {
            metrics::histogram!("telepath_rtp_send_lateness_seconds").record(lateness.as_secs_f64());
        }
        CallSummary {
            status: disconnection.status,
            reason: disconnection.reason,
            reason_text: disconnection.reason_text,
            ended: disconnection.at,
            metrics: record::metrics(&report, self.rtp_sent),
            turns: record::turns(&report),
            caller_actions: record::caller_actions(&report, self.shared.options.dtmf_records),
        }
    }

    pub(super) async fn send_command(&mut self, command: Command) {
        // Fails only when the signalling task has stopped, which the call learns from its channel.
        let _ = self.shared.commands.send(command).await;
    }
}
