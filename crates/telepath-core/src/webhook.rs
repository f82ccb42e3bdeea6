//! Webhook endpoints: URL, subscription, signature and health. [`delivery`] decides what happens next to a single delivery.

pub mod adaptive_limit;
pub mod delivery;
mod draft;
pub mod fairness;
mod filter;
mod headers;
pub mod health;
pub mod signature;
pub mod status;
mod url;

use crate::clock::Timestamp;
use crate::event::EventKind;
use crate::id::{AccountId, TrunkId, WebhookId};
use crate::reach::TrunkAccess;

pub use adaptive_limit::AdaptiveLimit;
pub use draft::{NewWebhook, WebhookDraft, WebhookPatch, WebhookPatchDraft};
pub use filter::{EventFilter, EventPattern};
pub use headers::WebhookHeaders;
pub use health::Health;
pub use signature::SignatureScheme;
pub use status::{DisabledReason, WebhookStatus};
pub use url::WebhookUrl;

/// The most endpoints of an account: each event is compared with all of them.
pub const MAX_WEBHOOKS: u32 = 500;
/// Deliveries under way to one endpoint when it does not say.
pub const DEFAULT_IN_FLIGHT: u32 = 10;
/// The most deliveries under way to one endpoint.
pub const MAX_IN_FLIGHT: u32 = 100;
/// The default time for which a replaced secret also signs, in seconds.
pub const DEFAULT_GRACE_SECONDS: u32 = 86_400;
/// The longest that a replaced secret may sign too, in seconds.
pub const MAX_GRACE_SECONDS: u32 = 604_800;
/// The longest list of certificate authorities of an endpoint, in bytes.
pub const MAX_CA_PEM: usize = 32 * 1024;
/// Secrets that sign at once. A rotation with a grace period beyond it is refused.
pub const MAX_SECRETS: usize = 5;

/// What an endpoint gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Which kinds.
    pub events: EventFilter,
    /// Calls of these trunks only; empty means of all. Events that are about no trunk pass.
    pub trunks: Vec<TrunkId>,
}

impl Subscription {
    /// Whether an event of this kind, about this trunk if about any, is for the endpoint.
    pub fn wants(&self, kind: EventKind, trunk: Option<TrunkId>) -> bool {
        let of_trunk = trunk.is_none_or(|trunk| self.trunks.is_empty() || self.trunks.contains(&trunk));
        of_trunk && self.events.wants(kind)
    }

    /// Whether it includes only events about trunks within reach.
    pub fn is_within(&self, trunks: &TrunkAccess) -> bool {
        !trunks.is_limited() || (trunks.encloses_list(&self.trunks) && self.events.concern_only_trunks())
    }

    /// Whether a delivery that exists is still for the endpoint. A test that was requested always is.
    pub fn retains(&self, kind: EventKind, trunk: Option<TrunkId>) -> bool {
        kind == EventKind::WebhookTest || self.wants(kind, trunk)
    }
}

/// An endpoint, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The endpoint id.
    pub id: WebhookId,
    /// The account that owns it.
    pub account_id: AccountId,
    /// Where events go.
    pub url: WebhookUrl,
    /// The description.
    pub description: Option<String>,
    /// The events that it receives.
    pub subscription: Subscription,
    /// How events are signed.
    pub scheme: SignatureScheme,
    /// When the headers that are added to each delivery were set; `None` without any.
    pub headers_at: Option<Timestamp>,
    /// The authorities that the endpoint's certificate is verified against, in PEM; `None` for those of the system.
    pub ca_pem: Option<String>,
    /// Deliveries under way at once.
    pub max_in_flight: u32,
    /// Whether events are sent.
    pub status: WebhookStatus,
    /// Why not, when they are not.
    pub disabled_reason: Option<DisabledReason>,
    /// How its attempts go.
    pub health: Health,
    /// How many deliveries it gets at once, on all servers, below `max_in_flight` after signals of overload.
    pub limit: AdaptiveLimit,
    /// The public halves of the keys that sign now, the newest first; empty for a shared secret.
    pub public_keys: Vec<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id as _;

    #[test]
    fn a_subscription_chooses_by_kind_and_by_trunk() {
        let [mine, other] = [TrunkId::from_bytes([1; 16]), TrunkId::from_bytes([2; 16])];
        let events: EventFilter = "call.ended,key.revoked".parse().unwrap();
        assert_eq!(events.to_string(), "call.ended,key.revoked");
        let all = Subscription { events: EventFilter::All, trunks: vec![] };
        let some = Subscription { events, trunks: vec![mine] };
        assert!(all.wants(EventKind::CallStarted, Some(other)) && all.wants(EventKind::KeyCreated, None));
        assert!(some.wants(EventKind::CallEnded, Some(mine)));
        assert!(!some.wants(EventKind::CallEnded, Some(other)));
        assert!(!some.wants(EventKind::CallStarted, Some(mine)));
        assert!(some.wants(EventKind::KeyRevoked, None), "events without a trunk pass");
        assert!(some.retains(EventKind::WebhookTest, None) && !some.wants(EventKind::WebhookTest, None));
        assert!("call.ended,nothing".parse::<EventFilter>().is_err());
    }
}
