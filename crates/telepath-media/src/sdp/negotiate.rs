//! Offer/answer for one audio stream (RFC 3264).
//!
//! The answerer's codec preference decides, our answers use the offerer's payload types, and the answer contains one
//! codec, so that neither side switches codecs during a call. Other streams are rejected with port 0.

use super::{
    ConnectionAddress, FormatParameters, MediaDescription, MediaDirection, NegotiationError, RtpMap,
    SessionDescription, SessionOrigin,
};
use crate::codec::AudioCodec;
use crate::media_clock::SAMPLE_RATE;
use crate::rtp::{PayloadType, PayloadTypes};
use std::net::{IpAddr, SocketAddr};

/// The RTP profile of our offers.
const PROFILE: &str = "RTP/AVP";
/// The supported RTP profiles. In RTP/AVPF feedback is optional (RFC 4585 section 4), so an endpoint that sends none is
/// allowed. The answer repeats the offered profile (RFC 3264 section 6).
const PROFILES: [&str; 2] = [PROFILE, "RTP/AVPF"];
/// The encoding name of comfort noise (RFC 3389).
const COMFORT_NOISE: &str = "CN";
const TELEPHONE_EVENT: &str = "telephone-event";
/// DTMF: 0 to 9, star, hash, A to D (RFC 4733 section 3.2).
const DTMF_EVENTS: &str = "0-15";
/// Accepted values of the peer's `a=ptime`, in milliseconds.
const PTIMES: std::ops::RangeInclusive<u16> = 10..=60;

/// Session identifier and version of our descriptions. The version increments with each description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId {
    /// Random, one per call.
    pub id: u32,
    /// Version of the description.
    pub version: u32,
}

/// Our side of the audio stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalMedia {
    /// Address and port at which we receive.
    pub address: SocketAddr,
    /// Session identifier and version.
    pub session: SessionId,
}

/// The negotiated audio stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// Codec in both directions.
    pub codec: AudioCodec,
    /// Payload types of the packets that we send: the numbers in the peer's description.
    pub send: PayloadTypes,
    /// Payload types of the packets that we receive: the numbers in our description.
    pub receive: PayloadTypes,
    /// Where the peer receives audio; `None` if its SDP has no usable address.
    pub remote: Option<SocketAddr>,
    /// Our direction.
    pub direction: MediaDirection,
    /// The peer's `a=ptime`, if it is between 10 and 60 ms.
    pub peer_ptime_ms: Option<u16>,
}

impl Negotiated {
    /// The media assumed after our offer, until the peer answers it. Nothing can be sent, because the peer's address is
    /// unknown.
    pub fn proposed(codec: AudioCodec) -> Self {
        let offered = PayloadTypes {
            audio: codec.static_payload_type(),
            telephone_event: Some(PayloadType::TELEPHONE_EVENT),
            comfort_noise: None,
        };
        Self {
            codec,
            send: offered,
            receive: offered,
            remote: None,
            direction: MediaDirection::SendRecv,
            peer_ptime_ms: None,
        }
    }

    /// Whether the peer put us on hold, so that we must not send.
    pub fn is_held(&self) -> bool {
        !self.direction.sends()
    }
}

/// Creates an offer to send and receive one audio stream, with these codecs in order of preference.
pub fn offer(codecs: &[AudioCodec], local: LocalMedia) -> SessionDescription {
    let mut media = audio(local, PROFILE);
    for codec in codecs {
        push_codec(&mut media, *codec, codec.static_payload_type());
    }
    push_telephone_event(&mut media, PayloadType::TELEPHONE_EVENT);
    session(local, vec![media])
}

/// A peer's offer with the audio stream that we accept.
#[derive(Debug)]
pub struct AcceptedOffer {
    offer: SessionDescription,
    /// Index of the accepted m-line.
    stream: usize,
    negotiated: Negotiated,
    local: IpAddr,
}

impl AcceptedOffer {
    /// Accepts the first stream with a supported codec, profile and address. `codecs` is our order of preference,
    /// `direction` ours, and `locals` the addresses at which we receive, in order of preference.
    ///
    /// # Errors
    /// Why the stream that comes closest is not accepted.
    pub fn negotiate(
        offer: SessionDescription,
        codecs: &[AudioCodec],
        direction: MediaDirection,
        locals: &[IpAddr],
    ) -> Result<Self, NegotiationError> {
        let mut error = NegotiationError::NoAudio;
        for (stream, media) in offer.media.iter().enumerate() {
            match negotiate(&offer, media, codecs, direction) {
                Ok(negotiated) => {
                    let connection = connection_of(&offer, media);
                    if let Some(&local) = locals.iter().find(|local| has_family_of(connection, **local)) {
                        return Ok(Self { offer, stream, negotiated, local });
                    }
                    error = error.max(NegotiationError::AddressFamily);
                }
                Err(reason) => error = error.max(reason),
            }
        }
        Err(error)
    }

