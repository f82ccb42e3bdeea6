//! The mail about an alert, as text and as HTML: the measured figures and the recommended action, without secrets.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Alert, AlertRule, AlertSubject, AlertSubjectKind};
use crate::clock::Timestamp;
use crate::id::AlertId;
use crate::mail::{escaped, html_page, one_line};

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
    /// The same as HTML that loads nothing.
    pub html: String,
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
    /// The path of its page in the dashboard.
    pub fn page(&self) -> String {
        format!("/alerts/{}", self.id)
    }

    /// An alert that shows what one looks like: it was never raised.
    pub fn example(id: AlertId, subject: AlertSubject, name: String, raised_at: Timestamp) -> Self {
        let figures = [("network", Value::from("203.0.113.0/24")), ("address", Value::from("203.0.113.7"))];
        Self {
            id,
            rule: AlertRule::NewAddress,
            severity: AlertRule::NewAddress.severity(),
            subject,
            name,
            message:
                "This is a test, nothing happened. A real alert would say: a request came from 203.0.113.7, \
                      which is in a network that is new."
                    .to_owned(),
            figures: figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            raised_at,
            acknowledged: None,
        }
    }

    /// The mail about it. `mask` is the part of a key's secret that may be shown; it is ignored for other subjects. `link` is
    /// the URL of a page about it.
    pub fn mail(&self, mask: &str, link: Option<&str>) -> MailText {
        let name = one_line(&self.name);
        let kind = self.subject.kind().name();
        let subject = format!("[Telepath] {}: {} on {kind} {name}", self.severity.name(), self.rule.name());
        let mut facts = vec![
            ("Rule".to_owned(), format!("{} ({})", self.rule.name(), self.severity.name())),
            (capitalized(kind), format!("{name} ({})", self.subject)),
        ];
        if self.subject.kind() == AlertSubjectKind::Key {
            facts.push(("Secret".to_owned(), mask.to_owned()));
        }
        facts.push(("Raised".to_owned(), self.raised_at.to_string()));
        facts.push(("Alert".to_owned(), self.id.to_string()));
        let figures = self.figures.iter().take(FIGURES).map(|(figure, value)| {
            let text: String = one_line(&shown(value)).chars().take(FIGURE_LENGTH).collect();
            (figure.clone(), text)
        });
        let parts = Parts {
            message: one_line(&self.message),
            facts,
            figures: figures.collect(),
            advice: self.rule.advice(),
            link,
        };
        MailText { body: parts.text(), html: html_page(&subject, &parts.html()), subject }
    }
}

/// What a mail says, in both forms.
struct Parts<'a> {
    message: String,
    facts: Vec<(String, String)>,
    figures: Vec<(String, String)>,
    advice: &'static str,
    link: Option<&'a str>,
}

impl Parts<'_> {
    fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.message);
        let page = self.link.map(|link| ("Page", link));
        let facts = self.facts.iter().map(|(fact, value)| (fact.as_str(), value.as_str()));
        for (fact, value) in facts.chain(page) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{:<10}{value}", format!("{fact}:"));
        }
        text.push_str("\nFigures:\n");
        for (figure, value) in &self.figures {
            let _ = writeln!(text, "  {figure}: {value}");
        }
        let _ = write!(text, "\nWhat to do:\n  {}\n", self.advice);
        text
    }

    fn html(&self) -> String {
        let mut html = format!("<p style=\"font-size:18px\"><b>{}</b></p>\n", escaped(&self.message));
        rows(&mut html, &self.facts);
        html.push_str("<p><b>Figures</b></p>\n");
        rows(&mut html, &self.figures);
        let _ = write!(html, "<p><b>What to do</b></p>\n<p>{}</p>", escaped(self.advice));
        if let Some(link) = self.link {
            let _ = write!(html, "\n<p><a href=\"{0}\">{0}</a></p>", escaped(link));
        }
        html
    }
}

fn rows(html: &mut String, rows: &[(String, String)]) {
    html.push_str("<table style=\"border-collapse:collapse\">");
    for (name, value) in rows {
        let _ = write!(
            html,
            "<tr><th scope=\"row\" style=\"padding:2px 16px 2px 0;text-align:left;vertical-align:top;font-weight:400;color:#5a5870\">{}</th><td style=\"padding:2px 0\">{}</td></tr>",
            escaped(name),
            escaped(value)
        );
    }
    html.push_str("</table>\n");
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
    use crate::id::{Id as _, KeyId};

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
            let mail = alert.mail("sk_live_AbC…wxyz", Some("https://voice.example/alerts/x"));
            assert_eq!(mail.subject.lines().count(), 1);
            assert!(mail.body.starts_with("It  happened.\n"), "{}", mail.body);
            for part in [
                rule.name(),
                rule.advice(),
                "sk_live_AbC…wxyz",
                "networks: 192.0.2.0/24, 2001:db8::/48\n",
                "last_used_at: none\n",
                "2027-01-15T08:00:00.000Z",
                "Page:     https://voice.example/alerts/x\n",
                &key.to_string(),
            ] {
                assert!(mail.body.contains(part), "{part} in {}", mail.body);
            }
            assert!(!mail.body.lines().any(|line| line.starts_with("Bcc")), "{}", mail.body);
        }
    }

    #[test]
    fn the_html_of_a_mail_says_the_same_escaped_and_loads_nothing() {
        let name = "<img src=\"https://evil.example/x.png\"> & 'co'".to_owned();
        let at = Timestamp::from_unix_seconds(1_800_000_000);
        let alert = Alert::example(AlertId::from_bytes([2; 16]), KeyId::from_bytes([1; 16]).into(), name, at);
        let html = alert.mail("sk_live_AbC…wxyz", Some("https://voice.example/alerts?a=1&b=2")).html;
        for part in [
            "This is a test, nothing happened.",
            "&lt;img src=&quot;https://evil.example/x.png&quot;&gt; &amp; &#39;co&#39;",
            "new_address (warning)",
            "sk_live_AbC…wxyz",
            "203.0.113.0/24",
            "rotate the key without a grace period",
            "href=\"https://voice.example/alerts?a=1&amp;b=2\"",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        for remote in ["<img", "src=", "url(", "<link", "<script", "@import"] {
            let text = html.replace("&lt;img src=&quot;", "");
            assert!(!text.contains(remote), "{remote} in {html}");
        }
        let without = alert.mail("", None);
        assert!(!without.html.contains("<a ") && !without.body.contains("Page:"));
    }
}
