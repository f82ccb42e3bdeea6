//! What the tests of the providers' dialects share: a call with an agent that is a provider, and its frames.

use super::*;
use crate::dialect::DialectConfig;
use crate::rtp::{Datagram, RtpHeader};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A close frame with this code, or none.
pub(super) fn closed(code: Option<u16>) -> Option<AgentClose<'static>> {
    code.map(|code| AgentClose { code, reason: "" })
}

pub(super) fn call_context() -> CallContext {
    CallContext {
        system_prompt: Some("Be kind.".into()),
        metadata: BTreeMap::from([("team".to_owned(), "support".to_owned())]),
        ..config().call
    }
}

/// An answered call with this codec of the carrier leg.
pub(super) fn provider_call(dialect: DialectConfig, codec: AudioCodec) -> TestBridge {
    let mut config = config();
    config.dialect = Dialect::new(dialect);
    config.call = call_context();
    config.negotiated.codec = codec;
    let payload_type = codec.static_payload_type();
    config.negotiated.send.audio = payload_type;
    config.negotiated.receive.audio = payload_type;
    config.limits.media_timeout = Duration::from_hours(24);
    config.has_tool_endpoint = true;
    TestBridge::with(config)
}

impl TestBridge {
    pub(super) fn receive(&mut self, event: &Value) {
        self.agent_text(&event.to_string());
    }

    /// The frames that were sent since the last call, without the caller's audio.
    pub(super) fn take_sent(&mut self, is_audio: fn(&Value) -> bool) -> Vec<Value> {
        self.events.drain(..).map(|(_, event)| event).filter(|event| !is_audio(event)).collect()
    }

    /// A frame of the caller, 20 ms of one code.
    pub(super) fn caller_payload(&mut self, n: u16, codec: AudioCodec, payload: &[u8]) {
        let header = RtpHeader {
            marker: false,
            payload_type: codec.static_payload_type(),
            sequence: SequenceNumber(n),
            timestamp: RtpTimestamp(u32::from(n) * 160),
            ssrc: Ssrc(9),
        };
        self.rtp(Datagram::new(header, payload).as_bytes());
    }

    /// The payloads of the agent's audio that the caller got.
    pub(super) fn heard(&self) -> Vec<u8> {
        self.packets.iter().flat_map(|(_, bytes)| bytes[12..].to_vec()).collect()
    }
}
