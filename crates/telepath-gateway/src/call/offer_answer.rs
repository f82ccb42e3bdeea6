//! Offer/answer of one call (RFC 3264): the version of our session description, and our pending offer whose answer comes
//! in the ACK (RFC 3261 section 13.2.1).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use telepath_media::codec::AudioCodec;
use telepath_media::sdp::{
    self, AcceptedOffer, LocalMedia, MediaDirection, Negotiated, SessionDescription, SessionId,
};
use telepath_sip::message::SdpBody;

use crate::media_policy::MediaPolicy;
use crate::reject_reason::InviteRejectReason;

#[derive(Debug)]
pub(super) struct OfferAnswer {
    port: u16,
    /// Our addresses, the one in use first.
    addresses: Vec<IpAddr>,
    policy: MediaPolicy,
    session: SessionId,
    codecs: Vec<AudioCodec>,
    pending_offer: Option<SessionDescription>,
    /// Our latest description.
    last: Option<SessionDescription>,
}

impl OfferAnswer {
    /// Starts the exchange for the RTP socket at `port`. `addresses` are those at which the socket is reached, in order of
    /// preference and at least one. `session` identifies our session descriptions, and `policy` decides which addresses of
    /// the caller are used.
    pub(super) fn new(
        port: u16,
        addresses: Vec<IpAddr>,
        session: u32,
        codecs: Vec<AudioCodec>,
        policy: MediaPolicy,
    ) -> Self {
        Self {
            port,
            addresses,
            policy,
            session: SessionId { id: session, version: 1 },
            codecs,
            pending_offer: None,
            last: None,
        }
    }

    /// Our answer to an accepted offer, and the resulting media.
    pub(super) fn answer(&mut self, offer: &AcceptedOffer) -> (SdpBody, Negotiated) {
        if let Some(at) = self.addresses.iter().position(|address| *address == offer.local()) {
            self.addresses.swap(0, at);
        }
        (to_body(&self.describe(|local| offer.answer(local))), self.policy.apply(offer.negotiated()))
    }

    /// Answers the offer of a re-INVITE or UPDATE.
    ///
    /// # Errors
    /// Why the offer is rejected.
    pub(super) fn answer_reinvite(
        &mut self,
        offer: &SdpBody,
    ) -> Result<(SdpBody, Negotiated), InviteRejectReason> {
        let offer =
            SessionDescription::parse(offer.as_bytes()).map_err(|_| InviteRejectReason::MalformedSdp)?;
        // The caller's offer replaces ours.
        self.pending_offer = None;
        let direction = MediaDirection::SendRecv;
        let accepted = AcceptedOffer::negotiate(offer, &self.codecs, direction, &self.addresses)?;
        Ok(self.answer(&accepted))
    }

    /// Creates an offer whose answer comes in the ACK, and the media to assume until then.
    pub(super) fn offer(&mut self) -> (SdpBody, Negotiated) {
        let codecs = self.codecs.clone();
        let offer = self.describe(|local| sdp::offer(&codecs, local));
        let body = to_body(&offer);
        self.pending_offer = Some(offer);
        let codec = self.codecs.first().copied().unwrap_or(AudioCodec::Pcmu);
        (body, Negotiated::proposed(codec))
    }

    /// Our offer was not sent, so no answer will come.
    pub(super) fn withdraw_offer(&mut self) {
        self.pending_offer = None;
    }

    /// Whether our offer has not been answered yet.
    pub(super) fn awaits_answer(&self) -> bool {
        self.pending_offer.is_some()
    }

    /// Applies the answer to our pending offer; `None` if it does not match.
    pub(super) fn accept_answer(&mut self, answer: &SdpBody) -> Option<Negotiated> {
        let offer = self.pending_offer.take()?;
        let answer = SessionDescription::parse(answer.as_bytes()).ok()?;
        sdp::accept_answer(&offer, &answer).ok().map(|media| self.policy.apply(media))
    }

