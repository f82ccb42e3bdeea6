//! The state that handlers share. This file knows no resource: the state of one feature is a type in a file below.

pub(crate) mod exports;
pub(crate) mod leaks;
pub(crate) mod storage_check;
pub(crate) mod streams;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::FromRef;
use telepath_core::limit::Window;
use telepath_core::ports::LiveCalls;
use telepath_http::RequestIds;
use telepath_metrics::Registry;
use telepath_store::{AddressWindows, Store};

use crate::document::Document;
use crate::extract::json::BodyTimeout;
use crate::metrics::Metrics;
use crate::options::ApiOptions;
use crate::routes::RouteTable;
use exports::ExportSlots;
use leaks::ClearTextReports;
use storage_check::StorageCheck;
use streams::StreamSlots;

/// What the handlers share.
pub(crate) struct Shared {
    pub(crate) options: ApiOptions,
    pub(crate) store: Arc<Store>,
    pub(crate) live: Arc<dyn LiveCalls>,
    pub(crate) registry: Registry,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) request_ids: RequestIds,
    pub(crate) local_window: Mutex<Window>,
    pub(crate) readiness: Readiness,
    pub(crate) storage_check: StorageCheck,
    pub(crate) export_slots: ExportSlots,
    pub(crate) stream_slots: StreamSlots,
    pub(crate) routes: RouteTable,
    /// The OpenAPI document.
    pub(crate) document: Document,
    /// The rate windows of clients that report leaks without a key.
    pub(crate) reporters: AddressWindows,
    /// The rate windows of secret-scanning partners.
    pub(crate) partners: AddressWindows,
    pub(crate) clear_text_reports: ClearTextReports,
}

pub(crate) type AppState = Arc<Shared>;

impl FromRef<AppState> for BodyTimeout {
    fn from_ref(state: &AppState) -> Self {
        BodyTimeout(state.options.body_timeout)
    }
}

/// Whether the server accepts new work, as reported by `/readyz`. Clones share one value.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub(crate) fn new(ready: bool) -> Self {
        Self(Arc::new(AtomicBool::new(ready)))
    }

    /// Sets whether the server accepts new work.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Whether the server accepts new work.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
