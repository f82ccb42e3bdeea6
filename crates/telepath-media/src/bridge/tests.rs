//! The bridge as a whole under virtual time: two good or bad networks, a caller, and an agent.

mod conversation;
mod flow;

use super::*;
use crate::caller::TestCaller;
use crate::codec::Codec;
use crate::dialect::{AgentFrame, CallId, Party, TrunkId};
use crate::rtp::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
use crate::sdp::Direction;
use crate::sim::{BadNetwork, Conditions};
use crate::tone::{Hertz, sine};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) const PERFECT: Conditions =
    Conditions { loss: 0, duplicate: 0, reorder: 0, delay: Duration::ZERO, jitter: Duration::ZERO };

pub(super) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4000))
}

pub(super) fn media(direction: Direction) -> Negotiated {
    Negotiated {
        codec: Codec::Pcmu,
        payload_type: PayloadType::PCMU,
        telephone_event: Some(PayloadType::TELEPHONE_EVENT),
        remote: Some(peer()),
        direction,
        peer_ptime_ms: None,
    }
}

pub(super) fn stream(ssrc: u32) -> StreamStart {
    // Values near the end of their range, so that every test crosses the wrap.
    StreamStart { ssrc: Ssrc(ssrc), sequence: SequenceNumber(0xfff0), timestamp: RtpTimestamp(0xffff_f000) }
}

pub(super) fn config() -> BridgeConfig {
    BridgeConfig {
        negotiated: media(Direction::SendRecv),
        stream: stream(1),
        dialect: Dialect::telepath_v1(),
        call: CallStart {
            call_id: CallId("call_1".into()),
            trunk_id: TrunkId("trunk_1".into()),
            from: Party("+491".into()),
            to: Party("+492".into()),
            system_prompt: None,
            metadata: BTreeMap::new(),
        },
        limits: Limits::default(),
        barge_in: BargeIn::AgentDecides,
    }
}

/// A bridge that has been answered, with its virtual time, collecting what it puts out.
pub(super) struct Rig {
    pub bridge: CallBridge,
    pub start: Instant,
    pub now: Instant,
    pub packets: Vec<(Instant, Vec<u8>)>,
    pub events: Vec<(Instant, Value)>,
    pub audio: Vec<i16>,
    pub hang_up: Option<EndReason>,
    pub transfers: Vec<String>,
}

impl Rig {
    pub(super) fn with(config: BridgeConfig) -> Self {
        let start = Instant::now();
        let mut bridge = CallBridge::new(config, start);
        bridge.handle_answered(start);
        let mut rig = Self {
            bridge,
            start,
            now: start,
            packets: Vec::new(),
            events: Vec::new(),
            audio: Vec::new(),
            hang_up: None,
            transfers: Vec::new(),
        };
        rig.collect();
        rig
    }

    pub(super) fn new() -> Self {
        Self::with(config())
    }

    pub(super) fn collect(&mut self) {
        while let Some(output) = self.bridge.poll_output() {
            match output {
                Output::SendRtp { datagram, token } => {
                    self.packets.push((self.now, datagram.as_bytes().to_vec()));
                    if let Some(token) = token {
                        self.bridge.handle_written(token, self.now);
                    }
                }
                Output::HangUp { reason } => self.hang_up = Some(reason),
                Output::Transfer { target } => self.transfers.push(target.as_str().to_owned()),
            }
        }
        while let Some(AgentOutput { frame, token }) = self.bridge.poll_agent() {
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

    /// Lets time pass to `until`, serving every timer at its moment.
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
        self.bridge.handle_rtp(bytes, peer(), self.now);
        self.collect();
    }

    pub(super) fn named(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().map(|(_, event)| event).filter(|event| event["type"] == kind).collect()
    }
}

/// A whole echo call: caller, two links, bridge, and an agent that sends back what it hears at once.
pub(super) struct EchoCall {
    pub rig: Rig,
    pub caller: TestCaller,
    pub up: BadNetwork,
    pub down: BadNetwork,
    pub longest_queue: Duration,
}

impl EchoCall {
    pub(super) fn new(seed: u64, up: Conditions, samples: Vec<i16>) -> Self {
        let rig = Rig::new();
        let caller = TestCaller::new(&media(Direction::SendRecv), stream(2), samples, rig.start);
        let down = BadNetwork::new(!seed, PERFECT);
        Self { rig, caller, up: BadNetwork::new(seed, up), down, longest_queue: Duration::ZERO }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.rig.now + time;
        loop {
            let next = [
                self.caller.poll_timeout(),
                self.up.poll_timeout(),
                self.down.poll_timeout(),
                self.rig.bridge.poll_timeout(),
            ];
            let Some(at) = next.into_iter().flatten().min().filter(|&at| at <= end) else { return };
            self.step(at.max(self.rig.now));
        }
    }

    fn step(&mut self, now: Instant) {
        self.rig.now = now;
        while let Some(datagram) = self.caller.poll_packet(now) {
            self.up.send(datagram.as_bytes(), now);
        }
        while let Some(bytes) = self.up.receive(now) {
            self.rig.rtp(&bytes);
            self.echo();
        }
        self.rig.bridge.handle_timeout(now);
        self.rig.collect();
        self.echo();
        while let Some(bytes) = self.down.receive(now) {
            self.caller.handle_rtp(&bytes, now);
        }
        self.longest_queue = self.longest_queue.max(self.rig.bridge.playout_queued());
    }

    fn echo(&mut self) {
        let heard = std::mem::take(&mut self.rig.audio);
        for chunk in heard.chunks(160) {
            self.rig.agent_audio(chunk);
        }
        for (at, bytes) in self.rig.packets.drain(..) {
            self.down.send(&bytes, at);
        }
    }
}

/// So far from a whole number of periods that no two packets of a test are alike.
pub(super) const TONE: Hertz = Hertz(443.719_3);

pub(super) fn tone(seconds: usize) -> Vec<i16> {
    sine(TONE, 8000, seconds * 8000)
}
