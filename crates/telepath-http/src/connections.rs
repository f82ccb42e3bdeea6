//! The open connections of a server, and which of them makes room for a new one.
//!
//! When a limit is reached, the oldest idle connection that counts against it is closed. A new connection is refused only
//! if none of them is idle. So a flood of silent connections displaces itself, and a client that sends requests keeps its
//! connection.

mod table;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telepath_core::address::{AddressBlock, NetworkList};
use tokio_util::sync::CancellationToken;

use crate::counters::ActivityCounters;
pub use table::{ConnectionCounts, ConnectionLimit};
use table::{ConnectionTable, Idle};

/// What the server keeps of an open connection.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    pub(crate) counters: ActivityCounters,
    /// Cancelled when the server stops and when the connection is closed for another one. One token for both, because each
    /// wake-up of a connection takes the token's lock.
    pub(crate) closing: CancellationToken,
    displaced: AtomicBool,
}

impl ConnectionState {
    pub(crate) fn new(closing: CancellationToken) -> Arc<Self> {
        Arc::new(Self { counters: ActivityCounters::default(), closing, displaced: AtomicBool::new(false) })
    }

    /// Whether the connection was closed for another one and no request has begun since.
    pub(crate) fn can_be_dropped(&self) -> bool {
        self.displaced.load(Ordering::Acquire) && self.counters.is_idle()
    }

    fn displace(&self) {
        self.displaced.store(true, Ordering::Release);
        self.closing.cancel();
    }
}

impl Idle for Arc<ConnectionState> {
    fn is_idle(&self) -> bool {
        self.counters.is_idle()
    }
}

/// The open connections of one or more listeners.
#[derive(Debug)]
pub(crate) struct Connections {
    table: Mutex<ConnectionTable<Arc<ConnectionState>>>,
}

impl Connections {
    pub(crate) fn new(total: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { table: Mutex::new(ConnectionTable::new(total, per_address)) })
    }

    /// Admits a connection, closing another one if necessary. `block` is `None` where one address stands for many clients.
    pub(crate) fn admit(
        self: &Arc<Self>,
        block: Option<AddressBlock>,
        closing: CancellationToken,
    ) -> Result<ConnectionSlot, ConnectionLimit> {
        let state = ConnectionState::new(closing);
        let admitted = self.table().admit(block, Arc::clone(&state))?;
        if let Some(displaced) = admitted.displaced {
            displaced.displace();
        }
        Ok(ConnectionSlot { connections: Arc::clone(self), number: admitted.number, state })
    }

    /// Closes the oldest idle connection, because the system has no descriptor for a new one.
    pub(crate) fn release_descriptor(&self) {
        if let Some(displaced) = self.table().displace_for_descriptor() {
            displaced.displace();
        }
    }

    pub(crate) fn counts(&self) -> ConnectionCounts {
        self.table().counts()
    }

    fn table(&self) -> MutexGuard<'_, ConnectionTable<Arc<ConnectionState>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of an open connection; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    connections: Arc<Connections>,
    number: u64,
    pub(crate) state: Arc<ConnectionState>,
}

impl ConnectionSlot {
    /// Counts the connection against a client's address that became known after it was accepted.
    pub(crate) fn attribute(&self, block: AddressBlock) -> Result<(), ConnectionLimit> {
        let displaced = self.connections.table().attribute(self.number, block)?;
        if let Some(displaced) = displaced {
            displaced.displace();
        }
        Ok(())
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.connections.table().remove(self.number);
    }
}

/// The block that a connection from `peer` counts against. A trusted proxy carries the connections of many clients, so
/// only the total limit applies to it.
pub(crate) fn counted_block(peer: IpAddr, trusted: &NetworkList) -> Option<AddressBlock> {
    (!trusted.contains(peer)).then(|| AddressBlock::of(peer))
}
