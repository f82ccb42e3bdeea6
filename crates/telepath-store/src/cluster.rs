//! Several servers on one PostgreSQL database. Each admits requests from its own memory, and only while it holds a
//! lease: a recent view of the keys. A change of a key waits until every other server has read it, or until the lease
//! of a server that has not expires; see `docs/adr/0006-leases-and-the-key-clock.md`.

pub(crate) mod lease;
mod lease_thread;
pub(crate) mod node;
mod worker;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use telepath_core::clock::boot_time;
use telepath_core::id::NodeId;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::account::table::AccountTable;
use crate::backend::{Backend, Driver};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::key_clock::{self, ClockPosition};
use crate::key_table::KeyTable;
use lease::{BARRIER_TIMEOUT, Lease};
use lease_thread::LeaseThread;
use node::NewNode;
use worker::LeaseRenewer;

/// The interval for asking whether all other servers have read a change.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How long a start waits for its first lease.
const FIRST_LEASE_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 10 });
/// How long a stop tries to delete this server's row; if that fails, the others evict it.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The role of a process on its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProcessRole {
    /// Serves requests.
    #[default]
    Server,
    /// Runs a command of local administration and admits no requests by key.
    Admin,
}

/// The cluster state exposed as metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterStats {
    /// How long this server can keep admitting requests without the database.
    pub lease_left: Duration,
    /// Servers with a row in the database.
    pub nodes: u32,
    /// How long the last change of a key waited for the other servers.
    pub confirmation: Duration,
}

/// What the workers and the changes of keys share.
struct State {
    node_id: Option<NodeId>,
    lease: Arc<Lease>,
    nodes: AtomicU32,
    confirmation_us: AtomicU64,
    /// Notified when a key may have changed.
    key_changes: Notify,
    /// Notified when a call of this server may have to end.
    hangup_requests: Notify,
    /// Notified when `allowed_ips` of a trunk may have changed, on this server or on another.
    trunk_networks: Notify,
}

/// This process as a member of the cluster.
pub(crate) struct Cluster {
    state: Arc<State>,
    /// Aborted on drop.
    tasks: Mutex<JoinSet<()>>,
    /// Renews the lease; stopped on drop.
    lease_thread: Mutex<Option<LeaseThread>>,
}

impl Cluster {
    /// The only server of a database that allows no second one.
    pub(crate) fn standalone() -> Self {
        Self::new(None, Lease::unbounded())
    }

    /// A process that admits no requests.
    pub(crate) fn non_member() -> Self {
        Self::new(None, Lease::none())
    }

    fn new(node_id: Option<NodeId>, lease: Lease) -> Self {
        let state = State {
            node_id,
            lease: Arc::new(lease),
            nodes: AtomicU32::new(1),
            confirmation_us: AtomicU64::new(0),
            key_changes: Notify::new(),
            hangup_requests: Notify::new(),
            trunk_networks: Notify::new(),
        };
        Self { state: Arc::new(state), tasks: Mutex::default(), lease_thread: Mutex::default() }
    }

    /// A server that is about to load the keys; it admits no requests before [`Cluster::join`].
    pub(crate) fn server(id: NodeId) -> Self {
        Self::new(Some(id), Lease::none())
    }

