//! Converts between the codecs of a trunk's settings and of the media plane. `telepath-media` does not depend on
//! `telepath-core`, so each has an enum of its own.

use telepath_core::trunk::Codec;
use telepath_media::codec::AudioCodec;

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
