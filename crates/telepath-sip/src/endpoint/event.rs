//! The events that an endpoint reports and the arguments and errors of its commands.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::dtmf_info::DtmfSignal;
use super::flow::{Flow, NextHop};
use super::received_invite::ReceivedInvite;
use super::referral::ReferProgress;
use super::reject_reason::RejectReason;
use crate::digest::ClientCredentials;
use crate::message::{Method, Request, SdpBody, SipUri, StatusCode, TelephoneSubscriber, Warning};

/// Identifies a call of an endpoint, from its first INVITE until [`Event::Ended`]. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallHandle(pub(crate) u64);

impl fmt::Display for CallHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event of an endpoint. Every call ends with exactly one [`Event::Ended`].
#[derive(Debug)]
pub enum Event {
    /// An INVITE arrived and 100 has been sent. Respond with `ring`, `accept`, `reject` or `challenge`.
    Incoming(Box<IncomingCall>),
    /// The ACK of our 2xx arrived.
    Confirmed {
        /// The call.
        call: CallHandle,
        /// The caller's answer, if our 2xx carried the offer (RFC 3261 section 13.2.1).
        answer: Option<SdpBody>,
    },
    /// A re-INVITE (RFC 3261 section 14) or an UPDATE with an offer (RFC 3311) arrived. Respond with
    /// `accept_reinvite` or `reject_reinvite`.
    ReInvite {
        /// The call.
        call: CallHandle,
        /// The method of the request.
        method: ReInviteMethod,
        /// The offer; `None` asks us for an offer in the 2xx.
        offer: Option<SdpBody>,
    },
    /// The peer cancelled its re-INVITE, which has been answered with 487.
    ReInviteCancelled {
        /// The call.
        call: CallHandle,
    },
    /// A final response to [`super::Endpoint::request`] arrived.
    Response {
        /// The call.
        call: CallHandle,
        /// The method of the request.
        method: Method,
        /// The status.
        status: StatusCode,
        /// The reason phrase as received.
        phrase: String,
        /// The peer's answer, if the request had an offer and the response is a 2xx.
        answer: Option<SdpBody>,
    },
    /// A REFER has made progress.
    Refer {
        /// The call.
        call: CallHandle,
        /// What is known now.
        progress: ReferProgress,
    },
    /// The session timer has refreshed the session (RFC 4028).
    SessionRefreshed {
        /// The call.
        call: CallHandle,
        /// The peer's answer if the refresh was a re-INVITE. Our offer was the description that is in effect, but the answer
        /// may differ from the previous one.
        answer: Option<SdpBody>,
    },
    /// An INFO with a DTMF signal arrived and has been answered with 200.
    Dtmf {
        /// The call.
        call: CallHandle,
        /// The signal.
        signal: DtmfSignal,
    },
    /// A provisional response above 100 to our INVITE arrived.
    Ringing {
        /// The call.
        call: CallHandle,
        /// The status, for example 180 or 183.
        status: StatusCode,
        /// SDP for early media.
        early: Option<SdpBody>,
    },
    /// A 2xx to our INVITE arrived and the ACK has been sent.
    Answered {
        /// The call.
        call: CallHandle,
        /// The callee's SDP.
        answer: Option<SdpBody>,
    },
    /// The call has ended and its handle is no longer valid.
    Ended {
        /// The call.
        call: CallHandle,
        /// How it ended.
        end: DialogEnd,
        /// The Reason headers (RFC 3326) of the peer's BYE or CANCEL, at most 256 characters.
        reason: Option<String>,
    },
    /// A message was rejected or dropped.
    Rejected {
        /// Why.
        reason: RejectReason,
        /// The sender.
        source: SocketAddr,
        /// The status of the response; `None` when there was none.
        status: Option<StatusCode>,
        /// The INVITE, if it was outside a dialog.
        invite: Option<ReceivedInvite>,
        /// The call to which the message belongs.
        call: Option<CallHandle>,
    },
}

