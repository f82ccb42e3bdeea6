//! Every event that is delivered to webhooks. One table holds the name of each kind, when it happens, and the type of its
//! payload. The JSON that is sent, the reference page and the OpenAPI `webhooks` section are all derived from these types.

pub mod family;
pub mod schema;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::account::Actor;
use crate::alert::{AlertRule, Severity};
use crate::call::{CallMetrics, DisconnectReason, Party};
use crate::id::{AlertId, CallId, KeyId, TrunkId, WebhookId};
use crate::named::named_enum;
use crate::trunk::{AiProvider, Codec};
use crate::webhook::status::DisabledReason;
use schema::{HasShape, JsonShape, Member};

/// A struct whose members are serialized under their own names, with the JSON form of each member.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $member:ident: $type:ty = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize)]
        pub struct $name {
            $(#[doc = $text] $(#[$note])* pub $member: $type,)+
        }

        impl HasShape for $name {
            const SHAPE: JsonShape = JsonShape::Record(Self::MEMBERS);
        }

        impl $name {
            /// The members in the order of declaration.
            const MEMBERS: &'static [Member] = &[$(Member {
                name: stringify!($member),
                description: $text,
                shape: <$type as HasShape>::SHAPE,
            }),+];
        }
    };
}

macro_rules! events {
    ($($variant:ident = $name:literal, $doc:literal, { $($member:ident: $type:ty = $text:literal,)+ })+) => {
        $(record! {
            #[doc = concat!("The payload of `", $name, "`. ", $doc)]
            $variant { $($member: $type = $text,)+ }
        })+

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

            /// The members beside [`ENVELOPE`].
            pub const fn members(self) -> &'static [Member] {
                match self { $(EventKind::$variant => $variant::MEMBERS,)+ }
            }
        }

        /// An event about to be stored in the outbox, in the transaction of the change that caused it.
        #[derive(Debug, Clone, PartialEq)]
        pub enum EventPayload {
            $(#[doc = $doc] $variant($variant),)+
        }

        impl EventPayload {
            /// The kind that the payload belongs to.
            pub const fn kind(&self) -> EventKind {
                match self { $(EventPayload::$variant(_) => EventKind::$variant,)+ }
            }

            fn to_value(&self) -> serde_json::Result<Value> {
                match self { $(EventPayload::$variant(payload) => serde_json::to_value(payload),)+ }
            }
        }

        $(impl From<$variant> for EventPayload {
            fn from(payload: $variant) -> Self {
                EventPayload::$variant(payload)
            }
        })+
    };
}

/// The members that every event has: its kind, its id, its number among the events of the same subject, and its time.
pub const ENVELOPE: [&str; 4] = ["event", "id", "sequence", "timestamp"];

record! {
    /// The three delays of a call, as `call.ended` reports them.
    CallDelays {
        carrier_lag_ms: Option<u32> = "Delay of the carrier's leg, in milliseconds.",
        ai_latency_ms: Option<u32> = "Mean time from the end of the caller's speech to the first audio of the agent, in milliseconds.",
        gateway_processing_ms: Option<u32> = "Median time inside Telepath, in milliseconds, rounded up.",
    }
}

impl From<&CallMetrics> for CallDelays {
    fn from(metrics: &CallMetrics) -> Self {
        Self {
            carrier_lag_ms: metrics.carrier_lag_ms,
            ai_latency_ms: metrics.ai_latency_ms,
            gateway_processing_ms: metrics.gateway_processing_ms,
        }
    }
}

