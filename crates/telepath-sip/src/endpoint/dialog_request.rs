//! Our requests within a dialog (RFC 3261 section 12.2.1): what they contain, and when they may be sent. BYE is in `teardown`.

use super::call::{Call, CallState};
use super::method_class::ClientMethod;
use super::refer::ReferRequest;
use super::response::ACCEPT;
use super::timer::TimerId;
use crate::message::SdpBody;

/// Our requests of one call that wait for a final response.
const MAX_PENDING_REQUESTS: usize = 8;

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
    /// A REFER (RFC 3515). Its progress is reported as [`Event::Refer`].
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

impl Call {
    /// Whether an offer of ours has no answer yet.
    pub(super) fn has_offer_pending(&self) -> bool {
        self.requests.iter().any(|pending| pending.request.offer().is_some())
    }

    /// Whether neither side may send an offer.
    fn is_negotiating(&self) -> bool {
        self.has_offer_pending()
            || self.backed_off.is_some()
            || self.reinvite.is_some()
            || self.unacked.is_some()
    }

    /// Whether a request can be sent now.
    pub(super) fn permits(&self, request: &DialogRequest) -> Result<(), RequestError> {
        let early = match (&self.state, request) {
            (CallState::Established, _) => false,
            (CallState::Incoming(_), DialogRequest::Update(None)) => true,
            (CallState::Incoming(_) | CallState::Outgoing(_) | CallState::Ending(_), _) => {
                return Err(RequestError::NotEstablished);
            }
        };
        if early && !self.peer_allows_update {
            return Err(RequestError::NotEstablished);
        }
        if request.offer().is_some() && self.is_negotiating() {
            return Err(RequestError::OfferPending);
        }
        if matches!(request, DialogRequest::Refer(_)) && self.referral.is_some() {
            return Err(RequestError::ReferPending);
        }
        if self.requests.len() >= MAX_PENDING_REQUESTS {
            return Err(RequestError::TooManyPending);
        }
        Ok(())
    }
}
