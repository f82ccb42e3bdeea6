//! Everything measured about a call's media. The gateway writes the call record from it.

use crate::caller_actions::TimedCallerAction;
use crate::codec::AudioCodec;
use crate::playout::PlayOutCounters;
use crate::rtcp::RtcpFigures;
use crate::rtp::{ReceiverCounters, ReceptionStatistics};
use crate::srtp::{CryptoSuite, SrtpCounters};
use crate::turns::MeasuredTurn;
use std::time::Duration;

/// What the bridge dropped or rejected, by cause, since the start of the call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BridgeCounters {
    /// RTCP packets from the peer.
    pub control_packets: u64,
    /// Datagrams that are neither RTP nor RTCP.
    pub malformed_rtp: u64,
    /// Datagrams from an address other than the peer's, or before the answer.
    pub foreign_address: u64,
    /// Telephone events that are not digits, such as flash.
    pub telephone_events_ignored: u64,
    /// Digits, holds and resumes beyond [`crate::caller_actions::ACTION_LIMIT`].
    pub caller_actions_omitted: u64,
    /// Audio frames for the agent, dropped because it reads too slowly.
    pub agent_audio_dropped: u64,
    /// Events for the agent, dropped because it does not read at all.
    pub agent_events_dropped: u64,
    /// Audio frames from the agent, dropped because the call is on hold.
    pub dropped_while_held: u64,
    /// Outputs dropped because the gateway did not collect them.
    pub outputs_dropped: u64,
    /// Agent frames that were malformed or could not be carried out. In `telepath.v1`, each is answered with an `error` event.
    pub agent_faults: u64,
    /// Agent events of an unknown type.
    pub agent_unknown: u64,
    /// Messages with audio of an item that had been cut.
    pub agent_audio_late: u64,
    /// Tool calls that the bridge refused.
    pub tool_calls_refused: u64,
    /// Errors that the provider reported.
    pub provider_errors: u64,
}

/// Measurements of one call.
#[derive(Debug, Clone)]
pub struct CallReport {
    /// Time since the answer.
    pub duration: Duration,
    /// Codec of the carrier leg.
    pub codec_used: AudioCodec,
    /// Time from the answer (our 200) to the first RTP packet.
    pub carrier_lag: Option<Duration>,
    /// Mean over agent turns: end of the caller's speech to the first agent audio read.
    pub ai_latency: Option<Duration>,
    /// Time inside Telepath: median from RTP packet read to agent frame written, plus, if the agent spoke, median from
    /// the first agent audio of an utterance read to its first packet sent.
    pub gateway_processing: Option<Duration>,
    /// End of the caller's speech to the first packet of the agent's first response.
    pub time_to_first_speech: Option<Duration>,
    /// RTP packets received, without duplicates.
    pub packets_received: u64,
    /// RTP packets lost (RFC 3550 appendix A.3).
    pub packets_lost: u64,
    /// Lost packets in percent of those expected.
    pub packet_loss_percent: f64,
    /// Interarrival jitter at the end (RFC 3550 appendix A.8).
    pub jitter: Duration,
    /// Largest interarrival jitter.
    pub jitter_max: Duration,
    /// What was measured by RTCP.
    pub rtcp: RtcpFigures,
    /// The SRTP suite in use at the end; `None` for audio in clear.
    pub crypto_suite: Option<CryptoSuite>,
    /// SRTP packets that were not accepted or not sent.
    pub srtp: SrtpCounters,
    /// Estimated mean opinion score, 1.0 to 4.5; `None` if no packet was received.
    pub mos: Option<f64>,
    /// Recorded turns, at most [`crate::turns::TURN_LIMIT`].
    pub turns: Vec<MeasuredTurn>,
    /// All turns, recorded or not.
    pub turns_total: u32,
    /// What the caller did beside speaking, at most [`crate::caller_actions::ACTION_LIMIT`] entries.
    pub caller_actions: Vec<TimedCallerAction>,
    /// Counters of the RTP receiver.
    pub received: ReceiverCounters,
    /// Counters of play-out.
    pub played: PlayOutCounters,
    /// 99th percentile of the time between when a packet was due and when it was sent.
    pub send_lateness: Option<Duration>,
    /// Counters of the bridge.
    pub bridge: BridgeCounters,
}

/// Estimates the mean opinion score with the E-model (ITU-T G.107) and its default values.
///
/// R = 93.2 - Id - Ie,eff. Id covers the one-way delay: half the round trip if it was measured, one packet, and a jitter
/// buffer of twice the jitter. Ie,eff covers loss, with Bpl = 4.3: G.711 without packet loss concealment
/// (ITU-T G.113).
pub fn estimate_mos(statistics: &ReceptionStatistics, round_trip: Option<Duration>) -> Option<f64> {
    if statistics.received() == 0 {
        return None;
    }
    let network = round_trip.map_or(0.0, |time| time.as_secs_f64() / 2.0);
    let delay_ms = 20.0 + (network + 2.0 * statistics.jitter().as_secs_f64()) * 1000.0;
    let loss = statistics.loss_percent();
    let delay_impairment = 0.024 * delay_ms + 0.11 * (delay_ms - 177.3).max(0.0);
    let rating = (93.2 - delay_impairment - 95.0 * loss / (loss + 4.3)).clamp(0.0, 100.0);
    let mos = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7.0e-6;
    Some(mos.clamp(1.0, 4.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimated_mos_falls_with_packet_loss() {
        assert_eq!(estimate_mos(&ReceptionStatistics::default(), None), None);
        let score = |lost_every: u64| {
            let mut statistics = ReceptionStatistics::default();
            (0..1000u64).filter(|n| n % lost_every != 1).for_each(|n| statistics.count(n));
            estimate_mos(&statistics, None).unwrap()
        };
        let (clean, some, much) = (score(2000), score(50), score(5));
        // The model yields 4.4 for G.711 without loss.
        assert!((clean - 4.4).abs() < 0.05, "{clean}");
        assert!(clean > some && some > much && much < 2.0, "{clean} {some} {much}");
    }
}
