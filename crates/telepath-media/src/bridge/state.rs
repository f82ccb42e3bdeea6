//! What the bridge knows beside its receiver and play-out: the agent's side, speech, turns, hold and the end.
//!
//! Kept apart so that the receiver and play-out can hand their results straight into it.

use super::agent_queue::AgentQueue;
use super::{BargeIn, Limits};
use crate::FRAME_SAMPLES;
use crate::codec::Codec;
use crate::dialect::{AgentFault, Dialect, ToAgent, TransferTarget};
use crate::dtmf::DtmfReceiver;
use crate::figures::{BridgeCounters, Histogram};
use crate::playout::PlayOutEvent;
use crate::reason::EndReason;
use crate::rtp::{Datagram, Delivery};
use crate::sdp::Negotiated;
use crate::turns::TurnRecorder;
use crate::vad::{SpeechEvent, VoiceDetector};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Outputs that may wait for the shell, which is expected to collect all of them after every event.
const OUTPUT_LIMIT: usize = 64;

/// Something the shell shall do now.
#[derive(Debug)]
pub enum Output {
    /// Send this packet to [`super::CallBridge::remote`].
    SendRtp {
        /// The packet.
        datagram: Datagram,
        /// To be given to [`super::CallBridge::handle_written`] when it has been sent.
        token: Option<WriteToken>,
    },
    /// End the call with a BYE; the bridge is over.
    HangUp {
        /// Why.
        reason: EndReason,
    },
    /// Transfer the call by REFER.
    Transfer {
        /// Where to.
        target: TransferTarget,
    },
}

/// Remembers when something was read, until the shell says when it was written.
#[derive(Debug, Clone, Copy)]
pub struct WriteToken {
    read_at: Instant,
    way: Way,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    ToAgent,
    ToCaller,
}

#[derive(Debug)]
pub(super) struct CallState {
    pub(super) dialect: Dialect,
    pub(super) queue: AgentQueue,
    pub(super) outputs: VecDeque<Output>,
    pub(super) counters: BridgeCounters,
    codec: Codec,
    held: bool,
    barge_in: BargeIn,
    barge_in_due: bool,
    voice: VoiceDetector,
    turns: TurnRecorder,
    dtmf: DtmfReceiver,
    answered: Option<Instant>,
    first_rtp: Option<Instant>,
    /// The last sign of life of the caller's media: a packet, the answer, or the end of a hold.
    alive: Instant,
    ended: Option<(EndReason, Instant)>,
    to_agent: Histogram,
    to_caller: Histogram,
}

impl CallState {
    pub(super) fn new(
        dialect: Dialect,
        media: Negotiated,
        limits: &Limits,
        barge_in: BargeIn,
        now: Instant,
    ) -> Self {
        Self {
            dialect,
            queue: AgentQueue::new(limits.agent_queue),
            outputs: VecDeque::new(),
            counters: BridgeCounters::default(),
            codec: media.codec,
            held: media.is_held(),
            barge_in,
            barge_in_due: false,
            voice: VoiceDetector::default(),
            turns: TurnRecorder::new(now),
            dtmf: DtmfReceiver::default(),
            answered: None,
            first_rtp: None,
            alive: now,
            ended: None,
            to_agent: Histogram::default(),
            to_caller: Histogram::default(),
        }
    }

    pub(super) fn answer(&mut self, now: Instant) -> bool {
        let first = self.answered.is_none() && self.ended.is_none();
        if first {
            self.answered = Some(now);
            self.alive = now;
            self.turns.set_origin(now);
        }
        first
    }

    /// Takes over new media; `true` when a hold began or ended.
    pub(super) fn renegotiate(&mut self, media: &Negotiated, now: Instant) -> bool {
        self.codec = media.codec;
        let changed = media.is_held() != self.held && self.ended.is_none();
        if changed {
            self.held = media.is_held();
            self.alive = now;
            self.dtmf.reset();
            if self.held {
                let stopped = self.voice.stop();
                self.speech(stopped);
                self.tell(&ToAgent::Hold);
            } else {
                self.tell(&ToAgent::Resume);
            }
        }
        changed
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.alive = now;
        if self.answered.is_some() {
            self.first_rtp.get_or_insert(now);
        }
    }

    /// Takes in what the receiver hands on.
    pub(super) fn take(&mut self, delivery: Delivery<'_>, now: Instant) {
        // Music on hold is not the caller; the agent need not hear it.
        if self.held || self.ended.is_some() {
            return;
        }
        match delivery {
            Delivery::Audio { payload, arrival } => {
                let codec = self.codec;
                let samples = payload.iter().map(|&code| codec.decode(code));
                let event = self.voice.handle(samples.clone(), arrival);
                self.speech(event);
                let frame = self.dialect.encode_audio(samples);
                let token = WriteToken { read_at: arrival, way: Way::ToAgent };
                self.queue.push_audio(frame, payload.len() as u64, Some(token));
            }
            Delivery::Silence { samples, cause: _ } => self.take_silence(samples, now),
            Delivery::Event { payload, timestamp } => {
                for digit in self.dtmf.handle(payload, timestamp, now).into_iter().flatten() {
                    self.tell(&ToAgent::Dtmf(digit));
                }
            }
        }
    }

