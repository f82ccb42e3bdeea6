//! The settings of alerts and of the mails about them.

use super::{Kind, Setting};

/// One row for each: name, environment variable, kind, default, example, meaning. None has a flag.
macro_rules! settings {
    ($($key:literal, $env:literal, $kind:expr, $default:expr, $example:literal, $about:literal;)+) => {
        pub(super) const ALERTS: &[Setting] = &[$(Setting {
            key: $key,
            env: $env,
            flag: None,
            kind: $kind,
            default: $default,
            example: $example,
            about: $about,
        }),+];
    };
}

settings! {
    "alerts.enabled", "TELEPATH_ALERTS_ENABLED", Kind::Choice(&["yes", "no"]), Some("yes"), "\"yes\"",
        "Whether alerts about the use of keys are raised. See [alerts](alerts.md).";
    "alerts.keep", "TELEPATH_ALERTS_KEEP", Kind::Duration, Some("365d"), "\"365d\"",
        "How long raised alerts are kept.";
    "alerts.learning", "TELEPATH_ALERTS_LEARNING", Kind::Duration, Some("8d"), "\"8d\"",
        "For how long the networks and the pace of a key are only learned.";
    "alerts.spike_factor", "TELEPATH_ALERTS_SPIKE_FACTOR", Kind::Count(0, 1000), Some("5"), "5",
        "A request spike is at least this many times what is usual at the hour of the week; 0 turns the rule off.";
    "alerts.spike_requests", "TELEPATH_ALERTS_SPIKE_REQUESTS", Kind::Count(1, 1_000_000), Some("300"), "300",
        "A request spike has at least this many requests in five minutes.";
    "alerts.burst_errors", "TELEPATH_ALERTS_BURST_ERRORS", Kind::Count(0, 1_000_000), Some("50"), "50",
        "An error burst has at least this many errors in five minutes; 0 turns the rule off.";
    "alerts.burst_percent", "TELEPATH_ALERTS_BURST_PERCENT", Kind::Count(1, 100), Some("30"), "30",
        "In an error burst at least this many percent of the requests fail.";
    "alerts.riding_percent", "TELEPATH_ALERTS_RIDING_PERCENT", Kind::Count(1, 100), Some("95"), "95",
        "A minute counts as ridden from this many percent of the key's limit on, or when a request was refused with 429.";
    "alerts.riding_minutes", "TELEPATH_ALERTS_RIDING_MINUTES", Kind::Count(0, 1440), Some("5"), "5",
        "So many ridden minutes in a row are an alert; 0 turns the rule off.";
    "alerts.idle", "TELEPATH_ALERTS_IDLE", Kind::Duration, Some("30d"), "\"30d\"",
        "A key that is used after being idle for this long is an alert; 0s turns the rule off.";
    "alerts.expiring", "TELEPATH_ALERTS_EXPIRING", Kind::Duration, Some("30d"), "\"30d\"",
        "The first warning before a key expires; more come 7 days and 1 day before. 0s turns the rule off.";
    "alerts.unused", "TELEPATH_ALERTS_UNUSED", Kind::Duration, Some("90d"), "\"90d\"",
        "A key that was not used for this long is an alert; 0s turns the rule off.";
    "alerts.new_address_cooldown", "TELEPATH_ALERTS_NEW_ADDRESS_COOLDOWN", Kind::Duration, Some("1h"), "\"1h\"",
        "How long an alert of the rule `new_address` silences others about the same key.";
    "alerts.request_spike_cooldown", "TELEPATH_ALERTS_REQUEST_SPIKE_COOLDOWN", Kind::Duration, Some("6h"), "\"6h\"",
        "How long an alert of the rule `request_spike` silences others about the same key.";
    "alerts.error_burst_cooldown", "TELEPATH_ALERTS_ERROR_BURST_COOLDOWN", Kind::Duration, Some("6h"), "\"6h\"",
        "How long an alert of the rule `error_burst` silences others about the same key.";
    "alerts.limit_riding_cooldown", "TELEPATH_ALERTS_LIMIT_RIDING_COOLDOWN", Kind::Duration, Some("24h"), "\"24h\"",
        "How long an alert of the rule `limit_riding` silences others about the same key.";
    "alerts.idle_awake_cooldown", "TELEPATH_ALERTS_IDLE_AWAKE_COOLDOWN", Kind::Duration, Some("24h"), "\"24h\"",
        "How long an alert of the rule `idle_awake` silences others about the same key.";
    "alerts.dead_key_used_cooldown", "TELEPATH_ALERTS_DEAD_KEY_USED_COOLDOWN", Kind::Duration, Some("24h"), "\"24h\"",
        "How long an alert of the rule `dead_key_used` silences others about the same key.";
    "alerts.seen_in_clear_cooldown", "TELEPATH_ALERTS_SEEN_IN_CLEAR_COOLDOWN", Kind::Duration, Some("1h"), "\"1h\"",
        "How long an alert of the rule `seen_in_clear` silences others about the same key.";
    "alerts.leak_reported_cooldown", "TELEPATH_ALERTS_LEAK_REPORTED_COOLDOWN", Kind::Duration, Some("1h"), "\"1h\"",
        "How long an alert of the rule `leak_reported` silences others about the same key.";
    "alerts.expiring_cooldown", "TELEPATH_ALERTS_EXPIRING_COOLDOWN", Kind::Duration, Some("90d"), "\"90d\"",
        "How long an alert of the rule `expiring` silences others about the same key.";
    "alerts.unused_cooldown", "TELEPATH_ALERTS_UNUSED_COOLDOWN", Kind::Duration, Some("90d"), "\"90d\"",
        "How long an alert of the rule `unused` silences others about the same key.";
    "smtp.host", "TELEPATH_SMTP_HOST", Kind::Host, None, "\"mail.example.com\"",
        "The mail server that takes the mails about alerts. Without it, no mail is sent.";
    "smtp.port", "TELEPATH_SMTP_PORT", Kind::Count(1, 65535), None, "587",
        "Its port; when left out, 587 for starttls, 465 for tls and 25 for none.";
    "smtp.tls", "TELEPATH_SMTP_TLS", Kind::Choice(&["starttls", "tls", "none"]), Some("starttls"), "\"starttls\"",
        "How the connection is protected: from the first byte (tls), before anything is said (starttls), or not at all (none, and then without a password unless the server is on this machine).";
    "smtp.username", "TELEPATH_SMTP_USERNAME", Kind::Text, None, "\"telepath\"",
        "The name to sign in with; together with `smtp.password`.";
    "smtp.password", "TELEPATH_SMTP_PASSWORD", Kind::Secret, None, "\"<password>\"",
        "The password to sign in with.";
    "smtp.from", "TELEPATH_SMTP_FROM", Kind::Mailbox, None, "\"Telepath <telepath@example.com>\"",
        "The sender of the mails; required with `smtp.host`.";
    "smtp.to", "TELEPATH_SMTP_TO", Kind::Mailboxes, None, "[\"ops@example.com\"]",
        "Who gets the mails, at most 20 addresses; required with `smtp.host`.";
}
