//! Offer/answer of one call (RFC 3264): the version of our session description, our pending offer whose answer comes in the
//! ACK (RFC 3261 section 13.2.1), and our keys of SRTP (RFC 4568).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use telepath_core::entropy::{Entropy, EntropyError, random_bytes};
use telepath_media::codec::AudioCodec;
use telepath_media::sdp::{
    self, AcceptedOffer, LocalMedia, MediaDirection, Negotiated, SessionDescription, SessionId, SrtpPolicy,
};
use telepath_media::srtp::{CryptoSuite, MAX_KEY_BYTES, MasterKey, PeerKey, SrtpKeys};
use telepath_sip::message::SdpBody;

use crate::media_policy::MediaPolicy;
use crate::reject_reason::InviteRejectReason;

pub(super) struct OfferAnswer {
    port: u16,
    /// Our addresses, the one in use first.
    addresses: Vec<IpAddr>,
    policy: MediaPolicy,
    session: SessionId,
    codecs: Vec<AudioCodec>,
    srtp: SrtpPolicy,
    entropy: Arc<dyn Entropy>,
    /// Our key in the last exchange. It stays the same while the suite does, so that the rollover counter goes on; a suite
    /// that comes back gets another one, because its packets were counted from 0 before.
    local_key: Option<MasterKey>,
    pending_offer: Option<SessionDescription>,
    /// Our latest description.
    last: Option<SessionDescription>,
}

