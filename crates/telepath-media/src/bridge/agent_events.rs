//! What the bridge does for each event from the agent.

use super::CallBridge;
use super::output::{HangUpCause, Output};
use crate::dialect::{AgentFault, BinaryContent, FromAgent, ProviderError, ToAgent, ToolCall};
use crate::playout::ItemNumber;
use std::ops::Range;
use std::time::Instant;

impl CallBridge {
    pub(super) fn handle_agent_binary(&mut self, bytes: &[u8], now: Instant) {
        match self.state.agent.dialect().binary_content() {
            BinaryContent::Audio if self.state.is_held() => self.state.drop_held_audio(bytes.len()),
            BinaryContent::Audio => {
                let audio = self.state.agent.convert_bytes(bytes);
                let full = self.playout.push(None, now, audio);
                self.finish_push(full, now);
            }
            BinaryContent::Events => match std::str::from_utf8(bytes) {
                Ok(text) => self.handle_agent_text(text, now),
                Err(_) => self.state.report_fault(AgentFault::NotAnEvent, now),
            },
            BinaryContent::Nothing => self.state.report_fault(AgentFault::UnexpectedBinary, now),
        }
    }

    pub(super) fn handle_agent_text(&mut self, text: &str, now: Instant) {
        let (mut events, result) = self.state.agent.handle_text(text, now);
        if self.check_agent_ready(now) {
            self.state.push_output(Output::AgentReady);
        }
        for event in events.drain(..) {
            if self.state.is_over() {
                break;
            }
            self.handle_agent_event(event, now);
        }
        self.state.agent.finish_events(events);
        if let Err(fault) = result
            && !self.state.is_over()
        {
            self.state.report_fault(fault, now);
        }
    }

    /// Notices that the agent has become ready. A format that cannot be converted ends the call.
    pub(super) fn check_agent_ready(&mut self, now: Instant) -> bool {
        self.state.agent.check_ready().unwrap_or_else(|format| {
            let detail = format!("the agent uses an audio format that is not supported: {format}");
            self.end(HangUpCause::ProviderError, Some(detail), now);
            false
        })
    }

    fn handle_agent_event(&mut self, event: FromAgent, now: Instant) {
        match event {
            FromAgent::Audio { bytes, item } => self.queue_agent_audio(bytes, item, now),
            FromAgent::LateAudio => self.state.counters.agent_audio_late += 1,
            FromAgent::Mark(name) => match self.playout.mark(name) {
                Ok(()) => self.run_playout(now),
                Err(_) => self.state.report_fault(AgentFault::TooManyMarks, now),
            },
            FromAgent::Clear | FromAgent::Interrupted => self.clear(now),
            FromAgent::SpeechStarted => self.state.speech.provider_started(now),
            FromAgent::SpeechStopped => self.state.speech.provider_stopped(now),
            FromAgent::ToolCall(call) => self.begin_tool_call(call, now),
            FromAgent::ToolCallCancelled(id) => {
                if self.state.agent.tool_calls.cancel(&id) {
                    self.state.push_output(Output::ToolCallCancelled(id));
                }
            }
            FromAgent::Hangup => self.end(HangUpCause::AgentHangup, None, now),
            FromAgent::Transfer(target) => self.state.push_output(Output::Transfer { target }),
            FromAgent::SendDtmf(digits) => {
                let sent = digits.into_iter().all(|digit| self.playout.send_digit(digit));
                if !sent {
                    self.state.report_fault(AgentFault::DigitsNotSent, now);
                }
                self.run_playout(now);
            }
            FromAgent::Error(error) => self.handle_provider_error(error, now),
            FromAgent::Unknown => self.state.counters.agent_unknown += 1,
        }
    }

    fn queue_agent_audio(&mut self, bytes: Range<usize>, item: Option<ItemNumber>, now: Instant) {
        if self.state.is_held() {
            return self.state.drop_held_audio(bytes.len());
        }
        let audio = self.state.agent.convert(bytes);
        let full = self.playout.push(item, now, audio);
        self.finish_push(full, now);
    }

    /// Tells the agent that the queue has become full, and plays what is due.
    fn finish_push(&mut self, full: bool, now: Instant) {
        if full {
            self.state.report_fault(AgentFault::PlayoutFull, now);
        }
        self.run_playout(now);
    }

    fn begin_tool_call(&mut self, call: ToolCall, now: Instant) {
        match self.state.agent.tool_calls.begin(&call, self.state.has_tool_endpoint) {
            Ok(()) => self.state.push_output(Output::ToolCall(call)),
            Err(refusal) => {
                self.state.counters.tool_calls_refused += 1;
                self.state.send_event(&ToAgent::ToolResult(&refusal), now);
            }
        }
    }

    fn handle_provider_error(&mut self, error: ProviderError, now: Instant) {
        self.state.counters.provider_errors += 1;
        if error.is_fatal {
            self.end(HangUpCause::ProviderError, Some(error.to_string()), now);
        } else {
            self.state.push_output(Output::ProviderError(error));
        }
    }
}