events! {
    CallStarted = "call.started", "An inbound call was accepted.", {
        call_id: CallId = "The call.",
        connection_id: TrunkId = "The trunk that the call arrived on.",
        from: Party = "The caller.",
        to: Party = "The called number or user.",
        carrier: Option<String> = "The carrier, if it is known.",
        codec: Codec = "The codec of the carrier's side.",
        caller_id: Party = "The same as `from`.",
        called_number: Party = "The same as `to`.",
    }
    AgentConnected = "agent.connected", "The socket to the AI agent is open and ready.", {
        call_id: CallId = "The call.",
        connection_id: TrunkId = "The trunk that the call arrived on.",
        agent_type: Option<AiProvider> = "The provider of the agent; null if the trunk was deleted meanwhile.",
        agent_id: Option<String> = "The provider's id of the agent, if it has one.",
    }
    AgentDisconnected = "agent.disconnected", "The socket to the AI agent is closed.", {
        call_id: CallId = "The call.",
        connection_id: TrunkId = "The trunk that the call arrived on.",
        reason: &'static str = "Why the socket closed, such as `call_ended` or `closed_by_agent`.",
        error_message: Option<String> = "What failed; null if nothing did.",
    }
    CallError = "call.error", "Something went wrong in a call.", {
        call_id: CallId = "The call.",
        connection_id: TrunkId = "The trunk that the call arrived on.",
        error_code: DisconnectReason = "Why the call ended.",
        error_message: String = "What failed, for people.",
        severity: Severity = "How urgent it is.",
    }
    CallEnded = "call.ended", "A call is over.", {
        call_id: CallId = "The call.",
        connection_id: TrunkId = "The trunk that the call arrived on.",
        duration_seconds: u32 = "Time from answer to end, in seconds.",
        reason: DisconnectReason = "Why the call ended.",
        disconnect_reason: DisconnectReason = "The same as `reason`.",
        metrics: CallDelays = "Where the time went.",
    }
    KeyCreated = "key.created", "An API key was created.", {
        key_id: KeyId = "The key.",
        name: String = "The key's name.",
        actor: Actor = "Who made the change: the id of a key or a user, `local` or `system`.",
    }
    KeyRotated = "key.rotated", "An API key has a new secret.", {
        key_id: KeyId = "The key.",
        name: String = "The key's name.",
        actor: Actor = "Who made the change: the id of a key or a user, `local` or `system`.",
    }
    KeyPaused = "key.paused", "An API key was paused; its requests are refused until it is resumed.", {
        key_id: KeyId = "The key.",
        name: String = "The key's name.",
        actor: Actor = "Who made the change: the id of a key or a user, `local` or `system`.",
    }
    KeyResumed = "key.resumed", "A paused API key was resumed.", {
        key_id: KeyId = "The key.",
        name: String = "The key's name.",
        actor: Actor = "Who made the change: the id of a key or a user, `local` or `system`.",
    }
    KeyRevoked = "key.revoked", "An API key was revoked.", {
        key_id: KeyId = "The key.",
        name: String = "The key's name.",
        actor: Actor = "Who made the change: the id of a key or a user, `local` or `system`.",
    }
    KeyAlert = "key.alert", "An API key is used in an unusual way or needs attention.", {
        key_id: KeyId = "The key.",
        name: String = "The key's name.",
        actor: Actor = "Always `system`.",
        alert_id: AlertId = "The alert.",
        rule: AlertRule = "The rule that raised the alert.",
        severity: Severity = "How urgent it is.",
        message: String = "What happened, for people.",
        figures: Map<String, Value> = "What was measured; the members depend on the rule.",
    }
    WebhookDisabled = "webhook.disabled", "A webhook endpoint was disabled; nothing more is sent to it.", {
        webhook_id: WebhookId = "The endpoint.",
        reason: DisabledReason = "Why it was disabled.",
    }
    WebhookTest = "webhook.test", "A test delivery was requested; only that endpoint receives it.", {
        webhook_id: WebhookId = "The endpoint.",
        reason: &'static str = "Always `requested`.",
    }
}

impl CallEnded {
    /// The end of a call, for one reason.
    pub const fn new(
        call_id: CallId,
        connection_id: TrunkId,
        duration_seconds: u32,
        reason: DisconnectReason,
        metrics: CallDelays,
    ) -> Self {
        Self { call_id, connection_id, duration_seconds, reason, disconnect_reason: reason, metrics }
    }
}

/// What an event is about. The events of one subject are numbered without gaps.
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

    /// The trunk that the event is limited to; events without one go to every endpoint that wants their kind.
    pub const fn trunk(&self) -> Option<TrunkId> {
        match self {
            EventSubject::Call(_, trunk) => Some(*trunk),
            EventSubject::Key(_) | EventSubject::Webhook(_) => None,
        }
    }
}

impl EventPayload {
    /// What the event is about.
    pub const fn subject(&self) -> EventSubject {
        match self {
            EventPayload::CallStarted(event) => EventSubject::Call(event.call_id, event.connection_id),
            EventPayload::AgentConnected(event) => EventSubject::Call(event.call_id, event.connection_id),
            EventPayload::AgentDisconnected(event) => EventSubject::Call(event.call_id, event.connection_id),
            EventPayload::CallError(event) => EventSubject::Call(event.call_id, event.connection_id),
            EventPayload::CallEnded(event) => EventSubject::Call(event.call_id, event.connection_id),
            EventPayload::KeyCreated(event) => EventSubject::Key(event.key_id),
            EventPayload::KeyRotated(event) => EventSubject::Key(event.key_id),
            EventPayload::KeyPaused(event) => EventSubject::Key(event.key_id),
            EventPayload::KeyResumed(event) => EventSubject::Key(event.key_id),
            EventPayload::KeyRevoked(event) => EventSubject::Key(event.key_id),
            EventPayload::KeyAlert(event) => EventSubject::Key(event.key_id),
            EventPayload::WebhookDisabled(event) => EventSubject::Webhook(event.webhook_id),
            EventPayload::WebhookTest(event) => EventSubject::Webhook(event.webhook_id),
        }
    }

    /// The members of the event's JSON, without those of [`ENVELOPE`].
    ///
    /// # Errors
    /// A value that JSON cannot express; no payload has one.
    pub fn to_members(&self) -> serde_json::Result<Map<String, Value>> {
        serde_json::from_value(self.to_value()?)
    }
}
