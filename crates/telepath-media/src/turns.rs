//! Turns of a conversation: who spoke when, how fast the agent answered, and who was interrupted.
//!
//! The caller's turns come from the voice detector. An agent's turn begins with the first sounding frame that
//! is sent and ends when play-out runs dry, falls silent, or is cleared.

use crate::FRAME;
use crate::playout::SentAudio;
use std::time::{Duration, Instant};

/// Turns kept for one call; more are counted but not kept.
pub const TURN_LIMIT: usize = 10_000;
/// Silence inside continuous agent audio that ends its turn.
pub const AGENT_SILENCE: Duration = Duration::from_millis(600);
/// Agent audio this soon after the caller was last heard overlaps the caller rather than answering.
const OVERLAP: Duration = Duration::from_millis(100);

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The caller.
    Caller,
    /// The agent.
    Agent,
}

/// One turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Position in the call, from 1.
    pub number: u32,
    /// Who spoke.
    pub speaker: Speaker,
    /// Start, counted from the answer.
    pub started: Duration,
    /// Length.
    pub duration: Duration,
    /// Caller's speech end to the first agent audio read; `None` for the caller's own turns, for a greeting and
    /// for an agent that spoke while the caller did.
    pub latency: Option<Duration>,
    /// Whether it was cut by a barge-in.
    pub interrupted: bool,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    index: Option<usize>,
    started: Instant,
    last_sound: Instant,
}

/// Follows the turns of one call.
#[derive(Debug)]
pub struct TurnRecorder {
    origin: Instant,
    turns: Vec<Turn>,
    total: u32,
    caller: Option<Open>,
    agent: Option<Open>,
    utterance_read: Option<Instant>,
    /// End of caller speech that no agent turn has answered yet.
    unanswered: Option<Instant>,
    answered: Option<Instant>,
    first_speech: Option<Duration>,
    latency_sum: Duration,
    latency_count: u32,
}

impl TurnRecorder {
    /// Times are counted from `origin`, the answer of the call.
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

    /// Sets the moment of the answer.
    pub fn set_origin(&mut self, origin: Instant) {
        self.origin = origin;
    }

    /// The caller began to speak.
    pub fn caller_started(&mut self, at: Instant) {
        let index = self.open(Speaker::Caller, at, None);
        self.caller = Some(Open { index, started: at, last_sound: at });
    }

    /// The caller was last heard at `at` and is silent since.
    pub fn caller_stopped(&mut self, at: Instant) {
        if let Some(open) = self.caller.take() {
            self.close(open, at + FRAME, false);
        }
        if self.answered != Some(at) {
            self.unanswered = Some(at);
        }
    }

    /// An agent frame is sent at `now`. `caller_loud` is when the caller was last heard, while still speaking.
    pub fn agent_frame(&mut self, audio: SentAudio, caller_loud: Option<Instant>, now: Instant) {
        if audio.first {
            self.utterance_read = Some(audio.read_at);
        }
        match &mut self.agent {
            Some(open) if audio.sound => open.last_sound = now,
            Some(open) if now.saturating_duration_since(open.last_sound) >= AGENT_SILENCE => {
                self.agent_idle();
            }
            None if audio.sound => self.open_agent(audio.read_at, caller_loud, now),
            Some(_) | None => {}
        }
    }

    /// Play-out ran dry.
    pub fn agent_idle(&mut self) {
        if let Some(open) = self.agent.take() {
            self.close(open, open.last_sound + FRAME, false);
        }
    }

    /// The agent's audio was flushed; an open agent turn was interrupted.
    pub fn agent_cleared(&mut self, now: Instant) {
        if let Some(open) = self.agent.take() {
            self.close(open, now, true);
        }
    }

    /// Whether the agent is being heard.
    pub fn agent_speaks(&self) -> bool {
        self.agent.is_some()
    }

    /// Closes what is open when the call ends.
    pub fn finish(&mut self, now: Instant) {
        if let Some(open) = self.caller.take() {
            self.close(open, now, false);
        }
        self.agent_idle();
    }

    /// The turns kept, in order of their start.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Turns there were, kept or not.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Mean latency over the agent turns that answered the caller.
    pub fn mean_latency(&self) -> Option<Duration> {
        self.latency_sum.checked_div(self.latency_count)
    }

    /// Caller's speech end to the first packet of the first answer.
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
        // Leading silence of the utterance belongs to it, unless it began before the caller had finished.
        let latency = ended.map(|end| {
            let first = self.utterance_read.filter(|&read| read >= end).unwrap_or(read_at);
            first.saturating_duration_since(end)
        });
        if let (Some(latency), Some(end)) = (latency, ended) {
            self.latency_sum += latency;
            self.latency_count += 1;
            self.first_speech.get_or_insert(now.saturating_duration_since(end));
        }
        let index = self.open(Speaker::Agent, now, latency);
        self.agent = Some(Open { index, started: now, last_sound: now });
    }

    fn open(&mut self, speaker: Speaker, at: Instant, latency: Option<Duration>) -> Option<usize> {
        self.total = self.total.saturating_add(1);
        if self.turns.len() >= TURN_LIMIT {
            return None;
        }
        let started = at.saturating_duration_since(self.origin);
        let number = self.total;
        let turn = Turn { number, speaker, started, duration: Duration::ZERO, latency, interrupted: false };
        self.turns.push(turn);
        Some(self.turns.len() - 1)
    }

    fn close(&mut self, open: Open, at: Instant, interrupted: bool) {
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
    fn turns_beyond_their_bound_are_counted_but_not_kept() {
        let start = Instant::now();
        let mut recorder = TurnRecorder::new(start);
        for n in 0..TURN_LIMIT + 10 {
            let at = start + FRAME * u32::try_from(n).unwrap();
            recorder.caller_started(at);
            recorder.caller_stopped(at);
        }
        assert_eq!(recorder.turns().len(), TURN_LIMIT);
        assert_eq!(recorder.total() as usize, TURN_LIMIT + 10);
        assert!(recorder.turns().iter().all(|turn| turn.duration == FRAME));
    }
}