    fn take_silence(&mut self, samples: u64, now: Instant) {
        let mut left = usize::try_from(samples).unwrap_or(usize::MAX);
        while left > 0 {
            let part = left.min(FRAME_SAMPLES);
            left -= part;
            let event = self.voice.handle(std::iter::repeat_n(0, part), now);
            self.speech(event);
            let frame = self.dialect.encode_audio(std::iter::repeat_n(0, part));
            self.queue.push_audio(frame, part as u64, None);
        }
    }

    fn speech(&mut self, event: Option<SpeechEvent>) {
        match event {
            None => {}
            Some(SpeechEvent::Started { at }) => {
                self.turns.caller_started(at);
                self.tell(&ToAgent::SpeechStarted);
                self.barge_in_due |= self.barge_in == BargeIn::Flush && self.turns.agent_speaks();
            }
            Some(SpeechEvent::Stopped { at }) => {
                self.turns.caller_stopped(at);
                self.tell(&ToAgent::SpeechStopped);
            }
        }
    }

    /// Takes in what play-out produces.
    pub(super) fn play(&mut self, event: PlayOutEvent, now: Instant) {
        match event {
            PlayOutEvent::Packet { datagram, audio } => {
                let mut token = None;
                if let Some(audio) = audio {
                    self.turns.agent_frame(audio, self.voice.last_loud(), now);
                    token = audio.first.then_some(WriteToken { read_at: audio.read_at, way: Way::ToCaller });
                }
                self.output(Output::SendRtp { datagram, token });
            }
            PlayOutEvent::Played(name) => self.tell(&ToAgent::Mark(&name)),
            PlayOutEvent::Idle => self.turns.agent_idle(),
        }
    }

    pub(super) fn agent_cleared(&mut self, now: Instant) {
        self.turns.agent_cleared(now);
    }

    pub(super) fn take_barge_in(&mut self) -> bool {
        std::mem::take(&mut self.barge_in_due)
    }

    pub(super) fn drop_held_audio(&mut self, bytes: &[u8]) {
        let samples = self.dialect.decode_audio(bytes).count();
        self.counters.dropped_while_held += samples.div_ceil(FRAME_SAMPLES) as u64;
    }

    pub(super) fn tell(&mut self, event: &ToAgent<'_>) {
        let frame = self.dialect.encode(event);
        self.queue.push_event(frame);
    }

    pub(super) fn fault(&mut self, fault: AgentFault) {
        self.counters.agent_faults += 1;
        self.tell(&ToAgent::Error(fault));
    }

    pub(super) fn output(&mut self, output: Output) {
        if self.outputs.len() >= OUTPUT_LIMIT {
            // A packet is worth less than a hang-up, so the oldest packet goes.
            let packet = self.outputs.iter().position(|output| matches!(output, Output::SendRtp { .. }));
            self.outputs.remove(packet.unwrap_or(0));
            self.counters.outputs_dropped += 1;
        }
        self.outputs.push_back(output);
    }

    pub(super) fn written(&mut self, token: WriteToken, now: Instant) {
        let inside = now.saturating_duration_since(token.read_at);
        match token.way {
            Way::ToAgent => self.to_agent.record(inside),
            Way::ToCaller => self.to_caller.record(inside),
        }
    }

    pub(super) fn dtmf_timeout(&mut self, now: Instant) {
        if let Some(digit) = self.dtmf.handle_timeout(now) {
            self.tell(&ToAgent::Dtmf(digit));
        }
    }

    pub(super) fn dtmf_due(&self) -> Option<Instant> {
        self.dtmf.poll_timeout()
    }

    /// Marks the end; `false` when it had ended before.
    pub(super) fn finish(&mut self, reason: EndReason, now: Instant) -> bool {
        if self.ended.is_some() {
            return false;
        }
        if let Some(SpeechEvent::Stopped { at }) = self.voice.stop() {
            self.turns.caller_stopped(at);
        }
        self.turns.finish(now);
        self.tell(&ToAgent::Stop(reason));
        self.ended = Some((reason, now));
        true
    }

    /// When the call must end by itself, and why. A held call may be silent.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<(Instant, EndReason)> {
        let answered = self.answered?;
        let longest = (answered + limits.max_duration, EndReason::MaxDuration);
        let silent = (self.alive + limits.media_timeout, EndReason::NetworkError);
        Some(if !self.held && silent.0 < longest.0 { silent } else { longest })
    }

    pub(super) fn may_send(&self) -> bool {
        self.answered.is_some() && !self.held && self.ended.is_none()
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered.is_some()
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn end_reason(&self) -> Option<EndReason> {
        self.ended.map(|(reason, _)| reason)
    }

    pub(super) fn duration(&self, now: Instant) -> Duration {
        let until = self.ended.map_or(now, |(_, at)| at);
        self.answered.map_or(Duration::ZERO, |since| until.saturating_duration_since(since))
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    pub(super) fn turns(&self) -> &TurnRecorder {
        &self.turns
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
            agent_audio_dropped: self.queue.dropped_audio,
            agent_events_dropped: self.queue.dropped_events,
            ..self.counters
        }
    }
}
