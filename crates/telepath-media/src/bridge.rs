//! The call bridge: the caller's RTP on one side, the agent's frames on the other.
//!
//! There is one bridge per call. The owner passes events to the `handle_*` functions with the time at which they
//! happened. [`CallBridge::poll_output`] yields what to do now, in order. [`CallBridge::poll_agent`] yields frames
//! whenever the agent's socket accepts one; that queue is bounded and drops its oldest audio first.

mod agent_events;
mod agent_queue;
mod agent_side;
mod caller_speech;
mod config;
mod digit_pairs;
mod early_audio;
mod media_transport;
mod output;
mod state;
mod tool_calls;
mod transcoder;

pub use config::{BargeIn, BridgeConfig, BridgeLimits, RtcpSeed};
pub use output::{AgentOutput, HangUpCause, Output, WriteToken};
pub use tool_calls::{MAX_PENDING_TOOL_CALLS, MAX_TOOL_RESULT};

use crate::call_report::{CallReport, estimate_mos};
use crate::dialect::{
    AgentClose, AgentMessage, CloseMeaning, StopReason, ToAgent, ToolCallId, TransferFailure,
};
use crate::dtmf::Digit;
use crate::playout::{PlayOut, PlayOutEvent};
use crate::rtp::{LatchDecision, RtpHeader, RtpPacket, RtpReceiver, StreamPacket, SymmetricLatch, is_rtcp};
use crate::sdp::Negotiated;
use media_transport::MediaTransport;
use state::BridgeState;
use std::net::SocketAddr;
use std::time::Instant;

/// The bridge of one call.
#[derive(Debug)]
pub struct CallBridge {
    receiver: RtpReceiver,
    playout: PlayOut,
    latch: SymmetricLatch,
    transport: MediaTransport,
    state: BridgeState,
    limits: BridgeLimits,
}

impl CallBridge {
    /// Creates the bridge while the call is ringing. The agent's `start` event is queued at once; nothing is sent to
    /// the caller before [`Self::handle_answered`].
    pub fn new(config: BridgeConfig, now: Instant) -> Self {
        let (media, stream, limits) = (&config.negotiated, config.stream, config.limits);
        let mut bridge = Self {
            receiver: RtpReceiver::new(media.receive),
            playout: PlayOut::new(media.codec, media.send, stream, limits.playout_queue, now),
            latch: SymmetricLatch::new(media.remote),
            transport: MediaTransport::new(media, stream.ssrc, config.rtcp.clone(), now),
            state: BridgeState::new(config, now),
            limits,
        };
        bridge.check_agent_ready(now);
        bridge
    }

    /// The call was answered with 200: media may flow to the caller.
    pub fn handle_answered(&mut self, now: Instant) {
        if self.state.handle_answered(now) {
            self.latch.open(now);
            self.transport.start(now);
            self.open_playout(now);
        }
    }

    /// Media was renegotiated: by re-INVITE, by UPDATE, or by the answer in the ACK.
    pub fn handle_negotiated(&mut self, media: &Negotiated, now: Instant) {
        self.receiver.set_payload_types(media.receive);
        self.playout.set_formats(media.codec, media.send);
        self.transport.set_media(media);
        // A hold with the address 0.0.0.0 says nothing about the peer's address.
        if media.remote.is_some() || !media.is_held() {
            self.latch.set_signalled(media.remote, now);
        }
        if self.state.renegotiate(media, now) {
            self.receiver.reset_timeline();
            if !media.is_held() && self.state.is_answered() {
                self.latch.open(now);
            }
        }
        self.open_playout(now);
    }