    /// Creates a description. Its version is the last one, or one more if anything has changed (RFC 3264 section 8), so
    /// that a re-INVITE which only refreshes the session does not look like a change.
    fn describe(&mut self, create: impl Fn(LocalMedia) -> SessionDescription) -> SessionDescription {
        let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let address = SocketAddr::new(self.addresses.first().copied().unwrap_or(unspecified), self.port);
        let mut description = create(LocalMedia { address, session: self.session });
        if self.last.as_ref().is_some_and(|last| *last != description) {
            self.session.version = self.session.version.wrapping_add(1);
            description = create(LocalMedia { address, session: self.session });
        }
        self.last = Some(description.clone());
        description
    }
}

fn to_body(description: &SessionDescription) -> SdpBody {
    SdpBody::new(description.to_string())
}

#[cfg(test)]
mod tests {
    use telepath_core::address::NetworkList;

    use super::*;

    fn offer(direction: &str, version: u32) -> SdpBody {
        SdpBody::new(format!(
            "v=0\r\no=a 1 {version} IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n\
             a={direction}\r\n"
        ))
    }

    fn exchange_with(peer: &str) -> OfferAnswer {
        let policy = MediaPolicy::new(peer.parse().unwrap(), false, NetworkList::default());
        let addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        OfferAnswer::new(20_000, addresses, 77, AudioCodec::ALL.to_vec(), policy)
    }

    #[test]
    fn an_internal_address_in_sdp_is_answered_but_gets_no_rtp_before_the_peer_sends() {
        let mut exchange = exchange_with("8.8.8.8");
        for address in ["127.0.0.1", "169.254.169.254", "10.0.0.1", "255.255.255.255"] {
            let text = String::from_utf8(offer("sendrecv", 1).as_bytes().to_vec()).unwrap();
            let body = SdpBody::new(text.replace("c=IN IP4 192.0.2.9", &format!("c=IN IP4 {address}")));
            let (_, media) = exchange.answer_reinvite(&body).unwrap();
            assert_eq!((media.remote, media.is_held()), (None, false), "{address}");
        }
        let (_, media) = exchange_with("192.0.2.9").answer_reinvite(&offer("sendrecv", 1)).unwrap();
        assert_eq!(media.remote, Some("192.0.2.9:4000".parse().unwrap()));
    }

    fn origin(body: &SdpBody) -> String {
        let text = String::from_utf8(body.as_bytes().to_vec()).unwrap();
        text.lines().find(|line| line.starts_with("o=")).unwrap().to_owned()
    }

    #[test]
    fn a_reinvite_that_moves_to_the_other_ip_version_is_answered_in_it() {
        let mut exchange = exchange_with("192.0.2.9");
        let six = |version| {
            let text = String::from_utf8(offer("sendrecv", version).as_bytes().to_vec()).unwrap();
            SdpBody::new(text.replace("c=IN IP4 192.0.2.9", "c=IN IP6 2001:db8::9"))
        };
        assert_eq!(
            origin(&exchange.answer_reinvite(&offer("sendrecv", 1)).unwrap().0),
            "o=- 77 1 IN IP4 192.0.2.1"
        );
        assert_eq!(origin(&exchange.answer_reinvite(&six(2)).unwrap().0), "o=- 77 2 IN IP6 2001:db8::1");
        assert_eq!(origin(&exchange.offer().0), "o=- 77 3 IN IP6 2001:db8::1", "our next offer stays in it");
    }

    #[test]
    fn the_sdp_version_grows_only_when_the_description_changes() {
        let mut exchange = exchange_with("192.0.2.9");
        let mut answer =
            |direction, version| origin(&exchange.answer_reinvite(&offer(direction, version)).unwrap().0);
        assert_eq!(answer("sendrecv", 1), "o=- 77 1 IN IP4 192.0.2.1");
        assert_eq!(answer("sendrecv", 1), "o=- 77 1 IN IP4 192.0.2.1", "a session refresh");
        assert_eq!(answer("sendonly", 2), "o=- 77 2 IN IP4 192.0.2.1");
        assert_eq!(answer("sendonly", 2), "o=- 77 2 IN IP4 192.0.2.1");
        assert_eq!(answer("sendrecv", 3), "o=- 77 3 IN IP4 192.0.2.1");
        assert_eq!(origin(&exchange.offer().0), "o=- 77 4 IN IP4 192.0.2.1", "an offer with all codecs");
        assert_eq!(origin(&exchange.offer().0), "o=- 77 4 IN IP4 192.0.2.1");
    }
}
