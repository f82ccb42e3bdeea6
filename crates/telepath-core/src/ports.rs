//! The few seams between rooms that do not see each other. The gateway asks the control plane through [`CallControl`];
//! the API reaches live calls through [`LiveCalls`]; only the wiring knows both sides.

use std::future::Future;
use std::pin::Pin;

use crate::call::{CallEnd, CallStart, DisconnectReason};
use crate::id::{AccountId, CallId, TrunkId};
use crate::network_set::NetworkSet;
use crate::trunk::{TrunkLookup, TrunkMatch};

/// A future behind a seam.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The control plane could not answer; the call must be refused, not guessed about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the control plane is unavailable: {0}")]
pub struct ControlUnavailable(pub String);

/// What became of a call's agent, for the events `agent.connected` and `agent.disconnected`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentNews {
    /// Its socket is open and ready.
    Connected,
    /// Its socket is closed.
    Disconnected {
        /// Why, as one word or phrase such as `call_ended` or `closed_by_agent`.
        reason: &'static str,
        /// What went wrong, if something did; without secrets.
        error_message: Option<String>,
    },
}

/// What the media plane asks of the control plane.
pub trait CallControl: Send + Sync + 'static {
    /// The trunk that an INVITE is for, whatever its status.
    fn find_trunk<'a>(
        &'a self,
        lookup: &'a TrunkLookup,
    ) -> PortFuture<'a, Result<TrunkMatch, ControlUnavailable>>;

    /// The networks in `allowed_ips` of all trunks. The gateway keeps them in memory, because it looks up no trunk for an
    /// INVITE that has neither credentials nor such a source.
    fn trusted_networks(&self) -> PortFuture<'_, Result<NetworkSet, ControlUnavailable>>;

    /// Records an answered call as live, with its event.
    fn call_started<'a>(&'a self, start: &'a CallStart) -> PortFuture<'a, Result<(), ControlUnavailable>>;

    /// Records what became of the agent of a live call, as an event.
    fn agent_news<'a>(
        &'a self,
        account: AccountId,
        call: CallId,
        trunk: TrunkId,
        news: &'a AgentNews,
    ) -> PortFuture<'a, Result<(), ControlUnavailable>>;

    /// Records a call that is over, with its event.
    fn call_ended<'a>(&'a self, end: &'a CallEnd) -> PortFuture<'a, Result<(), ControlUnavailable>>;
}

/// What the control plane asks of the media plane.
pub trait LiveCalls: Send + Sync + 'static {
    /// Asks a live call to end. `false` when the call is not live here.
    fn hang_up(&self, call: CallId, reason: DisconnectReason) -> bool;

    /// Requests the end of all live calls of a trunk. Returns their number.
    fn hang_up_trunk(&self, trunk: TrunkId, reason: DisconnectReason) -> usize;
}
