//! The rules that depend only on time: keys that expire soon, and unused keys.

use std::time::Duration;

use serde_json::json;

use super::{AlertRule, AlertSettings, NewAlert, Severity};
use crate::clock::Timestamp;
use crate::id::KeyId;

const DAY: Duration = Duration::from_hours(24);
/// Warnings after the first, which is a setting.
const LATER_WARNINGS: [Duration; 2] = [Duration::from_hours(7 * 24), DAY];

/// The times in the lifecycle of a key that is neither revoked nor expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLifecycle {
    /// The key.
    pub id: KeyId,
    /// The name that people gave it.
    pub name: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

impl KeyLifecycle {
    /// The alerts that are due. They stay due while their reason holds; occasion and cooldown ensure that each is raised
    /// once.
    pub fn due(&self, settings: &AlertSettings, now: Timestamp) -> Vec<NewAlert> {
        [self.expiring(settings, now), self.unused(settings, now)].into_iter().flatten().collect()
    }

    /// The nearest warning that was reached. A key with less than twice that lifetime is short-lived on purpose,
    /// so it gets no such warning.
    fn expiring(&self, settings: &AlertSettings, now: Timestamp) -> Option<NewAlert> {
        let end = self.expires_at.filter(|end| *end > now)?;
        let left = end.since(now);
        let later = LATER_WARNINGS.into_iter().filter(|warning| *warning < settings.expiring);
        let warning = later.chain([settings.expiring]).filter(|warning| left <= *warning).min()?;
        if end.since(self.created_at) < warning * 2 {
            return None;
        }
        let days = left.as_secs().div_ceil(86_400);
        let unit = if days == 1 { "day" } else { "days" };
        let message = format!("The key \"{}\" expires in {days} {unit}, at {end}.", self.name);
        let figures = json!({ "expires_at": end, "days_left": days });
        let alert = NewAlert::new(AlertRule::Expiring, self.id, message, figures).on(format!(
            "{} h before {}",
            warning.as_secs() / 3600,
            end.unix_ms()
        ));
        Some(if warning <= DAY { alert.as_urgent_as(Severity::Warning) } else { alert })
    }

    fn unused(&self, settings: &AlertSettings, now: Timestamp) -> Option<NewAlert> {
        let idle = now.since(self.last_used_at.unwrap_or(self.created_at));
        if settings.unused.is_zero() || idle < settings.unused {
            return None;
        }
        let days = idle.as_secs() / 86_400;
        let message = match self.last_used_at {
            Some(_) => format!("The key \"{}\" has not been used for {days} days.", self.name),
            None => format!("The key \"{}\" has never been used in {days} days.", self.name),
        };
        let figures = json!({ "idle_days": days, "last_used_at": self.last_used_at });
        Some(NewAlert::new(AlertRule::Unused, self.id, message, figures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id as _;

    const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn life(days: Option<u32>) -> KeyLifecycle {
        KeyLifecycle {
            id: KeyId::from_bytes([7; 16]),
            name: "one".to_owned(),
            created_at: START,
            expires_at: days.map(|days| START.plus(DAY * days)),
            last_used_at: None,
        }
    }

    /// The days on which a new alert is due, evaluated every hour.
    fn raised(life: &KeyLifecycle, hours: u32) -> Vec<(u32, AlertRule, Severity)> {
        let mut seen = std::collections::BTreeSet::new();
        let mut raised = Vec::new();
        for hour in 0..hours {
            let now = START.plus(Duration::from_hours(hour.into()));
            for alert in life.due(&AlertSettings::default(), now) {
                if seen.insert((alert.rule, alert.occasion)) {
                    raised.push((hour / 24, alert.rule, alert.severity));
                }
            }
        }
        raised
    }

    #[test]
    fn expiry_alerts_are_raised_three_times() {
        let expected = [(335, Severity::Info), (358, Severity::Info), (364, Severity::Warning)];
        let mut key = life(Some(365));
        key.last_used_at = Some(START.plus(DAY * 360));
        let expected = expected.map(|(day, severity)| (day, AlertRule::Expiring, severity));
        assert_eq!(raised(&key, 366 * 24), expected);
    }

    #[test]
    fn short_lived_keys_get_fewer_expiry_alerts() {
        assert_eq!(raised(&life(Some(1)), 48), []);
        assert_eq!(raised(&life(Some(10)), 24 * 11), [(9, AlertRule::Expiring, Severity::Warning)]);
    }

    #[test]
    fn an_unused_key_raises_an_alert_after_ninety_days() {
        let mut key = life(None);
        assert_eq!(raised(&key, 24 * 100), [(90, AlertRule::Unused, Severity::Info)]);
        key.last_used_at = Some(START.plus(DAY * 20));
        assert_eq!(raised(&key, 24 * 111), [(110, AlertRule::Unused, Severity::Info)]);
    }

    #[test]
    fn a_threshold_of_zero_disables_the_rule() {
        let off =
            AlertSettings { expiring: Duration::ZERO, unused: Duration::ZERO, ..AlertSettings::default() };
        let mut key = life(Some(365));
        for hour in 0..365 * 24 {
            assert_eq!(key.due(&off, START.plus(Duration::from_hours(hour))), []);
        }
        key.last_used_at = Some(START);
        assert_eq!(key.due(&off, START.plus(DAY * 300)), []);
    }
}
