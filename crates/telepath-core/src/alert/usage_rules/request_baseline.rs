//! The request baseline of a key for each hour of the week, and the spike rule.
//!
//! The baseline of an hour is its highest five-minute count. A higher count replaces it immediately; a lower one moves it
//! by a fifth each week. Daily and weekly patterns therefore raise no alert. Neither does a job at the edge of an hour or
//! one shifted by daylight saving time, because the hours before and after count too. The most recent deviation from the
//! baseline (a burst at a random time, an alert) is remembered with a half-life of a week, and a spike must clearly exceed
//! it. A new level therefore raises one alert and then becomes the baseline.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::recent::Recent;
use super::{DAY_MS, WatchedKey};
use crate::alert::{AlertRule, AlertSettings, NewAlert};

const HOURS_OF_WEEK: u8 = 7 * 24;
/// The silent hours that are processed one by one; after more than these the pattern is discarded.
const MOST_SILENT_HOURS: i64 = 16 * 168;
/// Each hour a deviation decays by one part in this many: by half in a week.
const SURPRISE_FADES: u32 = 242;
/// A peak up to this many times the baseline is noise.
const NOISE: u32 = 2;
/// A spike must exceed the baseline by this many times the most recent deviation.
const CLEARLY: u32 = 3;

/// The request baseline of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RequestBaseline {
    /// The number of the running hour since the epoch; 0 before the first.
    hour: i64,
    /// The highest five-minute count of the running hour.
    peak: u32,
    /// The highest count of the previous hour. It enters the baseline an hour late, so that a spike that starts at the end of
    /// an hour does not raise the baseline of the next.
    last_peak: u32,
    /// The baseline of the running hour at its start, and that of the previous hour.
    foreseen: u32,
    last_foreseen: u32,
    /// The baseline of each hour of the week; empty before the first hour has ended.
    usual: Vec<u32>,
    /// The most recent deviation from the baseline, decayed.
    surprise: u32,
}

impl RequestBaseline {
    /// Evaluates the newest minute. Delay: at most five minutes after the count exceeds the threshold.
    pub(super) fn evaluate(
        &mut self,
        key: &WatchedKey,
        recent: &Recent,
        age_ms: i64,
        settings: &AlertSettings,
    ) -> Option<NewAlert> {
        self.roll(recent.newest().div_euclid(60), age_ms, settings);
        let now = recent.requests();
        self.peak = self.peak.max(now);
        let learned = u128::try_from(age_ms).unwrap_or(0) >= settings.learning.as_millis();
        if settings.spike_factor == 0 || !learned {
            return None;
        }
        let usual = self.expected(self.hour, age_ms);
        let threshold = settings
            .spike_requests
            .max(usual.saturating_mul(settings.spike_factor))
            .max(usual.saturating_add(self.surprise.saturating_mul(CLEARLY)));
        if now <= threshold {
            return None;
        }
        let message = format!(
            "The key \"{}\" made {now} requests in five minutes; the baseline for this hour of the week is {usual}.",
            key.name
        );
        let figures = json!({ "requests": now, "usual": usual, "threshold": threshold, "minutes": 5 });
        Some(NewAlert::new(AlertRule::RequestSpike, key.id, message, figures))
    }

    /// Continues with an hour that a clock that was ahead has passed.
    pub(super) fn rewind(&mut self, hour: i64) {
        self.hour = hour.min(self.hour);
    }

    /// Closes the hours up to this one.
    fn roll(&mut self, hour: i64, age_ms: i64, settings: &AlertSettings) {
        if self.hour == 0 {
            self.hour = hour;
        }
        let silent = hour.saturating_sub(self.hour);
        if silent > MOST_SILENT_HOURS {
            self.usual.clear();
            self.surprise = 0;
            self.hour = hour;
        }
        while self.hour < hour {
            self.learn(age_ms, settings);
            self.last_peak = std::mem::take(&mut self.peak);
            self.last_foreseen = self.foreseen;
            self.hour += 1;
            // In the first week the previous day serves as the pattern.
            let like = if age_ms < 7 * DAY_MS { self.hour - 24 } else { self.hour };
            self.foreseen = self.expected(like, 7 * DAY_MS);
        }
    }

    /// Updates the baseline with the peak of the previous hour.
    fn learn(&mut self, age_ms: i64, settings: &AlertSettings) {
        let (peak, foreseen) = (self.last_peak, self.last_foreseen);
        self.surprise = self.surprise.saturating_sub(self.surprise.div_ceil(SURPRISE_FADES));
        // On the first day any use would be a deviation.
        if age_ms >= DAY_MS && peak > foreseen.saturating_mul(NOISE).max(settings.spike_requests / NOISE) {
            self.surprise = self.surprise.max(peak - foreseen);
        }
        if self.usual.len() != usize::from(HOURS_OF_WEEK) {
            self.usual = vec![0; usize::from(HOURS_OF_WEEK)];
        }
        let slot = &mut self.usual[slot_of(self.hour - 1)];
        *slot = if peak > *slot { peak } else { *slot - (*slot - peak).div_ceil(5) };
    }

    /// The baseline around an hour of the week; in the first week, around that hour of any day.
    fn expected(&self, hour: i64, age_ms: i64) -> u32 {
        if self.usual.len() != usize::from(HOURS_OF_WEEK) {
            return 0;
        }
        let days = if age_ms < 7 * DAY_MS { 7 } else { 1 };
        (0..days)
            .flat_map(|day| [-1, 0, 1].map(|beside| self.usual[slot_of(hour + day * 24 + beside)]))
            .max()
            .unwrap_or(0)
    }
}

/// The index of an hour in its week.
fn slot_of(hour: i64) -> usize {
    usize::try_from(hour.rem_euclid(i64::from(HOURS_OF_WEEK))).unwrap_or(0)
}
