//! The agent's side of a bridge: its dialect, the conversion of audio, and the frames that wait for its socket.

use super::agent_queue::AgentQueue;
use super::early_audio::EarlyAudio;
use super::output::{AgentOutput, WriteDirection, WriteToken};
use super::tool_calls::ToolCalls;
use super::transcoder::Transcoder;
use crate::audio_converter::AudioConverter;
use crate::audio_format::AudioFormat;
use crate::codec::AudioCodec;
use crate::dialect::{AgentFault, Dialect, DialectOutput, FromAgent, ToAgent};
use std::ops::Range;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct AgentSide {
    dialect: Dialect,
    /// Results of a received frame and of an event. Both are reused. The bridge sends events while it handles what was
    /// received.
    received: DialectOutput,
    sent: DialectOutput,
    transcoder: Transcoder,
    pub(super) queue: AgentQueue,
    early_audio: EarlyAudio,
    /// The beginning of an audio frame, if all frames must have the same length.
    partial: Vec<u8>,
    pub(super) tool_calls: ToolCalls,
    ready: bool,
    closed: bool,
    /// Frames of the caller's audio that were dropped because the agent was not ready.
    pub(super) dropped_early: u64,
    /// Frames and events of the dialect beyond its bound.
    pub(super) dropped_results: u64,
}

impl AgentSide {
    pub(super) fn new(dialect: Dialect, leg: AudioCodec, queue_limit: Duration) -> Self {
        Self {
            transcoder: Transcoder::new(leg, dialect.formats()),
            dialect,
            received: DialectOutput::default(),
            sent: DialectOutput::default(),
            queue: AgentQueue::new(queue_limit),
            early_audio: EarlyAudio::new(AudioFormat::of_leg(leg), queue_limit),
            partial: Vec::new(),
            tool_calls: ToolCalls::default(),
            ready: false,
            closed: false,
            dropped_early: 0,
            dropped_results: 0,
        }
    }

    pub(super) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// The agent has closed its socket, and what it said last is still played.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Prepares for a new connection; `false` if the dialect cannot continue the call on one.
    pub(super) fn reconnect(&mut self) -> bool {
        if self.closed || !self.dialect.reconnect() {
            return false;
        }
        self.queue.clear();
        self.partial.clear();
        self.transcoder.flush();
        self.ready = false;
        true
    }

    /// The codec of the carrier leg.
    pub(super) fn leg(&self) -> AudioCodec {
        self.transcoder.leg()
    }

    /// The format of the leg's audio.
    pub(super) fn leg_format(&self) -> AudioFormat {
        self.transcoder.leg_format()
    }

    /// Changes the codec of the carrier leg.
    pub(super) fn set_leg(&mut self, leg: AudioCodec) {
        if leg != self.transcoder.leg() {
            self.early_audio.set_format(AudioFormat::of_leg(leg));
            self.transcoder.set_leg(leg);
        }
    }

    /// Writes the frames of an event.
    pub(super) fn send_event(&mut self, event: &ToAgent<'_>, now: Instant) {
        self.dialect.encode(event, now, &mut self.sent);
        self.finish();
    }

    /// Handles a text frame. Its events are in order; [`Self::finish_events`] takes them back.
    pub(super) fn handle_text(
        &mut self,
        text: &str,
        now: Instant,
    ) -> (Vec<FromAgent>, Result<(), AgentFault>) {
        let result = self.dialect.handle_text(text, now, &mut self.received);
        for frame in self.received.take_frames() {
            self.queue.push_event(frame);
        }
        (self.received.take_events(), result)
    }

    /// Ends the handling of events, whose audio is no longer needed.
    pub(super) fn finish_events(&mut self, events: Vec<FromAgent>) {
        self.dropped_results += self.received.reset();
        self.received.reuse_events(events);
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.dialect.poll_timeout()
    }

