//! What is counted of calls, and how a call is counted.

use super::Distribution;
use crate::call::{CallMetrics, CallStatus, Speaker, Turn};
use crate::named::named_enum;

named_enum! {
    /// A measured value of calls or turns.
    #[derive(PartialOrd, Ord)]
    pub enum Measure {
        /// Delay of the carrier's leg of a call, in milliseconds.
        CarrierLag = "carrier_lag_ms",
        /// Median time inside Telepath of a call, in microseconds.
        GatewayProcessing = "gateway_processing_us",
        /// Mean AI latency of a call, in milliseconds.
        AiLatency = "ai_latency_ms",
        /// From the end of the caller's speech to the first packet of the first answer of a call, in milliseconds.
        TimeToFirstSpeech = "time_to_first_speech_ms",
        /// The caller's wait before each turn of the agent, in milliseconds.
        TurnWait = "turn_wait_ms",
        /// Estimated mean opinion score of a call, in hundredths.
        Mos = "mos",
        /// How often the caller interrupted the agent in a call.
        Interruptions = "interruptions",
        /// Length of a call that reached the agent, in seconds.
        Duration = "duration_seconds",
    }
}

/// The counts and distributions of some calls that ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallFigures {
    /// Calls that reached the agent.
    pub reached: u64,
    /// Calls that never reached the agent.
    pub failed: u64,
    /// Turns of the agent.
    pub agent_turns: u64,
    /// Turns of the agent that the caller interrupted.
    pub agent_interrupted: u64,
    /// Turns of the caller.
    pub caller_turns: u64,
    /// Turns of the caller that the agent interrupted.
    pub caller_interrupted: u64,
    pub(super) measures: [Distribution; Measure::ALL.len()],
}

impl CallFigures {
    /// The figures of one call that ended.
    pub fn of_call(status: CallStatus, duration_seconds: u32, metrics: &CallMetrics, turns: &[Turn]) -> Self {
        let mut figures = Self::default();
        let measured = [
            (Measure::CarrierLag, metrics.carrier_lag_ms),
            (Measure::GatewayProcessing, metrics.gateway_processing_us),
            (Measure::AiLatency, metrics.ai_latency_ms),
            (Measure::TimeToFirstSpeech, metrics.time_to_first_speech_ms),
            (Measure::Mos, metrics.mos.and_then(hundredths)),
        ];
        for (measure, value) in measured {
            if let Some(value) = value {
                figures.measure_mut(measure).observe(value.into());
            }
        }
        figures.count_turns(turns);
        match status {
            CallStatus::Failed => figures.failed = 1,
            CallStatus::Disconnected | CallStatus::Connected => {
                figures.reached = 1;
                figures.measure_mut(Measure::Duration).observe(duration_seconds.into());
                let interrupted = figures.agent_interrupted;
                figures.measure_mut(Measure::Interruptions).observe(interrupted);
            }
        }
        figures
    }

    fn count_turns(&mut self, turns: &[Turn]) {
        let mut caller_has_spoken = false;
        for turn in turns {
            let interrupted = u64::from(turn.interrupted);
            match turn.speaker {
                Speaker::Caller => {
                    caller_has_spoken = true;
                    self.caller_turns += 1;
                    self.caller_interrupted += interrupted;
                }
                Speaker::Agent => {
                    self.agent_turns += 1;
                    self.agent_interrupted += interrupted;
                    // A greeting answers nobody, so nobody waits for it.
                    if caller_has_spoken && turn.processing_time_ms > 0 {
                        self.measure_mut(Measure::TurnWait).observe(turn.processing_time_ms);
                    }
                }
            }
        }
    }

    /// Adds the figures of other calls.
    pub fn merge(&mut self, other: &Self) {
        self.reached = self.reached.saturating_add(other.reached);
        self.failed = self.failed.saturating_add(other.failed);
        self.agent_turns = self.agent_turns.saturating_add(other.agent_turns);
        self.agent_interrupted = self.agent_interrupted.saturating_add(other.agent_interrupted);
        self.caller_turns = self.caller_turns.saturating_add(other.caller_turns);
        self.caller_interrupted = self.caller_interrupted.saturating_add(other.caller_interrupted);
        for (own, others) in self.measures.iter_mut().zip(&other.measures) {
            own.merge(others);
        }
    }

