//! The table of live calls: how the API reaches the one task that owns a call. It holds no state of a call, only the
//! way to ask it to end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telepath_core::call::DisconnectReason;
use telepath_core::id::{CallId, TrunkId};
use tokio::sync::mpsc;

#[derive(Debug, Default)]
pub(crate) struct LiveTable {
    calls: Mutex<HashMap<CallId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    trunk: TrunkId,
    ask: mpsc::Sender<DisconnectReason>,
}

/// A call's place in the table; dropping it takes the call out.
#[derive(Debug)]
pub(crate) struct LivePlace {
    table: Arc<LiveTable>,
    call: CallId,
}

impl LiveTable {
    /// Puts a call in. The receiver gives the reason for which it was asked to end; the first asker wins.
    pub(crate) fn enter(
        self: &Arc<Self>,
        call: CallId,
        trunk: TrunkId,
    ) -> (LivePlace, mpsc::Receiver<DisconnectReason>) {
        let (ask, asked) = mpsc::channel(1);
        self.calls().insert(call, Entry { trunk, ask });
        metrics::gauge!("telepath_calls_live").increment(1.0);
        (LivePlace { table: self.clone(), call }, asked)
    }

    pub(crate) fn hang_up(&self, call: CallId, reason: DisconnectReason) -> bool {
        self.calls().get(&call).is_some_and(|entry| entry.ask(reason))
    }

    pub(crate) fn hang_up_where(&self, which: impl Fn(TrunkId) -> bool, reason: DisconnectReason) -> usize {
        self.calls().values().filter(|entry| which(entry.trunk) && entry.ask(reason)).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.calls().len()
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<CallId, Entry>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// A full channel means that somebody has asked already, which serves as well.
    fn ask(&self, reason: DisconnectReason) -> bool {
        match self.ask.try_send(reason) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

impl Drop for LivePlace {
    fn drop(&mut self) {
        self.table.calls().remove(&self.call);
        metrics::gauge!("telepath_calls_live").decrement(1.0);
    }
}
