//! Schemas of members and parameters whose values are a closed list. The bodies hold them as text, so that a client reads
//! values that a newer server adds; the lists are the domain's own, so the document names every value.

use std::borrow::Cow;

use telepath_core::{
    alert, analytics, audit, call, error, event, key, request, scope, secret, stream, trunk, usage, webhook,
};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! enum_schemas {
    ($($name:ident = $values:expr, such as $example:literal, $description:literal;)+) => {$(
        #[doc = $description]
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some($description))
                    .enum_values(Some($values))
                    .examples([$example])
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )+};
}

/// The names of a domain enum.
macro_rules! names {
    ($list:ty) => {
        <$list>::ALL.iter().map(|value| value.name())
    };
}

enum_schemas! {
    AgentProtocol = names!(trunk::AgentProtocol), such as "telepath.v1", "The protocol between the gateway and a custom agent.";
    AiProvider = names!(trunk::AiProvider), such as "custom", "The provider of a trunk's agent.";
    AlertRule = names!(alert::AlertRule), such as "dead_key_used", "The rule that raised an alert.";
    AlertSeverity = names!(alert::Severity), such as "warning", "How urgent an alert is.";
    AlertTestKind = names!(alert::AlertTestKind), such as "alert", "What a test of the emails about alerts sends.";
    AlertStatus = names!(alert::AlertStatus), such as "open", "The state of an alert.";
    AlertSubjectKind = names!(alert::AlertSubjectKind), such as "key", "The kind of resource that an alert is about.";
    AuditAction = names!(audit::AuditAction), such as "key.updated", "What was done.";
    CallGrouping = names!(analytics::CallGrouping), such as "trunk", "What statistics of calls are grouped by.";
    CallSort = call::CALL_SORTS, such as "-start_time", "The order of calls; a leading `-` sorts the largest first.";
    CallStatus = names!(call::CallStatus), such as "disconnected", "The state of a call: `connected` is live now, `disconnected` was connected and ended, `failed` never reached the agent.";
    CallerActionKind = names!(call::CallerActionKind), such as "dtmf", "What a caller did: pressed a key, put the call on hold, or resumed it.";
    CarrierLagSource = names!(call::CarrierLagSource), such as "first_rtp", "How `carrier_lag_ms` was measured.";
    Codec = names!(trunk::Codec), such as "PCMU", "A codec of the carrier's side.";
    ComparisonOutcome = names!(analytics::Outcome), such as "b_better", "What a comparison of two trunks found.";
    DeliveryError = names!(webhook::delivery::ErrorClass), such as "timed_out", "The class of a failed attempt.";
    DeliveryStatus = names!(webhook::delivery::DeliveryStatus), such as "delivered", "The state of a delivery.";
    Direction = names!(call::Direction), such as "inbound", "The direction of a call, seen from the gateway.";
    DisabledReason = names!(webhook::DisabledReason), such as "failing", "Why an endpoint is disabled: `requested`, `gone` (it responded with 410) or `failing` (every attempt failed for five days).";
    DisconnectReason = names!(call::DisconnectReason), such as "normal_disconnect", "Why a call ended.";
    ErrorCode = names!(error::ErrorCode), such as "INVALID_PARAMS", "The error, for programs.";
    DtmfMethod = names!(call::DtmfMethod), such as "rtp", "How a DTMF digit arrived: as a telephone event in `rtp` (RFC 4733), or in a SIP `info` request.";
    EventName = names!(event::EventKind), such as "call.ended", "The name of an event.";
    ExpectedHead = names!(audit::ExpectedHead), such as "found", "Whether the trail contains an entry: `found`, `different` (another entry is at its position), `missing` (the trail ends before it) or `expired` (retention has deleted it).";
    KeyMode = names!(secret::KeyMode), such as "live", "Whether keys start with `sk_live_` or `sk_test_`.";
    KeySort = key::KEY_SORTS, such as "-last_used_at", "The order of keys; a leading `-` sorts the largest or newest first.";
    KeyStatus = names!(key::KeyStatus), such as "active", "The state of a key.";
    OrderByCreation = ["created_at", "-created_at"], such as "-created_at", "The order of a list: `-created_at` is the newest first.";
    Preset = names!(key::Preset), such as "production", "A preset of keys.";
    RequestFormat = ["json", "ndjson", "csv"], such as "json", "The format of an export.";
    RequestMethod = names!(request::RequestMethod), such as "GET", "The method of a request; `other` for methods that HTTP does not define.";
    RequestSort = ["-time", "time"], such as "-time", "The order of requests: `-time` is the newest first.";
    Scope = names!(scope::Scope), such as "calls:read", "A permission of a key.";
    SecretStatus = ["current", "grace", "ended"], such as "current", "`current` is the newest; `grace` works until `expires_at`; `ended` no longer works.";
    SignatureScheme = names!(webhook::SignatureScheme), such as "v1", "`v1` is HMAC-SHA-256, `v1a` is Ed25519.";
    SettableTrunkStatus = ["active", "inactive"], such as "inactive", "The states that a request can set.";
    SipDirection = names!(call::sip_trace::SipDirection), such as "received", "The direction of a SIP message, seen from the server.";
    Speaker = names!(call::Speaker), such as "caller", "Who spoke.";
    SrtpMode = names!(trunk::SrtpMode), such as "preferred", "Whether audio is encrypted with SRTP: never, if the carrier offers it, or always.";
    SrtpSuite = names!(call::SrtpSuite), such as "AEAD_AES_128_GCM", "A crypto suite of SRTP.";
    StreamKind = names!(stream::StreamKind), such as "calls", "A kind of activity in a stream.";
    TableFormat = ["json", "csv"], such as "json", "The format of statistics.";
    TrunkStatus = names!(trunk::TrunkStatus), such as "active", "The state of a trunk.";
    UsageInterval = names!(usage::UsageSpan), such as "hour", "The length of a bucket: `minute` is kept for 48 hours, `hour` for 90 days, `day` for two years.";
    WebhookStatus = names!(webhook::WebhookStatus), such as "active", "The state of an endpoint.";
}
