//! Agent dialects: encoding and decoding of the frames on an agent's WebSocket.
//!
//! The bridge uses [`ToAgent`] and [`FromAgent`]; a dialect converts them to frames and back. Each dialect has its own
//! file and implements `Protocol`. A received frame causes any number of frames and events, which go into a
//! [`DialectOutput`]; audio stays bytes in the format of the provider, so that G.711 can pass through unchanged.

mod call_context;
mod deepgram;
mod elevenlabs;
mod fault;
mod frame;
mod from_agent;
mod gemini;
mod greeting;
mod json;
mod keypad;
mod openai;
mod openai_function;
mod openai_live;
mod protocol;
mod provider_error;
mod settings;
mod telepath_v1;
mod to_agent;
mod tools;
mod twilio;

pub use call_context::{CallContext, StopReason};
pub use fault::{AgentFault, TransferFailure};
pub use frame::{AgentFrame, AgentMessage, BinaryContent, DialectOutput, MAX_RESULTS};
pub use from_agent::{FromAgent, TransferTarget};
pub use protocol::{AgentClose, CloseMeaning, TurnDetection};
pub use provider_error::ProviderError;
pub use settings::{
    DeepgramSettings, DialectConfig, ElevenLabsSettings, GeminiSettings, LiveBackend, OpenAiLiveSettings,
    OpenAiSettings,
};
pub use telepath_v1::{MAX_TEXT, SUBPROTOCOL};
pub use to_agent::ToAgent;
pub use tools::{MAX_TOOL_ARGUMENTS, MAX_TOOL_NAME, ToolCall, ToolCallId, ToolDefinition, ToolResult};
pub use twilio::twilio_call_sid;

use crate::audio_format::AgentFormats;
use deepgram::Deepgram;
use elevenlabs::ElevenLabs;
use gemini::Gemini;
use keypad::Keypad;
use openai::OpenAi;
use openai_live::OpenAiLive;
use protocol::Protocol;
use std::time::Instant;
use telepath_v1::TelepathV1;
use twilio::Twilio;

/// The dialect of one connection, with its state.
#[derive(Debug)]
pub struct Dialect {
    protocol: Box<dyn Protocol>,
    /// For agents that understand only language.
    keypad: Keypad,
}

impl Dialect {
    /// The dialect for a new connection.
    pub fn new(config: DialectConfig) -> Self {
        let protocol: Box<dyn Protocol> = match config {
            DialectConfig::TelepathV1 => Box::new(TelepathV1::default()),
            DialectConfig::Twilio => Box::new(Twilio::default()),
            DialectConfig::Deepgram(settings) => Box::new(Deepgram::new(settings)),
            DialectConfig::Gemini(settings) => Box::new(Gemini::new(settings)),
            DialectConfig::ElevenLabs(settings) => Box::new(ElevenLabs::new(settings)),
            DialectConfig::OpenAiLive(settings) => Box::new(OpenAiLive::new(settings)),
            DialectConfig::OpenAi(settings) => Box::new(OpenAi::new(settings)),
        };
        Self { protocol, keypad: Keypad::default() }
    }

    /// `telepath.v1` for a new connection.
    pub fn telepath_v1() -> Self {
        Self::new(DialectConfig::TelepathV1)
    }

    /// The WebSocket subprotocol to request, if the dialect has one.
    pub fn subprotocol(&self) -> Option<&'static str> {
        self.protocol.subprotocol()
    }

    /// Whether the agent accepts audio. A provider says so itself after its handshake.
    pub fn is_ready(&self) -> bool {
        self.protocol.is_ready()
    }

    /// The formats of the audio; final once the agent is ready.
    pub fn formats(&self) -> AgentFormats {
        self.protocol.formats()
    }

    /// Who decides when the caller speaks.
    pub fn turn_detection(&self) -> TurnDetection {
        self.protocol.turn_detection()
    }

    /// The length of every audio frame in bytes, if the provider expects one.
    pub fn audio_chunk(&self) -> Option<usize> {
        self.protocol.audio_chunk()
    }

    /// What binary frames contain.
    pub fn binary_content(&self) -> BinaryContent {
        self.protocol.binary_content()
    }

    /// What it means that the agent closes the WebSocket with this code.
    pub fn close_meaning(&self, code: Option<u16>) -> CloseMeaning {
        self.protocol.close_meaning(code)
    }

    /// Prepares for a new connection after the old one was lost, beginning with [`ToAgent::Start`]; `false` if a call cannot
    /// continue on a new connection.
    pub fn reconnect(&mut self) -> bool {
        self.protocol.reconnect()
    }

    /// Writes the frames of an event to the output, if the dialect has any for it.
    pub fn encode(&mut self, event: &ToAgent<'_>, now: Instant, output: &mut DialectOutput) {
        if let ToAgent::Dtmf(digit) = event
            && !self.protocol.receives_digits()
        {
            self.keypad.press(*digit, now);
            self.handle_timeout(now, output);
        } else {
            self.protocol.encode(event, output);
        }
    }

    /// A frame of the caller's audio, in the format of [`Self::formats`].
    pub fn encode_audio(&mut self, audio: Vec<u8>) -> AgentFrame {
        self.protocol.encode_audio(audio)
    }

    /// Handles a text frame.
    ///
    /// # Errors
    /// Returns why the frame, or a part of it, was not carried out.
    pub fn handle_text(
        &mut self,
        text: &str,
        now: Instant,
        output: &mut DialectOutput,
    ) -> Result<(), AgentFault> {
        self.protocol.handle_text(text, now, output)
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let input = self.keypad.poll_timeout().filter(|_| self.protocol.is_ready());
        [input, self.protocol.poll_timeout()].into_iter().flatten().min()
    }

    /// The deadline of [`Self::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant, output: &mut DialectOutput) {
        if self.protocol.is_ready()
            && let Some(input) = self.keypad.take_input(now)
        {
            self.protocol.encode_input(&input, output);
        }
        self.protocol.handle_timeout(now, output);
    }
}

#[cfg(test)]
mod tests;
