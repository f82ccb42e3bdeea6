//! How busy a key usually is at each hour of the week, and when it is much busier.
//!
//! For each hour of the week the highest five-minute count is kept: a higher one is taken over at once, a lower one
//! by a fifth each week. A pattern of days and weeks is thus no alarm, and neither is a job that comes at an hour's
//! edge or is moved by the change of clocks, because the hours before and after count as well. What the pattern did not
//! foresee lately (a burst at a random time, an alarm that was raised) is remembered with a half-life of a week and must be clearly exceeded, so a new level is told once and then learned.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::recent::Recent;
use super::{DAY_MS, WatchedKey};
use crate::alert::{AlertRule, AlertSettings, NewAlert};

const HOURS_OF_WEEK: u8 = 7 * 24;
/// Silent hours that are gone through one by one; after so many weeks nothing is left of a pattern anyway.
const MOST_SILENT_HOURS: i64 = 16 * 168;
/// Each hour a surprise loses this part: half of it in a week.
const SURPRISE_FADES: u32 = 242;
/// A peak up to this many times the usual one is noise and no surprise.
const NOISE: u32 = 2;
/// A spike must exceed the last surprise this many times.
const CLEARLY: u32 = 3;

/// The usual pace of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Pace {
    /// The number of the running hour since the epoch; 0 before the first.
    hour: i64,
    /// The highest five-minute count in it.
    peak: u32,
    /// That of the hour before. It is learned an hour late, lest the beginning of a spike at the end of an hour pass for
    /// usual at the beginning of the next.
    last_peak: u32,
    /// What the pattern said of the running hour when it began, and of the one before.
    foreseen: u32,
    last_foreseen: u32,
    /// The usual highest five-minute count of each hour of the week; empty before the first hour has ended.
    usual: Vec<u32>,
    /// By how much the pattern was exceeded lately.
    surprise: u32,
}

impl Pace {
    /// Takes the newest minute into account. Delay: five minutes after the count passed the threshold at the latest.
    pub(super) fn judge(
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
            "The key \"{}\" made {now} requests in five minutes; at this hour of the week {usual} are usual.",
            key.name
        );
        let figures = json!({ "requests": now, "usual": usual, "threshold": threshold, "minutes": 5 });
        Some(NewAlert::new(AlertRule::RequestSpike, key.id, message, figures))
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
            // In the first week the pattern is that of the day before.
            let like = if age_ms < 7 * DAY_MS { self.hour - 24 } else { self.hour };
            self.foreseen = self.expected(like, 7 * DAY_MS);
        }
    }

    /// Takes over the peak of the hour before the running one.
    fn learn(&mut self, age_ms: i64, settings: &AlertSettings) {
        let (peak, foreseen) = (self.last_peak, self.last_foreseen);
        self.surprise = self.surprise.saturating_sub(self.surprise.div_ceil(SURPRISE_FADES));
        // On its first day everything that a key does would be a surprise.
        if age_ms >= DAY_MS && peak > foreseen.saturating_mul(NOISE).max(settings.spike_requests / NOISE) {
            self.surprise = self.surprise.max(peak - foreseen);
        }
        if self.usual.len() != usize::from(HOURS_OF_WEEK) {
            self.usual = vec![0; usize::from(HOURS_OF_WEEK)];
        }
        let slot = &mut self.usual[slot_of(self.hour - 1)];
        *slot = if peak > *slot { peak } else { *slot - (*slot - peak).div_ceil(5) };
    }

    /// What is usual around an hour: that of the week, or in the first week that of any day.
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

/// The place of an hour in its week.
fn slot_of(hour: i64) -> usize {
    usize::try_from(hour.rem_euclid(i64::from(HOURS_OF_WEEK))).unwrap_or(0)
}
