//! Why the SIP stack rejects a message before the application sees it.

use crate::message::{DropReason, SyntaxError};

/// Why a message was rejected or dropped. [`RejectReason::name`] is stable and serves as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the name of each reason explains it, see `name`")]
pub enum RejectReason {
    Unparsable(DropReason),
    Malformed(SyntaxError),
    /// Malformed, and without what a response needs.
    Unanswerable(SyntaxError),
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
    SessionIntervalTooSmall,
    UnknownSubscription,
    UnknownProvisional,
    UnknownInfoPackage,
    CallTableFull,
    TransactionTableFull,
    CallTransactionsFull,
    HeadersTooLarge,
    StrayResponse,
}

impl RejectReason {
    /// The name in snake case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unparsable(DropReason::KeepAlive) => "keep_alive",
            Self::Unparsable(DropReason::TooLong) => "too_long",
            Self::Unparsable(DropReason::NotSip) => "not_sip",
            Self::Unparsable(DropReason::BadResponse(_)) => "bad_response",
            Self::Malformed(_) => "malformed",
            Self::Unanswerable(_) => "unanswerable_request",
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
            Self::SessionIntervalTooSmall => "session_interval_too_small",
            Self::UnknownProvisional => "unknown_provisional_response",
            Self::UnknownSubscription => "unknown_subscription",
            Self::UnknownInfoPackage => "unknown_info_package",
            Self::CallTableFull => "call_table_full",
            Self::CallTransactionsFull => "call_transactions_full",
            Self::HeadersTooLarge => "headers_too_large",
            Self::TransactionTableFull => "transaction_table_full",
            Self::StrayResponse => "stray_response",
        }
    }
}
