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
    Incoming(Box<Incoming>),
    /// The caller has our 2xx. `answer` holds the caller's SDP when ours was the offer.
    Confirmed {
        /// The call.
        call: CallHandle,
        /// The answer to a late offer.
        answer: Option<SessionDescription>,
    },
    /// The peer wants to change the session. Answer with `answer_reoffer` or `reject_reoffer`.
    Reoffer {
        /// The call.
        call: CallHandle,
        /// By which method.
        kind: ReofferKind,
        /// The new offer; `None` asks us to make one.
        offer: Option<SessionDescription>,
    },
    /// The peer took its re-INVITE back before it was answered; it is answered now.
    ReofferWithdrawn {
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
        /// Why.
        cause: EndCause,
    },
    /// A message was turned away or dropped.
    Rejected(Rejection),
}

/// A call that comes in.
#[derive(Debug)]
pub struct Incoming {
    /// The call.
    pub call: CallHandle,
    /// Where the INVITE came from.
    pub source: SocketAddr,
    /// The INVITE.
    pub request: Arc<Request>,
    /// The offer; `None` means that our 2xx must carry one.
    pub offer: Option<SessionDescription>,
}

impl Incoming {
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
pub enum ReofferKind {
    /// INVITE within the call.
    ReInvite,
    /// UPDATE (RFC 3311).
    Update,
}

/// Why a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// The peer sent BYE.
    RemoteHangUp,
    /// We hung up; `confirmed` tells whether the peer answered our BYE.
    LocalHangUp {
        /// A final answer to the BYE came.
        confirmed: bool,
    },
    /// The caller took the INVITE back, or we ours.
    Cancelled,
    /// We refused the call.
    Rejected(StatusCode),
    /// We asked for credentials; a new INVITE is a new call.
    Challenged,
    /// Our 2xx was never acknowledged; a BYE was sent.
    AckTimeout,
    /// The peer refused our call.
    Refused(Refusal),
    /// The peer never answered our INVITE.
    NoAnswer,
}

/// A final answer that refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: StatusCode,
    /// The reason phrase as sent.
    pub reason: String,
}

/// A message that was turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// By which rule.
    pub rule: RejectReason,
    /// Who sent it.
    pub source: SocketAddr,
    /// What it was answered with; `None` when it was dropped.
    pub status: Option<StatusCode>,
}

/// The rules by which messages are turned away. [`RejectReason::name`] is stable and meant for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the name of each rule is its explanation; see `name`")]
pub enum RejectReason {
    Unreadable(DropReason),
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
    SessionChangePending,
    CallTableFull,
    TransactionTableFull,
    StrayResponse,
}

impl RejectReason {
    /// A short name in snake case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable(DropReason::KeepAlive) => "keep_alive",
            Self::Unreadable(DropReason::TooLong) => "too_long",
            Self::Unreadable(DropReason::NotSip) => "not_sip",
            Self::Unreadable(DropReason::BadResponse(_)) => "bad_response",
            Self::Unreadable(DropReason::BadRequest(_)) => "unanswerable_request",
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
            Self::SessionChangePending => "session_change_pending",
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
pub struct NotInThisState(pub CallHandle);

/// A call could not be started because a bound of [`super::Limits`] is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for another call")]
pub struct OverLimit;

/// A call to place.
#[derive(Clone)]
pub struct ClientInvite {
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
pub struct Counts {
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
pub enum Direction {
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
    pub direction: Direction,
    /// The peer.
    pub peer: SocketAddr,
    /// The message as text, see [`crate::redact`].
    pub text: String,
}
