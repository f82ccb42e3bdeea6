//! When to send reports (RFC 3550 section 6.2). A call has two participants and little bandwidth, so the minimum interval
//! always applies; the algorithms for large groups (timer reconsideration, membership) have nothing to decide.

use std::time::Duration;

/// The minimum interval between reports.
const MINIMUM: Duration = Duration::from_secs(5);
/// e - 3/2, in thousandths: what randomization takes from the mean interval, the RFC divides by it.
const COMPENSATION: u64 = 1_218;

/// Random intervals between reports.
#[derive(Debug, Clone)]
pub(super) struct ReportInterval {
    state: u64,
}

impl ReportInterval {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Until the first report: half as long (section 6.2).
    pub(super) fn first(&mut self) -> Duration {
        self.random(MINIMUM / 2)
    }

    /// Until the next report: 0.5 to 1.5 times the interval, so that participants do not synchronize (section 6.3.1).
    pub(super) fn next(&mut self) -> Duration {
        self.random(MINIMUM)
    }

    fn random(&mut self, interval: Duration) -> Duration {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let thousandths = 500 + (mixed ^ mixed >> 31) % 1_001;
        let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(micros.saturating_mul(thousandths) / COMPENSATION)
    }
}
