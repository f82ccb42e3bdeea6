//! The messages between the signalling task and the tasks of the calls: [`Command`] towards the SIP endpoint,
//! [`CarrierEvent`] from it.

use std::net::SocketAddr;

use telepath_core::call::DisconnectReason;
use telepath_core::clock::Timestamp;
use telepath_core::network_set::NetworkSet;
use telepath_core::ports::ControlUnavailable;
use telepath_core::trunk::TrunkMatch;
use telepath_sip::digest::Credentials;
use telepath_sip::message::{SdpBody, StatusCode};
use telepath_sip::{CallHandle, DialogEnd, EndpointCounts, ReceivedInvite, ReferProgress, ReferRequest};
use tokio::sync::oneshot;

use crate::pending_lookups::LookupPlace;
use crate::reject_reason::InviteRejectReason;

/// A request to the signalling task, from a call or from the gateway.
#[derive(Debug)]
pub(crate) enum Command {
    /// The control plane has looked up the trunk of a pending INVITE.
    TrunkLookedUp(CallHandle, LookupPlace, Box<Result<TrunkMatch, ControlUnavailable>>),
    /// The control plane has looked up the trunk of an INVITE that the endpoint rejected.
    RejectedInviteLookedUp(Box<RejectedInvite>, LookupPlace, Box<Result<TrunkMatch, ControlUnavailable>>),
    /// The networks whose INVITEs need no credentials.
    TrustNetworks(Box<NetworkSet>),
    /// Send 180.
    Ring(CallHandle),
    /// Send 200.
    Accept(CallHandle, SdpBody),
    /// Reject a ringing call.
    Reject(CallHandle, InviteRejectReason),
    /// End a call in any state: 480, CANCEL or BYE. The BYE carries the reason.
    HangUp(CallHandle, DisconnectReason),
    /// Accept a re-INVITE or UPDATE. [`CarrierEvent::ReInviteAccepted`] or [`CarrierEvent::ReInviteWithdrawn`] follows.
    AcceptReInvite(CallHandle, SdpBody),
    /// Reject a re-INVITE or UPDATE; the session stays as it is.
    RejectReInvite(CallHandle, InviteRejectReason),
    /// Send REFER. [`CarrierEvent::Refer`] follows.
    Refer(CallHandle, Box<ReferRequest>),
    /// The task of the call has ended: remove the call and return what is left of it.
    Release(CallHandle, oneshot::Sender<ReleasedCall>),
    /// Reject every new call.
    Drain,
    /// Return the number of live objects.
    Count(oneshot::Sender<EndpointCounts>),
    /// Stop the signalling task.
    Stop,
}

/// An INVITE that the endpoint rejected before it became a call, and whose sender may be known.
#[derive(Debug)]
pub(crate) struct RejectedInvite {
    pub(crate) invite: ReceivedInvite,
    pub(crate) source: SocketAddr,
    pub(crate) arrived: Timestamp,
    pub(crate) rule: &'static str,
    /// The status of the response, if there was one.
    pub(crate) status: Option<StatusCode>,
    pub(crate) credentials: Option<Box<Credentials>>,
}

/// What the signalling task knows of a call at its end.
#[derive(Debug, Default)]
pub(crate) struct ReleasedCall {
    /// The SIP messages.
    pub(crate) trace: String,
    /// The Reason headers of the caller's BYE or CANCEL.
    pub(crate) peer_reason: Option<String>,
}

/// What the signalling task reports to the task of a call.
#[derive(Debug)]
pub(crate) enum CarrierEvent {
    /// The ACK of our 200 arrived. It carries the caller's SDP answer if our 200 carried the offer.
    Confirmed(Option<SdpBody>),
    /// A re-INVITE or UPDATE; `None` asks us for an offer.
    ReInvite(Option<SdpBody>),
    /// Our 200 to the re-INVITE or UPDATE was sent: its session description is in effect.
    ReInviteAccepted,
    /// The re-INVITE ended before our 200 was sent, for example by CANCEL: the session stays as it is.
    ReInviteWithdrawn,
    /// An INFO with a DTMF key: `0` to `9`, `*`, `#` or `A` to `D`.
    Dtmf(char),
    /// An INFO with a hook flash.
    Flash,
    /// A re-INVITE of ours that changed nothing has been answered.
    SessionRefreshed(SdpBody),
    /// A REFER has made progress.
    Refer(ReferProgress),
    /// The dialog has ended.
    Ended(DialogEnd),
}
