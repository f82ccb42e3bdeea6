//! The open store: the database, and the tables in memory that belong to it. It knows no resource; each resource adds its
//! functions in a file of its own, and `lifecycle` puts the parts together.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use telepath_core::alert::AlertSettings;
use telepath_core::clock::{Clock, Timestamp};
use telepath_core::entropy::Entropy;
use telepath_core::id::{Id, IdempotencyId};
use telepath_core::vault::Vault;

use crate::alert::counters::AlertCounters;
use crate::alert::security_signal::SecuritySignals;
use crate::backend::Backend;
use crate::cluster::{Cluster, ClusterStats};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::key_table::KeyTable;
use crate::limit::memory::AddressWindows;
use crate::limit::shared::KeyWindows;
use crate::request_log::RequestLog;

/// An open database and the tables in memory that belong to it.
pub struct Store {
    pub(crate) backend: Backend,
    pub(crate) context: StoreContext,
    pub(crate) keys: KeyTable,
    pub(crate) addresses: AddressWindows,
    pub(crate) requests: RequestLog,
    pub(crate) alert_settings: Arc<AlertSettings>,
    pub(crate) alert_counters: Arc<AlertCounters>,
    pub(crate) security_signals: SecuritySignals,
    pub(crate) cluster: Cluster,
    pub(crate) windows: KeyWindows,
    /// Names this opening among all that the database has seen.
    pub(crate) run: IdempotencyId,
    /// Up to which minute all use of keys was looked at by this process, in Unix milliseconds.
    pub(crate) watched_until: AtomicI64,
    /// When live calls were last known to be live, in Unix milliseconds.
    pub(crate) last_heartbeat: Arc<AtomicI64>,
}

impl Store {
    /// The clock that storage was opened with.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.context.clock
    }

    /// The random source that storage was opened with.
    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.context.entropy
    }

    /// The vault that storage was opened with.
    pub fn vault(&self) -> &Arc<Vault> {
        &self.context.vault
    }

    /// The keys that may be used, in memory.
    pub fn keys(&self) -> &KeyTable {
        &self.keys
    }

    /// The windows of addresses without a valid key.
    pub fn addresses(&self) -> &AddressWindows {
        &self.addresses
    }

    /// How this server stands among others; `None` where there can be only one.
    pub fn cluster(&self) -> Option<ClusterStats> {
        self.cluster.stats()
    }

    /// How long the last request waited for its count elsewhere; `None` where windows are counted here.
    pub fn window_latency(&self) -> Option<Duration> {
        self.windows.latency()
    }

    /// The log of answered requests.
    pub fn requests(&self) -> &RequestLog {
        &self.requests
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    pub(crate) fn new_id<T: Id>(&self, now: Timestamp) -> Result<T, StoreError> {
        self.context.new_id(now)
    }
}
