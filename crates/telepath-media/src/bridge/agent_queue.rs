//! What waits for the agent's socket: bounded, in order, oldest audio lost first.
//!
//! Events are kept before audio, because an agent can do without 20 ms of sound but not without a digit.

use super::state::WriteToken;
use crate::dialect::AgentFrame;
use crate::{duration_of, samples_in};
use std::collections::VecDeque;
use std::time::Duration;

/// Events that may wait for an agent that does not read; the oldest is dropped beyond.
pub const EVENT_LIMIT: usize = 512;

/// A frame for the agent.
#[derive(Debug)]
pub struct AgentOutput {
    /// The frame to write.
    pub frame: AgentFrame,
    /// To be given to [`super::CallBridge::handle_written`] when it has been written.
    pub token: Option<WriteToken>,
}

#[derive(Debug)]
struct Waiting {
    output: AgentOutput,
    /// Length of audio; 0 for an event.
    samples: u64,
}

#[derive(Debug)]
pub(super) struct AgentQueue {
    waiting: VecDeque<Waiting>,
    limit: u64,
    samples: u64,
    events: usize,
    pub(super) dropped_audio: u64,
    pub(super) dropped_events: u64,
}

impl AgentQueue {
    pub(super) fn new(limit: Duration) -> Self {
        let limit = samples_in(limit);
        Self { waiting: VecDeque::new(), limit, samples: 0, events: 0, dropped_audio: 0, dropped_events: 0 }
    }

    pub(super) fn push_audio(&mut self, frame: AgentFrame, samples: u64, token: Option<WriteToken>) {
        while self.samples + samples > self.limit && self.drop_oldest(true) {
            self.dropped_audio += 1;
        }
        self.samples += samples;
        self.waiting.push_back(Waiting { output: AgentOutput { frame, token }, samples });
    }

    pub(super) fn push_event(&mut self, frame: AgentFrame) {
        if self.events >= EVENT_LIMIT && self.drop_oldest(false) {
            self.dropped_events += 1;
        }
        self.events += 1;
        self.waiting.push_back(Waiting { output: AgentOutput { frame, token: None }, samples: 0 });
    }

    pub(super) fn pop(&mut self) -> Option<AgentOutput> {
        let waiting = self.waiting.pop_front()?;
        self.forget(&waiting);
        Some(waiting.output)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn audio(&self) -> Duration {
        duration_of(self.samples)
    }

    fn drop_oldest(&mut self, audio: bool) -> bool {
        let position = self.waiting.iter().position(|waiting| (waiting.samples > 0) == audio);
        let dropped = position.and_then(|position| self.waiting.remove(position));
        dropped.is_some_and(|waiting| {
            self.forget(&waiting);
            true
        })
    }

    fn forget(&mut self, waiting: &Waiting) {
        self.samples -= waiting.samples;
        self.events -= usize::from(waiting.samples == 0);
    }
}
