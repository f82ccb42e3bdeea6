//! The settings of the alert rules. The defaults are those of the documentation; each can be configured.

use std::time::Duration;

use super::AlertRule;

const DAY: Duration = Duration::from_hours(24);

/// Thresholds and cooldowns of all rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertSettings {
    /// Whether alerts are raised at all.
    pub enabled: bool,
    /// Whether each alert is also owed as a mail.
    pub by_mail: bool,
    /// How long raised alerts are kept.
    pub keep: Duration,
    /// For how long the networks and the pace of a key are only learned. A week and a day, so that what happens once a
    /// week has happened.
    pub learning: Duration,
    /// A spike is at least this many times the baseline of the hour of the week; 0 disables the rule.
    pub spike_factor: u32,
    /// A spike has at least this many requests in five minutes.
    pub spike_requests: u32,
    /// An error burst has at least this many errors in five minutes; 0 turns the rule off.
    pub burst_errors: u32,
    /// In an error burst at least this many of a hundred requests fail.
    pub burst_percent: u32,
    /// A minute counts as ridden from this many percent of the limit on.
    pub riding_percent: u32,
    /// So many such minutes in a row are an alert; 0 turns the rule off.
    pub riding_minutes: u32,
    /// A key is idle when it was not used for this long; zero turns the rule off.
    pub idle: Duration,
    /// The first warning before a key expires; zero turns the rule off. More come 7 days and 1 day before.
    pub expiring: Duration,
    /// A key is unused when it was not used for this long; zero turns the rule off.
    pub unused: Duration,
    /// How long an alert silences others like it.
    pub cooldowns: Cooldowns,
}

/// The cooldown of each rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooldowns([Duration; AlertRule::ALL.len()]);

impl Default for Cooldowns {
    fn default() -> Self {
        let mut usual = Self([Duration::ZERO; AlertRule::ALL.len()]);
        for rule in AlertRule::ALL {
            usual.set(*rule, usual_cooldown(*rule));
        }
        usual
    }
}

impl Cooldowns {
    /// Changes that of one rule.
    pub const fn set(&mut self, rule: AlertRule, length: Duration) {
        self.0[rule as usize] = length;
    }
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            by_mail: false,
            keep: DAY * 365,
            learning: DAY * 8,
            spike_factor: 5,
            spike_requests: 300,
            burst_errors: 50,
            burst_percent: 30,
            riding_percent: 95,
            riding_minutes: 5,
            idle: DAY * 30,
            expiring: DAY * 30,
            unused: DAY * 90,
            cooldowns: Cooldowns::default(),
        }
    }
}

impl AlertSettings {
    /// How long an alert silences others of the same rule, key and occasion.
    pub const fn cooldown(&self, rule: AlertRule) -> Duration {
        self.cooldowns.0[rule as usize]
    }
}

const fn usual_cooldown(rule: AlertRule) -> Duration {
    match rule {
        AlertRule::NewAddress | AlertRule::SeenInClear | AlertRule::LeakReported => Duration::from_hours(1),
        AlertRule::RequestSpike | AlertRule::ErrorBurst => Duration::from_hours(6),
        AlertRule::LimitRiding | AlertRule::IdleAwake | AlertRule::DeadKeyUsed => DAY,
        // The caller raises it only once in a run of failures.
        AlertRule::WebhookFailing => Duration::ZERO,
        // The warnings of one key have different subjects; the cooldown only limits repetitions of the same one.
        AlertRule::Expiring | AlertRule::Unused => Duration::from_hours(24 * 90),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_its_own_cooldown() {
        let mut settings = AlertSettings::default();
        let before: Vec<Duration> = AlertRule::ALL.iter().map(|rule| settings.cooldown(*rule)).collect();
        for (rule, length) in AlertRule::ALL.iter().zip(&before) {
            assert_eq!(*length > Duration::ZERO, *rule != AlertRule::WebhookFailing, "{rule:?}");
        }
        settings.cooldowns.set(AlertRule::ErrorBurst, Duration::from_secs(1));
        for (rule, was) in AlertRule::ALL.iter().zip(before) {
            let is = settings.cooldown(*rule);
            if *rule == AlertRule::ErrorBurst {
                assert_eq!(is, Duration::from_secs(1));
            } else {
                assert_eq!(is, was, "{rule:?}");
            }
        }
    }
}
