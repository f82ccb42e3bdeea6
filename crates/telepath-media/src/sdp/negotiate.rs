//! Offer and answer for one audio stream (RFC 3264).
//!
//! The server's order of codecs decides, numbers are the offerer's, and the answer names one codec only, so
//! that nobody changes codec in the middle of a call. Streams we do not want are refused with port 0.

use super::{
    ConnectionAddress, Direction, FormatParameters, MediaDescription, Origin, RtpMap, SessionDescription,
};
use crate::SAMPLE_RATE;
use crate::codec::Codec;
use crate::rtp::PayloadType;
use std::net::{IpAddr, SocketAddr};

/// The only profile spoken today.
const PROFILE: &str = "RTP/AVP";
const EVENT: &str = "telephone-event";
/// Digits, star, hash and A to D.
const EVENT_RANGE: &str = "0-15";
/// Packet times a peer may ask for, in milliseconds.
const PTIMES: std::ops::RangeInclusive<u16> = 10..=60;

/// Identifier and version of our own descriptions. The version grows by one with each new description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId {
    /// Random, drawn once a call.
    pub id: u32,
    /// Version of the description.
    pub version: u32,
}

/// Our side of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalMedia {
    /// Address and port the peer shall send to.
    pub address: SocketAddr,
    /// Identifier and version of the description.
    pub session: SessionId,
    /// What we want to do; `SendRecv` unless we hold.
    pub direction: Direction,
}

/// What both sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// The codec.
    pub codec: Codec,
    /// Its number in both directions.
    pub payload_type: PayloadType,
    /// The number of telephone-event, when both sides have it.
    pub telephone_event: Option<PayloadType>,
    /// Where the peer wants audio; `None` when it named no usable address.
    pub remote: Option<SocketAddr>,
    /// Who sends, seen from us.
    pub direction: Direction,
    /// The packet time the peer asked for, when it lies between 10 and 60 ms.
    pub peer_ptime_ms: Option<u16>,
}

impl Negotiated {
    /// What our own offer proposes first, until its answer comes (late offer). Nothing can be sent yet, as the
    /// peer has named no address.
    pub fn proposed(codec: Codec) -> Self {
        Self {
            codec,
            payload_type: codec.static_payload_type(),
            telephone_event: Some(PayloadType::TELEPHONE_EVENT),
            remote: None,
            direction: Direction::SendRecv,
            peer_ptime_ms: None,
        }
    }

    /// Whether the peer holds us: we must not send.
    pub fn is_held(&self) -> bool {
        !self.direction.sends()
    }
}

/// Why there is no agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// No offered audio stream has a codec, profile and address we speak: answer 488.
    #[error("the peer offers no audio stream with a codec in common")]
    NoCommonCodec,
    /// The answer does not fit the offer it answers.
    #[error("the peer's answer does not fit our offer")]
    AnswerMismatch,
    /// The answer refuses the audio stream.
    #[error("the peer's answer refuses audio")]
    Refused,
}

/// Writes an offer of one audio stream, codecs in the given order.
pub fn offer(codecs: &[Codec], local: LocalMedia) -> SessionDescription {
    let mut media = audio(local);
    for codec in codecs {
        push_codec(&mut media, *codec, codec.static_payload_type());
    }
    push_event(&mut media, PayloadType::TELEPHONE_EVENT);
    session(local, vec![media])
}

/// Answers an offer; `codecs` is the server's order of preference.
pub fn answer(
    offer: &SessionDescription,
    codecs: &[Codec],
    local: LocalMedia,
) -> Result<(SessionDescription, Negotiated), NegotiationError> {
    let (chosen, agreed) = offer
        .media
        .iter()
        .enumerate()
        .find_map(|(index, media)| agree(offer, media, codecs, local.direction).map(|agreed| (index, agreed)))
        .ok_or(NegotiationError::NoCommonCodec)?;
    let media =
        offer.media.iter().enumerate().map(|(index, offered)| {
            if index == chosen { accepted(local, &agreed) } else { refused(offered) }
        });
    Ok((session(local, media.collect()), agreed))
}

/// Reads the answer to our own offer (late offer: it comes in the ACK).
pub fn accept_answer(
    offer: &SessionDescription,
    answer: &SessionDescription,
) -> Result<Negotiated, NegotiationError> {
    let (Some(ours), Some(theirs)) = (offer.media.first(), answer.media.first()) else {
        return Err(NegotiationError::AnswerMismatch);
    };
    if answer.media.len() != offer.media.len() || theirs.kind != ours.kind || theirs.protocol != ours.protocol
    {
        return Err(NegotiationError::AnswerMismatch);
    }
    if theirs.port == 0 {
        return Err(NegotiationError::Refused);
    }
    let offered: Vec<Codec> = ours.formats.iter().filter_map(|format| codec_of(ours, format)).collect();
    // The answerer's order decides here.
    let accepted: Vec<Codec> = theirs
        .formats
        .iter()
        .filter_map(|format| codec_of(theirs, format))
        .filter(|codec| offered.contains(codec))
        .collect();
    let direction = ours.direction.or(offer.direction).unwrap_or_default();
    agree(answer, theirs, &accepted, direction).ok_or(NegotiationError::AnswerMismatch)
}

