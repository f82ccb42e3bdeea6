//! An account with something of everything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use telepath_core::address::NetworkList;
use telepath_core::call::{
    CallEnd, CallMetrics, CallStart, CallStatus, Direction, DisconnectReason, Party, SipFacts, Speaker, Turn,
};
use telepath_core::clock::Timestamp;
use telepath_core::id::{CallId, Id as _, KeyId, TrunkId, WebhookId};
use telepath_core::key::{NewKey, Preset};
use telepath_core::limit::RateLimit;
use telepath_core::ports::CallControl as _;
use telepath_core::trunk::{Codec, TrunkDraft};
use telepath_core::webhook::WebhookDraft;
use telepath_core::webhook::delivery::{ErrorClass, Jitter, Outcome};
use telepath_store::{DeliveryQuota, Lease};

use super::harness::Site;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// An id whose order is that of the times.
fn call_id(at: Timestamp) -> CallId {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&at.unix_ms().to_be_bytes()[2..]);
    bytes[8..].copy_from_slice(&count.to_be_bytes());
    CallId::from_bytes(bytes)
}

impl Site {
    pub(super) async fn key(&self, name: &str, expires_at: Option<Timestamp>) -> KeyId {
        let new = NewKey {
            name: name.to_owned(),
            description: None,
            metadata: std::collections::BTreeMap::new(),
            preset: Preset::Production,
            scopes: Preset::Production.scopes(),
            trunks: telepath_core::reach::TrunkAccess::ALL,
            rate_limit: RateLimit::per_minute(6000).unwrap(),
            quotas: telepath_core::limit::quota::Quotas::default(),
            allowed_ips: NetworkList::default(),
            expires_at,
            not_before: None,
        };
        self.store.create_key(self.account.id, new, self.origin()).await.unwrap().record.id
    }

    pub(super) async fn trunk(&self, name: &str) -> TrunkId {
        let draft = TrunkDraft {
            name: Some(name.to_owned()),
            ai_provider: Some("custom".to_owned()),
            sip_username: Some(format!("trunk{}", COUNT.fetch_add(1, Ordering::Relaxed))),
            custom_endpoint: Some("wss://agent.example/voice".to_owned()),
            ..TrunkDraft::default()
        };
        let new = draft.check().unwrap();
        self.store.create_trunk(self.account.id, new, self.origin()).await.unwrap().trunk.id
    }

    pub(super) async fn webhook(&self) -> WebhookId {
        let url = Some("https://hooks.example/telepath".to_owned());
        let new = WebhookDraft { url, ..WebhookDraft::default() }.check().unwrap();
        self.store.create_webhook(self.account.id, new, self.origin()).await.unwrap().webhook.id
    }

    /// Attempts one due delivery, which succeeds or fails.
    pub(super) async fn deliver(&self, succeeds: bool) {
        static CLAIMS: AtomicU64 = AtomicU64::new(0);
        let lease = Lease::new("a test", CLAIMS.fetch_add(1, Ordering::Relaxed));
        let due = self.store.due_webhooks(None).await.unwrap();
        let quotas = due.iter().map(|due| DeliveryQuota { webhook: due.id, deliveries: 1, running: vec![] });
        let ends = self.now().plus(Duration::from_mins(1));
        let claimed = self.store.claim_deliveries(quotas.collect(), &lease, ends).await.unwrap();
        let outcome = Outcome {
            status: Some(if succeeds { 200 } else { 500 }),
            error: (!succeeds).then_some(ErrorClass::Broken),
            retry_after: None,
            duration: Duration::from_millis(12),
            response_body: Vec::new(),
        };
        self.store.finish_attempt(&claimed[0], outcome, Jitter(0)).await.unwrap();
    }

    /// A call that started some minutes ago and has ended.
    pub(super) async fn call(&self, trunk: TrunkId, minutes_ago: u64, reason: DisconnectReason, wait: u32) {
        let start_time = self.now().minus(Duration::from_mins(minutes_ago));
        let reached = !matches!(
            reason,
            DisconnectReason::NoAnswer | DisconnectReason::ConnectionFailed | DisconnectReason::Rejected
        );
        let turn = |speaker, processing_time_ms| Turn {
            turn_number: 1,
            speaker,
            started_ms: 0,
            duration_ms: 900,
            processing_time_ms,
            interrupted: false,
        };
        let end = CallEnd {
            id: call_id(start_time),
            account_id: self.account.id,
            trunk_id: trunk,
            from: Party::from_sip_user("+15550100001"),
            to: Party::from_sip_user("+15550100002"),
            direction: Direction::Inbound,
            carrier: Some("Example carrier".to_owned()),
            status: if reached { CallStatus::Disconnected } else { CallStatus::Failed },
            reason,
            reason_text: None,
            start_time,
            answer_time: reached.then_some(start_time),
            end_time: start_time.plus(Duration::from_secs(42)),
            metrics: CallMetrics {
                ai_latency_ms: reached.then_some(wait),
                carrier_lag_ms: reached.then_some(38),
                gateway_processing_us: reached.then_some(740),
                mos: reached.then_some(4.3),
                ..CallMetrics::default()
            },
            turns: if reached {
                vec![turn(Speaker::Caller, 0), turn(Speaker::Agent, wait.into())]
            } else {
                Vec::new()
            },
            caller_actions: Vec::new(),
            sip_trace: String::new(),
            sip: SipFacts::default(),
        };
        self.store.call_ended(&end).await.unwrap();
    }

    /// A call that goes on.
    pub(super) async fn live_call(&self, trunk: TrunkId) {
        let start = CallStart {
            id: call_id(self.now()),
            account_id: self.account.id,
            trunk_id: trunk,
            from: Party::from_sip_user("+15550100001"),
            to: Party::from_sip_user("+15550100002"),
            direction: Direction::Inbound,
            carrier: None,
            codec: Codec::Pcmu,
            start_time: self.now(),
            answer_time: self.now(),
            sip: SipFacts::default(),
        };
        self.store.call_started(&start).await.unwrap();
    }
}