    /// All calls.
    pub const fn calls(&self) -> u64 {
        self.reached.saturating_add(self.failed)
    }

    /// The percentage of calls that reached the agent; `None` without calls.
    #[expect(clippy::cast_precision_loss, reason = "a percentage needs no more than 53 bits")]
    pub fn success_rate(&self) -> Option<f64> {
        (self.calls() > 0).then(|| self.reached as f64 * 100.0 / self.calls() as f64)
    }

    /// The distribution of a measured value.
    pub const fn measure(&self, measure: Measure) -> &Distribution {
        &self.measures[measure as usize]
    }

    const fn measure_mut(&mut self, measure: Measure) -> &mut Distribution {
        &mut self.measures[measure as usize]
    }
}

/// A score from 1 to 5 in hundredths.
fn hundredths(score: f64) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 100 and 500")]
    (1.0..=5.0).contains(&score).then(|| (score * 100.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(speaker: Speaker, processing_time_ms: u64, interrupted: bool) -> Turn {
        Turn { turn_number: 1, speaker, started_ms: 0, duration_ms: 100, processing_time_ms, interrupted }
    }

    fn metrics() -> CallMetrics {
        CallMetrics {
            carrier_lag_ms: Some(38),
            ai_latency_ms: Some(600),
            gateway_processing_us: Some(740),
            mos: Some(4.386),
            ..CallMetrics::default()
        }
    }

    #[test]
    fn a_call_is_counted_with_its_figures_and_turns() {
        let turns = [
            turn(Speaker::Agent, 30, true),
            turn(Speaker::Caller, 0, true),
            turn(Speaker::Agent, 500, false),
            turn(Speaker::Caller, 0, false),
            turn(Speaker::Agent, 700, true),
        ];
        let figures = CallFigures::of_call(CallStatus::Disconnected, 42, &metrics(), &turns);
        assert_eq!((figures.calls(), figures.reached, figures.success_rate()), (1, 1, Some(100.0)));
        assert_eq!((figures.agent_turns, figures.agent_interrupted), (3, 2));
        assert_eq!((figures.caller_turns, figures.caller_interrupted), (2, 1));
        let one = |measure| figures.measure(measure).extremes();
        assert_eq!(one(Measure::TurnWait), Some((500, 700)), "without the greeting");
        assert_eq!(one(Measure::Mos), Some((439, 439)));
        assert_eq!(one(Measure::GatewayProcessing), Some((740, 740)));
        assert_eq!(one(Measure::Interruptions), Some((2, 2)));
        assert_eq!(one(Measure::Duration), Some((42, 42)));
        assert_eq!(one(Measure::TimeToFirstSpeech), None, "what was not measured is not counted");
    }

    #[test]
    fn a_failed_call_has_no_duration_and_no_interruptions() {
        let figures = CallFigures::of_call(CallStatus::Failed, 0, &CallMetrics::default(), &[]);
        assert_eq!((figures.failed, figures.success_rate()), (1, Some(0.0)));
        assert!(Measure::ALL.iter().all(|measure| figures.measure(*measure).count() == 0));
        assert_eq!(CallFigures::default().success_rate(), None);
    }

    #[test]
    fn merged_figures_are_those_of_all_calls() {
        let one =
            CallFigures::of_call(CallStatus::Disconnected, 10, &metrics(), &[turn(Speaker::Agent, 1, false)]);
        let failed = CallFigures::of_call(CallStatus::Failed, 0, &CallMetrics::default(), &[]);
        let mut merged = one.clone();
        merged.merge(&failed);
        merged.merge(&one);
        assert_eq!((merged.calls(), merged.reached, merged.agent_turns), (3, 2, 2));
        assert_eq!(merged.measure(Measure::AiLatency).count(), 2);
    }

    #[test]
    fn scores_out_of_range_are_not_counted() {
        for score in [f64::NAN, 0.0, 5.1, -1.0, f64::INFINITY] {
            assert_eq!(hundredths(score), None, "{score}");
        }
        assert_eq!((hundredths(1.0), hundredths(4.5)), (Some(100), Some(450)));
    }
}
