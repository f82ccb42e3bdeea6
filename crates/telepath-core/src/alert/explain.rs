//! What a rule means under the settings of the server, in a sentence, for the pages that list the rules.

use std::time::Duration;

use super::{AlertRule, AlertSettings};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// A setting of `[alerts]` that a rule depends on, with its value in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSetting {
    /// The name, such as `spike_factor`.
    pub name: &'static str,
    /// The value in words.
    pub value: String,
    /// Whether it is the value without configuration.
    pub is_default: bool,
}

impl AlertRule {
    /// When the rule raises an alert. `None` when the settings turn it off.
    pub fn condition(self, settings: &AlertSettings) -> Option<String> {
        if !settings.enabled || self.is_off(settings) {
            return None;
        }
        let text = match self {
            AlertRule::NewAddress => format!(
                "A key is used from a network (IPv4 /24, IPv6 /48) that is new for it. Networks are learned for the first {}.",
                length(settings.learning)
            ),
            AlertRule::RequestSpike => format!(
                "A key makes at least {} requests in five minutes, and {} times as many as it usually does at this hour of the week.",
                settings.spike_requests, settings.spike_factor
            ),
            AlertRule::ErrorBurst => format!(
                "At least {} requests of a key fail in five minutes, and at least {} % of all.",
                settings.burst_errors, settings.burst_percent
            ),
            AlertRule::LimitRiding => format!(
                "A key uses at least {} % of its rate limit, or is refused because of it, for {} minutes in a row.",
                settings.riding_percent, settings.riding_minutes
            ),
            AlertRule::IdleAwake => {
                format!("A key is used again after it was not used for {}.", length(settings.idle))
            }
            AlertRule::DeadKeyUsed => {
                "A secret that is revoked, expired, paused, replaced or not valid yet is used.".to_owned()
            }
            AlertRule::SeenInClear => "A key arrives over plain HTTP from another machine.".to_owned(),
            AlertRule::LeakReported => "Somebody who holds a key reports that it leaked.".to_owned(),
            AlertRule::Expiring => format!(
                "A key expires within {}, then within 7 days, then within 1 day.",
                length(settings.expiring)
            ),
            AlertRule::Unused => format!("A key was not used for {}.", length(settings.unused)),
            AlertRule::WebhookFailing => {
                "Every delivery to a webhook has failed for two and a half days.".to_owned()
            }
        };
        Some(text)
    }

    const fn is_off(self, settings: &AlertSettings) -> bool {
        match self {
            AlertRule::RequestSpike => settings.spike_factor == 0,
            AlertRule::ErrorBurst => settings.burst_errors == 0,
            AlertRule::LimitRiding => settings.riding_minutes == 0,
            AlertRule::IdleAwake => settings.idle.is_zero(),
            AlertRule::Expiring => settings.expiring.is_zero(),
            AlertRule::Unused => settings.unused.is_zero(),
            AlertRule::NewAddress
            | AlertRule::DeadKeyUsed
            | AlertRule::SeenInClear
            | AlertRule::LeakReported
            | AlertRule::WebhookFailing => false,
        }
    }

    /// The settings that the rule depends on, apart from its cooldown.
    pub fn settings(self, settings: &AlertSettings) -> Vec<RuleSetting> {
        let usual = AlertSettings::default();
        let number = |name, of: fn(&AlertSettings) -> u32| RuleSetting {
            name,
            value: of(settings).to_string(),
            is_default: of(settings) == of(&usual),
        };
        let time = |name, of: fn(&AlertSettings) -> Duration| RuleSetting {
            name,
            value: length(of(settings)),
            is_default: of(settings) == of(&usual),
        };
        match self {
            AlertRule::NewAddress => vec![time("learning", |all| all.learning)],
            AlertRule::RequestSpike => vec![
                number("spike_factor", |all| all.spike_factor),
                number("spike_requests", |all| all.spike_requests),
                time("learning", |all| all.learning),
            ],
            AlertRule::ErrorBurst => vec![
                number("burst_errors", |all| all.burst_errors),
                number("burst_percent", |all| all.burst_percent),
            ],
            AlertRule::LimitRiding => vec![
                number("riding_minutes", |all| all.riding_minutes),
                number("riding_percent", |all| all.riding_percent),
            ],
            AlertRule::IdleAwake => vec![time("idle", |all| all.idle)],
            AlertRule::Expiring => vec![time("expiring", |all| all.expiring)],
            AlertRule::Unused => vec![time("unused", |all| all.unused)],
            AlertRule::DeadKeyUsed
            | AlertRule::SeenInClear
            | AlertRule::LeakReported
            | AlertRule::WebhookFailing => Vec::new(),
        }
    }
}

/// A length of time in its largest whole unit: `90 days`, `1 hour`.
pub fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    let (number, unit) = match seconds {
        0 => return "none".to_owned(),
        _ if seconds.is_multiple_of(DAY) => (seconds / DAY, "day"),
        _ if seconds.is_multiple_of(HOUR) => (seconds / HOUR, "hour"),
        _ if seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_says_when_it_raises_an_alert_and_names_its_settings() {
        let documented = include_str!("../../../../docs/reference/configuration.md");
        let settings = AlertSettings::default();
        for rule in AlertRule::ALL {
            assert!(rule.condition(&settings).is_some_and(|text| text.ends_with('.')), "{rule}");
            for setting in rule.settings(&settings) {
                assert!(setting.is_default, "{rule}: {}", setting.name);
                assert!(documented.contains(&format!("### {}\n", setting.name)), "{}", setting.name);
            }
        }
    }

    #[test]
    fn a_rule_that_is_turned_off_has_no_condition() {
        let off = AlertSettings { burst_errors: 0, unused: Duration::ZERO, ..AlertSettings::default() };
        assert_eq!(AlertRule::ErrorBurst.condition(&off), None);
        assert_eq!(AlertRule::Unused.condition(&off), None);
        assert!(!AlertRule::ErrorBurst.settings(&off)[0].is_default);
        let disabled = AlertSettings { enabled: false, ..AlertSettings::default() };
        assert!(AlertRule::ALL.iter().all(|rule| rule.condition(&disabled).is_none()));
    }

    #[test]
    fn lengths_are_in_their_largest_whole_unit() {
        let shown = [0, 1, 90, 120, 3600, 7200, 86_400, 7_776_000]
            .map(|seconds| length(Duration::from_secs(seconds)));
        assert_eq!(
            shown,
            ["none", "1 second", "90 seconds", "2 minutes", "1 hour", "2 hours", "1 day", "90 days"]
        );
    }
}
