//! Our side of offer and answer for one call: the version of our description, and the offer of ours that waits for the
//! caller's answer (RFC 3264, RFC 3261 section 13.2.1).

use std::net::SocketAddr;

use telepath_media::codec::Codec;
use telepath_media::rtp::PayloadType;
use telepath_media::sdp::{self, Direction, LocalMedia, Negotiated, NegotiationError, SessionId};
use telepath_sip::message::SessionDescription;

#[derive(Debug)]
pub(super) struct SdpState {
    address: SocketAddr,
    session: SessionId,
    codecs: Vec<Codec>,
    pending: Option<sdp::SessionDescription>,
}

impl SdpState {
    pub(super) fn new(address: SocketAddr, session: u32, codecs: Vec<Codec>) -> Self {
        Self { address, session: SessionId { id: session, version: 0 }, codecs, pending: None }
    }

    /// Answers the caller's offer.
    pub(super) fn answer(
        &mut self,
        offer: &sdp::SessionDescription,
    ) -> Result<(SessionDescription, Negotiated), NegotiationError> {
        // A new offer of the caller's supersedes one of ours that it took back.
        self.pending = None;
        let local = self.local();
        let (answer, agreed) = sdp::answer(offer, &self.codecs, local)?;
        Ok((wire(&answer), agreed))
    }

    /// Makes an offer; its answer comes in the ACK. What is returned beside it holds until then.
    pub(super) fn offer(&mut self) -> (SessionDescription, Negotiated) {
        let local = self.local();
        let offer = sdp::offer(&self.codecs, local);
        let text = wire(&offer);
        self.pending = Some(offer);
        let codec = self.codecs.first().copied().unwrap_or(Codec::Pcmu);
        let until_then = Negotiated {
            codec,
            payload_type: codec.static_payload_type(),
            telephone_event: Some(PayloadType::TELEPHONE_EVENT),
            remote: None,
            direction: Direction::SendRecv,
            peer_ptime_ms: None,
        };
        (text, until_then)
    }

    /// Whether an offer of ours waits for its answer.
    pub(super) fn awaits_answer(&self) -> bool {
        self.pending.is_some()
    }

    /// Reads the answer to our offer; `None` when it does not fit.
    pub(super) fn accept(&mut self, answer: &SessionDescription) -> Option<Negotiated> {
        let offer = self.pending.take()?;
        let answer = sdp::SessionDescription::parse(answer.as_bytes()).ok()?;
        sdp::accept_answer(&offer, &answer).ok()
    }

    fn local(&mut self) -> LocalMedia {
        self.session.version = self.session.version.wrapping_add(1);
        LocalMedia { address: self.address, session: self.session, direction: Direction::SendRecv }
    }
}

fn wire(description: &sdp::SessionDescription) -> SessionDescription {
    SessionDescription::new(description.to_string())
}