    /// A datagram was read from the media socket. It is decrypted in place.
    pub fn handle_rtp(&mut self, bytes: &mut [u8], from: SocketAddr, now: Instant) {
        if self.state.is_over() {
            return;
        }
        if is_rtcp(bytes) {
            return self.handle_rtcp(bytes, from, now);
        }
        // What is not authenticated says nothing about the peer, not even its address.
        let Some(bytes) = self.transport.open_rtp(bytes) else { return };
        let Ok(packet) = RtpPacket::parse(bytes) else {
            self.state.counters.malformed_rtp += 1;
            return;
        };
        let RtpHeader { ssrc, sequence, payload_type, .. } = packet.header;
        let stream = StreamPacket { ssrc, sequence, negotiated: self.receiver.expects(payload_type) };
        match self.latch.check_source(from, stream, now) {
            LatchDecision::Ignore => {
                self.state.counters.foreign_address += 1;
                return;
            }
            LatchDecision::Accept => self.state.note_rtp(now),
        }
        if !self.playout.is_open() {
            // The peer's address was unknown until now.
            self.open_playout(now);
        }
        let state = &mut self.state;
        self.receiver.handle(packet, now, &mut |delivery| state.handle_delivery(delivery, now));
        self.flush_on_barge_in(now);
    }

    /// A datagram was read whose source address is not allowed. It is only counted.
    pub fn note_foreign_address(&mut self) {
        self.state.counters.foreign_address += 1;
    }

    /// An RTCP packet was read, from the media socket (RFC 5761) or from the socket with the next higher port
    /// (RFC 3550 section 11). It is a sign of life of the peer, for example while it sends no audio during silence.
    pub fn handle_rtcp(&mut self, bytes: &mut [u8], from: SocketAddr, now: Instant) {
        if self.state.is_over() {
            return;
        }
        let Some(bytes) = self.transport.open_rtcp(bytes) else { return };
        if !self.latch.is_peer(from.ip()) && !self.transport.is_rtcp_peer(from) {
            self.state.counters.foreign_address += 1;
        } else if self.transport.handle_rtcp(bytes, from, now).is_err() {
            self.state.counters.malformed_rtp += 1;
        } else {
            self.state.counters.control_packets += 1;
            self.state.note_alive(now);
        }
    }

    /// A frame was read from the agent's socket.
    pub fn handle_agent_message(&mut self, message: AgentMessage<'_>, now: Instant) {
        if self.state.is_over() {
            return;
        }
        match message {
            AgentMessage::Binary(bytes) => self.handle_agent_binary(bytes, now),
            AgentMessage::Text(text) => self.handle_agent_text(text, now),
        }
    }

    /// The connection to the agent was lost, and the owner is about to open another one. Returns `false` if the dialect
    /// cannot continue the call on it; then [`Self::handle_agent_closed`] ends the call. Otherwise the first frames for the
    /// new socket are queued, queued agent audio goes on playing, and [`Output::AgentReady`] follows again.
    pub fn reconnect_agent(&mut self, now: Instant) -> bool {
        self.state.reconnect_agent(now)
    }

    /// The agent has closed its socket; `None` if the connection was lost without a close frame. The call ends: at once, or
    /// when the queued audio was played, if this is how the agent hangs up.
    pub fn handle_agent_closed(&mut self, close: Option<AgentClose<'_>>, now: Instant) {
        if self.state.is_over() {
            return;
        }
        match self.state.agent.dialect().close_meaning(close.map(|close| close.code)) {
            CloseMeaning::Hangup => self.end(HangUpCause::AgentHangup, None, now),
            CloseMeaning::HangupAfterPlayOut => {
                self.state.agent.close();
                self.hang_up_after_playout(now);
            }
            CloseMeaning::Failure => {
                let lost = || "the connection to the agent was lost".to_owned();
                let detail = close.map_or_else(lost, |close| close.to_string());
                self.end(HangUpCause::ProviderError, Some(detail), now);
            }
        }
    }

    /// The result of [`Output::ToolCall`]: what the tool returned, or why it failed. A result of more than
    /// [`MAX_TOOL_RESULT`] bytes is replaced by an error, and one that nobody waits for is ignored.
    pub fn handle_tool_result(&mut self, id: &ToolCallId, output: Result<String, String>, now: Instant) {
        if !self.state.is_over()
            && let Some(result) = self.state.agent.tool_calls.end(id, output)
        {
            self.state.send_event(&ToAgent::ToolResult(&result), now);
        }
    }

