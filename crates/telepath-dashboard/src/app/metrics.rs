//! How requests are counted.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use telepath_metrics::Collect;

use super::Dashboard;
use crate::assets;
use crate::metrics::ASSETS;
use crate::route::verb;

impl Dashboard {
    /// The metrics of the dashboard, for the registry of the process.
    pub fn metrics(&self) -> Arc<dyn Collect> {
        Arc::clone(&self.metrics) as Arc<dyn Collect>
    }

    pub(super) fn count(&self, head: &Parts, status: u16, took: Duration) {
        let path = head.uri.path();
        let route = if path.starts_with(assets::PREFIX) {
            Some(ASSETS)
        } else {
            self.routes.pattern(path).map(|pattern| (pattern, verb(&head.method)))
        };
        self.metrics.answered(route, status, took);
    }
}
