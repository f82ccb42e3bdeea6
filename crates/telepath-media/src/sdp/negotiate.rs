//! Offer/answer for one audio stream (RFC 3264).
//!
//! The answerer's codec preference decides, our answers use the offerer's payload types, and the answer contains one
//! codec, so that neither side switches codecs during a call. Other streams are rejected with port 0.

use super::crypto::{self, CryptoAttribute, SrtpPolicy};
use super::describe::{COMFORT_NOISE, TELEPHONE_EVENT, audio, push_codec, push_telephone_event, session};
use super::negotiated::{Negotiated, RtcpTransport};
use super::{
    ConnectionAddress, LocalMedia, MediaDescription, MediaDirection, NegotiationError, RtpMap,
    SessionDescription,
};
use crate::codec::AudioCodec;
use crate::media_clock::SAMPLE_RATE;
use crate::rtp::{PayloadType, PayloadTypes};
use crate::srtp::{MasterKey, PeerKey};
use std::net::{IpAddr, SocketAddr};

/// The RTP profiles of our offers, without and with SRTP.
const AVP: &str = "RTP/AVP";
const SAVP: &str = "RTP/SAVP";
/// The supported RTP profiles, and whether they are those of SRTP. In RTP/AVPF and RTP/SAVPF feedback is optional (RFC 4585
/// section 4, RFC 5124 section 2), so an endpoint that sends none is allowed. The answer repeats the offered profile (RFC
/// 3264 section 6).
const PROFILES: [(&str, bool); 4] = [(AVP, false), ("RTP/AVPF", false), (SAVP, true), ("RTP/SAVPF", true)];
/// Accepted values of the peer's `a=ptime`, in milliseconds.
const PTIMES: std::ops::RangeInclusive<u16> = 10..=60;

/// Creates an offer to send and receive one audio stream in clear, with these codecs in order of preference.
pub fn offer(codecs: &[AudioCodec], local: LocalMedia) -> SessionDescription {
    offer_with_keys(codecs, local, SrtpPolicy::Off, Vec::new())
}

/// Creates an offer with one key per suite, in order of preference.
///
/// [`SrtpPolicy::Preferred`] offers `RTP/AVP` with the keys, which a peer without SRTP accepts in clear, and
/// [`SrtpPolicy::Required`] offers `RTP/SAVP`. With [`SrtpPolicy::Off`] the keys are not offered.
pub fn offer_with_keys(
    codecs: &[AudioCodec],
    local: LocalMedia,
    srtp: SrtpPolicy,
    keys: Vec<MasterKey>,
) -> SessionDescription {
    let mut media = match srtp {
        SrtpPolicy::Off | SrtpPolicy::Preferred => audio(local, AVP),
        SrtpPolicy::Required => audio(local, SAVP),
    };
    for codec in codecs {
        push_codec(&mut media, *codec, codec.static_payload_type());
    }
    push_telephone_event(&mut media, PayloadType::TELEPHONE_EVENT);
    if srtp != SrtpPolicy::Off {
        let keys = keys.into_iter().map(|key| PeerKey { key, identifier: None });
        media.crypto = (1..).zip(keys).map(|(tag, key)| CryptoAttribute { tag, key }).collect();
    }
    session(local, vec![media])
}

