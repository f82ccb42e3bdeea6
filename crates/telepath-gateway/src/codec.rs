//! Converts between the codecs and SRTP values of the domain and of the media plane. `telepath-media` does not depend on
//! `telepath-core`, so each has an enum of its own.

use telepath_core::call::SrtpSuite;
use telepath_core::trunk::{Codec, SrtpMode};
use telepath_media::codec::AudioCodec;
use telepath_media::sdp::SrtpPolicy;
use telepath_media::srtp::CryptoSuite;

pub(crate) fn to_media(codec: Codec) -> AudioCodec {
    match codec {
        Codec::Pcmu => AudioCodec::Pcmu,
        Codec::Pcma => AudioCodec::Pcma,
        Codec::G722 => AudioCodec::G722,
    }
}

pub(crate) fn to_core(codec: AudioCodec) -> Codec {
    match codec {
        AudioCodec::Pcmu => Codec::Pcmu,
        AudioCodec::Pcma => Codec::Pcma,
        AudioCodec::G722 => Codec::G722,
    }
}

pub(crate) fn srtp_to_media(mode: SrtpMode) -> SrtpPolicy {
    match mode {
        SrtpMode::Off => SrtpPolicy::Off,
        SrtpMode::Preferred => SrtpPolicy::Preferred,
        SrtpMode::Required => SrtpPolicy::Required,
    }
}

pub(crate) fn suite_to_core(suite: CryptoSuite) -> SrtpSuite {
    match suite {
        CryptoSuite::AeadAes128Gcm => SrtpSuite::AeadAes128Gcm,
        CryptoSuite::AeadAes256Gcm => SrtpSuite::AeadAes256Gcm,
        CryptoSuite::AesCm128HmacSha1_80 => SrtpSuite::AesCm128HmacSha1_80,
    }
}
