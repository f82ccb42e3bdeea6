//! Turns of a conversation: who spoke when, how fast the agent responded, and who was interrupted.
//!
//! The voice activity detector delimits the caller's turns. An agent's turn starts with the first audible frame sent
//! and ends when play-out is empty, silent or cleared.

use crate::media_clock::FRAME_DURATION;
use crate::playout::SentAudio;
use std::time::{Duration, Instant};

/// Maximum number of recorded turns per call; further turns are only counted.
pub const TURN_LIMIT: usize = 10_000;
/// Silence within continuous agent audio that ends the agent's turn.
pub const AGENT_SILENCE: Duration = Duration::from_millis(600);
/// Agent audio that starts this soon after the caller's last loud frame overlaps the caller; it is not a response.
const OVERLAP: Duration = Duration::from_millis(100);

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnSpeaker {
    /// The caller.
    Caller,
    /// The agent.
    Agent,
}

/// One turn as measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeasuredTurn {
    /// Position in the call, from 1.
    pub number: u32,
    /// The side that spoke.
    pub speaker: TurnSpeaker,
    /// Start, counted from the answer.
    pub started: Duration,
    /// Length of the turn.
    pub duration: Duration,
    /// End of the caller's speech to the first agent audio read; `None` for the caller's turns, for a greeting, and if
    /// the agent talked over the caller.
    pub latency: Option<Duration>,
    /// Whether barge-in cut the turn short.
    pub interrupted: bool,
}

#[derive(Debug, Clone, Copy)]
struct OpenTurn {
    index: Option<usize>,
    started: Instant,
    last_sound: Instant,
}

/// Records the turns of one call.
#[derive(Debug)]
pub struct TurnRecorder {
    origin: Instant,
    turns: Vec<MeasuredTurn>,
    total: u32,
    caller: Option<OpenTurn>,
    agent: Option<OpenTurn>,
    utterance_read: Option<Instant>,
    /// End of caller speech to which the agent has not responded.
    unanswered: Option<Instant>,
    answered: Option<Instant>,
    first_speech: Option<Duration>,
    latency_sum: Duration,
    latency_count: u32,
}

impl TurnRecorder {
    /// Creates a recorder that counts time from `origin`, the answer of the call.
    pub fn new(origin: Instant) -> Self {
        Self {
            origin,
            turns: Vec::new(),
            total: 0,
            caller: None,
            agent: None,
            utterance_read: None,
            unanswered: None,
            answered: None,
            first_speech: None,
            latency_sum: Duration::ZERO,
            latency_count: 0,
        }
    }

    /// Sets the time of the answer.
    pub fn set_origin(&mut self, origin: Instant) {
        self.origin = origin;
    }

    /// The caller started speaking at `at`.
    pub fn caller_started(&mut self, at: Instant) {
        let index = self.open(TurnSpeaker::Caller, at, None);
        self.caller = Some(OpenTurn { index, started: at, last_sound: at });
    }

    /// The caller stopped speaking; the last loud frame was read at `at`.
    pub fn caller_stopped(&mut self, at: Instant) {
        if let Some(open) = self.caller.take() {
            self.close(open, at + FRAME_DURATION, false);
        }
        if self.answered != Some(at) {
            self.unanswered = Some(at);
        }
    }

    /// Whether a turn of the caller is open.
    pub fn caller_speaks(&self) -> bool {
        self.caller.is_some()
    }

    /// When the open turn of the caller started; the origin if none is open.
    pub fn caller_since(&self) -> Instant {
        self.caller.map_or(self.origin, |open| open.started)
    }

    /// An agent frame is sent at `now`. `caller_loud` is the time of the caller's last loud frame during speech.
    pub fn agent_frame(&mut self, audio: SentAudio, caller_loud: Option<Instant>, now: Instant) {
        if audio.first {
            self.utterance_read = Some(audio.read_at);
        }
        match &mut self.agent {
            Some(open) if audio.audible => open.last_sound = now,
            Some(open) if now.saturating_duration_since(open.last_sound) >= AGENT_SILENCE => {
                self.agent_idle();
            }
            None if audio.audible => self.open_agent(audio.read_at, caller_loud, now),
            Some(_) | None => {}
        }
    }