/// Applies the peer's answer to our offer.
///
/// # Errors
/// [`NegotiationError::AnswerMismatch`], [`NegotiationError::StreamRejected`], or [`NegotiationError::AddressFamily`] if the
/// answer has an address of another IP version than our offer.
pub fn accept_answer(
    offer: &SessionDescription,
    answer: &SessionDescription,
) -> Result<Negotiated, NegotiationError> {
    let (Some(ours), Some(theirs)) = (offer.media.first(), answer.media.first()) else {
        return Err(NegotiationError::AnswerMismatch);
    };
    let (offered, answered) = (profile(&ours.protocol), profile(&theirs.protocol));
    let (Some(required), Some(secure)) = (offered, answered) else {
        return Err(NegotiationError::AnswerMismatch);
    };
    // Some peers answer RTP/AVP with keys by RTP/SAVP.
    let fits = theirs.protocol == ours.protocol || (secure && !ours.crypto.is_empty());
    if answer.media.len() != offer.media.len() || theirs.kind != ours.kind || !fits {
        return Err(NegotiationError::AnswerMismatch);
    }
    if theirs.port == 0 {
        return Err(NegotiationError::StreamRejected);
    }
    if let Some(ConnectionAddress::Ip(local)) = connection_of(offer, ours)
        && !has_family_of(connection_of(answer, theirs), *local)
    {
        return Err(NegotiationError::AddressFamily);
    }
    let offered: Vec<AudioCodec> = ours.formats.iter().filter_map(|format| codec_of(ours, format)).collect();
    // The answerer's preference decides.
    let accepted: Vec<AudioCodec> = theirs
        .formats
        .iter()
        .filter_map(|format| codec_of(theirs, format))
        .filter(|codec| offered.contains(codec))
        .collect();
    let direction = ours.direction.or(offer.direction).unwrap_or_default();
    let negotiated =
        negotiate(answer, theirs, &accepted, direction).map_err(|_| NegotiationError::AnswerMismatch)?;
    let own = payload_types(ours, negotiated.codec).ok_or(NegotiationError::AnswerMismatch)?;
    let (send, receive) = in_common(negotiated.send, own);
    let srtp = crypto::answered_keys(ours, theirs, secure, required)?;
    let rtcp = rtcp_transport(theirs, negotiated.remote, ours.rtcp_mux);
    Ok(Negotiated { send, receive, rtcp, srtp, ..negotiated })
}

/// Removes the formats that only one of two descriptions has.
fn in_common(theirs: PayloadTypes, ours: PayloadTypes) -> (PayloadTypes, PayloadTypes) {
    let keep = |mut of: PayloadTypes, other: PayloadTypes| {
        of.telephone_event = of.telephone_event.filter(|_| other.telephone_event.is_some());
        of.comfort_noise = of.comfort_noise.filter(|_| other.comfort_noise.is_some());
        of
    };
    (keep(theirs, ours), keep(ours, theirs))
}

/// Whether a supported RTP profile is one of SRTP; `None` if it is not supported.
fn profile(protocol: &str) -> Option<bool> {
    PROFILES.into_iter().find(|(name, _)| *name == protocol).map(|(_, secure)| secure)
}

/// Whether the profile of a stream is one of SRTP, if this server can use the stream at all.
pub(super) fn check_stream(media: &MediaDescription) -> Result<bool, NegotiationError> {
    if media.kind != "audio" || media.port == 0 {
        return Err(NegotiationError::NoAudio);
    }
    profile(&media.protocol).ok_or(NegotiationError::Profile)
}

/// Negotiates one stream of the peer without its keys. Both directions use the peer's payload types.
pub(super) fn negotiate(
    peer: &SessionDescription,
    media: &MediaDescription,
    codecs: &[AudioCodec],
    ours: MediaDirection,
) -> Result<Negotiated, NegotiationError> {
    check_stream(media)?;
    // 0.0.0.0 means hold in RFC 2543 (RFC 3264 section 8.4).
    let (ip, blackhole) = match connection_of(peer, media).ok_or(NegotiationError::NoAddress)? {
        ConnectionAddress::Ip(ip) if ip.is_multicast() => return Err(NegotiationError::Multicast),
        ConnectionAddress::Ip(ip) if ip.is_unspecified() => (None, true),
        ConnectionAddress::Ip(ip) => (Some(unmapped(*ip)), false),
        ConnectionAddress::Name(_) => (None, false),
    };
    let (codec, numbers) = codecs
        .iter()
        .find_map(|&codec| payload_types(media, codec).map(|numbers| (codec, numbers)))
        .ok_or(NegotiationError::NoCommonCodec)?;
    let theirs = media.direction.or(peer.direction).unwrap_or_default();
    let direction = MediaDirection::from_parts(
        ours.sends() && theirs.receives() && !blackhole,
        ours.receives() && theirs.sends(),
    );
    let remote = ip.map(|ip| SocketAddr::new(ip, media.port));
    Ok(Negotiated {
        codec,
        send: numbers,
        receive: numbers,
        remote,
        direction,
        peer_ptime_ms: media.ptime.filter(|ms| PTIMES.contains(ms)),
        rtcp: rtcp_transport(media, remote, true),
        srtp: None,
    })
}

