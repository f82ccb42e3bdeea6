//! The health of an endpoint over days: when an alert warns about it, and when it is disabled.

use std::time::Duration;

use serde_json::json;

use super::DisabledReason;
use super::delivery::{ErrorClass, LONGEST_WAIT};
use crate::alert::{AlertRule, NewAlert};
use crate::clock::Timestamp;
use crate::id::WebhookId;

/// After this long without a success an endpoint is disabled …
pub const GIVEN_UP_AFTER: Duration = Duration::from_hours(5 * 24);
/// … provided that this many attempts failed: an endpoint with few events is not disabled after two failures.
pub const GIVEN_UP_FAILURES: u32 = 20;

/// The current run of failures of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// The start of the run: every attempt since then has failed.
    pub failing_since: Option<Timestamp>,
    /// The number of failed attempts.
    pub failures: u32,
    /// The last of them.
    pub failed_at: Option<Timestamp>,
    /// When the warning was raised, at half of [`GIVEN_UP_AFTER`].
    pub warned_at: Option<Timestamp>,
}

/// The consequence of an attempt for its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthTransition {
    /// Nothing.
    None,
    /// Raise the alert that the endpoint will be disabled.
    Warn,
    /// Disable the endpoint.
    Disable(DisabledReason),
}

impl Health {
    /// The health after an attempt that ended at `now`, and the consequence.
    #[must_use]
    pub fn after(self, error: Option<ErrorClass>, now: Timestamp) -> (Self, HealthTransition) {
        let Some(error) = error else { return (Self::default(), HealthTransition::None) };
        let since = self.start_of_run(now);
        let failures = self.failures.saturating_add(1);
        let failed = Self { failing_since: Some(since), failures, failed_at: Some(now), ..self };
        if error == ErrorClass::Gone {
            return (failed, HealthTransition::Disable(DisabledReason::Gone));
        }
        let failing_for = now.since(since);
        if failing_for >= GIVEN_UP_AFTER && failures >= GIVEN_UP_FAILURES {
            (failed, HealthTransition::Disable(DisabledReason::Failing))
        } else if failing_for >= GIVEN_UP_AFTER / 2 && self.warned_at.is_none() {
            (Self { warned_at: Some(now), ..failed }, HealthTransition::Warn)
        } else {
            (failed, HealthTransition::None)
        }
    }

    /// The start of the run by the clock that shows `now`. Between two attempts at most [`LONGEST_WAIT`] counts: a longer time was
    /// one without attempts, or the clock was set.
    fn start_of_run(&self, now: Timestamp) -> Timestamp {
        let Some(since) = self.failing_since else { return now };
        let last = self.failed_at.unwrap_or(now);
        now.minus(last.since(since) + now.since(last).min(LONGEST_WAIT))
    }

    /// The alert that warns about the endpoint.
    pub fn warning(&self, webhook: WebhookId, host: &str) -> NewAlert {
        let figures = json!({
            "failing_since": self.failing_since, "failures": self.failures, "given_up_at": self.given_up_at(),
        });
        let days = GIVEN_UP_AFTER.as_secs() / 86_400;
        let message = format!(
            "Every delivery to the webhook at {host} has failed for more than {} hours. After {days} days it is disabled.",
            GIVEN_UP_AFTER.as_secs() / 2 / 3600
        );
        NewAlert::new(AlertRule::WebhookFailing, webhook, message, figures)
    }

    /// When the endpoint will be disabled if every attempt keeps failing; `None` before the warning.
    pub fn given_up_at(&self) -> Option<Timestamp> {
        self.warned_at.and(self.failing_since).map(|since| since.plus(GIVEN_UP_AFTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id as _;

    const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn hours(hours: u64) -> Duration {
        Duration::from_hours(hours)
    }

    #[test]
    fn failures_warn_after_sixty_hours_and_disable_after_five_days() {
        let mut health = Health::default();
        let mut transitions = Vec::new();
        for hour in 0..=120 {
            let (after, transition) = health.after(Some(ErrorClass::Connect), START.plus(hours(hour)));
            health = after;
            if transition != HealthTransition::None {
                transitions.push((hour, transition));
            }
        }
        assert_eq!(
            transitions,
            [(60, HealthTransition::Warn), (120, HealthTransition::Disable(DisabledReason::Failing))]
        );
        assert_eq!(health.given_up_at(), Some(START.plus(hours(120))));
        let warning = health.warning(WebhookId::from_bytes([7; 16]), "hooks.example");
        assert!(
            warning.message.contains("hooks.example has failed for more than 60 hours"),
            "{}",
            warning.message
        );
        assert_eq!(warning.figures["given_up_at"], json!(START.plus(hours(120))));
    }

    #[test]
    fn fewer_than_twenty_failures_never_disable_an_endpoint() {
        let mut health = Health::default();
        for day in 0..19 {
            let (after, transition) = health.after(Some(ErrorClass::TimedOut), START.plus(hours(24 * day)));
            assert!(matches!(transition, HealthTransition::None | HealthTransition::Warn), "day {day}");
            health = after;
        }
        let (_, transition) = health.after(Some(ErrorClass::TimedOut), START.plus(hours(24 * 19)));
        assert_eq!(transition, HealthTransition::Disable(DisabledReason::Failing), "the twentieth");
    }

    #[test]
    fn steps_of_the_clock_disable_no_endpoint_and_keep_none_enabled() {
        let failed_for_a_minute = || {
            (0..30).fold(Health::default(), |health, second| {
                health.after(Some(ErrorClass::Connect), START.plus(Duration::from_secs(2 * second))).0
            })
        };
        for step in [hours(24 * 5), hours(24 * 365 * 40)] {
            let ahead = START.plus(step);
            let (health, transition) = failed_for_a_minute().after(Some(ErrorClass::Connect), ahead);
            assert_eq!(transition, HealthTransition::None, "{step:?}");
            assert_eq!(health.failing_since, Some(ahead.minus(LONGEST_WAIT + Duration::from_secs(58))));
            // The clock is corrected: the run goes on where it was.
            let (mut health, _) = health.after(Some(ErrorClass::Connect), START);
            let mut hour = 0;
            let disabled = HealthTransition::Disable(DisabledReason::Failing);
            while hour < 200 {
                hour += 1;
                let (after, transition) = health.after(Some(ErrorClass::Connect), START.plus(hours(hour)));
                health = after;
                if transition == disabled {
                    break;
                }
            }
            assert_eq!(hour, 120 - 28, "{step:?}");
        }
    }

    #[test]
    fn success_resets_the_health_and_410_disables_immediately() {
        let (failed, _) = Health::default().after(Some(ErrorClass::ServerError), START);
        assert_eq!((failed.failures, failed.failing_since), (1, Some(START)));
        let later = START.plus(hours(200));
        assert_eq!(failed.after(None, later), (Health::default(), HealthTransition::None));
        let (_, transition) = Health::default().after(Some(ErrorClass::Gone), later);
        assert_eq!(transition, HealthTransition::Disable(DisabledReason::Gone));
    }
}
