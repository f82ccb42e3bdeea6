//! What every test stands on: an API over a fresh store, a clock that stands still, and a media plane of one list.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use telepath_api_types::keys::CreateKey;
use telepath_core::account::Account;
use telepath_core::audit::Origin;
use telepath_core::call::{
    CallStart, Direction, DisconnectReason, Party, SipFacts, SipStranger, SipStrangers,
};
use telepath_core::clock::{Clock, ManualClock, Timestamp};
use telepath_core::entropy::{Entropy, SystemEntropy};
use telepath_core::id::{CallId, Id as _, TrunkId};
use telepath_core::key::{Authority, KeyDraft, Presets};
use telepath_core::limit::RateLimit;
use telepath_core::ports::{CallControl as _, LiveCalls};
use telepath_core::secret::KeyMode;
use telepath_core::storage_limit::StorageLimits;
use telepath_core::trunk::Codec;
use telepath_core::vault::{MasterKey, Vault};
use telepath_http::{ConnectionMode, Dispatcher, HttpServer, ServerOptions};
use telepath_metrics::Registry;
use telepath_store::{Database, Store, StoreContext, StoreOptions};

use crate::app::Api;
use crate::options::ApiOptions;

/// What a key needs to have every scope: a scope to write contains the one to read.
pub(super) const EVERY_SCOPE: [&str; 9] = [
    "trunks:write",
    "calls:write",
    "keys:write",
    "webhooks:write",
    "analytics:read",
    "usage:read",
    "audit:read",
    "account:write",
    "metrics:read",
];

pub(super) const CALLER: &str = "203.0.113.7";
pub(super) const START: i64 = 1_800_000_000;

/// A folder that is gone with the test.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("telepath-api-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The media plane of the tests.
#[derive(Default)]
pub(super) struct Media {
    pub(super) live: Mutex<HashSet<CallId>>,
    pub(super) asked: Mutex<Vec<(String, DisconnectReason)>>,
}

impl LiveCalls for Media {
    fn is_live(&self, call: CallId) -> bool {
        self.live.lock().unwrap().contains(&call)
    }

    fn hang_up(&self, call: CallId, reason: DisconnectReason) -> bool {
        self.asked.lock().unwrap().push((call.to_string(), reason));
        self.live.lock().unwrap().remove(&call)
    }

    fn hang_up_trunk(&self, trunk: TrunkId, reason: DisconnectReason) -> usize {
        self.asked.lock().unwrap().push((trunk.to_string(), reason));
        1
    }

    fn sip_strangers(&self) -> SipStrangers {
        let stranger = SipStranger {
            source: [203, 0, 113, 7].into(),
            rule: "unknown_user",
            attempts: 3,
            first_seen: Timestamp::default(),
            last_seen: Timestamp::default(),
        };
        SipStrangers { strangers: vec![stranger], forgotten_attempts: 0 }
    }
}

/// The settings that a test may change.
pub(super) struct Options {
    pub(super) api: ApiOptions,
    pub(super) server: ServerOptions,
}