    /// Which of our addresses receives the stream.
    pub fn local(&self) -> IpAddr {
        self.local
    }

    /// The negotiated audio stream.
    pub fn negotiated(&self) -> Negotiated {
        self.negotiated
    }

    /// The answer. All other streams are rejected with port 0.
    pub fn answer(&self, local: LocalMedia) -> SessionDescription {
        let media = self.offer.media.iter().enumerate().map(|(index, offered)| {
            if index == self.stream {
                accepted_stream(local, &offered.protocol, &self.negotiated)
            } else {
                rejected_stream(offered)
            }
        });
        session(local, media.collect())
    }
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
    if answer.media.len() != offer.media.len() || theirs.kind != ours.kind || theirs.protocol != ours.protocol
    {
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
    Ok(Negotiated { send, receive, ..negotiated })
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

/// Negotiates one stream of the peer. Both directions use the peer's payload types.
fn negotiate(
    peer: &SessionDescription,
    media: &MediaDescription,
    codecs: &[AudioCodec],
    ours: MediaDirection,
) -> Result<Negotiated, NegotiationError> {
    if media.kind != "audio" || media.port == 0 {
        return Err(NegotiationError::NoAudio);
    }
    if !PROFILES.contains(&media.protocol.as_str()) {
        return Err(NegotiationError::Profile);
    }
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
    Ok(Negotiated {
        codec,
        send: numbers,
        receive: numbers,
        remote: ip.map(|ip| SocketAddr::new(ip, media.port)),
        direction,
        peer_ptime_ms: media.ptime.filter(|ms| PTIMES.contains(ms)),
    })
}

fn connection_of<'a>(
    peer: &'a SessionDescription,
    media: &'a MediaDescription,
) -> Option<&'a ConnectionAddress> {
    media.connection.as_ref().or(peer.connection.as_ref())
}

/// Whether RTP can be exchanged between two addresses. The IP version of a name is unknown, and an unspecified address
/// means hold.
fn has_family_of(connection: Option<&ConnectionAddress>, local: IpAddr) -> bool {
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

fn session(local: LocalMedia, media: Vec<MediaDescription>) -> SessionDescription {
    let address = ConnectionAddress::Ip(local.address.ip());
    SessionDescription {
        origin: SessionOrigin {
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

fn audio(local: LocalMedia, protocol: &str) -> MediaDescription {
    MediaDescription {
        kind: "audio".to_owned(),
        port: local.address.port(),
        protocol: protocol.to_owned(),
        formats: Vec::new(),
        connection: None,
        rtpmaps: Vec::new(),
        fmtps: Vec::new(),
        ptime: Some(20),
        maxptime: None,
        direction: Some(MediaDirection::SendRecv),
    }
}

fn accepted_stream(local: LocalMedia, protocol: &str, negotiated: &Negotiated) -> MediaDescription {
    let mut media = audio(local, protocol);
    let numbers = negotiated.receive;
    media.direction = Some(negotiated.direction);
    push_codec(&mut media, negotiated.codec, numbers.audio);
    if let Some(event) = numbers.telephone_event {
        push_telephone_event(&mut media, event);
    }
    if let Some(comfort_noise) = numbers.comfort_noise {
        push_map(&mut media, COMFORT_NOISE, comfort_noise);
    }
    media
}

/// Port 0 rejects a stream; protocol and formats are those of the offer (RFC 3264 section 6).
fn rejected_stream(offered: &MediaDescription) -> MediaDescription {
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

fn push_codec(media: &mut MediaDescription, codec: AudioCodec, payload_type: PayloadType) {
    push_map(media, codec.name(), payload_type);
}

fn push_telephone_event(media: &mut MediaDescription, payload_type: PayloadType) {
    push_map(media, TELEPHONE_EVENT, payload_type);
    media.fmtps.push(FormatParameters { payload_type, parameters: DTMF_EVENTS.to_owned() });
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
