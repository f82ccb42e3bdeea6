//! The table of live calls: how the API reaches the task that owns a call. It stores no call state, only the channel by
//! which a call is told to hang up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telepath_core::call::DisconnectReason;
use telepath_core::id::{CallId, TrunkId};
use tokio::sync::mpsc;

/// Calls that ring or are connected.
#[derive(Debug, Default)]
pub(crate) struct LiveCallTable {
    calls: Mutex<HashMap<CallId, LiveCall>>,
}

#[derive(Debug)]
struct LiveCall {
    trunk: TrunkId,
    hang_up: mpsc::Sender<DisconnectReason>,
}

/// Removes its call from the table when dropped.
#[derive(Debug)]
pub(crate) struct LiveCallGuard {
    table: Arc<LiveCallTable>,
    call: CallId,
}

impl LiveCallTable {
    /// Adds a call. The receiver yields the reason of the first request to hang up; later requests are ignored.
    pub(crate) fn insert(
        self: &Arc<Self>,
        call: CallId,
        trunk: TrunkId,
    ) -> (LiveCallGuard, mpsc::Receiver<DisconnectReason>) {
        let (hang_up, requests) = mpsc::channel(1);
        self.calls().insert(call, LiveCall { trunk, hang_up });
        metrics::gauge!("telepath_calls_live").increment(1.0);
        (LiveCallGuard { table: self.clone(), call }, requests)
    }

    /// Whether a call can still be asked to hang up.
    pub(crate) fn is_live(&self, call: CallId) -> bool {
        self.calls().get(&call).is_some_and(|call| !call.hang_up.is_closed())
    }

    /// Asks a call to hang up; false when it is not live.
    pub(crate) fn hang_up(&self, call: CallId, reason: DisconnectReason) -> bool {
        self.calls().get(&call).is_some_and(|call| call.hang_up(reason))
    }

    /// Asks every call of the matching trunks to hang up and returns how many there were.
    pub(crate) fn hang_up_where(&self, matches: impl Fn(TrunkId) -> bool, reason: DisconnectReason) -> usize {
        self.calls().values().filter(|call| matches(call.trunk) && call.hang_up(reason)).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.calls().len()
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<CallId, LiveCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveCall {
    /// A full channel means that the call is already being hung up, which counts as success.
    fn hang_up(&self, reason: DisconnectReason) -> bool {
        match self.hang_up.try_send(reason) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

impl Drop for LiveCallGuard {
    fn drop(&mut self) {
        self.table.calls().remove(&self.call);
        metrics::gauge!("telepath_calls_live").decrement(1.0);
    }
}
