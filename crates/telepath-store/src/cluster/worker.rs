//! What a server does to keep its place: it renews its lease, hears of changes, and looks after the calls of servers that
//! are gone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use telepath_core::id::NodeId;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::State;
use super::lease::LEASE;
use super::node::{self, Heartbeats, NewNode, Renewed};
use crate::backend::{Backend, Driver};
use crate::call::orphan::{OrphanedCalls, close_orphaned_calls};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::key_clock;
use crate::key_table::KeyTable;
use crate::key_table::load::load_changed;
use crate::postgres::PostgresBackend;
use crate::sql::Connection;
use crate::webhook::outbox;

/// Between two renewals when nothing happens: several fit into a lease.
const RENEWAL_INTERVAL: Duration = Duration::from_millis(100);
/// A renewal that takes longer is worth nothing.
const RENEWAL_TIMEOUT: Duration = LEASE;
/// How long a new connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the keys that have changed may take to arrive. Nobody is admitted meanwhile, once the lease is over.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Renewals of one turn: after key changes one follows at once, to confirm it.
const MAX_RENEWALS: usize = 8;
/// How long a start watches whether another server still moves: longer than a lease, and than its renewals lie apart.
const OBSERVATION_PERIOD: Duration = Duration::from_secs(1);
/// Between two looks at the others. A server that has not moved from one to the next is gone: much longer than a broken
/// network usually takes to heal, because its calls are then taken to be over.
const CHECK_INTERVAL: Duration = Duration::from_mins(1);
/// Between two attempts to listen for key changes; without them a change is heard of at the next renewal.
const RELISTEN_DELAY: Duration = Duration::from_secs(1);

/// Enters a server's row. If there are others that may only be left over from a crash, they are watched first.
pub(super) async fn register(
    backend: &Backend,
    context: &StoreContext,
    node: &NewNode,
) -> Result<(), StoreError> {
    let looked = node.clone();
    let watched: Result<Heartbeats, StoreError> =
        backend.write(move |db| Box::pin(async move { node::conflicting_nodes(db, &looked).await })).await;
    let watched = watched?;
    if !watched.is_empty() {
        sleep(OBSERVATION_PERIOD).await;
    }
    let (joining, own) = (node.clone(), context.clone());
    let joined: Result<(), StoreError> =
        backend.write(move |db| Box::pin(async move { node::join(db, &own, joining, &watched).await })).await;
    joined?;
    close_unowned_calls(backend, context).await
}

/// Closes calls that no server carries. Not while the others are kept out, because it may take its time.
async fn close_unowned_calls(backend: &Backend, context: &StoreContext) -> Result<(), StoreError> {
    let context = context.clone();
    let closed: Result<u64, StoreError> = backend
        .write(move |db| {
            Box::pin(async move { close_orphaned_calls(db, &context, OrphanedCalls::WithoutNode).await })
        })
        .await;
    match closed? {
        0 => {}
        calls => tracing::warn!(calls, "closed calls that no server carries"),
    }
    Ok(())
}

/// Renews the lease and brings changes into memory, on a connection of its own, so that no other work delays it.
pub(super) struct LeaseRenewer {
    postgres: PostgresBackend,
    context: StoreContext,
    keys: KeyTable,
    state: Arc<State>,
    node: NewNode,
    /// Taken out while it is used: one that was given up half way is not used again.
    connection: Option<Connection>,
}

impl LeaseRenewer {
    pub(super) fn new(
        postgres: PostgresBackend,
        context: StoreContext,
        keys: KeyTable,
        state: Arc<State>,
        node: NewNode,
    ) -> Self {
        Self { postgres, context, keys, state, node, connection: None }
    }