/// What we agree on for one stream of the peer, if anything.
fn agree(
    peer: &SessionDescription,
    media: &MediaDescription,
    codecs: &[Codec],
    ours: Direction,
) -> Option<Negotiated> {
    if media.kind != "audio" || media.protocol != PROFILE || media.port == 0 {
        return None;
    }
    let connection = media.connection.as_ref().or(peer.connection.as_ref())?;
    // 0.0.0.0 was the way to hold before the direction attributes (RFC 3264 section 8.4).
    let (ip, blackhole) = match connection {
        ConnectionAddress::Ip(ip) if ip.is_multicast() => return None,
        ConnectionAddress::Ip(ip) if ip.is_unspecified() => (None, true),
        ConnectionAddress::Ip(ip) => (Some(unmapped(*ip)), false),
        ConnectionAddress::Name(_) => (None, false),
    };
    let (codec, payload_type) = codecs.iter().find_map(|&codec| {
        let format = media.formats.iter().find(|format| codec_of(media, format) == Some(codec))?;
        Some((codec, number(format)?))
    })?;
    let theirs = media.direction.or(peer.direction).unwrap_or_default();
    let direction = Direction::from_parts(
        ours.sends() && theirs.receives() && !blackhole,
        ours.receives() && theirs.sends(),
    );
    Some(Negotiated {
        codec,
        payload_type,
        telephone_event: media.formats.iter().find(|format| is_event(media, format)).and_then(|f| number(f)),
        remote: ip.map(|ip| SocketAddr::new(ip, media.port)),
        direction,
        peer_ptime_ms: media.ptime.filter(|ms| PTIMES.contains(ms)),
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

/// The codec behind a format: by its rtpmap, else by its static number.
fn codec_of(media: &MediaDescription, format: &str) -> Option<Codec> {
    match map_of(media, format) {
        Some(map) if map.clock_rate == SAMPLE_RATE && map.channels == 1 => Codec::from_name(&map.encoding),
        Some(_) => None,
        None => number(format).and_then(Codec::from_static),
    }
}

/// Other clock rates of telephone-event belong to other codecs of the offer.
fn is_event(media: &MediaDescription, format: &str) -> bool {
    map_of(media, format)
        .is_some_and(|map| map.clock_rate == SAMPLE_RATE && map.encoding.eq_ignore_ascii_case(EVENT))
}

fn session(local: LocalMedia, media: Vec<MediaDescription>) -> SessionDescription {
    let address = ConnectionAddress::Ip(local.address.ip());
    SessionDescription {
        origin: Origin {
            username: "-".to_owned(),
            session_id: local.session.id.to_string(),
            version: local.session.version.to_string(),
            address: address.clone(),
        },
        connection: Some(address),
        direction: None,
        media,
    }
}

fn audio(local: LocalMedia) -> MediaDescription {
    MediaDescription {
        kind: "audio".to_owned(),
        port: local.address.port(),
        protocol: PROFILE.to_owned(),
        formats: Vec::new(),
        connection: None,
        rtpmaps: Vec::new(),
        fmtps: Vec::new(),
        ptime: Some(20),
        maxptime: None,
        direction: Some(local.direction),
    }
}

fn accepted(local: LocalMedia, agreed: &Negotiated) -> MediaDescription {
    let mut media = audio(local);
    media.direction = Some(agreed.direction);
    push_codec(&mut media, agreed.codec, agreed.payload_type);
    if let Some(event) = agreed.telephone_event {
        push_event(&mut media, event);
    }
    media
}

/// Port 0 refuses; transport and formats are repeated as offered (RFC 3264 section 6).
fn refused(offered: &MediaDescription) -> MediaDescription {
    MediaDescription {
        kind: offered.kind.clone(),
        port: 0,
        protocol: offered.protocol.clone(),
        formats: offered.formats.clone(),
        connection: None,
        rtpmaps: Vec::new(),
        fmtps: Vec::new(),
        ptime: None,
        maxptime: None,
        direction: None,
    }
}

fn push_codec(media: &mut MediaDescription, codec: Codec, payload_type: PayloadType) {
    push_map(media, codec.name(), payload_type);
}

fn push_event(media: &mut MediaDescription, payload_type: PayloadType) {
    push_map(media, EVENT, payload_type);
    media.fmtps.push(FormatParameters { payload_type, parameters: EVENT_RANGE.to_owned() });
}

fn push_map(media: &mut MediaDescription, encoding: &str, payload_type: PayloadType) {
    media.formats.push(payload_type.to_string());
    media.rtpmaps.push(RtpMap {
        payload_type,
        encoding: encoding.to_owned(),
        clock_rate: SAMPLE_RATE,
        channels: 1,
    });
}
