//! A server's background work in the cluster: it renews its lease, listens for changes, and evicts dead servers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use telepath_core::clock::boot_time;
use telepath_core::id::NodeId;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::State;
use super::lease::LEASE;
use super::node::{self, Heartbeats, NewNode, Renewed};
use crate::account::table::AccountTable;
use crate::backend::{Backend, Driver};
use crate::call::hangup;
use crate::call::orphan::{OrphanedCalls, close_orphaned_calls};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::key_clock::{self, ClockPosition};
use crate::key_table::KeyTable;
use crate::key_table::load::{load_changed, reload};
use crate::postgres::PostgresBackend;
use crate::sql::Connection;
use crate::webhook::outbox;

/// The interval between renewals; several fit into a lease.
const RENEWAL_INTERVAL: Duration = Duration::from_millis(100);
/// A renewal that takes longer is useless.
const RENEWAL_TIMEOUT: Duration = LEASE;
/// How long a new connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long reading changed keys may take. Once the lease expires, nothing is admitted meanwhile.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long reading all keys again may take; nothing is admitted meanwhile.
const RELOAD_TIMEOUT: Duration = Duration::from_mins(5);
/// Renewals per turn: after a change of keys another renewal follows at once, to confirm it.
const MAX_RENEWALS: usize = 8;
/// How long a start watches for another server's heartbeat: longer than a lease and than the renewal interval.
const OBSERVATION_PERIOD: Duration = Duration::from_secs(1);
/// The interval between two checks of the other servers. A server whose heartbeat has not changed between them is
/// dead. This is much longer than most network failures, because its calls are then closed.
const CHECK_INTERVAL: Duration = Duration::from_mins(1);
/// The delay between two attempts to listen; meanwhile changes are found at the next renewal.
const RELISTEN_DELAY: Duration = Duration::from_secs(1);

/// Inserts this server's row. Conflicting rows may be left over from a crash, so they are watched first.
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

/// Closes calls that no server carries. Runs outside the join's table lock, because it may take long.
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

/// Renews the lease and loads changed keys, on its own connection, so that no other work delays it.
pub(super) struct LeaseRenewer {
    postgres: PostgresBackend,
    context: StoreContext,
    keys: KeyTable,
    accounts: AccountTable,
    state: Arc<State>,
    node: NewNode,
    /// The position on the key clock that the keys in memory include.
    confirmed: ClockPosition,
    /// The version of the trunks' networks at the last renewal.
    trunk_networks: Option<String>,
    /// Taken out while in use: a connection whose operation was cancelled is not reused.
    connection: Option<Connection>,
}

impl LeaseRenewer {
    pub(super) fn new(
        postgres: PostgresBackend,
        context: StoreContext,
        (keys, accounts): (KeyTable, AccountTable),
        state: Arc<State>,
        (node, confirmed): (NewNode, ClockPosition),
    ) -> Self {
        Self {
            postgres,
            context,
            keys,
            accounts,
            state,
            node,
            confirmed,
            trunk_networks: None,
            connection: None,
        }
    }

    /// Drops the connection; the next renewal opens a new one.
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
                // Logged once per outage, not ten times a second.
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "could not renew the lease; requests are refused once it expires");
                    }
                }
            }
        }
        self.state.lease.end();
    }

    /// Renews until nothing is new, so that what was read is also confirmed.
    pub(super) async fn renew_until_current(&mut self) -> Result<(), StoreError> {
        for _ in 0..MAX_RENEWALS {
            if !self.renew().await? {
                break;
            }
        }
        Ok(())
    }

    /// One renewal; returns whether another should follow at once.
    async fn renew(&mut self) -> Result<bool, StoreError> {
        let mut db = match self.connection.take() {
            Some(db) => db,
            None => with_timeout(CONNECT_TIMEOUT, self.postgres.own_connection()).await?,
        };
        let asked = boot_time();
        let renewed =
            with_timeout(RENEWAL_TIMEOUT, node::renew(&mut db, self.node.id, &self.confirmed)).await?;
        let Some(Renewed { clock, nodes, trunk_networks }) = renewed else {
            self.connection = Some(db);
            // Other servers do not wait for a server without a row, so it must not admit requests.
            self.state.lease.end();
            tracing::warn!("this server was evicted by another one; joining again");
            register(&Backend::new(Driver::Postgres(self.postgres.clone())), &self.context, &self.node)
                .await?;
            return Ok(true);
        };
        if !self.confirmed.is_continued_by(&clock) {
            self.start_over(&mut db, clock).await?;
            self.connection = Some(db);
            return Ok(true);
        }
        let key_changes = self.read_up_to(&mut db, clock).await?;
        self.state.lease.grant(asked);
        self.state.nodes.store(nodes, Ordering::Relaxed);
        if trunk_networks != self.trunk_networks {
            self.trunk_networks = trunk_networks;
            self.state.trunk_networks.notify_one();
        }
        self.connection = Some(db);
        Ok(key_changes)
    }

    /// Loads every change up to `clock`; returns whether there was one.
    async fn read_up_to(&mut self, db: &mut Connection, clock: ClockPosition) -> Result<bool, StoreError> {
        if clock == self.confirmed {
            return Ok(false);
        }
        with_timeout(READ_TIMEOUT, async {
            let after = self.confirmed.version;
            self.accounts.forget(&key_clock::changed_accounts(db, after).await?);
            load_changed(db, after, &self.keys).await
        })
        .await?;
        self.confirmed = clock;
        Ok(true)
    }

    /// The database is not the one that the keys were read from, or it lost changes: versions of the clock and of keys may
    /// be used again. Loads all keys, whatever their versions, while nothing is admitted.
    async fn start_over(&mut self, db: &mut Connection, clock: ClockPosition) -> Result<(), StoreError> {
        self.state.lease.end();
        tracing::warn!(
            known = self.confirmed.version,
            found = clock.version,
            "the database was restarted, restored or failed over; loading all keys again before any request is admitted"
        );
        self.accounts.clear();
        with_timeout(RELOAD_TIMEOUT, reload(db, &self.keys)).await?;
        self.confirmed = clock;
        Ok(())
    }
}

async fn with_timeout<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(limit, work).await.unwrap_or(Err(StoreError::NoLease))
}

/// Wakes whoever waits for what is announced: changes of keys, deliveries, hang-ups. Only latency depends on it.
pub(super) async fn listen(backend: Backend, state: Arc<State>) {
    let Driver::Postgres(postgres) = backend.driver() else { return };
    while !postgres.is_closed() {
        if let Ok(mut listener) =
            postgres.listener(&[key_clock::CHANNEL, outbox::CHANNEL, hangup::CHANNEL]).await
        {
            // Changes may have been announced while nobody listened.
            state.key_changes.notify_one();
            state.hangup_requests.notify_one();
            backend.ring();
            while let Ok(announced) = listener.recv().await {
                match announced.channel() {
                    outbox::CHANNEL => backend.ring(),
                    hangup::CHANNEL => state.hangup_requests.notify_one(),
                    _ => state.key_changes.notify_one(),
                }
            }
        }
        sleep(RELISTEN_DELAY).await;
    }
}

/// Evicts dead servers and closes their calls.
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
            // Without a check no server is evicted.
            Err(error) => {
                tracing::debug!(%error, "could not check the other servers; trying again in a minute");
            }
        }
    }
}
