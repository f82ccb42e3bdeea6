//! Tests of the bridge in virtual time, with a caller, a link in each direction, and an agent.

mod conversation;
mod deepgram;
mod digits;
mod elevenlabs;
mod flow;
mod gemini;
mod liveness;
mod openai;
mod openai_live;
mod playout;
mod provider;
mod reconnect;
mod restarts;
mod rtcp;
mod srtp;
mod twilio;
mod wideband;

use super::*;
use crate::codec::AudioCodec;
use crate::dialect::{AgentFrame, CallContext, Dialect, ProviderError, ToolCall};
use crate::playout::StreamStart;
use crate::rtcp::CanonicalName;
use crate::rtp::{PayloadType, PayloadTypes, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc};
use crate::sdp::{MediaDirection, RtcpTransport};
use crate::sim::{LinkConditions, LossyLink};
use crate::test_caller::TestCaller;
use crate::tone::{Hertz, sine};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const LOSSLESS: LinkConditions =
    LinkConditions { loss: 0, duplicate: 0, reorder: 0, delay: Duration::ZERO, jitter: Duration::ZERO };

pub(super) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4000))
}

pub(super) fn media(direction: MediaDirection) -> Negotiated {
    let payload_types = PayloadTypes {
        audio: PayloadType::PCMU,
        telephone_event: Some(PayloadType::TELEPHONE_EVENT),
        comfort_noise: None,
    };
    Negotiated {
        codec: AudioCodec::Pcmu,
        send: payload_types,
        receive: payload_types,
        remote: Some(peer()),
        direction,
        peer_ptime_ms: None,
        rtcp: RtcpTransport::Separate(None),
        srtp: None,
    }
}

pub(super) fn stream(ssrc: u32) -> StreamStart {
    // Values near the end of their range, so that every test crosses the wraparound.
    StreamStart { ssrc: Ssrc(ssrc), sequence: SequenceNumber(0xfff0), timestamp: RtpTimestamp(0xffff_f000) }
}

pub(super) fn config() -> BridgeConfig {
    BridgeConfig {
        negotiated: media(MediaDirection::SendRecv),
        stream: stream(1),
        rtcp: RtcpSeed { cname: CanonicalName::from_random([7; 12]), intervals: 1 },
        dialect: Dialect::telepath_v1(),
        call: CallContext {
            call_id: "call_1".into(),
            trunk_id: "trunk_1".into(),
            from: "+491".into(),
            to: "+492".into(),
            system_prompt: None,
            metadata: BTreeMap::new(),
            sip_headers: BTreeMap::new(),
        },
        limits: BridgeLimits::default(),
        barge_in: BargeIn::AgentDecides,
        has_tool_endpoint: false,
    }
}

/// An answered bridge with virtual time that collects its outputs.
pub(super) struct TestBridge {
    pub bridge: CallBridge,
    pub start: Instant,
    pub now: Instant,
    /// Packets with audio of the agent or a telephone event.
    pub packets: Vec<(Instant, Vec<u8>)>,
    /// Packets of silence or comfort noise.
    pub silence: Vec<(Instant, Vec<u8>)>,
    pub events: Vec<(Instant, Value)>,
    pub audio: Vec<i16>,
    /// RTCP packets, and where they are sent.
    pub reports: Vec<(Vec<u8>, SocketAddr)>,
    pub hang_up: Option<HangUpCause>,
    /// What the provider said about the end.
    pub detail: Option<String>,
    pub transfers: Vec<String>,
    pub became_ready: u32,
    pub tool_calls: Vec<ToolCall>,
    pub cancelled_tool_calls: Vec<ToolCallId>,
    /// Errors that did not end the call.
    pub provider_errors: Vec<ProviderError>,
}

impl TestBridge {
    pub(super) fn with(config: BridgeConfig) -> Self {
        let start = Instant::now();
        let mut bridge = CallBridge::new(config, start);
        bridge.handle_answered(start);
        let mut test = Self {
            bridge,
            start,
            now: start,
            packets: Vec::new(),
            silence: Vec::new(),
            events: Vec::new(),
            audio: Vec::new(),
            reports: Vec::new(),
            hang_up: None,
            detail: None,
            transfers: Vec::new(),
            became_ready: 0,
            tool_calls: Vec::new(),
            cancelled_tool_calls: Vec::new(),
            provider_errors: Vec::new(),
        };
        test.collect();
        test
    }

    pub(super) fn new() -> Self {
        Self::with(config())
    }