impl OfferAnswer {
    /// Starts the exchange for the RTP socket at `port`. `addresses` are those at which the socket is reached, in order of
    /// preference and at least one. `session` identifies our session descriptions, `policy` decides which addresses of the
    /// caller are used, `srtp` whether audio is encrypted, and `entropy` makes the keys.
    pub(super) fn new(
        port: u16,
        addresses: Vec<IpAddr>,
        session: u32,
        codecs: Vec<AudioCodec>,
        policy: MediaPolicy,
        srtp: SrtpPolicy,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            port,
            addresses,
            policy,
            session: SessionId { id: session, version: 1 },
            codecs,
            srtp,
            entropy,
            local_key: None,
            pending_offer: None,
            last: None,
        }
    }

    /// Our answer to an accepted offer, and the resulting media.
    ///
    /// # Errors
    /// [`EntropyError`] if there are no random bytes for a key.
    pub(super) fn answer(&mut self, offer: AcceptedOffer) -> Result<(SdpBody, Negotiated), EntropyError> {
        if let Some(at) = self.addresses.iter().position(|address| *address == offer.local()) {
            self.addresses.swap(0, at);
        }
        let offer = offer.with_key(|suite| self.key_for(suite))?;
        let media = offer.negotiated().clone();
        self.local_key = media.srtp.as_ref().map(|keys| keys.local.clone());
        Ok((to_body(&self.describe(|local| offer.answer(local))), self.policy.apply(media)))
    }

    fn key_for(&self, suite: CryptoSuite) -> Result<MasterKey, EntropyError> {
        match &self.local_key {
            Some(key) if key.suite() == suite => Ok(key.clone()),
            Some(_) | None => self.new_key(suite),
        }
    }

    fn new_key(&self, suite: CryptoSuite) -> Result<MasterKey, EntropyError> {
        let random = random_bytes::<MAX_KEY_BYTES>(&*self.entropy)?;
        Ok(MasterKey::from_random(suite, &random.into()))
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
        let accepted = AcceptedOffer::negotiate(offer, &self.codecs, direction, &self.addresses, self.srtp)?;
        self.answer(accepted).map_err(|_| InviteRejectReason::NoEntropy)
    }

    /// Creates an offer whose answer comes in the ACK, and the media to assume until then.
    ///
    /// # Errors
    /// [`EntropyError`] if there are no random bytes for the keys.
    pub(super) fn offer(&mut self) -> Result<(SdpBody, Negotiated), EntropyError> {
        let (codecs, srtp) = (self.codecs.clone(), self.srtp);
        let mut keys = Vec::new();
        if srtp != SrtpPolicy::Off {
            for suite in CryptoSuite::ALL {
                keys.push(self.key_for(suite)?);
            }
        }
        let offer = self.describe(|local| sdp::offer_with_keys(&codecs, local, srtp, keys.clone()));
        let body = to_body(&offer);
        self.pending_offer = Some(offer);
        let codec = self.codecs.first().copied().unwrap_or(AudioCodec::Pcmu);
        let mut media = Negotiated::proposed(codec);
        if let (SrtpPolicy::Required, Some(local)) = (srtp, keys.into_iter().next()) {
            // Nobody has this key: until the answer, no packet is accepted, above all none in clear.
            let remote = PeerKey { key: self.new_key(local.suite())?, identifier: None };
            media.srtp = Some(SrtpKeys { local, remote });
        }
        Ok((body, media))
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
        let media = sdp::accept_answer(&offer, &answer).ok()?;
        self.local_key = media.srtp.as_ref().map(|keys| keys.local.clone());
        Some(self.policy.apply(media))
    }

    /// The media after our latest description was offered once more and answered; `None` if the answer does not match it.
    pub(super) fn refreshed(&self, answer: &SdpBody) -> Option<Negotiated> {
        let answer = SessionDescription::parse(answer.as_bytes()).ok()?;
        sdp::accept_answer(self.last.as_ref()?, &answer).ok().map(|media| self.policy.apply(media))
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
    use telepath_core::entropy::SystemEntropy;

    use super::*;

    fn offer(direction: &str, version: u32) -> SdpBody {
        SdpBody::new(format!(
            "v=0\r\no=a 1 {version} IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n\
             a={direction}\r\n"
        ))
    }

    fn secure_exchange_with(peer: &str, srtp: SrtpPolicy) -> OfferAnswer {
        let policy = MediaPolicy::new(peer.parse().unwrap(), false, NetworkList::default());
        let addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let entropy = Arc::new(SystemEntropy::default());
        OfferAnswer::new(20_000, addresses, 77, AudioCodec::ALL.to_vec(), policy, srtp, entropy)
    }

    fn exchange_with(peer: &str) -> OfferAnswer {
        secure_exchange_with(peer, SrtpPolicy::Off)
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
        assert_eq!(
            origin(&exchange.offer().unwrap().0),
            "o=- 77 3 IN IP6 2001:db8::1",
            "our next offer stays in it"
        );
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
        assert_eq!(
            origin(&exchange.offer().unwrap().0),
            "o=- 77 4 IN IP4 192.0.2.1",
            "an offer with all codecs"
        );
        assert_eq!(origin(&exchange.offer().unwrap().0), "o=- 77 4 IN IP4 192.0.2.1");
    }

    const CM: &str = "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    const GCM: &str = "2 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==";

    fn secure_offer(crypto: &str) -> SdpBody {
        let text = String::from_utf8(offer("sendrecv", 1).as_bytes().to_vec()).unwrap();
        SdpBody::new(format!("{}a=crypto:{crypto}\r\n", text.replace("RTP/AVP", "RTP/SAVP")))
    }

    #[test]
    fn our_key_stays_the_same_while_the_suite_does_and_none_is_used_again_after_another_suite() {
        let mut exchange = secure_exchange_with("192.0.2.9", SrtpPolicy::Preferred);
        let mut keys =
            |crypto: &str| exchange.answer_reinvite(&secure_offer(crypto)).unwrap().1.srtp.unwrap();
        let (first, again, other, back) = (keys(CM), keys(CM), keys(GCM), keys(CM));
        assert_eq!(first, again);
        assert_eq!(first.remote, back.remote);
        assert!(first.local != back.local && other.local != back.local);
        assert_ne!(first.local, first.remote.key);
    }

    #[test]
    fn a_refresh_with_srtp_leaves_the_sdp_version_as_it_is() {
        let mut exchange = secure_exchange_with("192.0.2.9", SrtpPolicy::Required);
        let first = origin(&exchange.answer_reinvite(&secure_offer(GCM)).unwrap().0);
        assert_eq!(origin(&exchange.answer_reinvite(&secure_offer(GCM)).unwrap().0), first);
    }

    #[test]
    fn a_reinvite_to_audio_in_clear_is_rejected_if_srtp_is_required_and_accepted_if_it_is_preferred() {
        for (srtp, expected) in
            [(SrtpPolicy::Required, Err(InviteRejectReason::SrtpRequired)), (SrtpPolicy::Preferred, Ok(None))]
        {
            let mut exchange = secure_exchange_with("192.0.2.9", srtp);
            exchange.answer_reinvite(&secure_offer(CM)).unwrap();
            let found = exchange.answer_reinvite(&offer("sendrecv", 2)).map(|(_, media)| media.srtp);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn until_a_required_srtp_is_answered_no_packet_is_accepted() {
        let mut exchange = secure_exchange_with("192.0.2.9", SrtpPolicy::Required);
        let (body, proposed) = exchange.offer().unwrap();
        let text = String::from_utf8(body.as_bytes().to_vec()).unwrap();
        assert!(text.contains("RTP/SAVP") && text.matches("a=crypto:").count() == 3, "{text}");
        let placeholder = proposed.srtp.unwrap();
        assert!(!text.contains(&**placeholder.remote.key.to_base64()));
        let media = exchange.accept_answer(&secure_offer(&GCM.replacen('2', "1", 1))).unwrap();
        let keys = media.srtp.unwrap();
        assert!(text.contains(&format!("a=crypto:1 AEAD_AES_128_GCM inline:{}", *keys.local.to_base64())));
        let next = exchange.offer().unwrap().0;
        let next = String::from_utf8(next.as_bytes().to_vec()).unwrap();
        assert!(next.contains(&**keys.local.to_base64()), "the key in use is offered again");
    }

    #[test]
    fn an_answer_in_clear_is_refused_if_srtp_is_required() {
        let mut exchange = secure_exchange_with("192.0.2.9", SrtpPolicy::Required);
        exchange.offer().unwrap();
        assert_eq!(exchange.accept_answer(&offer("sendrecv", 1)), None);
        let mut exchange = secure_exchange_with("192.0.2.9", SrtpPolicy::Preferred);
        exchange.offer().unwrap();
        assert_eq!(exchange.accept_answer(&offer("sendrecv", 1)).unwrap().srtp, None);
    }
}