    /// Joins the cluster and keeps the lease renewed.
    pub(crate) async fn join(
        &self,
        backend: &Backend,
        context: &StoreContext,
        (keys, accounts): (&KeyTable, &AccountTable),
        new: JoinOptions,
    ) -> Result<(), StoreError> {
        let (Some(id), Driver::Postgres(postgres)) = (self.state.node_id, backend.driver()) else {
            return Ok(());
        };
        let JoinOptions { name, shared_windows, confirmed } = new;
        let node = NewNode { id, name, shared_windows };
        worker::register(backend, context, &node).await?;
        let mut renewer = LeaseRenewer::new(
            postgres.clone(),
            context.clone(),
            (keys.clone(), accounts.clone()),
            Arc::clone(&self.state),
            (node, confirmed),
        );
        timeout(FIRST_LEASE_TIMEOUT, renewer.renew_until_current())
            .await
            .map_err(|_| StoreError::NoLease)??;
        let lease_thread = LeaseThread::start(renewer)?;
        *self.lease_thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease_thread);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(worker::listen(backend.clone(), Arc::clone(&self.state)));
        tasks.spawn(worker::monitor_nodes(backend.clone(), context.clone(), id));
        Ok(())
    }

    /// Stops admitting requests and deletes this server's row.
    pub(crate) async fn leave(&self, backend: &Backend) {
        let Some(id) = self.state.node_id else { return };
        let lease_thread = self.lease_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(lease_thread) = lease_thread {
            // A renewal after the row is deleted would join again.
            let _ = timeout(LEAVE_TIMEOUT, lease_thread.stop()).await;
        }
        self.state.lease.end();
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        let left: Result<Result<(), StoreError>, _> = timeout(
            LEAVE_TIMEOUT,
            backend.write(move |db| Box::pin(async move { node::leave(db, id).await })),
        )
        .await;
        if !matches!(left, Ok(Ok(()))) {
            tracing::warn!("could not delete this server's row; the other servers will evict it");
        }
    }

    pub(crate) fn lease(&self) -> &Arc<Lease> {
        &self.state.lease
    }

    /// This server's id; `None` outside a cluster.
    pub(crate) fn node_id(&self) -> Option<NodeId> {
        self.state.node_id
    }

    /// Notified when a call of this server may have to end.
    pub(crate) fn hangup_requests(&self) -> &Notify {
        &self.state.hangup_requests
    }

    /// Waits until `allowed_ips` of a trunk may have changed since the last call returned.
    pub(crate) async fn trunk_networks_changed(&self) {
        self.state.trunk_networks.notified().await;
    }

    /// Reports a committed change of a trunk's `allowed_ips` to this process.
    pub(crate) fn announce_trunk_networks(&self) {
        self.state.trunk_networks.notify_one();
    }

    /// The number of servers, including this one.
    pub(crate) fn nodes(&self) -> u32 {
        self.state.nodes.load(Ordering::Relaxed).max(1)
    }

    /// `None` outside a cluster.
    pub(crate) fn stats(&self) -> Option<ClusterStats> {
        let lease_left = self.state.lease.left(boot_time())?;
        let confirmation = Duration::from_micros(self.state.confirmation_us.load(Ordering::Relaxed));
        Some(ClusterStats { lease_left, nodes: self.nodes(), confirmation })
    }

    /// A barrier for changes of keys; it may outlive the caller's reference.
    pub(crate) fn replication_barrier(&self) -> ReplicationBarrier {
        ReplicationBarrier(Arc::clone(&self.state))
    }
}

/// How a server joins.
pub(crate) struct JoinOptions {
    pub(crate) name: String,
    pub(crate) shared_windows: bool,
    /// The key clock's position before the keys were loaded.
    pub(crate) confirmed: ClockPosition,
}

/// Holds back the result of a change until no server admits by the old state.
pub(crate) struct ReplicationBarrier(Arc<State>);

impl ReplicationBarrier {
    /// Waits until all other servers have read up to `version`, or until their leases must have expired: what they
    /// admit by was read before `committed`. The wait therefore ends even without the database.
    pub(crate) async fn wait(&self, backend: &Backend, version: Option<i64>, committed: Instant) {
        let Some(version) = version else { return };
        let asked = async {
            while !self.all_confirmed(backend, version).await {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        let end = tokio::time::Instant::from_std(committed + BARRIER_TIMEOUT);
        // Both outcomes are correct; only the time taken differs.
        let _ = tokio::time::timeout_at(end, asked).await;
        let took = u64::try_from(committed.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.confirmation_us.store(took, Ordering::Relaxed);
    }

    async fn all_confirmed(&self, backend: &Backend, version: i64) -> bool {
        let asked = async {
            let mut db = backend.read().await?;
            node::all_confirmed(&mut db, self.0.node_id, version).await
        };
        asked.await.unwrap_or(false)
    }
}

/// The current position of the key clock.
pub(crate) async fn clock(backend: &Backend) -> Result<ClockPosition, StoreError> {
    key_clock::now(&mut backend.read().await?).await
}

#[cfg(test)]
pub(crate) use node::Heartbeats;
#[cfg(test)]
mod fault_injection;
