//! The state of a call: its dialog, the state of its INVITE, and the requests that wait for us or for the peer. The
//! commands that change it are in `uas`, `uac`, `in_dialog`, `ack` and `teardown`.

use std::sync::Arc;
use std::time::Duration;

use super::dialog::Dialog;
use super::dialog_request::{BackedOffRequest, PendingRequest};
use super::event::{DialogEnd, OutgoingCall, ReInviteMethod};
use super::flow::{Flow, ResponseRoute};
use super::provisional_state::{EarlyDialog, ReliableProvisional};
use super::referral::Referral;
use super::server_transaction::ServerId;
use super::session_deadlines::SessionDeadlines;
use super::session_timer::{SessionState, SessionTimerRequest};
use super::timer::TimerId;
use crate::digest::ClientCredentials;
use crate::message::{Headers, KnownHeader, Method, Reason, SdpBody, Uri};

pub(super) struct Call {
    pub(super) dialog: Dialog,
    pub(super) state: CallState,
    pub(super) unacked: Option<UnackedSuccess>,
    pub(super) reinvite: Option<PendingReInvite>,
    /// A callee must not send BYE before the ACK arrives (RFC 3261 section 15).
    pub(super) hang_up_after_ack: bool,
    /// The Reason of our BYE.
    pub(super) bye_reason: Option<Reason>,
    /// The Reason of the peer's BYE or CANCEL.
    pub(super) peer_reason: Option<String>,
    /// Whether we sent the INVITE that created the dialog.
    pub(super) we_placed: bool,
    /// Whether the peer's latest Allow lists UPDATE.
    pub(super) peer_allows_update: bool,
    /// The credentials for our requests.
    pub(super) credentials: Option<ClientCredentials>,
    /// Our latest session description that is in effect.
    pub(super) local_description: Option<SdpBody>,
    pub(super) session: SessionState,
    pub(super) session_deadlines: SessionDeadlines,
    /// Our requests that wait for a final response.
    pub(super) requests: Vec<PendingRequest>,
    pub(super) backed_off: Option<BackedOffRequest>,
    pub(super) referral: Option<Referral>,
    pub(super) reliable: Option<ReliableProvisional>,
}

pub(super) enum CallState {
    /// The caller's INVITE waits for our final response.
    Incoming(IncomingInvite),
    /// Our INVITE waits for a final response.
    Outgoing(Box<OutgoingInvite>),
    Established,
    /// Our BYE waits for its response.
    Ending(DialogEnd),
}

/// The caller's INVITE, while it has no final response.
#[derive(Clone, Copy)]
pub(super) struct IncomingInvite {
    pub(super) transaction: ServerId,
    pub(super) cseq: u32,
    pub(super) session: SessionTimerRequest,
    pub(super) has_offer: bool,
    /// Whether it requires reliable provisional responses (RFC 3262).
    pub(super) requires_reliable: bool,
}

/// Our INVITE, while it has no final response.
pub(super) struct OutgoingInvite {
    pub(super) call: OutgoingCall,
    pub(super) uri: Uri,
    /// The flow of the latest INVITE.
    pub(super) flow: Flow,
    /// The branch of the latest INVITE.
    pub(super) branch: String,
    /// INVITEs sent with credentials.
    pub(super) auth_attempts: u8,
    /// INVITEs sent after a 422.
    pub(super) session_attempts: u8,
    /// Whether a provisional response to the latest INVITE has arrived.
    pub(super) provisional: bool,
    pub(super) cancel: CancelState,
    pub(super) cancel_timeout: Option<TimerId>,
    /// The dialogs of reliable provisional responses.
    pub(super) early: Vec<EarlyDialog>,
}

impl OutgoingInvite {
    pub(super) fn new(call: OutgoingCall, uri: Uri, flow: Flow, branch: String) -> Self {
        Self {
            call,
            uri,
            flow,
            branch,
            auth_attempts: 0,
            session_attempts: 0,
            provisional: false,
            cancel: CancelState::NotRequested,
            cancel_timeout: None,
            early: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CancelState {
    NotRequested,
    /// CANCEL must wait for the first provisional response (RFC 3261 section 9.1).
    Requested,
    Sent,
}

/// Our 2xx, while its ACK has not arrived.
pub(super) struct UnackedSuccess {
    /// The `CSeq` number of the INVITE and its ACK.
    pub(super) cseq: u32,
    pub(super) payload: Arc<[u8]>,
    pub(super) route: ResponseRoute,
    pub(super) interval: Duration,
    pub(super) retransmit: TimerId,
    pub(super) timeout: TimerId,
}

/// A re-INVITE or UPDATE that waits for our final response.
#[derive(Clone, Copy)]
pub(super) struct PendingReInvite {
    pub(super) transaction: ServerId,
    pub(super) method: ReInviteMethod,
    pub(super) cseq: u32,
    pub(super) session: SessionTimerRequest,
}

impl Call {
    pub(super) fn new(dialog: Dialog, state: CallState, session: SessionState) -> Self {
        Self {
            dialog,
            session,
            we_placed: matches!(state, CallState::Outgoing(_)),
            state,
            unacked: None,
            reinvite: None,
            hang_up_after_ack: false,
            bye_reason: None,
            peer_reason: None,
            peer_allows_update: false,
            credentials: None,
            local_description: None,
            session_deadlines: SessionDeadlines::default(),
            requests: Vec::new(),
            backed_off: None,
            referral: None,
            reliable: None,
        }
    }

    /// Notes the methods that the peer allows, if a message lists them.
    pub(super) fn note_allowed(&mut self, headers: &Headers) {
        if headers.first(KnownHeader::Allow).is_some() {
            self.peer_allows_update = headers.lists(KnownHeader::Allow, Method::Update.as_str());
        }
    }
}
