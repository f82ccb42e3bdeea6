//! When the caller speaks: according to the built-in detector, or to the provider if it has its own.
//!
//! A provider decides which turns there are, but its events come late: it reports the end of speech after a pause. So the
//! times of a turn are those of the first and last loud frame, which the built-in detector has seen.

use super::config::BargeIn;
use crate::dialect::TurnDetection;
use crate::turns::TurnRecorder;
use crate::vad::{SpeechEvent, VoiceDetector};
use std::time::{Duration, Instant};

/// Speech that the built-in detector saw longer ago is not what the provider reports.
const SAME_SPEECH: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct CallerSpeech {
    detection: TurnDetection,
    barge_in: BargeIn,
    barge_in_due: bool,
    voice: VoiceDetector,
    /// First and last loud frame of the latest speech that the detector saw.
    first_loud: Option<Instant>,
    last_loud: Option<Instant>,
    pub(super) turns: TurnRecorder,
}

impl CallerSpeech {
    pub(super) fn new(detection: TurnDetection, barge_in: BargeIn, now: Instant) -> Self {
        Self {
            detection,
            barge_in,
            barge_in_due: false,
            voice: VoiceDetector::default(),
            first_loud: None,
            last_loud: None,
            turns: TurnRecorder::new(now),
        }
    }

    /// Changes the sampling rate of the caller's audio, in hertz.
    pub(super) fn set_rate(&mut self, rate: u32) {
        self.voice.set_rate(rate);
    }

    /// Analyses samples of the caller. Returns the event that the agent is told, if the built-in detector decides.
    pub(super) fn handle(
        &mut self,
        samples: impl IntoIterator<Item = i16>,
        now: Instant,
    ) -> Option<SpeechEvent> {
        let event = self.voice.handle(samples, now);
        self.handle_event(event)
    }

    /// Ends speech because the call was put on hold.
    pub(super) fn stop(&mut self) -> Option<SpeechEvent> {
        let event = self.voice.stop();
        let event = self.handle_event(event);
        if self.turns.caller_speaks() {
            self.turns.caller_stopped(self.last_loud.unwrap_or_else(|| self.turns.caller_since()));
        }
        event
    }

    fn handle_event(&mut self, event: Option<SpeechEvent>) -> Option<SpeechEvent> {
        self.last_loud = self.voice.last_loud().or(self.last_loud);
        let event = event?;
        match event {
            SpeechEvent::Started { at } => self.first_loud = Some(at),
            SpeechEvent::Stopped { at } => self.last_loud = Some(at),
        }
        match self.detection {
            TurnDetection::Provider => return None,
            TurnDetection::ProviderInterrupts | TurnDetection::BuiltIn => {}
        }
        match event {
            SpeechEvent::Started { at } => {
                self.turns.caller_started(at);
                let flush = self.barge_in == BargeIn::Flush && self.detection == TurnDetection::BuiltIn;
                self.barge_in_due |= flush && self.turns.agent_speaks();
            }
            SpeechEvent::Stopped { at } => self.turns.caller_stopped(at),
        }
        Some(event)
    }

    /// The provider says that the caller started speaking.
    pub(super) fn provider_started(&mut self, now: Instant) {
        if !self.turns.caller_speaks() {
            let seen = self.first_loud.filter(|&at| now.saturating_duration_since(at) <= SAME_SPEECH);
            self.turns.caller_started(seen.unwrap_or(now));
        }
    }

    /// The provider says that the caller stopped speaking.
    pub(super) fn provider_stopped(&mut self, now: Instant) {
        if self.turns.caller_speaks() {
            let since = self.turns.caller_since();
            self.turns.caller_stopped(self.last_loud.filter(|&at| at >= since).unwrap_or(now));
        }
    }

    pub(super) fn take_barge_in(&mut self) -> bool {
        std::mem::take(&mut self.barge_in_due)
    }

    /// When the caller's last loud frame was read; `None` outside speech.
    pub(super) fn loud_now(&self) -> Option<Instant> {
        self.voice.last_loud()
    }

    /// The call has ended.
    pub(super) fn finish(&mut self, now: Instant) {
        if let Some(SpeechEvent::Stopped { at }) = self.voice.stop() {
            self.turns.caller_stopped(at);
        }
        self.turns.finish(now);
    }
}
