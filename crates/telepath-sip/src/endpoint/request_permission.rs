//! When a request may be sent within a dialog.

use super::call::{Call, CallState};
use super::dialog_request::{DialogRequest, RequestError};

/// Our requests of one call that wait for a final response.
const MAX_PENDING_REQUESTS: usize = 8;

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