    /// The deadline of the dialect, if any, has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.dialect.poll_timeout().is_some_and(|due| now >= due) {
            self.dialect.handle_timeout(now, &mut self.sent);
            self.finish();
        }
    }

    /// Notices that the agent has become ready, once. What the caller has said so far is passed on.
    ///
    /// # Errors
    /// Returns a format of the agent that cannot be converted.
    pub(super) fn check_ready(&mut self) -> Result<bool, AudioFormat> {
        if self.ready || !self.dialect.is_ready() {
            return Ok(false);
        }
        let formats = self.dialect.formats();
        for format in [formats.to_agent, formats.from_agent] {
            if !AudioConverter::supports(format) {
                return Err(format);
            }
        }
        self.transcoder.set_formats(formats);
        self.ready = true;
        for audio in self.early_audio.take().chunks(self.leg_format().frame_bytes()) {
            let converted = self.transcoder.convert_for_agent(audio);
            self.queue_audio(converted, audio.len(), None);
        }
        Ok(true)
    }

    /// Decodes a payload from the caller. Each payload is passed here once, in order, and then [`Self::push_heard`] passes
    /// it on.
    pub(super) fn hear(&mut self, payload: &[u8]) {
        self.transcoder.hear(payload);
    }

    /// Silence of this many ticks of the RTP clock, at most one frame, takes the place of a missing payload.
    pub(super) fn hear_silence(&mut self, ticks: usize) {
        self.transcoder.hear_silence(ticks);
    }

    /// The caller's stream begins again.
    pub(super) fn restart(&mut self) {
        self.transcoder.restart();
    }

    /// The samples of what was heard last.
    pub(super) fn heard(&self) -> impl Iterator<Item = i16> + Clone + use<'_> {
        self.leg_format().samples(self.transcoder.heard())
    }

    /// Passes on to the agent what was heard last. A payload was read at `arrival`; silence was not.
    pub(super) fn push_heard(&mut self, arrival: Option<Instant>) {
        let heard = self.transcoder.heard().len();
        if self.ready {
            let direction = WriteDirection::ToAgent;
            let audio = self.transcoder.heard_for_agent();
            self.queue_audio(audio, heard, arrival.map(|read_at| WriteToken { read_at, direction }));
        } else {
            self.dropped_early += self.early_audio.push(self.transcoder.heard());
        }
    }

    /// Queues converted audio that was this many bytes in the format of the leg, in frames of the length that the dialect
    /// wants.
    fn queue_audio(&mut self, audio: Vec<u8>, heard: usize, token: Option<WriteToken>) {
        let ticks = (heard / self.leg_format().bytes_per_tick()) as u64;
        let Some(length) = self.dialect.audio_chunk() else {
            let frame = self.dialect.encode_audio(audio);
            return self.queue.push_audio(frame, ticks, token);
        };
        let ticks = ticks * length as u64 / (audio.len() as u64).max(1);
        if self.partial.is_empty() && audio.len() == length {
            let frame = self.dialect.encode_audio(audio);
            return self.queue.push_audio(frame, ticks, token);
        }
        self.partial.extend(audio);
        while self.partial.len() >= length {
            let frame = self.dialect.encode_audio(self.partial.drain(..length).collect());
            self.queue.push_audio(frame, ticks, token);
        }
    }

    /// Converts audio of [`FromAgent::Audio`] for the caller, to the format of the leg.
    pub(super) fn convert(&mut self, bytes: Range<usize>) -> &[u8] {
        self.transcoder.convert_for_caller(self.received.audio(bytes))
    }

    /// Converts audio of a binary frame for the caller, to the format of the leg.
    pub(super) fn convert_bytes(&mut self, bytes: &[u8]) -> &[u8] {
        self.transcoder.convert_for_caller(bytes)
    }

    /// How many frames of 20 ms this many bytes from the agent are.
    pub(super) fn frames_of(&self, bytes: usize) -> u64 {
        self.transcoder.frames_from_agent(bytes)
    }

    /// Queued agent audio was flushed, so what follows does not continue it.
    pub(super) fn flush(&mut self) {
        self.transcoder.flush();
    }

    pub(super) fn pop(&mut self) -> Option<AgentOutput> {
        self.queue.pop()
    }

    /// Queues the frames of an event, which causes no events for the bridge.
    fn finish(&mut self) {
        for frame in self.sent.take_frames() {
            self.queue.push_event(frame);
        }
        self.dropped_results += self.sent.reset();
    }
}
