//! The random starting values of one call's media (RFC 3550 section 5.1, RFC 8866 section 5.2), drawn at once.

use telepath_core::entropy::{Entropy, EntropyError, random_bytes};
use telepath_media::playout::StreamStart;
use telepath_media::rtp::{RtpTimestamp, SequenceNumber, Ssrc};

/// Bytes drawn for one call.
pub(crate) const DRAWN: usize = 14;

pub(crate) struct Rng {
    pub(crate) stream: StreamStart,
    /// Identifier of our session descriptions.
    pub(crate) session: u32,
}

impl Rng {
    pub(crate) fn roll(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let [s0, s1, s2, s3, q0, q1, t0, t1, t2, t3, i0, i1, i2, i3] = random_bytes::<DRAWN>(entropy)?;
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
