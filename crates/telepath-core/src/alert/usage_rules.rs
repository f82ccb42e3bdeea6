//! The usage rules: they compare the use of a key with its baseline. A [`KeyUsageState`] takes one minute after another and
//! returns the alerts that are due. It reads no clock, has a bounded size, and is stored as JSON between two minutes.
//!
//! The worker passes a minute about two minutes after its end; the delays below start there.

mod errors;
mod networks;
mod recent;
mod request_baseline;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AlertRule, AlertSettings, NewAlert};
use crate::clock::Timestamp;
use crate::id::KeyId;
use crate::limit::RateLimit;
use errors::Errors;
use networks::Networks;
use recent::Recent;
use request_baseline::RequestBaseline;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// The properties of a key that the rules need besides its usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedKey {
    /// The key.
    pub id: KeyId,
    /// The name that people gave it.
    pub name: String,
    pub created_at: Timestamp,
    pub rate_limit: RateLimit,
}

/// The use of a key in one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinuteSummary {
    pub minute: Timestamp,
    /// All requests, of every status.
    pub requests: u32,
    /// Failed requests, except 401 (a dead secret) and 429 (rate limited), which have their own rules.
    pub errors: u32,
    /// Requests rejected with 429.
    pub limited: u32,
    /// The addresses seen in this minute, or since the previous one.
    pub addresses: Vec<IpAddr>,
}

/// The usage baseline of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyUsageState {
    /// The last minute in which the key was used.
    last_active_ms: Option<i64>,
    /// The first minute that was observed.
    since_ms: Option<i64>,
    networks: Networks,
    recent: Recent,
    // Stored databases have this name.
    #[serde(rename = "pace")]
    requests: RequestBaseline,
    errors: Errors,
    /// The number of consecutive minutes at the rate limit.
    ridden: u32,
}

impl KeyUsageState {
    /// Observes a minute in which the key was used and returns the alerts that are due at `now`. Minutes must be in order;
    /// one that is not newer than the last is ignored.
    pub fn observe(
        &mut self,
        key: &WatchedKey,
        summary: &MinuteSummary,
        settings: &AlertSettings,
        now: Timestamp,
    ) -> Vec<NewAlert> {
        let minute_ms = summary.minute.unix_ms();
        let last_ms = self.last_active_ms;
        if self.since_ms.is_some() && last_ms.is_some_and(|last| minute_ms <= last) {
            return Vec::new();
        }
        let since_ms = *self.since_ms.get_or_insert(minute_ms);
        let age_ms = minute_ms.saturating_sub(since_ms);
        self.last_active_ms = Some(minute_ms);
        self.networks.see(&summary.addresses, age_ms, minute_ms, settings);
        self.recent.add(minute_ms / MINUTE_MS, summary.requests, summary.errors);
        let alerts = [
            idle_awake(key, minute_ms, last_ms, settings),
            self.networks.due(key, settings, now),
            self.requests.evaluate(key, &self.recent, age_ms, settings),
            self.errors.evaluate(key, &self.recent, age_ms, settings),
            self.limit_riding(key, summary, last_ms, settings),
        ];
        alerts.into_iter().flatten().collect()
    }

    /// Evaluates the state again without a new minute, at the time that [`KeyUsageState::wake_at`] returned.
    pub fn wake(&mut self, key: &WatchedKey, settings: &AlertSettings, now: Timestamp) -> Vec<NewAlert> {
        self.networks.due(key, settings, now).into_iter().collect()
    }

    /// Continues after a clock that was ahead was corrected: minutes after `minute` are new again, and nothing waits for a
    /// later time. What was learned stays.
    pub fn rewind(&mut self, minute: Timestamp) {
        let minute_ms = minute.unix_ms();
        let ahead = self.last_active_ms.is_some_and(|last| last > minute_ms);
        for at in [&mut self.last_active_ms, &mut self.since_ms].into_iter().flatten() {
            *at = minute_ms.min(*at);
        }
        self.networks.rewind(minute_ms);
        let hour = minute_ms.div_euclid(MINUTE_MS).div_euclid(60);
        self.requests.rewind(hour);
        self.errors.rewind(hour);
        if ahead {
            (self.recent, self.ridden) = (Recent::default(), 0);
        }
    }

    /// When an alert is due that a cooldown holds back now.
    pub fn wake_at(&self, settings: &AlertSettings) -> Option<Timestamp> {
        self.networks.wake_at(settings)
    }

    /// Counts minutes at the limit. Delay: until the last of `riding_minutes` consecutive minutes.
    fn limit_riding(
        &mut self,
        key: &WatchedKey,
        summary: &MinuteSummary,
        last_ms: Option<i64>,
        settings: &AlertSettings,
    ) -> Option<NewAlert> {
        let limit = u64::from(key.rate_limit.get());
        let admitted = u64::from(summary.requests.saturating_sub(summary.limited));
        let at_limit = summary.limited > 0 || admitted * 100 >= limit * u64::from(settings.riding_percent);
        let follows = last_ms.is_some_and(|last| last + MINUTE_MS == summary.minute.unix_ms());
        self.ridden = match (at_limit, follows) {
            (true, true) => self.ridden.saturating_add(1),
            (true, false) => 1,
            (false, _) => 0,
        };
        if settings.riding_minutes == 0 || self.ridden < settings.riding_minutes {
            return None;
        }
        let message = format!(
            "The key \"{}\" has been at its limit of {limit} requests per minute for {} minutes.",
            key.name, self.ridden
        );
        let figures = json!({
            "minutes": self.ridden,
            "requests": summary.requests,
            "limited": summary.limited,
            "rate_limit_per_minute": limit,
        });
        Some(NewAlert::new(AlertRule::LimitRiding, key.id, message, figures))
    }
}

/// The first use after a long idle time. Raised without delay.
fn idle_awake(
    key: &WatchedKey,
    minute_ms: i64,
    last_ms: Option<i64>,
    settings: &AlertSettings,
) -> Option<NewAlert> {
    let before = Timestamp::from_unix_ms(last_ms.unwrap_or(key.created_at.unix_ms()));
    let idle = Timestamp::from_unix_ms(minute_ms).since(before);
    if settings.idle.is_zero() || idle < settings.idle {
        return None;
    }
    let days = idle.as_secs() / 86_400;
    let message = match last_ms {
        Some(_) => format!("The key \"{}\" is used again after {days} days.", key.name),
        None => {
            format!("The key \"{}\" is used for the first time, {days} days after it was created.", key.name)
        }
    };
    let last_use = last_ms.map(Timestamp::from_unix_ms);
    let figures = json!({ "idle_days": days, "last_used_at": last_use });
    Some(NewAlert::new(AlertRule::IdleAwake, key.id, message, figures))
}
