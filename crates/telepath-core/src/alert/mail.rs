//! The mail about an alert: plain text with the measured figures and the recommended action, without secrets.

use serde_json::Value;

use super::{Alert, AlertRule, AlertSubjectKind};

/// The most figures that are shown.
const FIGURES: usize = 16;
/// The most characters of a figure that are shown.
const FIGURE_LENGTH: usize = 300;

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailText {
    /// The subject, on one line.
    pub subject: String,
    /// The text of the mail.
    pub body: String,
}

impl AlertRule {
    /// The recommended reaction to an alert of this rule.
    pub const fn advice(self) -> &'static str {
        match self {
            AlertRule::NewAddress => {
                "If this network is not yours, rotate the key without a grace period and review its requests. \
                 If it is yours, consider restricting the key to its networks (allowed_ips)."
            }
            AlertRule::RequestSpike => {
                "Look at the key's usage by route and address. If the requests are not yours, rotate the key without a grace period."
            }
            AlertRule::ErrorBurst => {
                "Look at the key's failed requests by route and error code. Many 403 or 404 from one address can be an \
                 attacker probing the key's permissions."
            }
            AlertRule::LimitRiding => {
                "Slow the client down, or raise the key's limit if the requests are intended. A client that retries without waiting \
                 for X-RateLimit-Reset causes the same alert."
            }
            AlertRule::IdleAwake => {
                "Ask the owner of the key. If the use cannot be explained, revoke the key."
            }
            AlertRule::DeadKeyUsed => {
                "Find the program at this address that still uses the old secret, and give it the new one. If the address is not \
                 yours, someone else has the secret; it no longer works."
            }
            AlertRule::SeenInClear => {
                "Treat the key as leaked: rotate it without a grace period, and change the URL in the client to https://."
            }
            AlertRule::LeakReported => {
                "The key no longer works. Review its last requests, and give its users a new key."
            }
            AlertRule::Expiring => {
                "Create a new key in time, or extend the expiry if the key is still needed."
            }
            AlertRule::Unused => "Revoke the key if it is not needed.",
            AlertRule::WebhookFailing => {
                "Look at the endpoint's deliveries (telepath webhooks deliveries), fix the receiver and resend the missed events \
                 (telepath webhooks recover). If the endpoint is no longer in use, delete it."
            }
        }
    }
}

impl Alert {
    /// The mail about it. `mask` is the part of a key's secret that may be shown; it is ignored for
    /// other subjects.
    pub fn mail(&self, mask: &str) -> MailText {
        let one_line = |text: &str| text.replace(char::is_control, " ");
        let name = one_line(&self.name);
        let kind = self.subject.kind().name();
        let mut subject = format!("{:<10}{name} ({})", format!("{}:", capitalized(kind)), self.subject);
        if self.subject.kind() == AlertSubjectKind::Key {
            subject.push_str("\nSecret:   ");
            subject.push_str(mask);
        }
        let mut body = format!(
            "{}\n\nRule:     {} ({})\n{subject}\nRaised:   {}\nAlert:    {}\n\nFigures:\n",
            one_line(&self.message),
            self.rule.name(),
            self.severity.name(),
            self.raised_at,
            self.id,
        );
        for (figure, value) in self.figures.iter().take(FIGURES) {
            let text: String = one_line(&shown(value)).chars().take(FIGURE_LENGTH).collect();
            body.push_str("  ");
            body.push_str(figure);
            body.push_str(": ");
            body.push_str(&text);
            body.push('\n');
        }
        body.push_str("\nWhat to do:\n  ");
        body.push_str(self.rule.advice());
        body.push('\n');
        let subject = format!("[Telepath] {}: {} on {kind} {name}", self.severity.name(), self.rule.name());
        MailText { subject, body }
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::alert::NewAlert;
    use crate::clock::Timestamp;
    use crate::id::{AlertId, Id as _, KeyId};

    #[test]
    fn the_documentation_gives_the_same_advice_as_the_mail() {
        let page = include_str!("../../../../docs/reference/alerts.md");
        for rule in AlertRule::ALL {
            let row = format!("| `{}` | {} |", rule.name(), rule.advice());
            assert!(page.contains(&row), "docs/reference/alerts.md lacks the row {row}");
        }
    }

    #[test]
    fn a_mail_states_the_event_and_the_remedy_on_separate_lines() {
        for rule in AlertRule::ALL {
            let key = KeyId::from_bytes([1; 16]);
            let figures =
                json!({ "networks": ["192.0.2.0/24", "2001:db8::/48"], "count": 2, "last_used_at": null });
            let new = NewAlert::new(*rule, key, "It\r\nhappened.".to_owned(), figures);
            let alert = Alert {
                id: AlertId::from_bytes([2; 16]),
                rule: new.rule,
                severity: new.severity,
                subject: new.subject,
                name: "Evil\r\nBcc: all@example.com".to_owned(),
                message: new.message,
                figures: new.figures,
                raised_at: Timestamp::from_unix_seconds(1_800_000_000),
                acknowledged: None,
            };
            let mail = alert.mail("sk_live_AbC…wxyz");
            assert_eq!(mail.subject.lines().count(), 1);
            assert!(mail.body.starts_with("It  happened.\n"), "{}", mail.body);
            for part in [
                rule.name(),
                rule.advice(),
                "sk_live_AbC…wxyz",
                "networks: 192.0.2.0/24, 2001:db8::/48\n",
                "last_used_at: none\n",
                "2027-01-15T08:00:00.000Z",
                &key.to_string(),
            ] {
                assert!(mail.body.contains(part), "{part} in {}", mail.body);
            }
            assert!(!mail.body.lines().any(|line| line.starts_with("Bcc")), "{}", mail.body);
        }
    }
}
