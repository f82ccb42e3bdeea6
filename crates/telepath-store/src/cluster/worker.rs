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
use crate::call::orphan::{Orphans, close_orphans};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::key_clock;
use crate::key_table::KeyTable;
use crate::key_table::load::load_changed;
use crate::postgres::PostgresBackend;
use crate::sql::Connection;
use crate::webhook::outbox;

/// Between two renewals when nothing happens: several fit into a lease.
const RENEW_EVERY: Duration = Duration::from_millis(100);
/// A renewal that takes longer is worth nothing.
const RENEW_WITHIN: Duration = LEASE;
/// How long a new connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long the keys that have changed may take to arrive. Nobody is admitted meanwhile, once the lease is over.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// Renewals of one turn: after news one follows at once, to confirm it.
const RENEWALS: usize = 8;
/// How long a start watches whether another server still moves: longer than a lease, and than its renewals lie apart.
const WATCH: Duration = Duration::from_secs(1);
/// Between two looks at the others. A server that has not moved from one to the next is gone: much longer than a broken
/// network usually takes to heal, because its calls are then taken to be over.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Between two attempts to listen for news; without them a change is heard of at the next renewal.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Enters a server's row. If there are others that may only be left over from a crash, they are watched first.
pub(super) async fn enter(
    backend: &Backend,
    context: &StoreContext,
    node: &NewNode,
) -> Result<(), StoreError> {
    let looked = node.clone();
    let watched: Result<Heartbeats, StoreError> =
        backend.write(move |db| Box::pin(async move { node::rivals(db, &looked).await })).await;
    let watched = watched?;
    if !watched.is_empty() {
        sleep(WATCH).await;
    }
    let (joining, own) = (node.clone(), context.clone());
    let joined: Result<(), StoreError> =
        backend.write(move |db| Box::pin(async move { node::join(db, &own, joining, &watched).await })).await;
    joined?;
    close_forgotten(backend, context).await
}

/// Closes calls that no server carries. Not while the others are kept out, because it may take its time.
async fn close_forgotten(backend: &Backend, context: &StoreContext) -> Result<(), StoreError> {
    let context = context.clone();
    let closed: Result<u64, StoreError> = backend
        .write(move |db| Box::pin(async move { close_orphans(db, &context, Orphans::WithoutNode).await }))
        .await;
    match closed? {
        0 => {}
        calls => tracing::warn!(calls, "closed calls that no server carries"),
    }
    Ok(())
}

/// Renews the lease and brings changes into memory, on a connection of its own, so that no other work delays it.
pub(super) struct Renewer {
    postgres: PostgresBackend,
    context: StoreContext,
    keys: KeyTable,
    state: Arc<State>,
    node: NewNode,
    /// Taken out while it is used: one that was given up half way is not used again.
    connection: Option<Connection>,
}

impl Renewer {
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
        let mut ticks = interval(RENEW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        while !self.postgres.is_closed() {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.state.news.notified() => {}
            }
            match self.turn().await {
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
    pub(super) async fn turn(&mut self) -> Result<(), StoreError> {
        for _ in 0..RENEWALS {
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
            None => within(CONNECT_WITHIN, self.postgres.own_connection()).await?,
        };
        let asked = Instant::now();
        let renewed = within(RENEW_WITHIN, node::renew(&mut db, self.node.id, self.node.confirmed)).await?;
        let Some(Renewed { clock, nodes }) = renewed else {
            self.connection = Some(db);
            // The others do not wait for a server without a row, so it must not admit anybody.
            self.state.lease.end();
            tracing::warn!("this server was taken to be gone; it joins again");
            enter(&Backend::new(Driver::Postgres(self.postgres.clone())), &self.context, &self.node).await?;
            return Ok(true);
        };
        let news = self.read_up_to(&mut db, clock).await?;
        self.state.lease.grant(asked);
        self.state.nodes.store(nodes, Ordering::Relaxed);
        self.connection = Some(db);
        Ok(news)
    }

    /// Brings every change up to `clock` into memory; whether there was one.
    async fn read_up_to(&mut self, db: &mut Connection, clock: i64) -> Result<bool, StoreError> {
        if clock < self.node.confirmed {
            return Err(StoreError::Corrupt("the clock of key changes ran backward".to_owned()));
        }
        if clock == self.node.confirmed {
            return Ok(false);
        }
        within(READ_WITHIN, load_changed(db, self.node.confirmed, &self.keys)).await?;
        self.node.confirmed = clock;
        Ok(true)
    }
}

async fn within<T>(
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
            state.news.notify_one();
            backend.ring();
            while let Ok(announced) = listener.recv().await {
                match announced.channel() {
                    outbox::CHANNEL => backend.ring(),
                    _ => state.news.notify_one(),
                }
            }
        }
        sleep(LISTEN_AGAIN_AFTER).await;
    }
}

/// Finds servers that are gone, takes them out and closes their calls.
pub(super) async fn look_after(backend: Backend, context: StoreContext, me: NodeId) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut earlier = Heartbeats::new();
    loop {
        ticks.tick().await;
        let (own, before) = (context.clone(), std::mem::take(&mut earlier));
        let looked: Result<Heartbeats, StoreError> = backend
            .write(move |db| Box::pin(async move { node::evict_dead_nodes(db, &own, me, &before).await }))
            .await;
        match looked {
            Ok(living) => earlier = living,
            // Without a look nobody is taken to be gone.
            Err(error) => tracing::debug!(%error, "the other servers could not be looked after"),
        }
    }
}
