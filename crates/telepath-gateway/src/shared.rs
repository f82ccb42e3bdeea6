//! The state that all tasks of a gateway share: options, ports to the control plane, the table of live calls and the
//! command channel of the signalling task.

use std::sync::Arc;

use telepath_core::clock::Clock;
use telepath_core::entropy::Entropy;
use telepath_core::ports::CallControl;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::advertised::LocalAddresses;
use crate::command::Command;
use crate::live::LiveCallTable;
use crate::options::GatewayOptions;
use crate::rtp_ports::PortPool;
use crate::strangers::StrangerTable;
use crate::transfer_limits::TransferLimits;

pub(crate) struct Shared {
    pub(crate) options: GatewayOptions,
    /// The addresses under which peers reach this server.
    pub(crate) addresses: LocalAddresses,
    pub(crate) control: Arc<dyn CallControl>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) live: Arc<LiveCallTable>,
    pub(crate) transfer_limits: Arc<TransferLimits>,
    pub(crate) strangers: StrangerTable,
    pub(crate) ports: Arc<PortPool>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) tasks: TaskTracker,
    /// Bounds how many call records are being retried at the same time.
    pub(crate) unrecorded: Semaphore,
    /// Cancelled when a shutdown runs out of time: tasks stop retrying call records.
    pub(crate) give_up: CancellationToken,
}
