//! The call bridge: RTP of a caller on one side, frames of an agent on the other, and the rules between.
//!
//! One value per call. Events go in by `handle_*` with the time they happened, what is to be done comes out of
//! [`CallBridge::poll_output`] (now, in order) and [`CallBridge::poll_agent`] (whenever the agent's socket takes
//! more: what waits there is bounded and loses its oldest audio first).

mod agent_queue;
mod state;

pub use agent_queue::{AgentOutput, EVENT_LIMIT};
pub use state::{Output, WriteToken};

use crate::dialect::{AgentFault, AgentMessage, CallStart, Dialect, FromAgent, ToAgent};
use crate::figures::{CallReport, CarrierLagSource, estimate_mos};
use crate::playout::{PlayOut, PlayOutEvent, StreamStart};
use crate::reason::EndReason;
use crate::rtp::{LatchDecision, RtpError, RtpPacket, RtpReceiver, SymmetricLatch};
use crate::sdp::Negotiated;
use state::CallState;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Bounds of one call.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Agent audio that may wait to be played; the oldest is dropped beyond.
    pub playout_queue: Duration,
    /// Caller audio that may wait for a slow agent; the oldest is dropped beyond.
    pub agent_queue: Duration,
    /// A call without media from the caller ends after this, unless it is held.
    pub media_timeout: Duration,
    /// A call ends this long after the answer.
    pub max_duration: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            playout_queue: Duration::from_mins(1),
            agent_queue: Duration::from_secs(2),
            media_timeout: Duration::from_secs(30),
            max_duration: Duration::from_hours(4),
        }
    }
}

/// Who decides that the caller's speech interrupts the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BargeIn {
    /// The agent, which is told of the speech and may send `clear`.
    #[default]
    AgentDecides,
    /// The bridge flushes agent audio as soon as the caller speaks.
    Flush,
}

/// What a bridge is made from.
#[derive(Debug)]
pub struct BridgeConfig {
    /// The agreed media.
    pub negotiated: Negotiated,
    /// Random starting values of the stream toward the caller.
    pub stream: StreamStart,
    /// The agent's dialect.
    pub dialect: Dialect,
    /// What the agent is told at the start.
    pub call: CallStart,
    /// Bounds.
    pub limits: Limits,
    /// Who decides on barge-in.
    pub barge_in: BargeIn,
}

/// The bridge of one call.
#[derive(Debug)]
pub struct CallBridge {
    receiver: RtpReceiver,
    playout: PlayOut,
    latch: SymmetricLatch,
    state: CallState,
    limits: Limits,
}

impl CallBridge {
    /// Makes the bridge while the call still rings. The agent's `start` is the first thing that waits for it;
    /// nothing is sent to the caller before [`Self::handle_answered`].
    pub fn new(config: BridgeConfig, now: Instant) -> Self {
        let media = config.negotiated;
        let mut state = CallState::new(config.dialect, media, &config.limits, config.barge_in, now);
        state.tell(&ToAgent::Start { call: &config.call, codec: media.codec });
        if media.is_held() {
            state.tell(&ToAgent::Hold);
        }
        Self {
            receiver: RtpReceiver::new(media.payload_type, media.telephone_event),
            playout: PlayOut::new(
                media.codec,
                media.payload_type,
                media.telephone_event,
                config.stream,
                config.limits.playout_queue,
                now,
            ),
            latch: SymmetricLatch::new(media.remote),
            state,
            limits: config.limits,
        }
    }

    /// The 200 was sent: media may flow to the caller.
    pub fn handle_answered(&mut self, now: Instant) {
        if self.state.answer(now) {
            self.open_playout(now);
        }
    }

    /// Media was negotiated anew (re-INVITE, UPDATE, or the answer to a late offer).
    pub fn handle_negotiated(&mut self, media: &Negotiated, now: Instant) {
        self.receiver.set_formats(media.payload_type, media.telephone_event);
        self.playout.set_formats(media.codec, media.payload_type, media.telephone_event);
        self.latch.resignal(media.remote);
        if self.state.renegotiate(media, now) {
            self.receiver.reset_timeline();
        }
        self.open_playout(now);
    }

    /// A datagram was read from the media socket.
    pub fn handle_rtp(&mut self, bytes: &[u8], from: SocketAddr, now: Instant) {
        if self.state.is_over() {
            return;
        }
        let packet = match RtpPacket::parse(bytes) {
            Ok(packet) => packet,
            Err(RtpError::Control) => {
                self.state.counters.control_packets += 1;
                return;
            }
            Err(RtpError::Truncated | RtpError::Version | RtpError::Padding) => {
                self.state.counters.malformed_rtp += 1;
                return;
            }
        };
        match self.latch.judge(from, now) {
            LatchDecision::Ignore => {
                self.state.counters.foreign_address += 1;
                return;
            }
            LatchDecision::Accept => self.state.heard(now),
        }
        let state = &mut self.state;
        self.receiver.handle(packet, now, &mut |delivery| state.take(delivery, now));
        self.flush_on_barge_in(now);
    }

    /// A frame was read from the agent's socket.
    pub fn handle_agent_message(&mut self, message: AgentMessage<'_>, now: Instant) {
        if self.state.is_over() {
            return;
        }
        match message {
            AgentMessage::Binary(bytes) if self.state.is_held() => self.state.drop_held_audio(bytes),
            AgentMessage::Binary(bytes) => {
                let samples = self.state.dialect.decode_audio(bytes);
                self.playout.push(samples, now);
                self.run_playout(now);
            }
            AgentMessage::Text(text) => match self.state.dialect.decode_text(text) {
                Ok(event) => self.obey(event, now),
                Err(fault) => self.state.fault(fault),
            },
        }
    }

