//! The descriptions that we write: of our offers and answers.

use super::crypto::CryptoAttribute;
use super::negotiated::{Negotiated, RtcpTransport};
use super::{
    ConnectionAddress, FormatParameters, LocalMedia, MediaDescription, MediaDirection, RtpMap,
    SessionDescription, SessionOrigin,
};
use crate::codec::AudioCodec;
use crate::media_clock::SAMPLE_RATE;
use crate::rtp::PayloadType;

/// The encoding name of comfort noise (RFC 3389).
pub(super) const COMFORT_NOISE: &str = "CN";
pub(super) const TELEPHONE_EVENT: &str = "telephone-event";
/// DTMF: 0 to 9, star, hash, A to D (RFC 4733 section 3.2).
const DTMF_EVENTS: &str = "0-15";

pub(super) fn session(local: LocalMedia, media: Vec<MediaDescription>) -> SessionDescription {
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

pub(super) fn audio(local: LocalMedia, protocol: &str) -> MediaDescription {
    MediaDescription {
        kind: "audio".to_owned(),
        port: local.address.port(),
        protocol: protocol.to_owned(),
        ptime: Some(20),
        direction: Some(MediaDirection::SendRecv),
        ..MediaDescription::default()
    }
}

/// The stream of an answer.
pub(super) fn accepted_stream(
    local: LocalMedia,
    offered: &MediaDescription,
    negotiated: &Negotiated,
    crypto: Option<CryptoAttribute>,
) -> MediaDescription {
    let mut media = audio(local, &offered.protocol);
    media.rtcp_mux = negotiated.rtcp == RtcpTransport::Muxed;
    media.crypto.extend(crypto);
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
pub(super) fn rejected_stream(offered: &MediaDescription) -> MediaDescription {
    MediaDescription {
        kind: offered.kind.clone(),
        port: 0,
        protocol: offered.protocol.clone(),
        formats: offered.formats.clone(),
        ..MediaDescription::default()
    }
}

pub(super) fn push_codec(media: &mut MediaDescription, codec: AudioCodec, payload_type: PayloadType) {
    push_map(media, codec.name(), payload_type);
}

pub(super) fn push_telephone_event(media: &mut MediaDescription, payload_type: PayloadType) {
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