/// A new incoming call.
#[derive(Debug)]
pub struct IncomingCall {
    /// The call.
    pub call: CallHandle,
    /// The flow over which the INVITE arrived; its remote address is the source.
    pub flow: Flow,
    /// The INVITE.
    pub request: Arc<Request>,
    /// The offer; `None` means that our 2xx must carry one.
    pub offer: Option<SdpBody>,
}

impl IncomingCall {
    /// The user part of From.
    pub fn caller(&self) -> Option<TelephoneSubscriber> {
        TelephoneSubscriber::of(self.request.from().uri())
    }

    /// The user part of the Request-URI.
    pub fn called(&self) -> Option<TelephoneSubscriber> {
        TelephoneSubscriber::of(self.request.uri())
    }
}

/// The method of a request that modifies a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReInviteMethod {
    /// INVITE within the dialog (RFC 3261 section 14).
    Invite,
    /// UPDATE (RFC 3311).
    Update,
}

/// How the dialog of a call ended, or why its INVITE never created one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialogEnd {
    /// The peer sent BYE.
    ByeReceived,
    /// We sent BYE.
    ByeSent {
        /// Whether the peer sent a final response to it before timer F fired.
        confirmed: bool,
    },
    /// The INVITE was cancelled, by the caller's CANCEL or by ours.
    Cancelled,
    /// We rejected the INVITE with this status.
    RejectedByUs(StatusCode),
    /// We sent 401 with a challenge; the next INVITE is a new call.
    Challenged,
    /// The peer answered a request within the dialog with 481 or 408, or not at all, so we sent BYE (RFC 3261
    /// section 12.2.1.2).
    PeerLost,
    /// No PRACK for our reliable provisional response arrived within 64*T1, so we rejected the INVITE (RFC 3262 section 3).
    PrackTimeout,
    /// The session was not refreshed in time, so we sent BYE (RFC 4028 section 10).
    SessionExpired,
    /// No ACK for our 2xx arrived within 64*T1, so we sent BYE (RFC 3261 section 13.3.1.4).
    AckTimeout,
    /// The peer rejected our INVITE.
    RejectedByPeer {
        /// The status code.
        status: StatusCode,
        /// The reason phrase as received.
        phrase: String,
    },
    /// No response to our INVITE arrived before timer B fired.
    InviteTimeout,
    /// The connection over which our INVITE was sent failed or was closed before a final response. This is treated like a 503
    /// (RFC 3261 section 8.1.3.1).
    ConnectionFailed,
}

/// The final response that rejects a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InviteRejection {
    /// The status; below 300 it is sent as 500.
    pub status: StatusCode,
    /// The value of Retry-After.
    pub retry_after: Option<RetryAfter>,
    /// The Warning header.
    pub warning: Option<Warning>,
    /// Whether the response is sent once, and not repeated until its ACK. A response that follows a provisional one is
    /// repeated in any case, because the caller no longer repeats its INVITE.
    pub once: bool,
}

impl InviteRejection {
    /// A rejection without further headers.
    pub fn of(status: StatusCode) -> Self {
        Self { status, retry_after: None, warning: None, once: false }
    }
}

/// The value of Retry-After, sent in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub Duration);

/// The call has ended or is not in a state that allows the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("call {0} is not in a state that allows this command")]
pub struct WrongCallState(pub CallHandle);

/// A limit of [`super::EndpointLimits`] is reached, so no call can be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the endpoint has reached its limit of calls or transactions")]
pub struct EndpointFull;

/// An outgoing call to place.
#[derive(Clone)]
pub struct OutgoingCall {
    /// The callee, for the Request-URI and To.
    pub target: SipUri,
    /// Where the INVITE is sent: the resolved target or a proxy.
    pub next_hop: NextHop,
    /// The caller, for From.
    pub from: SipUri,
    /// The offer; `None` leaves the offer to the callee.
    pub offer: Option<SdpBody>,
    /// The answer to a digest challenge.
    pub credentials: Option<ClientCredentials>,
}
