//! Every event that Telepath can tell a webhook, in one table: its name, what it is about and when it happens. The
//! reference page and the OpenAPI `webhooks` section come from here.

use crate::id::{CallId, KeyId, TrunkId, WebhookId};
use crate::named::named_enum;

macro_rules! events {
    ($($variant:ident = $name:literal, $doc:literal, [$($field:literal),* $(,)?];)+) => {
        named_enum! {
            /// The kind of an event, in the order of the reference page. The name is the value of the member `event`.
            #[derive(PartialOrd, Ord)]
            pub enum EventKind {
                $(#[doc = $doc] $variant = $name,)+
            }
        }

        impl EventKind {
            /// One line for the reference page.
            pub const fn describe(self) -> &'static str {
                match self { $(EventKind::$variant => $doc,)+ }
            }

            /// The members beside `event`, `id`, `sequence` and `timestamp`.
            pub const fn fields(self) -> &'static [&'static str] {
                match self { $(EventKind::$variant => &[$($field),*],)+ }
            }
        }
    };
}

events! {
    CallStarted = "call.started", "An inbound call was accepted.",
        ["call_id", "connection_id", "from", "to", "carrier", "codec", "caller_id", "called_number"];
    AgentConnected = "agent.connected", "The socket to the AI agent is open and ready.",
        ["call_id", "connection_id", "agent_type", "agent_id"];
    AgentDisconnected = "agent.disconnected", "The socket to the AI agent is closed.",
        ["call_id", "connection_id", "reason", "error_message"];
    CallError = "call.error", "Something went wrong in a call.",
        ["call_id", "connection_id", "error_code", "error_message", "severity"];
    CallEnded = "call.ended", "A call is over.",
        ["call_id", "connection_id", "duration_seconds", "reason", "disconnect_reason", "metrics"];
    KeyCreated = "key.created", "An API key was made.", ["key_id", "name", "actor"];
    KeyRotated = "key.rotated", "An API key has a new secret.", ["key_id", "name", "actor"];
    KeyRevoked = "key.revoked", "An API key was revoked.", ["key_id", "name", "actor"];
    KeyAlert = "key.alert", "An API key is used in an unusual way, or needs somebody's attention.",
        ["key_id", "name", "actor", "alert_id", "rule", "severity", "message", "figures"];
    WebhookDisabled = "webhook.disabled", "Nothing is sent to a webhook endpoint any more.", ["webhook_id", "reason"];
    WebhookTest = "webhook.test", "Somebody asked for a test delivery; only that endpoint gets it.",
        ["webhook_id", "reason"];
}

/// What an event is about; events of one subject are numbered without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventSubject {
    /// A call on a trunk.
    Call(CallId, TrunkId),
    /// An API key.
    Key(KeyId),
    /// A webhook endpoint.
    Webhook(WebhookId),
}

impl EventSubject {
    /// The subject's id as text, under which its sequence is kept.
    pub fn id_text(&self) -> String {
        match self {
            EventSubject::Call(id, _) => id.to_string(),
            EventSubject::Key(id) => id.to_string(),
            EventSubject::Webhook(id) => id.to_string(),
        }
    }
}

/// An event about to be stored in the outbox, in the transaction of the change that caused it.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// To what.
    pub subject: EventSubject,
    /// The members beside `event`, `id`, `sequence` and `timestamp`: those of [`EventKind::fields`].
    pub fields: serde_json::Map<String, serde_json::Value>,
}
