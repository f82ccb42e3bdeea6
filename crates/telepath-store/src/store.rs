//! The open store: the database and the in-memory tables that belong to it. This file knows no resource. Each
//! resource adds its functions in its own file, and `lifecycle` assembles the parts.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use telepath_core::alert::AlertSettings;
use telepath_core::audit::{HeadLog, KeyedAuditId};
use telepath_core::clock::{Clock, Timestamp};
use telepath_core::entropy::Entropy;
use telepath_core::id::{Id, IdempotencyId};
use telepath_core::known_time::KnownMoment;
use telepath_core::storage_limit::{StorageLimit, StorageLimits};
use telepath_core::vault::Vault;
use tokio::sync::{Notify, Semaphore};

use crate::account::table::AccountTable;
use crate::alert::counters::AlertCounters;
use crate::alert::security_signal::SecuritySignals;
use crate::backend::Backend;
use crate::cluster::{Cluster, ClusterStats};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::key_table::KeyTable;
use crate::keyring::state::KeyringState;
use crate::limit::memory::AddressWindows;
use crate::limit::shared::KeyWindows;
use crate::request_log::RequestLog;
use crate::user::hashing::PasswordHashing;

/// An open database and its in-memory tables.
pub struct Store {
    pub(crate) backend: Backend,
    pub(crate) context: StoreContext,
    pub(crate) keys: KeyTable,
    pub(crate) accounts: AccountTable,
    pub(crate) addresses: AddressWindows,
    pub(crate) requests: RequestLog,
    /// How much each account can store.
    pub(crate) storage_limits: StorageLimits,
    /// The largest size of the request log in bytes.
    pub(crate) request_log_bytes: u64,
    pub(crate) alert_settings: Arc<AlertSettings>,
    pub(crate) alert_counters: Arc<AlertCounters>,
    pub(crate) security_signals: SecuritySignals,
    pub(crate) cluster: Cluster,
    /// One permit: audit trails are verified one at a time.
    pub(crate) audit_verification: Semaphore,
    /// The heads of audit trails that this process has logged.
    pub(crate) audit_heads: Mutex<HeadLog>,
    pub(crate) password_hashing: PasswordHashing,
    pub(crate) windows: KeyWindows,
    pub(crate) keyring: KeyringState,
    /// Notified when a report of exposed keys was stored.
    pub(crate) exposures: Notify,
    /// Identifies this run of the store among all runs of the database.
    pub(crate) run: IdempotencyId,
    /// The known time when it was last read; see `retention_time`.
    pub(crate) known_time: Mutex<KnownMoment>,
    /// The end of the minutes whose usage this process has evaluated, in Unix milliseconds.
    pub(crate) watched_until: AtomicI64,
    /// When this process last recorded that its live calls are live, in milliseconds of steady time.
    pub(crate) last_heartbeat: Arc<AtomicI64>,
}

impl Store {
    /// The clock that the store was opened with.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.context.clock
    }

    /// The random source that the store was opened with.
    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.context.entropy
    }

    /// The vault that the store was opened with.
    pub fn vault(&self) -> &Arc<Vault> {
        &self.context.vault
    }

    /// The in-memory table of keys.
    pub fn keys(&self) -> &KeyTable {
        &self.keys
    }

    /// The rate limit windows of addresses that present no valid key.
    pub fn addresses(&self) -> &AddressWindows {
        &self.addresses
    }

    /// This server's view of the cluster; `None` with a single server.
    pub fn cluster(&self) -> Option<ClusterStats> {
        self.cluster.stats()
    }

    /// How long the last request waited for the shared limiter; `None` when windows are counted in memory.
    pub fn window_latency(&self) -> Option<Duration> {
        self.windows.latency()
    }

    /// The request log.
    pub fn requests(&self) -> &RequestLog {
        &self.requests
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    pub(crate) fn new_audit_id(&self, now: Timestamp) -> Result<KeyedAuditId, StoreError> {
        let id = self.context.new_audit_id(now)?;
        Ok(KeyedAuditId { trail_limit: Some(self.storage_limits.reached(StorageLimit::AuditBytes)), ..id })
    }

    pub(crate) fn new_id<T: Id>(&self, now: Timestamp) -> Result<T, StoreError> {
        self.context.new_id(now)
    }
}
