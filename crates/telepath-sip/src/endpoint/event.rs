//! What an endpoint reports and what it is asked for: the closed set of things that can happen to a call, and
//! the names of the rules by which a message was turned away.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::digest::ClientCredentials;
use crate::message::{DropReason, Flaw, Request, SessionDescription, SipUri, StatusCode};

/// One call of this endpoint, from its first INVITE until [`Event::Ended`]. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallHandle(pub(crate) u64);

impl fmt::Display for CallHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// The bytes; shared with the retransmission state.
    pub payload: Arc<[u8]>,
}

/// Something that happened. Every call ends in exactly one [`Event::Ended`].
#[derive(Debug)]
pub enum Event {
    /// Somebody calls; 100 is sent already. Answer with `ring`, `accept`, `reject` or `challenge`.
    Incoming(Box<IncomingCall>),
    /// The caller has our 2xx. `answer` holds the caller's SDP when ours was the offer.
    Confirmed {
        /// The call.
        call: CallHandle,
        /// The answer to a late offer.
        answer: Option<SessionDescription>,
    },
    /// The peer wants to change the session. Answer with `accept_reinvite` or `reject_reinvite`.
    ReInvite {
        /// The call.
        call: CallHandle,
        /// By which method.
        method: ReInviteMethod,
        /// The new offer; `None` asks us to make one.
        offer: Option<SessionDescription>,
    },
    /// The peer took its re-INVITE back before it was answered; it is answered now.
    ReInviteCancelled {
        /// The call.
        call: CallHandle,
    },
    /// Mid-call information, answered already.
    Info(Info),
    /// A call of ours rings at the far end.
    Ringing {
        /// The call.
        call: CallHandle,
        /// 180, 183 or another provisional status.
        status: StatusCode,
        /// SDP of early media.
        early: Option<SessionDescription>,
    },
    /// A call of ours was answered; the ACK is sent.
    Answered {
        /// The call.
        call: CallHandle,
        /// The answer.
        answer: Option<SessionDescription>,
    },
    /// The call is over; its handle is not known any more.
    Ended {
        /// The call.
        call: CallHandle,
        /// How it ended.
        end: DialogEnd,
    },
    /// A message was rejected or dropped.
    Rejected {
        /// Why.
        reason: RejectReason,
        /// Who sent it.
        source: SocketAddr,
        /// The status of the response; `None` when there was none.
        status: Option<StatusCode>,
    },
}

/// A call that comes in.
#[derive(Debug)]
pub struct IncomingCall {
    /// The call.
    pub call: CallHandle,
    /// Where the INVITE came from.
    pub source: SocketAddr,
    /// The INVITE.
    pub request: Arc<Request>,
    /// The offer; `None` means that our 2xx must carry one.
    pub offer: Option<SessionDescription>,
}

impl IncomingCall {
    /// Who calls: the user part of From.
    pub fn caller(&self) -> Option<String> {
        self.request.from().uri().user()
    }

    /// Who is called: the user part of the Request-URI.
    pub fn called(&self) -> Option<String> {
        self.request.uri().user()
    }
}

/// The body of an INFO.
#[derive(Debug)]
pub struct Info {
    /// The call.
    pub call: CallHandle,
    /// The media type, lower-cased, for example `application/dtmf-relay`.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// How a change of session is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReInviteMethod {
    /// INVITE within the call.
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
}

/// The rules by which messages are turned away. [`RejectReason::name`] is stable and meant for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the name of each rule is its explanation; see `name`")]
pub enum RejectReason {
    Unparsable(DropReason),
    Malformed(Flaw),
    UnknownMethod,
    MethodNotAllowed,
    CSeqMismatch,
    UnsupportedScheme,
    HeadersInRequestUri,
    TooManyHops,
    LoopedRequest,
    MergedRequest,
    UnsupportedExtension,
    UnsupportedContent,
    SdpNotAcceptable,
    MissingFromTag,
    MissingContact,
    UnknownDialog,
    UnknownTransaction,
    CSeqNotAdvanced,
    ReInvitePending,
    CallTableFull,
    TransactionTableFull,
    StrayResponse,
}

impl RejectReason {
    /// A short name in snake case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unparsable(DropReason::KeepAlive) => "keep_alive",
            Self::Unparsable(DropReason::TooLong) => "too_long",
            Self::Unparsable(DropReason::NotSip) => "not_sip",
            Self::Unparsable(DropReason::BadResponse(_)) => "bad_response",
            Self::Unparsable(DropReason::BadRequest(_)) => "unanswerable_request",
            Self::Malformed(_) => "malformed",
            Self::UnknownMethod => "unknown_method",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::CSeqMismatch => "cseq_mismatch",
            Self::UnsupportedScheme => "unsupported_scheme",
            Self::HeadersInRequestUri => "headers_in_request_uri",
            Self::TooManyHops => "too_many_hops",
            Self::LoopedRequest => "looped_request",
            Self::MergedRequest => "merged_request",
            Self::UnsupportedExtension => "unsupported_extension",
            Self::UnsupportedContent => "unsupported_content",
            Self::SdpNotAcceptable => "sdp_not_acceptable",
            Self::MissingFromTag => "missing_from_tag",
            Self::MissingContact => "missing_contact",
            Self::UnknownDialog => "unknown_dialog",
            Self::UnknownTransaction => "unknown_transaction",
            Self::CSeqNotAdvanced => "cseq_not_advanced",
            Self::ReInvitePending => "reinvite_pending",
            Self::CallTableFull => "call_table_full",
            Self::TransactionTableFull => "transaction_table_full",
            Self::StrayResponse => "stray_response",
        }
    }
}

/// How long the peer should wait before it tries again; sent in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub Duration);

/// The command does not fit the state the call is in, or the call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("call {0} is not in a state for this command")]
pub struct WrongCallState(pub CallHandle);

/// A call could not be started because a bound of [`super::EndpointLimits`] is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for another call")]
pub struct EndpointFull;

/// A call to place.
#[derive(Clone)]
pub struct OutgoingCall {
    /// Whom to call; becomes Request-URI and To.
    pub target: SipUri,
    /// Where the INVITE is sent: the target resolved, or a proxy.
    pub via: SocketAddr,
    /// Who calls; becomes From.
    pub from: SipUri,
    /// The offer; `None` leaves the offer to the callee.
    pub offer: Option<SessionDescription>,
    /// Used when the peer asks who we are.
    pub credentials: Option<ClientCredentials>,
}

/// How much is alive, so that a test can see that nothing is left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EndpointCounts {
    /// Calls.
    pub calls: usize,
    /// Dialogs and half-made dialogs that can be found by their tags.
    pub dialogs: usize,
    /// Server transactions, finished ones that absorb retransmissions included.
    pub server_transactions: usize,
    /// Client transactions.
    pub client_transactions: usize,
    /// Deadlines.
    pub timers: usize,
}

/// Which way a traced message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceDirection {
    /// To us.
    Received,
    /// From us.
    Sent,
}

/// One message of a call, secrets removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRecord {
    /// The call.
    pub call: CallHandle,
    /// When it passed.
    pub at: Instant,
    /// Which way.
    pub direction: TraceDirection,
    /// The peer.
    pub peer: SocketAddr,
    /// The message as text, see [`crate::redact`].
    pub text: String,
}
