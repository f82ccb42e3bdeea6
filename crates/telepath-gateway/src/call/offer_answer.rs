//! Offer/answer of one call (RFC 3264): the version of our session description, and our pending offer whose answer comes
//! in the ACK (RFC 3261 section 13.2.1).

use std::net::SocketAddr;

use telepath_media::codec::AudioCodec;
use telepath_media::sdp::{
    self, AcceptedOffer, LocalMedia, MediaDirection, Negotiated, SessionDescription, SessionId,
};
use telepath_sip::message::{SdpBody, StatusCode};

#[derive(Debug)]
pub(super) struct OfferAnswer {
    address: SocketAddr,
    session: SessionId,
    codecs: Vec<AudioCodec>,
    pending_offer: Option<SessionDescription>,
}

impl OfferAnswer {
    /// Starts the exchange for the RTP socket at `address`. `session` identifies our session descriptions.
    pub(super) fn new(address: SocketAddr, session: u32, codecs: Vec<AudioCodec>) -> Self {
        Self { address, session: SessionId { id: session, version: 0 }, codecs, pending_offer: None }
    }

    /// Our answer to an accepted offer, and the resulting media.
    pub(super) fn answer(&mut self, offer: &AcceptedOffer) -> (SdpBody, Negotiated) {
        let local = self.next_local();
        (to_body(&offer.answer(local)), offer.negotiated())
    }

    /// Answers the offer of a re-INVITE or UPDATE.
    ///
    /// # Errors
    /// The status of the rejection: 400 if the offer is malformed, 488 if it has no common codec.
    pub(super) fn answer_reinvite(&mut self, offer: &SdpBody) -> Result<(SdpBody, Negotiated), StatusCode> {
        let offer = SessionDescription::parse(offer.as_bytes()).map_err(|_| StatusCode::BAD_REQUEST)?;
        // The caller's offer replaces ours.
        self.pending_offer = None;
        let accepted = AcceptedOffer::negotiate(offer, &self.codecs, MediaDirection::SendRecv)
            .map_err(|_| StatusCode::NOT_ACCEPTABLE_HERE)?;
        Ok(self.answer(&accepted))
    }

    /// Creates an offer whose answer comes in the ACK, and the media to assume until then.
    pub(super) fn offer(&mut self) -> (SdpBody, Negotiated) {
        let local = self.next_local();
        let offer = sdp::offer(&self.codecs, local);
        let body = to_body(&offer);
        self.pending_offer = Some(offer);
        let codec = self.codecs.first().copied().unwrap_or(AudioCodec::Pcmu);
        (body, Negotiated::proposed(codec))
    }

    /// Whether our offer has not been answered yet.
    pub(super) fn awaits_answer(&self) -> bool {
        self.pending_offer.is_some()
    }

    /// Applies the answer to our pending offer; `None` if it does not match.
    pub(super) fn accept_answer(&mut self, answer: &SdpBody) -> Option<Negotiated> {
        let offer = self.pending_offer.take()?;
        let answer = SessionDescription::parse(answer.as_bytes()).ok()?;
        sdp::accept_answer(&offer, &answer).ok()
    }

    /// Our side of the next description. Each description increments the version by one (RFC 3264 section 8).
    fn next_local(&mut self) -> LocalMedia {
        self.session.version = self.session.version.wrapping_add(1);
        LocalMedia { address: self.address, session: self.session }
    }
}

fn to_body(description: &SessionDescription) -> SdpBody {
    SdpBody::new(description.to_string())
}
