//! The assembly: state, router and the life of a request around them.

mod request;

use std::sync::{Arc, Mutex};

use axum::Router;
use telepath_core::entropy::EntropyError;
use telepath_core::error::ErrorCode;
use telepath_core::limit::RateLimit;
use telepath_core::ports::LiveCalls;
use telepath_http::RequestIds;
use telepath_metrics::{Collect, Registry};
use telepath_store::{AddressWindows, Store};

use crate::document::Document;
use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::options::ApiOptions;
use crate::router::{Routes, routes};
use crate::routes::RouteConflict;
use crate::state::exports::ExportSlots;
use crate::state::leaks::ClearTextReports;
use crate::state::storage_check::StorageCheck;
use crate::state::streams::StreamSlots;
use crate::state::{Readiness, Shared};

/// Leak reports that one address may send in a minute.
const REPORTS: RateLimit = match RateLimit::per_minute(10) {
    Some(limit) => limit,
    None => RateLimit::ONE,
};

/// Signed lists that one address may send in a minute. Nobody else can use this window up, because it is not the one of
/// unsigned reports.
const PARTNER_LISTS: RateLimit = match RateLimit::per_minute(600) {
    Some(limit) => limit,
    None => RateLimit::ONE,
};

/// The API cannot be assembled.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The system gave no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Two handlers have the same route.
    #[error(transparent)]
    Routes(#[from] RouteConflict),
}

/// The API.
pub struct Api {
    pub(crate) shared: Arc<Shared>,
    pub(crate) router: Router,
}

impl Api {
    /// Assembles the API. It is ready at once. Its metrics are added to `registry`.
    pub fn new(
        options: ApiOptions,
        store: Arc<Store>,
        live: Arc<dyn LiveCalls>,
        registry: Registry,
    ) -> Result<Arc<Self>, SetupError> {
        let Routes { router, table, document } = routes()?;
        store.requests().name_routes(table.labels());
        let request_ids = RequestIds::new(store.entropy().as_ref())?;
        let metrics = Arc::new(Metrics::new(Arc::clone(&store), &table));
        registry.add(Arc::clone(&metrics) as Arc<dyn Collect>);
        let shared = Arc::new(Shared {
            options,
            clear_text_reports: ClearTextReports::new(Arc::clone(&store)),
            store,
            live,
            registry,
            metrics,
            request_ids,
            local_window: Mutex::default(),
            readiness: Readiness::new(true),
            storage_check: StorageCheck::default(),
            export_slots: ExportSlots::default(),
            stream_slots: StreamSlots::default(),
            routes: table,
            document: Document::new(document),
            reporters: AddressWindows::new(REPORTS),
            partners: AddressWindows::new(PARTNER_LISTS),
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

    /// Waits until every report of a key in cleartext is stored. Call it when no more requests arrive.
    pub async fn store_exposures(&self) {
        self.shared.clear_text_reports.drain().await;
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