    /// Play-out is empty.
    pub fn agent_idle(&mut self) {
        if let Some(open) = self.agent.take() {
            self.close(open, open.last_sound + FRAME_DURATION, false);
        }
    }

    /// The agent's audio was flushed, which interrupts an open agent turn.
    pub fn agent_cleared(&mut self, now: Instant) {
        if let Some(open) = self.agent.take() {
            self.close(open, now, true);
        }
    }

    /// Whether an agent turn is open.
    pub fn agent_speaks(&self) -> bool {
        self.agent.is_some()
    }

    /// Closes open turns at the end of the call.
    pub fn finish(&mut self, now: Instant) {
        if let Some(open) = self.caller.take() {
            self.close(open, now, false);
        }
        self.agent_idle();
    }

    /// The recorded turns in order of their start.
    pub fn turns(&self) -> &[MeasuredTurn] {
        &self.turns
    }

    /// The number of turns, recorded or not.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Mean latency over the agent turns that responded to the caller.
    pub fn mean_latency(&self) -> Option<Duration> {
        self.latency_sum.checked_div(self.latency_count)
    }

    /// End of the caller's speech to the first packet of the agent's first response.
    pub fn time_to_first_speech(&self) -> Option<Duration> {
        self.first_speech
    }

    fn open_agent(&mut self, read_at: Instant, caller_loud: Option<Instant>, now: Instant) {
        let ended = match caller_loud {
            Some(loud) if read_at.saturating_duration_since(loud) >= OVERLAP => {
                self.answered = Some(loud);
                Some(loud)
            }
            Some(_) => None,
            None => self.unanswered,
        };
        self.unanswered = None;
        // Leading silence belongs to the utterance, unless it started before the caller had finished.
        let latency = ended.map(|end| {
            let first = self.utterance_read.filter(|&read| read >= end).unwrap_or(read_at);
            first.saturating_duration_since(end)
        });
        if let (Some(latency), Some(end)) = (latency, ended) {
            self.latency_sum += latency;
            self.latency_count += 1;
            self.first_speech.get_or_insert(now.saturating_duration_since(end));
        }
        let index = self.open(TurnSpeaker::Agent, now, latency);
        self.agent = Some(OpenTurn { index, started: now, last_sound: now });
    }

    fn open(&mut self, speaker: TurnSpeaker, at: Instant, latency: Option<Duration>) -> Option<usize> {
        self.total = self.total.saturating_add(1);
        if self.turns.len() >= TURN_LIMIT {
            return None;
        }
        let started = at.saturating_duration_since(self.origin);
        let number = self.total;
        let turn =
            MeasuredTurn { number, speaker, started, duration: Duration::ZERO, latency, interrupted: false };
        self.turns.push(turn);
        Some(self.turns.len() - 1)
    }

    fn close(&mut self, open: OpenTurn, at: Instant, interrupted: bool) {
        if let Some(turn) = open.index.and_then(|index| self.turns.get_mut(index)) {
            turn.duration = at.saturating_duration_since(open.started);
            turn.interrupted = interrupted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_beyond_the_limit_are_counted_but_not_recorded() {
        let start = Instant::now();
        let mut recorder = TurnRecorder::new(start);
        for n in 0..TURN_LIMIT + 10 {
            let at = start + FRAME_DURATION * u32::try_from(n).unwrap();
            recorder.caller_started(at);
            recorder.caller_stopped(at);
        }
        assert_eq!(recorder.turns().len(), TURN_LIMIT);
        assert_eq!(recorder.total() as usize, TURN_LIMIT + 10);
        assert!(recorder.turns().iter().all(|turn| turn.duration == FRAME_DURATION));
    }
}
