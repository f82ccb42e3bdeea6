//! Alerts: unusual use of a key, and conditions that need attention soon. The rules are pure functions from measurements
//! and time to due alerts. The store decides whether a due alert is raised, because only the store knows when the last
//! one was.

mod explain;
mod lifecycle_rules;
mod mail;
mod settings;
pub mod subject;
mod usage_rules;

use serde_json::{Map, Value};

use crate::account::Actor;
use crate::clock::Timestamp;
use crate::id::{AlertId, KeyId};
use crate::named::named_enum;

pub use explain::{RuleSetting, length};
pub use lifecycle_rules::KeyLifecycle;
pub use mail::MailText;
pub use settings::{AlertSettings, Cooldowns};
pub use subject::{AlertSubject, AlertSubjectKind};
pub use usage_rules::{KeyUsageState, MinuteSummary, WatchedKey};

macro_rules! rules {
    ($($variant:ident = $name:literal, $severity:ident, $doc:literal;)+) => {
        named_enum! {
            /// The rule that an alert comes from, in the order of the documentation.
            #[derive(PartialOrd, Ord)]
            pub enum AlertRule {
                $(#[doc = $doc] $variant = $name,)+
            }
        }

        impl AlertRule {
            /// One line for people.
            pub const fn describe(self) -> &'static str {
                match self { $(AlertRule::$variant => $doc,)+ }
            }

            /// How urgent it is, as a rule.
            pub const fn severity(self) -> Severity {
                match self { $(AlertRule::$variant => Severity::$severity,)+ }
            }
        }
    };
}

rules! {
    NewAddress = "new_address", Warning, "The key is used from a network that it was not used from before.";
    RequestSpike = "request_spike", Warning, "The key makes many more requests than it usually does at this hour of the week.";
    ErrorBurst = "error_burst", Warning, "Many requests of the key fail at once.";
    LimitRiding = "limit_riding", Warning, "The key has been at its rate limit for several minutes.";
    IdleAwake = "idle_awake", Warning, "The key is used again after a long time.";
    DeadKeyUsed = "dead_key_used", Warning, "A revoked, expired, paused or replaced secret is still in use.";
    SeenInClear = "seen_in_clear", Critical, "The key was sent over a connection that others can read.";
    LeakReported = "leak_reported", Critical, "A holder of the key reported that it leaked.";
    Expiring = "expiring", Info, "The key expires soon.";
    Unused = "unused", Info, "The key has not been used for a long time.";
    WebhookFailing = "webhook_failing", Warning, "Every delivery to a webhook has failed for days; it will be disabled.";
}

named_enum! {
    /// What a test of the emails about alerts sends.
    pub enum AlertTestKind {
        /// A short text: it shows that the mail server works.
        Mail = "mail",
        /// An alert as it would look, marked as a test.
        Alert = "alert",
    }
}

named_enum! {
    /// How urgent an alert is.
    #[derive(PartialOrd, Ord)]
    pub enum Severity {
        /// Good to know.
        Info = "info",
        /// It needs attention today.
        Warning = "warning",
        /// Treat the key as compromised.
        Critical = "critical",
    }
}

/// An alert that is due. It is raised unless one with the same rule, subject and occasion was raised within the
/// cooldown.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAlert {
    /// What it is about.
    pub rule: AlertRule,
    /// How urgent it is.
    pub severity: Severity,
    /// The subject of the alert.
    pub subject: AlertSubject,
    /// Alerts of different occasions do not silence each other. Mostly empty: then all of the rule are one occasion.
    pub occasion: String,
    /// What happened, for people; never holds a secret.
    pub message: String,
    /// What was measured, for programs.
    pub figures: Map<String, Value>,
}

impl NewAlert {
    /// An alert of the rule's usual severity. `figures` is a JSON object; anything else counts as no figures.
    pub fn new(rule: AlertRule, subject: impl Into<AlertSubject>, message: String, figures: Value) -> Self {
        let figures = match figures {
            Value::Object(figures) => figures,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Map::new()
            }
        };
        let subject = subject.into();
        Self { rule, severity: rule.severity(), subject, occasion: String::new(), message, figures }
    }

    /// The same of another severity.
    #[must_use]
    pub fn as_urgent_as(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// The same for one occasion among several.
    #[must_use]
    pub fn on(self, occasion: String) -> Self {
        Self { occasion, ..self }
    }
}

/// An observation during a request that is worth an alert. It is queued without blocking and evaluated later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecuritySignal {
    /// A request used a secret of this key that is no longer valid, or not yet.
    DeadKeyUsed {
        /// The key that the secret belongs to.
        key: KeyId,
        /// The client address.
        address: std::net::IpAddr,
    },
    /// This key was sent in cleartext.
    SeenInClear {
        /// The key.
        key: KeyId,
        /// The client address.
        address: std::net::IpAddr,
    },
}

impl SecuritySignal {
    /// The rule that it is for.
    pub const fn rule(self) -> AlertRule {
        match self {
            SecuritySignal::DeadKeyUsed { .. } => AlertRule::DeadKeyUsed,
            SecuritySignal::SeenInClear { .. } => AlertRule::SeenInClear,
        }
    }

    /// The key that it is about.
    pub const fn key(self) -> KeyId {
        match self {
            SecuritySignal::DeadKeyUsed { key, .. } | SecuritySignal::SeenInClear { key, .. } => key,
        }
    }

    /// The address that was seen.
    pub const fn address(self) -> std::net::IpAddr {
        match self {
            SecuritySignal::DeadKeyUsed { address, .. } | SecuritySignal::SeenInClear { address, .. } => {
                address
            }
        }
    }
}

named_enum! {
    /// Whether an alert is acknowledged.
    pub enum AlertStatus {
        /// Not acknowledged yet.
        Open = "open",
        /// Acknowledged by a user or key.
        Acknowledged = "acknowledged",
    }
}

/// The longest note about an alert, in characters.
pub const MAX_NOTE: usize = 1000;

/// When and by whom an alert was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The time of the acknowledgement.
    pub at: Timestamp,
    /// The actor that acknowledged it.
    pub by: Actor,
    /// What they wrote about it, at most [`MAX_NOTE`] characters.
    pub note: Option<String>,
}

/// An alert that was raised.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    pub id: AlertId,
    /// What it is about.
    pub rule: AlertRule,
    /// How urgent it is.
    pub severity: Severity,
    /// The subject of the alert.
    pub subject: AlertSubject,
    /// The current name of the subject; of a webhook, the host of its URL. `deleted` when the subject is gone.
    pub name: String,
    /// What happened, for people.
    pub message: String,
    /// What was measured.
    pub figures: Map<String, Value>,
    pub raised_at: Timestamp,
    /// The acknowledgement, if any.
    pub acknowledged: Option<Acknowledgement>,
}

/// Which alerts a list shows; the newest come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AlertFilter {
    /// Only alerts about subjects of this kind.
    pub subject_kind: Option<AlertSubjectKind>,
    /// Only alerts about this subject.
    pub subject: Option<AlertSubject>,
    /// Only alerts of this rule.
    pub rule: Option<AlertRule>,
    /// Only open ones, or only acknowledged ones.
    pub status: Option<AlertStatus>,
}
