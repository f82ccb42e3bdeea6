//! State of a call beside its RTP receiver and play-out: the agent's queue, speech, turns, hold and the end.
//!
//! It is a separate type so that the receiver and play-out can deliver into it while the bridge borrows them.

use super::agent_side::AgentSide;
use super::caller_speech::CallerSpeech;
use super::config::{BridgeConfig, BridgeLimits};
use super::digit_pairs::DigitPairs;
use super::output::{HangUpCause, Output, WriteDirection, WriteToken};
use crate::call_report::BridgeCounters;
use crate::caller_actions::{CallerAction, CallerActionRecorder, DtmfMethod, TimedCallerAction};
use crate::dialect::{AgentFault, CallContext, StopReason, ToAgent};
use crate::dtmf::{Digit, DtmfReceiver};
use crate::histogram::Histogram;
use crate::media_clock::FRAME_SAMPLES;
use crate::playout::{ItemPlayback, PacketContent, PlayOutEvent};
use crate::rtp::Delivery;
use crate::sdp::{MediaDirection, Negotiated};
use crate::turns::TurnRecorder;
use crate::vad::SpeechEvent;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Maximum number of queued outputs. The gateway is expected to collect all of them after every event.
const OUTPUT_LIMIT: usize = 64;

#[derive(Debug)]
pub(super) struct BridgeState {
    call: CallContext,
    pub(super) agent: AgentSide,
    pub(super) outputs: VecDeque<Output>,
    pub(super) counters: BridgeCounters,
    /// Our direction. We do not send while the peer holds the call, and a peer with `a=recvonly` does not send.
    direction: MediaDirection,
    pub(super) speech: CallerSpeech,
    pub(super) has_tool_endpoint: bool,
    dtmf: DtmfReceiver,
    actions: CallerActionRecorder,
    digit_pairs: DigitPairs,
    /// Hook flashes by signalling.
    signalled_flashes: u64,
    answered: Option<Instant>,
    first_rtp: Option<Instant>,
    /// When the caller's media was last alive: at a packet, the answer, or the start or end of a hold.
    alive_at: Instant,
    ended_at: Option<Instant>,
    to_agent: Histogram,
    to_caller: Histogram,
}

impl BridgeState {
    /// The state of a call while it is ringing. The agent's first event is queued.
    pub(super) fn new(config: BridgeConfig, now: Instant) -> Self {
        let (dialect, media) = (config.dialect, config.negotiated);
        let mut state = Self {
            call: config.call,
            speech: CallerSpeech::new(dialect.turn_detection(), config.barge_in, now),
            agent: AgentSide::new(dialect, media.codec, config.limits.agent_queue),
            outputs: VecDeque::new(),
            counters: BridgeCounters::default(),
            direction: media.direction,
            has_tool_endpoint: config.has_tool_endpoint,
            dtmf: DtmfReceiver::default(),
            actions: CallerActionRecorder::default(),
            digit_pairs: DigitPairs::default(),
            signalled_flashes: 0,
            answered: None,
            first_rtp: None,
            alive_at: now,
            ended_at: None,
            to_agent: Histogram::default(),
            to_caller: Histogram::default(),
        };
        state.speech.set_rate(state.agent.leg_format().rate);
        state.start_agent(now);
        if media.is_held() {
            state.report_hold(now);
        }
        state
    }

    /// The first event on the agent's socket.
    fn start_agent(&mut self, now: Instant) {
        let codec = self.agent.leg();
        self.agent.send_event(&ToAgent::Start { call: &self.call, codec }, now);
    }

    /// Starts again on a new connection; `false` if the dialect cannot.
    pub(super) fn reconnect_agent(&mut self, now: Instant) -> bool {
        if self.ended_at.is_some() || !self.agent.reconnect() {
            return false;
        }
        for id in self.agent.tool_calls.take() {
            self.push_output(Output::ToolCallCancelled(id));
        }
        self.start_agent(now);
        true
    }

    pub(super) fn handle_answered(&mut self, now: Instant) -> bool {
        let first = self.answered.is_none() && self.ended_at.is_none();
        if first {
            self.answered = Some(now);
            self.alive_at = now;
            self.speech.turns.set_origin(now);
        }
        first
    }

