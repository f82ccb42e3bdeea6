//! Our requests within a dialog (RFC 3261 section 12.2.1). BYE is in `teardown`.

use super::method_class::ClientMethod;
use super::referral::ReferRequest;
use super::response::ACCEPT;
use super::timer::TimerId;
use crate::message::SdpBody;

/// A request to send within the dialog of an established call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialogRequest {
    /// A re-INVITE with an offer (RFC 3261 section 14.1).
    ReInvite(SdpBody),
    /// An UPDATE (RFC 3311), with an offer or without one. Without one it is also sent before the call is answered.
    Update(Option<SdpBody>),
    /// An INFO (RFC 6086).
    Info {
        /// The media type of the body.
        content_type: String,
        /// The body.
        body: Vec<u8>,
    },
    /// An OPTIONS, whose response shows whether the dialog is alive.
    Options,
    /// A REFER (RFC 3515). Its progress is reported as [`crate::Event::Refer`].
    Refer(ReferRequest),
}

impl DialogRequest {
    pub(super) fn method(&self) -> ClientMethod {
        match self {
            Self::ReInvite(_) => ClientMethod::Invite,
            Self::Update(_) => ClientMethod::Update,
            Self::Info { .. } => ClientMethod::Info,
            Self::Options => ClientMethod::Options,
            Self::Refer(_) => ClientMethod::Refer,
        }
    }

    pub(super) fn offer(&self) -> Option<&SdpBody> {
        match self {
            Self::ReInvite(offer) => Some(offer),
            Self::Update(offer) => offer.as_ref(),
            Self::Info { .. } | Self::Options | Self::Refer(_) => None,
        }
    }

    /// Whether it may have a session timer (RFC 4028 section 7.4).
    pub(super) fn refreshes(&self) -> bool {
        match self {
            Self::ReInvite(_) | Self::Update(_) => true,
            Self::Info { .. } | Self::Options | Self::Refer(_) => false,
        }
    }

    pub(super) fn body(&self) -> &[u8] {
        match self {
            Self::Info { body, .. } => body,
            Self::ReInvite(_) | Self::Update(_) | Self::Options | Self::Refer(_) => {
                self.offer().map_or(&[], SdpBody::as_bytes)
            }
        }
    }

    pub(super) fn content_type(&self) -> Option<&str> {
        match self {
            Self::Info { content_type, .. } => Some(content_type),
            Self::ReInvite(_) | Self::Update(_) | Self::Options | Self::Refer(_) => {
                self.offer().map(|_| ACCEPT)
            }
        }
    }
}

/// Why a request cannot be sent within a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The call has ended or is not established.
    #[error("the call is not established")]
    NotEstablished,
    /// An offer of either side has no answer yet (RFC 3264 section 4).
    #[error("another offer has no answer yet")]
    OfferPending,
    /// A REFER has no result yet.
    #[error("a REFER has no result yet")]
    ReferPending,
    /// Too many requests wait for a response.
    #[error("too many requests wait for a response")]
    TooManyPending,
}

/// A request of ours that waits for its final response.
pub(super) struct PendingRequest {
    pub(super) request: DialogRequest,
    /// Whether the session timer sent it.
    pub(super) is_refresh: bool,
    pub(super) branch: String,
    pub(super) cseq: u32,
    /// Attempts with credentials.
    pub(super) auth_attempts: u8,
    /// Attempts after a 491 or a 422.
    pub(super) repetitions: u8,
}

impl PendingRequest {
    pub(super) fn new(request: DialogRequest, is_refresh: bool) -> Self {
        Self { request, is_refresh, branch: String::new(), cseq: 0, auth_attempts: 0, repetitions: 0 }
    }
}

/// A request that collided with one of the peer and is sent again later.
pub(super) struct BackedOffRequest {
    pub(super) pending: PendingRequest,
    pub(super) timer: TimerId,
}
