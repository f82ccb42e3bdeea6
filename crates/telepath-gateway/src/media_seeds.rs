//! The random starting values of one call's media: SSRC, sequence number and timestamp (RFC 3550 section 5.1), and the
//! SDP session identifier (RFC 8866 section 5.2).

use telepath_core::entropy::{Entropy, EntropyError, random_bytes};
use telepath_media::playout::StreamStart;
use telepath_media::rtp::{RtpTimestamp, SequenceNumber, Ssrc};

/// Random bytes per call.
pub(crate) const SEED_BYTES: usize = 14;

pub(crate) struct MediaSeeds {
    pub(crate) stream: StreamStart,
    /// Identifier of our session descriptions.
    pub(crate) session: u32,
}

impl MediaSeeds {
    pub(crate) fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let [s0, s1, s2, s3, q0, q1, t0, t1, t2, t3, i0, i1, i2, i3] = random_bytes::<SEED_BYTES>(entropy)?;
        Ok(Self {
            stream: StreamStart {
                ssrc: Ssrc(u32::from_be_bytes([s0, s1, s2, s3])),
                sequence: SequenceNumber(u16::from_be_bytes([q0, q1])),
                timestamp: RtpTimestamp(u32::from_be_bytes([t0, t1, t2, t3])),
            },
            session: u32::from_be_bytes([i0, i1, i2, i3]),
        })
    }
}
