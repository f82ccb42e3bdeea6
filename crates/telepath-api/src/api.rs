//! The API as one value: what its handlers share, and the router inside the gate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::FromRef;
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use telepath_core::clock::Timestamp;
use telepath_core::entropy::EntropyError;
use telepath_core::error::ErrorCode;
use telepath_core::limit::{RateLimit, Window};
use telepath_core::ports::LiveCalls;
use telepath_store::{AddressWindows, Store};

use crate::error::ApiError;
use crate::json::BodyTimeout;
use crate::leaks::Leaks;
use crate::meters::Meters;
use crate::openapi;
use crate::options::ApiOptions;
use crate::request_id::RequestIds;
use crate::requests::Exports;
use crate::routes;
use crate::whoami::WhoamiAnswers;

/// Reports of leaks that one address may make in a minute.
const REPORTS: RateLimit = match RateLimit::per_minute(10) {
    Some(limit) => limit,
    None => RateLimit::ONE,
};

/// What all handlers share.
pub(crate) struct Shared {
    pub(crate) options: ApiOptions,
    pub(crate) store: Arc<Store>,
    pub(crate) live: Arc<dyn LiveCalls>,
    pub(crate) prometheus: PrometheusHandle,
    pub(crate) meters: Meters,
    pub(crate) request_ids: RequestIds,
    pub(crate) local_window: Mutex<Window>,
    pub(crate) readiness: Readiness,
    /// Until when, and with which result, the last look at the storage holds for `/readyz`.
    pub(crate) storage_seen: Mutex<Option<(Timestamp, bool)>>,
    pub(crate) whoami: WhoamiAnswers,
    pub(crate) exports: Exports,
    pub(crate) document: Bytes,
    /// The strict windows of those who report leaks without a key.
    pub(crate) reporters: AddressWindows,
    pub(crate) leaks: Leaks,
}

pub(crate) type AppState = Arc<Shared>;

impl FromRef<AppState> for BodyTimeout {
    fn from_ref(state: &AppState) -> Self {
        BodyTimeout(state.options.body_timeout)
    }
}

/// Whether the server wants new work; what `/readyz` answers. Cheap to clone, shared by all clones.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says whether new work is wanted.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Whether new work is wanted.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The API.
pub struct Api {
    pub(crate) shared: Arc<Shared>,
    pub(crate) router: Router,
}

impl Api {
    /// Puts the API together. It is ready at once; its meters go to the recorder that is in force now, of which
    /// `prometheus` must be the handle.
    pub fn new(
        options: ApiOptions,
        store: Arc<Store>,
        live: Arc<dyn LiveCalls>,
        prometheus: PrometheusHandle,
    ) -> Result<Arc<Self>, EntropyError> {
        let (router, document) = openapi::router_and_document();
        store.requests().name_routes(routes::labels());
        let request_ids = RequestIds::new(store.entropy().as_ref())?;
        let meters = Meters::register(&store);
        let shared = Arc::new(Shared {
            options,
            store,
            live,
            prometheus,
            meters,
            request_ids,
            local_window: Mutex::default(),
            readiness: Readiness(Arc::new(AtomicBool::new(true))),
            storage_seen: Mutex::default(),
            whoami: WhoamiAnswers::default(),
            exports: Exports::default(),
            document: Bytes::from(document),
            reporters: AddressWindows::new(REPORTS),
            leaks: Leaks::new(),
        });
        let router = router
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::clone(&shared));
        Ok(Arc::new(Self { shared, router }))
    }

    /// The switch behind `/readyz`.
    pub fn readiness(&self) -> Readiness {
        self.shared.readiness.clone()
    }

    /// Waits until every leaked key that was reported is revoked. To be called when no more requests come.
    pub async fn settle(&self) {
        self.shared.leaks.settle().await;
    }

    /// Folds what the histograms have collected into their buckets. The listeners call it every few seconds; without
    /// that the samples would pile up until somebody asks for `/metrics`.
    pub(crate) fn tend_metrics(&self) {
        self.shared.prometheus.run_upkeep();
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

async fn not_found() -> ApiError {
    ApiError::of(ErrorCode::NotFound)
}

async fn method_not_allowed() -> ApiError {
    ApiError::of(ErrorCode::MethodNotAllowed)
}