    /// Gives the connection up; the next renewal makes a new one.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    pub(super) async fn run(mut self) {
        let mut ticks = interval(RENEWAL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        while !self.postgres.is_closed() {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.state.key_changes.notified() => {}
            }
            match self.renew_until_current().await {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("the lease is renewed again");
                    }
                }
                // Told once per trouble, not ten times a second.
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "the lease cannot be renewed; when it is over, requests are refused");
                    }
                }
            }
        }
        self.state.lease.end();
    }

    /// Renews until there is nothing new, so that what was read is also confirmed.
    pub(super) async fn renew_until_current(&mut self) -> Result<(), StoreError> {
        for _ in 0..MAX_RENEWALS {
            if !self.renew().await? {
                break;
            }
        }
        Ok(())
    }

    /// One renewal; whether another one should follow at once.
    async fn renew(&mut self) -> Result<bool, StoreError> {
        let mut db = match self.connection.take() {
            Some(db) => db,
            None => with_timeout(CONNECT_TIMEOUT, self.postgres.own_connection()).await?,
        };
        let asked = Instant::now();
        let renewed =
            with_timeout(RENEWAL_TIMEOUT, node::renew(&mut db, self.node.id, self.node.confirmed)).await?;
        let Some(Renewed { clock, nodes }) = renewed else {
            self.connection = Some(db);
            // The others do not wait for a server without a row, so it must not admit anybody.
            self.state.lease.end();
            tracing::warn!("this server was taken to be gone; it joins again");
            register(&Backend::new(Driver::Postgres(self.postgres.clone())), &self.context, &self.node)
                .await?;
            return Ok(true);
        };
        let key_changes = self.read_up_to(&mut db, clock).await?;
        self.state.lease.grant(asked);
        self.state.nodes.store(nodes, Ordering::Relaxed);
        self.connection = Some(db);
        Ok(key_changes)
    }

    /// Brings every change up to `clock` into memory; whether there was one.
    async fn read_up_to(&mut self, db: &mut Connection, clock: i64) -> Result<bool, StoreError> {
        if clock < self.node.confirmed {
            return Err(StoreError::Corrupt("the clock of key changes ran backward".to_owned()));
        }
        if clock == self.node.confirmed {
            return Ok(false);
        }
        with_timeout(READ_TIMEOUT, load_changed(db, self.node.confirmed, &self.keys)).await?;
        self.node.confirmed = clock;
        Ok(true)
    }
}

async fn with_timeout<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(limit, work).await.unwrap_or(Err(StoreError::NoLease))
}

/// Wakes the renewal when somebody announces a change of keys, and the sender when somebody announces deliveries. Nothing
/// depends on it but how soon the change is confirmed and the delivery begun.
pub(super) async fn listen(backend: Backend, state: Arc<State>) {
    let Driver::Postgres(postgres) = backend.driver() else { return };
    while !postgres.is_closed() {
        if let Ok(mut listener) = postgres.listener(&[key_clock::CHANNEL, outbox::CHANNEL]).await {
            // What was announced while nobody listened.
            state.key_changes.notify_one();
            backend.ring();
            while let Ok(announced) = listener.recv().await {
                match announced.channel() {
                    outbox::CHANNEL => backend.ring(),
                    _ => state.key_changes.notify_one(),
                }
            }
        }
        sleep(RELISTEN_DELAY).await;
    }
}

/// Finds servers that are gone, takes them out and closes their calls.
pub(super) async fn monitor_nodes(backend: Backend, context: StoreContext, node_id: NodeId) {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut earlier = Heartbeats::new();
    loop {
        ticks.tick().await;
        let (own, before) = (context.clone(), std::mem::take(&mut earlier));
        let looked: Result<Heartbeats, StoreError> = backend
            .write(move |db| {
                Box::pin(async move { node::evict_dead_nodes(db, &own, node_id, &before).await })
            })
            .await;
        match looked {
            Ok(living) => earlier = living,
            // Without a look nobody is taken to be gone.
            Err(error) => tracing::debug!(%error, "the other servers could not be looked after"),
        }
    }
}