pub(super) struct Harness {
    pub(super) api: Arc<Api>,
    pub(super) server: Arc<HttpServer<Dispatcher<Api>>>,
    pub(super) store: Arc<Store>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) media: Arc<Media>,
    pub(super) account: Account,
    pub(super) folder: Folder,
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{} {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Panics with the whole answer when the status is another.
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

impl Harness {
    pub(super) async fn new() -> Self {
        Self::with(600, |_| {}).await
    }

    pub(super) async fn with(address_limit: u32, change: impl FnOnce(&mut Options)) -> Self {
        Self::with_storage_limits(address_limit, StorageLimits::default(), change).await
    }

    pub(super) async fn with_storage_limits(
        address_limit: u32,
        storage_limits: StorageLimits,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let folder = Folder::new();
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_seconds(START)));
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
        let vault = Vault::new(&MasterKey::generate(entropy.as_ref()).unwrap()).unwrap();
        let seams = StoreContext {
            vault: Arc::new(vault),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::clone(&entropy),
        };
        let mut options = StoreOptions::new(Database::Sqlite { path: folder.0.join("telepath.db") });
        options.address_limit = RateLimit::per_minute(address_limit).unwrap();
        options.storage_limits = storage_limits;
        let store = Store::open(options, seams).await.unwrap();
        let account = store.ensure_account("Default", KeyMode::Live, local(clock.now())).await.unwrap();
        let media = Arc::new(Media::default());
        let mut options = Options {
            api: ApiOptions::new("sip.example.com".to_owned(), account.id),
            server: ServerOptions::default(),
        };
        change(&mut options);
        let live = Arc::clone(&media) as Arc<dyn LiveCalls>;
        let api = Api::new(options.api, Arc::clone(&store), live, Registry::default()).unwrap();
        let server = HttpServer::new(Dispatcher::new(Arc::clone(&api)), options.server);
        Self { api, server, store, clock, media, account, folder }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new key; `draft` is the body that would make it.
    pub(super) async fn key(&self, draft: Value) -> String {
        let mut draft = draft;
        if draft.get("name").is_none() {
            draft["name"] = json!("Test");
        }
        let body: CreateKey = serde_json::from_value(draft).unwrap();
        let new = KeyDraft::from(body)
            .check(&self.account, &Presets::default(), &Authority::Unbounded, self.now())
            .unwrap();
        let made = self.store.create_key(self.account.id, new, local(self.now())).await.unwrap();
        made.secret.reveal().expose().to_owned()
    }

    /// A key that may do everything.
    pub(super) async fn master(&self) -> String {
        self.key(json!({"preset": "custom", "rate_limit_per_minute": 6000, "scopes": [
            "trunks:write", "calls:write", "keys:write", "webhooks:write", "analytics:read", "usage:read", "audit:read",
            "account:write"
        ]}))
        .await
    }

    /// The text of the metrics.
    pub(super) fn metrics(&self) -> String {
        self.api.shared.registry.render()
    }

    pub(super) async fn get(&self, path: &str, key: &str) -> Answer {
        self.ask("GET", path, key, None).await
    }

    pub(super) async fn post(&self, path: &str, key: &str, body: Value) -> Answer {
        self.ask("POST", path, key, Some(body)).await
    }

    /// One request with JSON from the usual address.
    pub(super) async fn ask(&self, method: &str, path: &str, key: &str, body: Option<Value>) -> Answer {
        let mut request = request(method, path, key);
        if let Some(body) = body {
            request.headers_mut().insert("content-type", "application/json".parse().unwrap());
            *request.body_mut() = Body::from(body.to_string());
        }
        self.send(request).await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        self.send_from(request, ConnectionMode::Tls(CALLER.parse().unwrap())).await
    }

    pub(super) async fn send_from(&self, request: Request<Body>, mode: ConnectionMode) -> Answer {
        collect(self.server.respond(request, mode).await.map(Body::new)).await
    }

    /// A live call on a trunk.
    pub(super) async fn call(&self, trunk: TrunkId, from: &str) -> CallId {
        let id = CallId::generate(self.now(), self.store.entropy().as_ref()).unwrap();
        let start = CallStart {
            id,
            account_id: self.account.id,
            trunk_id: trunk,
            from: Party::from_sip_user(from),
            to: Party::from_sip_user("support-01"),
            direction: Direction::Inbound,
            carrier: None,
            codec: Codec::Pcmu,
            sip: SipFacts::default(),
            start_time: self.now(),
            answer_time: self.now(),
        };
        self.store.call_started(&start).await.unwrap();
        self.media.live.lock().unwrap().insert(id);
        id
    }

    /// A trunk with an agent of the user's own.
    pub(super) async fn trunk(&self, key: &str, username: &str) -> TrunkId {
        let answer = self.post("/v1/trunks", key, custom_trunk(username)).await.expect(201);
        answer.json()["id"].as_str().unwrap().parse().unwrap()
    }

    /// Does what the worker of the server does with reports of exposed keys.
    pub(super) async fn work_off_exposures(&self) {
        self.api.store_exposures().await;
        // A test that has closed the store expects nothing of it.
        let _ = self.store.revoke_exposed_keys().await;
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(super) async fn collect(response: axum::response::Response) -> Answer {
    let (parts, body) = response.into_parts();
    // A stream does not end by itself; its tests read it event by event.
    if parts.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream") {
        return Answer { status: parts.status, headers: parts.headers, body: Bytes::new() };
    }
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// A request without a body; no `Authorization` header when `key` is empty.
pub(super) fn request(method: &str, path: &str, key: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method.parse::<Method>().unwrap();
    *request.uri_mut() = path.parse().unwrap();
    if !key.is_empty() {
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    request
}

pub(super) fn local(at: Timestamp) -> Origin {
    Origin::local(at)
}

pub(super) fn custom_trunk(username: &str) -> Value {
    json!({
        "name": "Support", "ai_provider": "custom", "sip_username": username,
        "custom_endpoint": "wss://agent.example/voice"
    })
}

pub(super) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