    /// Applies renegotiated media; `true` if a hold started or ended.
    pub(super) fn renegotiate(&mut self, media: &Negotiated, now: Instant) -> bool {
        self.agent.set_leg(media.codec);
        self.speech.set_rate(self.agent.leg_format().rate);
        if media.direction.receives() && !self.direction.receives() {
            self.alive_at = now;
        }
        let changed = media.is_held() != self.is_held() && self.ended_at.is_none();
        self.direction = media.direction;
        if changed {
            self.alive_at = now;
            self.flush_dtmf(now);
            if self.is_held() {
                let stopped = self.speech.stop();
                self.report_speech(stopped, now);
                self.report_hold(now);
            } else {
                self.actions.record(CallerAction::Resume, now);
                self.send_event(&ToAgent::Resume, now);
            }
        }
        changed
    }

    /// Tells the agent that the caller has put the call on hold.
    pub(super) fn report_hold(&mut self, now: Instant) {
        self.actions.record(CallerAction::Hold, now);
        self.send_event(&ToAgent::Hold, now);
    }

    pub(super) fn note_alive(&mut self, now: Instant) {
        self.alive_at = now;
    }

    pub(super) fn note_rtp(&mut self, now: Instant) {
        self.note_alive(now);
        if self.answered.is_some() {
            self.first_rtp.get_or_insert(now);
        }
    }

    /// Handles what the RTP receiver delivers.
    pub(super) fn handle_delivery(&mut self, delivery: Delivery<'_>, now: Instant) {
        // Music on hold is not the caller, so the agent does not need it.
        if self.is_held() || self.ended_at.is_some() {
            return;
        }
        match delivery {
            Delivery::Audio { payload, arrival } => {
                self.agent.hear(payload);
                let event = self.speech.handle(self.agent.heard(), arrival);
                self.report_speech(event, now);
                self.agent.push_heard(Some(arrival));
            }
            Delivery::Silence { samples, cause: _ } => self.handle_silence(samples, now),
            Delivery::Event { payload, timestamp } => {
                for digit in self.dtmf.handle(payload, timestamp, now).into_iter().flatten() {
                    self.report_digit(digit, DtmfMethod::TelephoneEvent, now);
                }
                if let Some(digit) = self.dtmf.pressed() {
                    self.digit_pairs.hold(digit, now);
                }
            }
            Delivery::SourceChanged => {
                self.agent.restart();
                self.flush_dtmf(now);
            }
        }
    }

    /// Reports a digit whose end has not arrived, before a new source or a hold.
    fn flush_dtmf(&mut self, now: Instant) {
        if let Some(digit) = self.dtmf.flush() {
            self.report_digit(digit, DtmfMethod::TelephoneEvent, now);
        }
    }

    fn report_digit(&mut self, digit: Digit, method: DtmfMethod, now: Instant) {
        if self.digit_pairs.is_new(digit, method, now) {
            self.actions.record(CallerAction::Dtmf { digit, method }, now);
            self.send_event(&ToAgent::Dtmf(digit), now);
        }
    }

    /// Counts a hook flash that arrived by signalling.
    pub(super) fn handle_signalled_flash(&mut self) {
        self.signalled_flashes += 1;
    }

    /// Reports a digit that arrived by signalling.
    pub(super) fn handle_signalled_digit(&mut self, digit: Digit, now: Instant) {
        if !self.is_held() && self.ended_at.is_none() {
            self.report_digit(digit, DtmfMethod::Info, now);
        }
    }

    fn handle_silence(&mut self, samples: u64, now: Instant) {
        let mut left = usize::try_from(samples).unwrap_or(usize::MAX);
        while left > 0 {
            let part = left.min(FRAME_SAMPLES);
            left -= part;
            self.agent.hear_silence(part);
            let event = self.speech.handle(self.agent.heard(), now);
            self.report_speech(event, now);
            self.agent.push_heard(None);
        }
    }

    /// Tells the agent what the built-in detector has found.
    fn report_speech(&mut self, event: Option<SpeechEvent>, now: Instant) {
        match event {
            None => {}
            Some(SpeechEvent::Started { .. }) => self.send_event(&ToAgent::SpeechStarted, now),
            Some(SpeechEvent::Stopped { .. }) => self.send_event(&ToAgent::SpeechStopped, now),
        }
    }

    /// Handles what play-out produces.
    pub(super) fn handle_playout(&mut self, event: PlayOutEvent, now: Instant) {
        match event {
            PlayOutEvent::Packet { datagram, content } => {
                let mut token = None;
                if let PacketContent::Audio(audio) = content {
                    self.speech.turns.agent_frame(audio, self.speech.loud_now(), now);
                    let direction = WriteDirection::ToCaller;
                    token = audio.first.then_some(WriteToken { read_at: audio.read_at, direction });
                }
                self.push_output(Output::SendRtp { datagram, token });
            }
            PlayOutEvent::Mark { name, cleared } => {
                self.send_event(&ToAgent::Mark { name: &name, cleared }, now);
            }
            PlayOutEvent::Idle => self.speech.turns.agent_idle(),
        }
    }

