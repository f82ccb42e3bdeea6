//! Frames waiting for the agent's socket: bounded and in order.
//!
//! When the queue is full, the oldest audio is dropped before any event: an agent can do without 20 ms of sound, but
//! not without a digit.

use super::output::{AgentOutput, WriteToken};
use crate::dialect::AgentFrame;
use crate::media_clock::samples_in;
use std::collections::VecDeque;
use std::time::Duration;

/// Maximum number of queued events; when it is reached, the oldest event is dropped.
const EVENT_LIMIT: usize = 512;

#[derive(Debug)]
pub(super) struct AgentQueue {
    frames: VecDeque<AgentOutput>,
    sample_limit: u64,
    samples: u64,
    events: usize,
    pub(super) dropped_audio: u64,
    pub(super) dropped_events: u64,
}

impl AgentQueue {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            frames: VecDeque::new(),
            sample_limit: samples_in(limit),
            samples: 0,
            events: 0,
            dropped_audio: 0,
            dropped_events: 0,
        }
    }

    pub(super) fn push_audio(&mut self, frame: AgentFrame, samples: u64, token: Option<WriteToken>) {
        while self.samples + samples > self.sample_limit && self.drop_oldest(true) {
            self.dropped_audio += 1;
        }
        self.samples += samples;
        self.frames.push_back(AgentOutput { frame, samples, token });
    }

    pub(super) fn push_event(&mut self, frame: AgentFrame) {
        if self.events >= EVENT_LIMIT && self.drop_oldest(false) {
            self.dropped_events += 1;
        }
        self.events += 1;
        self.frames.push_back(AgentOutput { frame, samples: 0, token: None });
    }

    pub(super) fn pop(&mut self) -> Option<AgentOutput> {
        let frame = self.frames.pop_front()?;
        self.subtract(&frame);
        Some(frame)
    }

    /// Drops everything: the connection that it was for is lost.
    pub(super) fn clear(&mut self) {
        self.dropped_events += self.events as u64;
        self.dropped_audio += (self.frames.len() - self.events) as u64;
        self.frames.clear();
        (self.samples, self.events) = (0, 0);
    }

    #[cfg(test)]
    pub(super) fn queued_audio(&self) -> Duration {
        crate::media_clock::duration_of(self.samples)
    }

    fn drop_oldest(&mut self, audio: bool) -> bool {
        let position = self.frames.iter().position(|frame| (frame.samples > 0) == audio);
        let dropped = position.and_then(|position| self.frames.remove(position));
        dropped.is_some_and(|frame| {
            self.subtract(&frame);
            true
        })
    }

    fn subtract(&mut self, frame: &AgentOutput) {
        self.samples -= frame.samples;
        self.events -= usize::from(frame.samples == 0);
    }
}
