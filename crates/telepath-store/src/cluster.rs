//! Several servers on one PostgreSQL database. Each admits requests from its own memory, and only while it holds a lease:
//! a view of the keys that was asked for a moment ago. Whoever changes a key waits until every other server has read the
//! change, or until the lease of whoever has not is over; see `docs/adr/0006-leases-and-the-key-clock.md`.

pub(crate) mod lease;
mod lease_thread;
mod node;
mod worker;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use telepath_core::id::NodeId;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::backend::{Backend, Driver};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::key_clock;
use crate::key_table::KeyTable;
use lease::{BARRIER_TIMEOUT, Lease};
use lease_thread::LeaseThread;
use node::NewNode;
use worker::LeaseRenewer;

/// Between two questions whether all others have read a change.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How long a start waits for its first lease.
const FIRST_LEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a stop tries to take its row out; what stays is found to be gone by the others.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// What part a process takes in the life of its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProcessRole {
    /// It serves requests.
    #[default]
    Server,
    /// It changes or reads something on behalf of local administration and admits nobody by a key.
    Admin,
}

/// What is told of the cluster in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterStats {
    /// For how long this server may go on without the database.
    pub lease_left: Duration,
    /// Servers that have a row in the database.
    pub nodes: u32,
    /// How long the last change of a key waited for the others.
    pub confirmation: Duration,
}

/// What the workers and those who change keys share.
struct State {
    node_id: Option<NodeId>,
    lease: Arc<Lease>,
    nodes: AtomicU32,
    confirmation_us: AtomicU64,
    /// Told when somebody may have changed a key.
    key_changes: Notify,
}

/// This process among the servers of its database.
pub(crate) struct Cluster {
    state: Arc<State>,
    /// Ended when this is dropped.
    tasks: Mutex<JoinSet<()>>,
    /// Renews the lease; ended when this is dropped.
    lease_thread: Mutex<Option<LeaseThread>>,
}

impl Cluster {
    /// The only server of a database that takes no second one.
    pub(crate) fn standalone() -> Self {
        Self::new(None, Lease::unbounded())
    }

    /// Somebody who admits nobody.
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
        };
        Self { state: Arc::new(state), tasks: Mutex::default(), lease_thread: Mutex::default() }
    }

    /// A server that is about to load the keys; it admits nobody before [`Cluster::join`].
    pub(crate) fn server(id: NodeId) -> Self {
        Self::new(Some(id), Lease::none())
    }

    /// Takes the server's place among the others and keeps it. `confirmed` is where the clock of key changes stood
    /// before the keys were loaded.
    pub(crate) async fn join(
        &self,
        backend: &Backend,
        context: &StoreContext,
        keys: &KeyTable,
        new: Joining,
    ) -> Result<(), StoreError> {
        let (Some(id), Driver::Postgres(postgres)) = (self.state.node_id, backend.driver()) else {
            return Ok(());
        };
        let Joining { name, shared_windows, confirmed } = new;
        let node = NewNode { id, name, shared_windows, confirmed };
        worker::register(backend, context, &node).await?;
        let mut renewer =
            LeaseRenewer::new(postgres.clone(), context.clone(), keys.clone(), Arc::clone(&self.state), node);
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

    /// Admits nobody any more and takes the server's row out.
    pub(crate) async fn leave(&self, backend: &Backend) {
        let Some(id) = self.state.node_id else { return };
        let lease_thread = self.lease_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(lease_thread) = lease_thread {
            // It must not renew any more when the row goes, or it would join again.
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
            tracing::warn!("this server's row could not be taken out; the others will find that it is gone");
        }
    }

    pub(crate) fn lease(&self) -> &Arc<Lease> {
        &self.state.lease
    }

    /// This server's id; `None` where no servers are told apart.
    pub(crate) fn node_id(&self) -> Option<NodeId> {
        self.state.node_id
    }

    /// How many servers there are, this one included.
    pub(crate) fn nodes(&self) -> u32 {
        self.state.nodes.load(Ordering::Relaxed).max(1)
    }

    /// `None` where there can be only one server.
    pub(crate) fn stats(&self) -> Option<ClusterStats> {
        let lease_left = self.state.lease.left(Instant::now())?;
        let confirmation = Duration::from_micros(self.state.confirmation_us.load(Ordering::Relaxed));
        Some(ClusterStats { lease_left, nodes: self.nodes(), confirmation })
    }

    /// For those who change keys and may outlive their caller.
    pub(crate) fn replication_barrier(&self) -> ReplicationBarrier {
        ReplicationBarrier(Arc::clone(&self.state))
    }
}

/// How a server joins.
pub(crate) struct Joining {
    pub(crate) name: String,
    pub(crate) shared_windows: bool,
    pub(crate) confirmed: i64,
}

/// Sees to it that a change is answered only when no server admits by the old state any more.
pub(crate) struct ReplicationBarrier(Arc<State>);

impl ReplicationBarrier {
    /// Waits until all other servers have read up to `version`, but no longer than whoever has not can hold a lease: what
    /// it admits by was asked for before `committed`. So the wait needs no answer of the database to come to its end.
    pub(crate) async fn wait(&self, backend: &Backend, version: Option<i64>, committed: Instant) {
        let Some(version) = version else { return };
        let asked = async {
            while !self.all_confirmed(backend, version).await {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        let end = tokio::time::Instant::from_std(committed + BARRIER_TIMEOUT);
        // Either way the promise holds; only how long it took differs.
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

/// Where the clock of key changes stands; 0 where there is none.
pub(crate) async fn clock(backend: &Backend) -> Result<i64, StoreError> {
    key_clock::now(&mut backend.read().await?).await
}

#[cfg(test)]
pub(crate) use node::Heartbeats;
#[cfg(test)]
mod fault_injection;