    pub(super) fn collect(&mut self) {
        while let Some(output) = self.bridge.poll_output() {
            match output {
                Output::SendRtp { datagram, token } => {
                    let bytes = datagram.as_bytes().to_vec();
                    let silent =
                        bytes[12..].iter().all(|&code| code == 0xff || code == 0xd5) || bytes.len() == 13;
                    let packets = if silent { &mut self.silence } else { &mut self.packets };
                    packets.push((self.now, bytes));
                    if let Some(token) = token {
                        self.bridge.handle_written(token, self.now);
                    }
                }
                Output::SendRtcp { packet, to, muxed: _ } => self.reports.push((packet, to)),
                Output::HangUp { cause, detail } => {
                    self.hang_up = Some(cause);
                    self.detail = detail;
                }
                Output::Transfer { target } => self.transfers.push(target.as_str().to_owned()),
                Output::AgentReady => self.became_ready += 1,
                Output::ToolCall(call) => self.tool_calls.push(call),
                Output::ToolCallCancelled(id) => self.cancelled_tool_calls.push(id),
                Output::ProviderError(error) => self.provider_errors.push(error),
            }
        }
        while let Some(AgentOutput { frame, token, .. }) = self.bridge.poll_agent() {
            match frame {
                AgentFrame::Text(text) => self.events.push((self.now, serde_json::from_str(&text).unwrap())),
                AgentFrame::Binary(bytes) => {
                    self.audio.extend(bytes.chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
                }
            }
            if let Some(token) = token {
                self.bridge.handle_written(token, self.now);
            }
        }
    }

    /// Advances time to `until` and fires every timer when it is due.
    pub(super) fn run_until(&mut self, until: Instant) {
        while let Some(due) = self.bridge.poll_timeout().filter(|&due| due <= until) {
            self.now = self.now.max(due);
            self.bridge.handle_timeout(self.now);
            self.collect();
        }
        self.now = until;
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    pub(super) fn agent_audio(&mut self, samples: &[i16]) {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.bridge.handle_agent_message(AgentMessage::Binary(&bytes), self.now);
        self.collect();
    }

    pub(super) fn agent_text(&mut self, text: &str) {
        self.bridge.handle_agent_message(AgentMessage::Text(text), self.now);
        self.collect();
    }

    pub(super) fn rtp(&mut self, bytes: &[u8]) {
        self.bridge.handle_rtp(&mut bytes.to_vec(), peer(), self.now);
        self.collect();
    }

    pub(super) fn events_of_type(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().map(|(_, event)| event).filter(|event| event["type"] == kind).collect()
    }
}

/// An echo call: caller, two links, bridge, and an agent that returns all audio at once.
pub(super) struct EchoCall {
    pub test: TestBridge,
    pub caller: TestCaller,
    pub up: LossyLink,
    pub down: LossyLink,
    pub longest_queue: Duration,
}

impl EchoCall {
    pub(super) fn new(seed: u64, up: LinkConditions, samples: Vec<i16>) -> Self {
        let test = TestBridge::new();
        let caller = TestCaller::new(&media(MediaDirection::SendRecv), stream(2), samples, test.start);
        let down = LossyLink::new(!seed, LOSSLESS);
        Self { test, caller, up: LossyLink::new(seed, up), down, longest_queue: Duration::ZERO }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.test.now + time;
        loop {
            let next = [
                self.caller.poll_timeout(),
                self.up.poll_timeout(),
                self.down.poll_timeout(),
                self.test.bridge.poll_timeout(),
            ];
            let Some(at) = next.into_iter().flatten().min().filter(|&at| at <= end) else { return };
            self.step(at.max(self.test.now));
        }
    }

    fn step(&mut self, now: Instant) {
        self.test.now = now;
        while let Some(datagram) = self.caller.poll_packet(now) {
            self.up.send(datagram.as_bytes(), now);
        }
        while let Some(bytes) = self.up.receive(now) {
            self.test.rtp(&bytes);
            self.echo();
        }
        self.test.bridge.handle_timeout(now);
        self.test.collect();
        self.echo();
        while let Some(bytes) = self.down.receive(now) {
            self.caller.handle_rtp(&bytes, now);
        }
        self.longest_queue = self.longest_queue.max(self.test.bridge.playout_queued());
    }

    fn echo(&mut self) {
        let audio = std::mem::take(&mut self.test.audio);
        for chunk in audio.chunks(160) {
            self.test.agent_audio(chunk);
        }
        let mut sent: Vec<_> = self.test.packets.drain(..).chain(self.test.silence.drain(..)).collect();
        sent.sort_by_key(|(_, bytes)| {
            RtpPacket::parse(bytes).unwrap().header.sequence.distance_from(SequenceNumber(0))
        });
        for (at, bytes) in sent {
            self.down.send(&bytes, at);
        }
    }
}

/// Not a whole number of periods per frame, so that all packets of a test differ.
pub(super) const TONE: Hertz = Hertz(443.719_3);

pub(super) fn tone(seconds: usize) -> Vec<i16> {
    sine(TONE, 8000, seconds * 8000)
}