    /// Queued agent audio is about to be flushed.
    pub(super) fn handle_flush(&mut self, items: &[ItemPlayback], now: Instant) {
        self.speech.turns.agent_cleared(now);
        self.agent.flush();
        self.send_event(&ToAgent::Flushed(items), now);
    }

    /// The call is on hold, so agent audio of this many bytes is not queued.
    pub(super) fn drop_held_audio(&mut self, bytes: usize) {
        self.counters.dropped_while_held += self.agent.frames_of(bytes);
    }

    pub(super) fn send_event(&mut self, event: &ToAgent<'_>, now: Instant) {
        self.agent.send_event(event, now);
    }

    pub(super) fn report_fault(&mut self, fault: AgentFault, now: Instant) {
        self.counters.agent_faults += 1;
        self.send_event(&ToAgent::Error(fault), now);
    }

    pub(super) fn push_output(&mut self, output: Output) {
        if self.outputs.len() >= OUTPUT_LIMIT {
            // Drop the oldest packet; losing a hang-up would be worse.
            let packet = self.outputs.iter().position(|output| matches!(output, Output::SendRtp { .. }));
            self.outputs.remove(packet.unwrap_or(0));
            self.counters.outputs_dropped += 1;
        }
        self.outputs.push_back(output);
    }

    pub(super) fn handle_written(&mut self, token: WriteToken, now: Instant) {
        let elapsed = now.saturating_duration_since(token.read_at);
        match token.direction {
            WriteDirection::ToAgent => self.to_agent.record(elapsed),
            WriteDirection::ToCaller => self.to_caller.record(elapsed),
        }
    }

    pub(super) fn handle_dtmf_timeout(&mut self, now: Instant) {
        if let Some(digit) = self.dtmf.handle_timeout(now) {
            self.report_digit(digit, DtmfMethod::TelephoneEvent, now);
        }
    }

    pub(super) fn poll_dtmf_timeout(&self) -> Option<Instant> {
        self.dtmf.poll_timeout()
    }

    /// Ends the call; `false` if it had already ended.
    pub(super) fn finish(&mut self, reason: StopReason, now: Instant) -> bool {
        if self.ended_at.is_some() {
            return false;
        }
        self.speech.finish(now);
        self.send_event(&ToAgent::Stop(reason), now);
        self.ended_at = Some(now);
        true
    }

    /// When the bridge must end the call, and why. A peer that is on hold or does not send may be silent.
    pub(super) fn deadline(&self, limits: &BridgeLimits) -> Option<(Instant, HangUpCause)> {
        let answered = self.answered?;
        let longest = (answered + limits.max_duration, HangUpCause::MaxDuration);
        let silent = (self.alive_at + limits.media_timeout, HangUpCause::MediaTimeout);
        let may_be_silent = self.is_held() || !self.direction.receives();
        Some(if !may_be_silent && silent.0 < longest.0 { silent } else { longest })
    }

    pub(super) fn can_send(&self) -> bool {
        self.answered.is_some() && !self.is_held() && self.ended_at.is_none()
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered.is_some()
    }

    pub(super) fn is_held(&self) -> bool {
        !self.direction.sends()
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended_at.is_some()
    }

    pub(super) fn duration(&self, now: Instant) -> Duration {
        let until = self.ended_at.unwrap_or(now);
        self.answered.map_or(Duration::ZERO, |since| until.saturating_duration_since(since))
    }

    pub(super) fn caller_actions(&self) -> Vec<TimedCallerAction> {
        self.actions.since(self.answered)
    }

    pub(super) fn turns(&self) -> &TurnRecorder {
        &self.speech.turns
    }

    pub(super) fn carrier_lag(&self) -> Option<Duration> {
        Some(self.first_rtp?.saturating_duration_since(self.answered?))
    }

    pub(super) fn gateway_processing(&self) -> Option<Duration> {
        let to_agent = self.to_agent.median()?;
        Some(to_agent + self.to_caller.median().unwrap_or_default())
    }

    pub(super) fn all_counters(&self) -> BridgeCounters {
        BridgeCounters {
            agent_audio_dropped: self.agent.queue.dropped_audio + self.agent.dropped_early,
            agent_events_dropped: self.agent.queue.dropped_events + self.agent.dropped_results,
            telephone_events_ignored: self.dtmf.ignored() + self.signalled_flashes,
            caller_actions_omitted: self.actions.omitted(),
            ..self.counters
        }
    }
}
