//! The error burst rule: many requests of a key fail at once. A burst is twice as large as the worst recent five minutes, which
//! are remembered with a half-life of a week, so a key that always fails a little, or for an hour each night, raises no alert.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::recent::Recent;
use super::{DAY_MS, WatchedKey};
use crate::alert::{AlertRule, AlertSettings, NewAlert};

/// Each hour the worst loses this part: half of it in a week.
const WORST_FADES: u32 = 242;
/// A burst is this many times the worst of late.
const CLEARLY: u32 = 2;
/// After so many silent hours nothing is left of any count.
const MOST_SILENT_HOURS: i64 = 8192;

/// The usual errors of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Errors {
    /// The number of the running hour since the epoch; 0 before the first.
    hour: i64,
    /// The most errors of five minutes in it.
    peak: u32,
    /// The same of the hour before. It counts as lately an hour late, lest the beginning of a burst hide the rest.
    last_peak: u32,
    /// The most errors of five minutes lately.
    worst: u32,
}

impl Errors {
    /// Takes the newest minute into account. Delay: five minutes after both thresholds were passed at the latest.
    pub(super) fn evaluate(
        &mut self,
        key: &WatchedKey,
        recent: &Recent,
        age_ms: i64,
        settings: &AlertSettings,
    ) -> Option<NewAlert> {
        self.roll(recent.newest().div_euclid(60));
        let (errors, requests) = (recent.errors(), recent.requests());
        self.peak = self.peak.max(errors);
        // On the first day the key is still being tried out.
        if settings.burst_errors == 0 || age_ms < DAY_MS {
            return None;
        }
        let threshold = settings.burst_errors.max(self.worst.saturating_mul(CLEARLY));
        let share = u64::from(errors) * 100 >= u64::from(requests) * u64::from(settings.burst_percent);
        if errors < threshold || !share {
            return None;
        }
        let message =
            format!("{errors} of {requests} requests of the key \"{}\" failed in five minutes.", key.name);
        let figures = json!({
            "errors": errors,
            "requests": requests,
            "worst_lately": self.worst,
            "threshold": threshold,
            "minutes": 5,
        });
        Some(NewAlert::new(AlertRule::ErrorBurst, key.id, message, figures))
    }

    /// Continues with an hour that a clock that was ahead has passed.
    pub(super) fn rewind(&mut self, hour: i64) {
        self.hour = hour.min(self.hour);
    }

    fn roll(&mut self, hour: i64) {
        if self.hour == 0 {
            self.hour = hour;
        }
        for _ in 0..hour.saturating_sub(self.hour).min(MOST_SILENT_HOURS) {
            let faded = self.worst.saturating_sub(self.worst.div_ceil(WORST_FADES));
            self.worst = faded.max(self.last_peak);
            self.last_peak = std::mem::take(&mut self.peak);
        }
        self.hour = self.hour.max(hour);
    }
}
