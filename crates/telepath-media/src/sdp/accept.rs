//! Accepting an offer: which stream, with which keys, and the answer.

use super::crypto::{self, CryptoAttribute, SrtpPolicy};
use super::describe::{accepted_stream, rejected_stream, session};
use super::negotiate::{check_stream, connection_of, has_family_of, negotiate};
use super::negotiated::Negotiated;
use super::{LocalMedia, MediaDirection, NegotiationError, SessionDescription};
use crate::codec::AudioCodec;
use crate::srtp::{CryptoSuite, MasterKey, PeerKey, SrtpKeys};
use std::net::IpAddr;

/// A peer's offer with the audio stream that we accept.
#[derive(Debug)]
pub struct AcceptedOffer {
    offer: SessionDescription,
    /// Index of the accepted m-line.
    stream: usize,
    negotiated: Negotiated,
    /// The peer's attribute that we accept; `None` for audio in clear.
    crypto: Option<CryptoAttribute>,
    local: IpAddr,
}

impl AcceptedOffer {
    /// Accepts the first stream with SRTP, else the first in clear, with a supported codec, profile and address. `codecs` is
    /// our order of preference, `direction` ours, and `locals` the addresses at which we receive, in order of preference.
    ///
    /// # Errors
    /// Why the stream that comes closest is not accepted.
    pub fn negotiate(
        offer: SessionDescription,
        codecs: &[AudioCodec],
        direction: MediaDirection,
        locals: &[IpAddr],
        srtp: SrtpPolicy,
    ) -> Result<Self, NegotiationError> {
        let (mut error, mut clear) = (NegotiationError::NoAudio, None);
        for (stream, media) in offer.media.iter().enumerate() {
            let accepted = check_stream(media)
                .and_then(|secure| crypto::select(media, secure, srtp))
                .and_then(|crypto| Ok((negotiate(&offer, media, codecs, direction)?, crypto)));
            match accepted {
                Ok((negotiated, crypto)) => {
                    let connection = connection_of(&offer, media);
                    let local = locals.iter().find(|local| has_family_of(connection, **local));
                    match (local, crypto) {
                        (None, _) => error = error.max(NegotiationError::AddressFamily),
                        (Some(&local), Some(attribute)) => {
                            let crypto = Some(attribute.clone());
                            return Ok(Self { offer, stream, negotiated, crypto, local });
                        }
                        (Some(&local), None) if clear.is_none() => clear = Some((stream, negotiated, local)),
                        (Some(_), None) => {}
                    }
                }
                Err(reason) => error = error.max(reason),
            }
        }
        let (stream, negotiated, local) = clear.ok_or(error)?;
        Ok(Self { offer, stream, negotiated, crypto: None, local })
    }

    /// Which of our addresses receives the stream.
    pub fn local(&self) -> IpAddr {
        self.local
    }

    /// Adds our key, if the stream uses SRTP.
    ///
    /// # Errors
    /// The error of `create`, which makes a key for a suite.
    pub fn with_key<E>(
        self,
        create: impl FnOnce(CryptoSuite) -> Result<MasterKey, E>,
    ) -> Result<KeyedOffer, E> {
        let Self { offer, stream, mut negotiated, crypto, local: _ } = self;
        let mut answer = None;
        if let Some(CryptoAttribute { tag, key: remote }) = crypto {
            let local = create(remote.key.suite())?;
            answer = Some(CryptoAttribute { tag, key: PeerKey { key: local.clone(), identifier: None } });
            negotiated.srtp = Some(SrtpKeys { local, remote });
        }
        Ok(KeyedOffer { offer, stream, negotiated, crypto: answer })
    }
}

/// An accepted offer with the keys of both sides.
#[derive(Debug)]
pub struct KeyedOffer {
    offer: SessionDescription,
    stream: usize,
    negotiated: Negotiated,
    /// Our attribute.
    crypto: Option<CryptoAttribute>,
}

impl KeyedOffer {
    /// The negotiated audio stream.
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// The answer. All other streams are rejected with port 0.
    pub fn answer(&self, local: LocalMedia) -> SessionDescription {
        let media = self.offer.media.iter().enumerate().map(|(index, offered)| {
            if index == self.stream {
                accepted_stream(local, offered, &self.negotiated, self.crypto.clone())
            } else {
                rejected_stream(offered)
            }
        });
        session(local, media.collect())
    }
}