    /// The agent's socket closed or broke.
    pub fn handle_agent_closed(&mut self, now: Instant) {
        let reason =
            if self.state.is_answered() { EndReason::AiProviderError } else { EndReason::ConnectionFailed };
        self.end(reason, now);
    }

    /// The call ended outside (BYE, API, shutdown): the agent is told, nothing more is sent to the caller.
    pub fn handle_stop(&mut self, reason: EndReason, now: Instant) {
        if self.state.finish(reason, now) {
            self.close_playout(now);
        }
    }

    /// Time has come to the moment that [`Self::poll_timeout`] named, or later.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.state.is_over() {
            return;
        }
        let state = &mut self.state;
        self.receiver.handle_timeout(now, &mut |delivery| state.take(delivery, now));
        self.state.dtmf_timeout(now);
        self.flush_on_barge_in(now);
        self.run_playout(now);
        if let Some((_, reason)) = self.state.deadline(&self.limits).filter(|&(due, _)| now >= due) {
            self.end(reason, now);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called; `None` after the end.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.state.is_over() {
            return None;
        }
        let deadline = self.state.deadline(&self.limits).map(|(due, _)| due);
        let receiver = self.receiver.poll_timeout();
        [deadline, receiver, self.playout.poll_timeout(), self.state.dtmf_due()].into_iter().flatten().min()
    }

    /// The next thing to do now; collect until `None` after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.state.outputs.pop_front()
    }

    /// The next frame for the agent; ask only when its socket takes one.
    pub fn poll_agent(&mut self) -> Option<AgentOutput> {
        self.state.queue.pop()
    }

    /// Whether a frame waits for the agent.
    pub fn has_agent_output(&self) -> bool {
        !self.state.queue.is_empty()
    }

    /// A frame or packet that carried a token has been written to its socket.
    pub fn handle_written(&mut self, token: WriteToken, now: Instant) {
        self.state.written(token, now);
    }

    /// Where to send packets to the caller, once known.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.latch.target()
    }

    /// The WebSocket subprotocol of the agent.
    pub fn subprotocol(&self) -> &'static str {
        self.state.dialect.subprotocol()
    }

    /// Agent audio that waits to be played.
    pub fn playout_queued(&self) -> Duration {
        self.playout.queued()
    }

    /// Caller audio that waits for the agent.
    pub fn agent_queued(&self) -> Duration {
        self.state.queue.audio()
    }

    /// Whether the call has ended for the bridge.
    pub fn is_over(&self) -> bool {
        self.state.is_over()
    }

    /// The figures so far; final once the bridge is over.
    pub fn report(&self, now: Instant) -> CallReport {
        let statistics = self.receiver.statistics();
        let state = &self.state;
        let turns = state.turns();
        CallReport {
            reason: state.end_reason(),
            duration: state.duration(now),
            codec_used: state.codec(),
            carrier_lag: state.carrier_lag(),
            carrier_lag_source: state.carrier_lag().map(|_| CarrierLagSource::FirstPacket),
            ai_latency: turns.mean_latency(),
            gateway_processing: state.gateway_processing(),
            time_to_first_speech: turns.time_to_first_speech(),
            packets_received: statistics.received(),
            packets_lost: statistics.lost(),
            packet_loss_percent: statistics.loss_percent(),
            jitter: statistics.jitter(),
            jitter_max: statistics.jitter_max(),
            mos: estimate_mos(statistics),
            turns: turns.turns().to_vec(),
            turns_total: turns.total(),
            received: self.receiver.counters(),
            played: self.playout.counters(),
            bridge: state.all_counters(),
        }
    }

    fn obey(&mut self, event: FromAgent, now: Instant) {
        match event {
            FromAgent::Mark(name) => match self.playout.mark(name) {
                Ok(()) => self.run_playout(now),
                Err(_) => self.state.fault(AgentFault::TooManyMarks),
            },
            FromAgent::Clear => self.clear(now),
            FromAgent::Hangup => self.end(EndReason::AgentHangup, now),
            FromAgent::Transfer(target) => self.state.output(Output::Transfer { target }),
            FromAgent::SendDtmf(digits) => {
                let sent = digits.into_iter().all(|digit| self.playout.send_digit(digit));
                if !sent {
                    self.state.fault(AgentFault::DigitsNotSent);
                }
                self.run_playout(now);
            }
            FromAgent::Unknown => self.state.counters.agent_unknown += 1,
        }
    }

    fn clear(&mut self, now: Instant) {
        self.state.agent_cleared(now);
        self.with_playout(now, PlayOut::clear);
        self.run_playout(now);
    }

    fn flush_on_barge_in(&mut self, now: Instant) {
        if self.state.take_barge_in() {
            self.clear(now);
        }
    }

    fn end(&mut self, reason: EndReason, now: Instant) {
        if self.state.finish(reason, now) {
            self.close_playout(now);
            self.state.output(Output::HangUp { reason });
        }
    }

    fn open_playout(&mut self, now: Instant) {
        let open = self.state.may_send();
        self.with_playout(now, |playout, sink| playout.set_open(open, sink));
        self.run_playout(now);
    }

    fn close_playout(&mut self, now: Instant) {
        self.with_playout(now, |playout, sink| playout.set_open(false, sink));
    }

    fn run_playout(&mut self, now: Instant) {
        self.with_playout(now, |playout, sink| playout.run(now, sink));
    }

    fn with_playout(&mut self, now: Instant, act: impl FnOnce(&mut PlayOut, &mut dyn FnMut(PlayOutEvent))) {
        let state = &mut self.state;
        act(&mut self.playout, &mut |event| state.play(event, now));
    }
}

#[cfg(test)]
mod tests;
