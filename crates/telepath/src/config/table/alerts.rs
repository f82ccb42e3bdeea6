//! Settings for alerts and alert emails.

use super::{Kind, Setting};

settings! {
    ALERTS;
    "alerts.enabled", "TELEPATH_ALERTS_ENABLED", Kind::Choice(&["yes", "no"]), Some("yes"), "\"yes\"",
        "Whether alerts about unusual key usage are raised. See [alerts](alerts.md).";
    "alerts.keep", "TELEPATH_ALERTS_KEEP", Kind::Duration, Some("365d"), "\"365d\"",
        "How long alerts are kept.";
    "alerts.learning", "TELEPATH_ALERTS_LEARNING", Kind::Duration, Some("8d"), "\"8d\"",
        "How long a new key's networks and request rate are learned before they raise alerts.";
    "alerts.spike_factor", "TELEPATH_ALERTS_SPIKE_FACTOR", Kind::Count(0, 1000), Some("5"), "5",
        "A request spike exceeds the baseline for the hour of the week by at least this factor. 0 disables the rule.";
    "alerts.spike_requests", "TELEPATH_ALERTS_SPIKE_REQUESTS", Kind::Count(1, 1_000_000), Some("300"), "300",
        "A request spike has at least this many requests in five minutes.";
    "alerts.burst_errors", "TELEPATH_ALERTS_BURST_ERRORS", Kind::Count(0, 1_000_000), Some("50"), "50",
        "An error burst has at least this many errors in five minutes. 0 disables the rule.";
    "alerts.burst_percent", "TELEPATH_ALERTS_BURST_PERCENT", Kind::Count(1, 100), Some("30"), "30",
        "In an error burst, at least this percentage of requests fails.";
    "alerts.riding_percent", "TELEPATH_ALERTS_RIDING_PERCENT", Kind::Count(1, 100), Some("95"), "95",
        "A minute counts as at the limit when the key uses at least this percentage of its limit, or when a request is answered 429.";
    "alerts.riding_minutes", "TELEPATH_ALERTS_RIDING_MINUTES", Kind::Count(0, 1440), Some("5"), "5",
        "The number of consecutive minutes at the limit that raise an alert. 0 disables the rule.";
    "alerts.idle", "TELEPATH_ALERTS_IDLE", Kind::Duration, Some("30d"), "\"30d\"",
        "Using a key that was idle for this long raises an alert. 0s disables the rule.";
    "alerts.expiring", "TELEPATH_ALERTS_EXPIRING", Kind::Duration, Some("30d"), "\"30d\"",
        "How long before expiry the first warning is raised. Further warnings follow 7 days and 1 day before. 0s disables the rule.";
    "alerts.unused", "TELEPATH_ALERTS_UNUSED", Kind::Duration, Some("90d"), "\"90d\"",
        "A key that was not used for this long raises an alert. 0s disables the rule.";
    "alerts.new_address_cooldown", "TELEPATH_ALERTS_NEW_ADDRESS_COOLDOWN", Kind::Duration, Some("1h"), "\"1h\"",
        "How long after an alert of the rule `new_address` no further one is raised for the same key.";
    "alerts.request_spike_cooldown", "TELEPATH_ALERTS_REQUEST_SPIKE_COOLDOWN", Kind::Duration, Some("6h"), "\"6h\"",
        "How long after an alert of the rule `request_spike` no further one is raised for the same key.";
    "alerts.error_burst_cooldown", "TELEPATH_ALERTS_ERROR_BURST_COOLDOWN", Kind::Duration, Some("6h"), "\"6h\"",
        "How long after an alert of the rule `error_burst` no further one is raised for the same key.";
    "alerts.limit_riding_cooldown", "TELEPATH_ALERTS_LIMIT_RIDING_COOLDOWN", Kind::Duration, Some("24h"), "\"24h\"",
        "How long after an alert of the rule `limit_riding` no further one is raised for the same key.";
    "alerts.idle_awake_cooldown", "TELEPATH_ALERTS_IDLE_AWAKE_COOLDOWN", Kind::Duration, Some("24h"), "\"24h\"",
        "How long after an alert of the rule `idle_awake` no further one is raised for the same key.";
    "alerts.dead_key_used_cooldown", "TELEPATH_ALERTS_DEAD_KEY_USED_COOLDOWN", Kind::Duration, Some("24h"), "\"24h\"",
        "How long after an alert of the rule `dead_key_used` no further one is raised for the same key.";
    "alerts.seen_in_clear_cooldown", "TELEPATH_ALERTS_SEEN_IN_CLEAR_COOLDOWN", Kind::Duration, Some("1h"), "\"1h\"",
        "How long after an alert of the rule `seen_in_clear` no further one is raised for the same key.";
    "alerts.leak_reported_cooldown", "TELEPATH_ALERTS_LEAK_REPORTED_COOLDOWN", Kind::Duration, Some("1h"), "\"1h\"",
        "How long after an alert of the rule `leak_reported` no further one is raised for the same key.";
    "alerts.expiring_cooldown", "TELEPATH_ALERTS_EXPIRING_COOLDOWN", Kind::Duration, Some("90d"), "\"90d\"",
        "How long after an alert of the rule `expiring` no further one is raised for the same key.";
    "alerts.unused_cooldown", "TELEPATH_ALERTS_UNUSED_COOLDOWN", Kind::Duration, Some("90d"), "\"90d\"",
        "How long after an alert of the rule `unused` no further one is raised for the same key.";
    "smtp.host", "TELEPATH_SMTP_HOST", Kind::Host, None, "\"mail.example.com\"",
        "The SMTP server for alert emails. Without it, no email is sent.";
    "smtp.port", "TELEPATH_SMTP_PORT", Kind::Count(1, 65535), None, "587",
        "The SMTP port. Defaults to 587 for starttls, 465 for tls and 25 for none.";
    "smtp.tls", "TELEPATH_SMTP_TLS", Kind::Choice(&["starttls", "tls", "none"]), Some("starttls"), "\"starttls\"",
        "The transport security: TLS from the first byte (tls), STARTTLS before anything else (starttls), or none. Without TLS, a password is allowed only for a server on this machine.";
    "smtp.username", "TELEPATH_SMTP_USERNAME", Kind::Text, None, "\"telepath\"",
        "The SMTP user name. Requires `smtp.password`.";
    "smtp.password", "TELEPATH_SMTP_PASSWORD", Kind::Secret, None, "\"<password>\"",
        "The SMTP password.";
    "smtp.from", "TELEPATH_SMTP_FROM", Kind::Mailbox, None, "\"Telepath <telepath@example.com>\"",
        "The sender address. Required with `smtp.host`.";
    "smtp.to", "TELEPATH_SMTP_TO", Kind::Mailboxes, None, "[\"ops@example.com\"]",
        "The recipients, at most 20. Required with `smtp.host`.";
}