/// Where the peer receives RTCP. `mux` is whether we may accept its `a=rtcp-mux`.
fn rtcp_transport(media: &MediaDescription, remote: Option<SocketAddr>, mux: bool) -> RtcpTransport {
    if mux && media.rtcp_mux {
        return RtcpTransport::Muxed;
    }
    let named = media.rtcp.as_ref().and_then(|rtcp| match &rtcp.address {
        Some(ConnectionAddress::Ip(ip)) => Some(SocketAddr::new(unmapped(*ip), rtcp.port)),
        Some(ConnectionAddress::Name(_)) => None,
        None => remote.map(|remote| SocketAddr::new(remote.ip(), rtcp.port)),
    });
    RtcpTransport::Separate(named)
}

pub(super) fn connection_of<'a>(
    peer: &'a SessionDescription,
    media: &'a MediaDescription,
) -> Option<&'a ConnectionAddress> {
    media.connection.as_ref().or(peer.connection.as_ref())
}

/// Whether RTP can be exchanged between two addresses. The IP version of a name is unknown, and an unspecified address
/// means hold.
pub(super) fn has_family_of(connection: Option<&ConnectionAddress>, local: IpAddr) -> bool {
    match connection {
        Some(ConnectionAddress::Ip(ip)) => {
            ip.is_unspecified() || unmapped(*ip).is_ipv4() == unmapped(local).is_ipv4()
        }
        Some(ConnectionAddress::Name(_)) | None => true,
    }
}

/// The payload types of a stream with this codec; `None` if the stream does not have the codec.
fn payload_types(media: &MediaDescription, codec: AudioCodec) -> Option<PayloadTypes> {
    let find = |matches: &dyn Fn(&str) -> bool| {
        media.formats.iter().find(|format| matches(format)).and_then(|format| number(format))
    };
    Some(PayloadTypes {
        audio: find(&|format| codec_of(media, format) == Some(codec))?,
        telephone_event: find(&|format| is_mapped_to(media, format, TELEPHONE_EVENT)),
        comfort_noise: find(&|format| is_comfort_noise(media, format)),
    })
}

fn unmapped(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

fn number(format: &str) -> Option<PayloadType> {
    format.parse().ok().and_then(PayloadType::new)
}

fn map_of<'a>(media: &'a MediaDescription, format: &str) -> Option<&'a RtpMap> {
    let number = number(format)?;
    media.rtpmaps.iter().find(|map| map.payload_type == number)
}

/// The codec of a format: from its rtpmap, else from its static payload type.
fn codec_of(media: &MediaDescription, format: &str) -> Option<AudioCodec> {
    match map_of(media, format) {
        Some(map) if map.clock_rate == SAMPLE_RATE && map.channels == 1 => {
            AudioCodec::from_name(&map.encoding)
        }
        Some(_) => None,
        None => number(format).and_then(AudioCodec::from_static),
    }
}

/// Whether a format has this encoding at our clock rate. Other rates belong to other codecs of the offer.
fn is_mapped_to(media: &MediaDescription, format: &str, encoding: &str) -> bool {
    map_of(media, format)
        .is_some_and(|map| map.clock_rate == SAMPLE_RATE && map.encoding.eq_ignore_ascii_case(encoding))
}

/// Whether a format is comfort noise: by its rtpmap, else by its static payload type (RFC 3551 section 6).
fn is_comfort_noise(media: &MediaDescription, format: &str) -> bool {
    match map_of(media, format) {
        Some(_) => is_mapped_to(media, format, COMFORT_NOISE),
        None => number(format) == Some(PayloadType::COMFORT_NOISE),
    }
}
