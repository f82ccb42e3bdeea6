//! What is sent in a REFER (RFC 3515), and what becomes of it.

use super::timer::TimerId;
use crate::message::{Headers, KnownHeader, StatusCode, Uri};

/// A REFER to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferRequest {
    /// Whom the peer should call instead.
    pub target: Uri,
    /// Whether Referred-By (RFC 3892) names us.
    pub referred_by: bool,
}

impl ReferRequest {
    /// Adds Refer-To and Referred-By; `local` is our URI in this dialog.
    pub(super) fn add_to(&self, headers: &mut Headers, local: Option<Uri>) {
        headers.push(KnownHeader::ReferTo, format!("<{}>", self.target));
        if let Some(local) = local.filter(|_| self.referred_by) {
            headers.push(KnownHeader::ReferredBy, format!("<{local}>"));
        }
    }
}

/// The progress of a REFER. Every REFER ends with exactly one progress that is final, or with the end of its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferProgress {
    /// The peer accepted the REFER and will report its result.
    Accepted,
    /// The peer has received a provisional response from the target.
    Trying(StatusCode),
    /// Final: the target accepted the call.
    Succeeded,
    /// Final: the peer accepted the REFER but will not report its result (`Refer-Sub: false`, RFC 4488).
    Unreported,
    /// Final: the peer refused the REFER.
    Refused {
        /// The status of its response.
        status: StatusCode,
        /// The reason phrase as received.
        phrase: String,
    },
    /// Final: the peer could not reach the target.
    Failed {
        /// The target's response.
        status: StatusCode,
        /// The reason phrase as received.
        phrase: String,
    },
    /// Final: the peer ended the subscription without a result, or reported nothing for too long.
    NoResult,
}

impl ReferProgress {
    /// Whether nothing further follows.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Accepted | Self::Trying(_) => false,
            Self::Succeeded
            | Self::Unreported
            | Self::Refused { .. }
            | Self::Failed { .. }
            | Self::NoResult => true,
        }
    }
}

/// A REFER of ours that has no result yet.
pub(super) struct Referral {
    /// The `CSeq` number of the latest REFER: the id of the subscription.
    pub(super) cseq: u32,
    pub(super) timeout: TimerId,
}