    /// The caller sent a DTMF digit by signalling (SIP INFO). It is ignored if the same digit arrives as an RFC 4733 event
    /// within a second, because some callers send each digit both ways.
    pub fn handle_signalled_digit(&mut self, digit: Digit, now: Instant) {
        self.state.handle_signalled_digit(digit, now);
    }

    /// The caller sent a hook flash by signalling. It is only counted, like one in RTP.
    pub fn handle_signalled_flash(&mut self) {
        self.state.handle_signalled_flash();
    }

    /// The transfer of [`Output::Transfer`] did not take place. The agent is told, and the call goes on.
    pub fn handle_transfer_failed(&mut self, failure: TransferFailure, message: &str, now: Instant) {
        self.state.send_event(&ToAgent::TransferFailed { failure, message }, now);
    }

    /// The call ended outside the bridge (BYE, API, shutdown). The agent gets its `stop` event; nothing more is sent to
    /// the caller.
    pub fn handle_stop(&mut self, reason: StopReason, now: Instant) {
        if self.state.finish(reason, now) {
            self.close_media(now);
        }
    }

    /// The deadline of [`Self::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.state.is_over() {
            return;
        }
        let state = &mut self.state;
        self.receiver.handle_timeout(now, &mut |delivery| state.handle_delivery(delivery, now));
        self.state.handle_dtmf_timeout(now);
        self.state.agent.handle_timeout(now);
        self.flush_on_barge_in(now);
        self.run_playout(now);
        self.hang_up_after_playout(now);
        let report = self.transport.poll_report(|| self.receiver.report(), now);
        self.send_rtcp(report);
        if let Some((_, cause)) = self.state.deadline(&self.limits).filter(|&(due, _)| now >= due) {
            self.end(cause, None, now);
        }
    }

    /// When to call [`Self::handle_timeout`]; `None` once the bridge is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.state.is_over() {
            return None;
        }
        let deadline = self.state.deadline(&self.limits).map(|(due, _)| due);
        let receiver = self.receiver.poll_timeout();
        let (dtmf, agent) = (self.state.poll_dtmf_timeout(), self.state.agent.poll_timeout());
        let (playout, rtcp) = (self.playout.poll_timeout(), self.transport.poll_timeout());
        [deadline, receiver, playout, dtmf, agent, rtcp].into_iter().flatten().min()
    }

    /// The next action. Call this until it returns `None` after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.state.outputs.pop_front()
    }

    /// The next frame for the agent. Call this only when its socket accepts a frame.
    pub fn poll_agent(&mut self) -> Option<AgentOutput> {
        self.state.agent.pop()
    }

    /// A packet or frame with a token was written to its socket.
    pub fn handle_written(&mut self, token: WriteToken, now: Instant) {
        self.state.handle_written(token, now);
    }

    /// Where to send packets to the caller; `None` until it is known.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.latch.target()
    }

    /// Whether RTCP shares the socket of RTP (RFC 5761), so that the other one is not needed.
    pub fn is_rtcp_muxed(&self) -> bool {
        self.transport.is_muxed()
    }

    /// The WebSocket subprotocol to request from the agent, if its dialect has one.
    pub fn subprotocol(&self) -> Option<&'static str> {
        self.state.agent.dialect().subprotocol()
    }

    /// Whether the agent is ready for the caller. A provider says so after its handshake, see [`Output::AgentReady`];
    /// otherwise the agent is ready as soon as its socket is open.
    pub fn is_agent_ready(&self) -> bool {
        self.state.agent.is_ready()
    }

    #[cfg(test)]
    fn playout_queued(&self) -> std::time::Duration {
        self.playout.queued()
    }

    #[cfg(test)]
    fn agent_queued(&self) -> std::time::Duration {
        self.state.agent.queue.queued_audio()
    }

    /// Whether the call has ended.
    pub fn is_over(&self) -> bool {
        self.state.is_over()
    }

    /// The measurements so far; final once the bridge is over.
    pub fn report(&self, now: Instant) -> CallReport {
        let statistics = self.receiver.statistics();
        let state = &self.state;
        let (turns, rtcp) = (state.turns(), self.transport.figures());
        CallReport {
            duration: state.duration(now),
            codec_used: state.agent.leg(),
            carrier_lag: state.carrier_lag(),
            ai_latency: turns.mean_latency(),
            gateway_processing: state.gateway_processing(),
            time_to_first_speech: turns.time_to_first_speech(),
            packets_received: statistics.received(),
            packets_lost: statistics.lost(),
            packet_loss_percent: statistics.loss_percent(),
            jitter: statistics.jitter(),
            jitter_max: statistics.jitter_max(),
            mos: estimate_mos(statistics, rtcp.round_trip),
            rtcp,
            crypto_suite: self.transport.suite(),
            srtp: self.transport.counters(),
            turns: turns.turns().to_vec(),
            turns_total: turns.total(),
            caller_actions: state.caller_actions(),
            received: self.receiver.counters(),
            played: self.playout.counters(),
            send_lateness: self.playout.lateness().percentile(99),
            bridge: state.all_counters(),
        }
    }

    fn clear(&mut self, now: Instant) {
        let items = self.playout.playback(now);
        self.state.handle_flush(&items, now);
        self.with_playout(now, |playout, sink| playout.clear(now, sink));
        self.run_playout(now);
    }

    fn flush_on_barge_in(&mut self, now: Instant) {
        if self.state.speech.take_barge_in() {
            self.clear(now);
        }
    }

    fn end(&mut self, cause: HangUpCause, detail: Option<String>, now: Instant) {
        if self.state.finish(cause.stop_reason(), now) {
            self.close_media(now);
            self.state.push_output(Output::HangUp { cause, detail });
        }
    }

    /// Ends the call if the agent has hung up and nothing is left to play.
    fn hang_up_after_playout(&mut self, now: Instant) {
        if self.state.agent.is_closed() && !self.playout.has_audio(now) {
            self.end(HangUpCause::AgentHangup, None, now);
        }
    }

    fn open_playout(&mut self, now: Instant) {
        let open = self.state.can_send() && self.latch.target().is_some();
        self.with_playout(now, |playout, sink| playout.set_open(open, now, sink));
        self.run_playout(now);
    }

    /// Stops sending; a BYE tells the peer (RFC 3550 section 6.6).
    fn close_media(&mut self, now: Instant) {
        self.with_playout(now, |playout, sink| playout.set_open(false, now, sink));
        let goodbye = self.transport.finish(self.receiver.report(), now);
        self.send_rtcp(goodbye);
    }

    fn send_rtcp(&mut self, packet: Option<Vec<u8>>) {
        if let (Some(packet), Some(to)) = (packet, self.transport.rtcp_target(self.latch.target())) {
            let muxed = self.transport.is_muxed();
            self.state.push_output(Output::SendRtcp { packet, to, muxed });
        }
    }

    fn run_playout(&mut self, now: Instant) {
        self.with_playout(now, |playout, sink| playout.run(now, sink));
    }

    fn with_playout(&mut self, now: Instant, act: impl FnOnce(&mut PlayOut, &mut dyn FnMut(PlayOutEvent))) {
        let (state, transport) = (&mut self.state, &mut self.transport);
        act(&mut self.playout, &mut |mut event| {
            let sealed = match &mut event {
                PlayOutEvent::Packet { datagram, .. } => transport.seal_rtp(datagram, now),
                PlayOutEvent::Mark { .. } | PlayOutEvent::Idle => true,
            };
            if sealed {
                state.handle_playout(event, now);
            }
        });
    }
}

#[cfg(test)]
mod tests;
