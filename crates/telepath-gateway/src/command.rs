//! The messages between the signalling task and the tasks of the calls: [`Command`] towards the SIP endpoint,
//! [`CarrierEvent`] from it.

use telepath_core::network_set::NetworkSet;
use telepath_core::ports::ControlUnavailable;
use telepath_core::trunk::TrunkForCall;
use telepath_sip::message::{SdpBody, StatusCode};
use telepath_sip::{CallHandle, DialogEnd, EndpointCounts};
use tokio::sync::oneshot;

use crate::reject_reason::InviteRejectReason;

/// A request to the signalling task, from a call or from the gateway.
#[derive(Debug)]
pub(crate) enum Command {
    /// The control plane has looked up the trunk of a pending INVITE.
    TrunkLookedUp(CallHandle, Box<Result<Option<TrunkForCall>, ControlUnavailable>>),
    /// The networks whose INVITEs need no credentials.
    TrustNetworks(Box<NetworkSet>),
    /// Send 180.
    Ring(CallHandle),
    /// Send 200.
    Accept(CallHandle, SdpBody),
    /// Reject a ringing call.
    Reject(CallHandle, InviteRejectReason),
    /// End a call in whatever state it is: 480, CANCEL or BYE.
    HangUp(CallHandle),
    /// Accept a re-INVITE or UPDATE.
    AcceptReInvite(CallHandle, SdpBody),
    /// Reject a re-INVITE or UPDATE; the session stays as it is.
    RejectReInvite(CallHandle, StatusCode),
    /// The task of the call has ended: remove the call and return its SIP trace.
    Release(CallHandle, oneshot::Sender<String>),
    /// Reject every new call.
    Drain,
    /// Return the number of live objects.
    Count(oneshot::Sender<EndpointCounts>),
    /// Stop the signalling task.
    Stop,
}

/// What the signalling task reports to the task of a call.
#[derive(Debug)]
pub(crate) enum CarrierEvent {
    /// The ACK of our 200 arrived. It carries the caller's SDP answer if our 200 carried the offer.
    Confirmed(Option<SdpBody>),
    /// A re-INVITE or UPDATE; `None` asks us for an offer.
    ReInvite(Option<SdpBody>),
    /// The dialog has ended.
    Ended(DialogEnd),
}
