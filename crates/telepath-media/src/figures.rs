//! The figures of a call and how they are measured.
//!
//! Durations go into a histogram of fixed size, so that a call of eight hours costs as much memory as one of a
//! second. The report is what the call record is written from.

use crate::codec::Codec;
use crate::playout::PlayOutCounters;
use crate::reason::EndReason;
use crate::rtp::{ReceiverCounters, ReceptionStatistics};
use crate::turns::Turn;
use std::time::Duration;

const SUB_BITS: u32 = 3;
const SUB_BUCKETS: usize = 1 << SUB_BITS;
const BUCKETS: usize = SUB_BUCKETS * 24;

/// Durations in microseconds, in buckets no wider than an eighth of their value; up to about 67 s.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: [u32; BUCKETS],
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    /// Counts a duration; longer ones than the last bucket count as that.
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = Self::bucket(micros);
        self.counts[bucket] = self.counts[bucket].saturating_add(1);
        self.total += 1;
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The smallest bucket value that at least this share (in percent) of the durations does not exceed.
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        if self.total == 0 {
            return None;
        }
        let rank = (self.total * u64::from(percent.min(100))).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank {
                return Some(Duration::from_micros(Self::value(bucket)));
            }
        }
        None
    }

    /// The middle value.
    pub fn median(&self) -> Option<Duration> {
        self.percentile(50)
    }

    fn bucket(micros: u64) -> usize {
        let Some(octave) = micros.max(1).ilog2().checked_sub(SUB_BITS) else {
            return usize::try_from(micros).unwrap_or(0);
        };
        let within = usize::try_from(micros >> octave).unwrap_or(0);
        (octave as usize * SUB_BUCKETS + within).min(BUCKETS - 1)
    }

    /// The middle of a bucket in microseconds.
    fn value(bucket: usize) -> u64 {
        let bucket = bucket as u64;
        let wide = SUB_BUCKETS as u64;
        let Some(octave) = (bucket / wide).checked_sub(1).filter(|&octave| octave > 0) else {
            return bucket;
        };
        let low = (wide + bucket % wide) << octave;
        low + (1 << octave) / 2
    }
}

/// Where the carrier's lag was learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarrierLagSource {
    /// Time from our 200 to the first RTP packet.
    FirstPacket,
}

impl CarrierLagSource {
    /// The word used in the call record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstPacket => "first_packet",
        }
    }
}

/// What was dropped or refused at the bridge, by cause. All counts are since the start of the call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BridgeCounters {
    /// RTCP packets, which are not used yet.
    pub control_packets: u64,
    /// Datagrams that are neither RTP nor RTCP.
    pub malformed_rtp: u64,
    /// Datagrams from an address that is not the peer's.
    pub foreign_address: u64,
    /// Audio frames toward the agent dropped because it reads too slowly.
    pub agent_audio_dropped: u64,
    /// Events toward the agent dropped because it does not read at all.
    pub agent_events_dropped: u64,
    /// Agent audio frames dropped because the caller holds.
    pub dropped_while_held: u64,
    /// Packets toward the caller dropped because the shell did not collect them.
    pub outputs_dropped: u64,
    /// Agent frames that were answered by an error.
    pub agent_faults: u64,
    /// Agent events of a type this version does not know.
    pub agent_unknown: u64,
}

/// Everything that is known of a call's media when it ends.
#[derive(Debug, Clone)]
pub struct CallReport {
    /// Why the call ended; `None` while it lives.
    pub reason: Option<EndReason>,
    /// Time since the answer.
    pub duration: Duration,
    /// The codec of the carrier leg.
    pub codec_used: Codec,
    /// Delay of the carrier's leg.
    pub carrier_lag: Option<Duration>,
    /// How that was measured.
    pub carrier_lag_source: Option<CarrierLagSource>,
    /// Mean over agent turns of caller's speech end to first agent audio read.
    pub ai_latency: Option<Duration>,
    /// Time inside Telepath: median of RTP read to agent frame written, plus median of first agent audio read
    /// to first packet sent (when an agent spoke).
    pub gateway_processing: Option<Duration>,
    /// Caller's speech end to the first packet of the first answer.
    pub time_to_first_speech: Option<Duration>,
    /// Packets from the caller that arrived.
    pub packets_received: u64,
    /// Packets from the caller that never arrived.
    pub packets_lost: u64,
    /// Their share in percent.
    pub packet_loss_percent: f64,
    /// Interarrival jitter at the end.
    pub jitter: Duration,
    /// Largest interarrival jitter.
    pub jitter_max: Duration,
    /// Estimated quality from 1 to 4.5; `None` when nothing was received.
    pub mos: Option<f64>,
    /// The turns kept.
    pub turns: Vec<Turn>,
    /// Turns there were, kept or not.
    pub turns_total: u32,
    /// Receiver counters.
    pub received: ReceiverCounters,
    /// Play-out counters.
    pub played: PlayOutCounters,
    /// Counters of the bridge itself.
    pub bridge: BridgeCounters,
}

/// Estimates the mean opinion score by the E-model (ITU-T G.107) with its default values.
///
/// R = 93.2 - Id - Ie,eff. Id is for the one-way delay: one packet plus a jitter buffer of twice the jitter,
/// since the true network delay is not known. Ie,eff is for loss, with Bpl = 4.3 (G.711 whose gaps are filled
/// with silence, ITU-T G.113).
pub fn estimate_mos(statistics: &ReceptionStatistics) -> Option<f64> {
    if statistics.received() == 0 {
        return None;
    }
    let delay_ms = 20.0 + 2.0 * statistics.jitter().as_secs_f64() * 1000.0;
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
    fn percentiles_are_right_within_an_eighth() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.median(), None);
        for micros in 1..=10_000 {
            histogram.record(Duration::from_micros(micros));
        }
        assert_eq!(histogram.count(), 10_000);
        for (percent, expected) in [(1, 100.0), (50, 5000.0), (99, 9900.0)] {
            let found = histogram.percentile(percent).unwrap().as_secs_f64() * 1e6;
            assert!((found - expected).abs() <= expected / 8.0, "p{percent}: {found}");
        }
    }

    #[test]
    fn the_estimated_score_falls_with_loss() {
        assert_eq!(estimate_mos(&ReceptionStatistics::default()), None);
        let score = |lost_every: u64| {
            let mut statistics = ReceptionStatistics::default();
            (0..1000u64).filter(|n| n % lost_every != 1).for_each(|n| statistics.count(n));
            estimate_mos(&statistics).unwrap()
        };
        let (clean, some, much) = (score(2000), score(50), score(5));
        // The model itself gives 4.4 for a clean G.711 call.
        assert!((clean - 4.4).abs() < 0.05, "{clean}");
        assert!(clean > some && some > much && much < 2.0, "{clean} {some} {much}");
    }

    #[test]
    fn small_values_are_exact_and_huge_ones_are_kept() {
        for micros in 0..16 {
            let mut histogram = Histogram::default();
            histogram.record(Duration::from_micros(micros));
            assert_eq!(histogram.median(), Some(Duration::from_micros(micros)));
        }
        let mut histogram = Histogram::default();
        histogram.record(Duration::from_secs(100_000));
        assert!(histogram.median().unwrap() > Duration::from_mins(1));
    }
}
