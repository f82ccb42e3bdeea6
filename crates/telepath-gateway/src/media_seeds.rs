//! The random starting values of one call's media: SSRC, sequence number and timestamp (RFC 3550 section 5.1), the SDP
//! session identifier (RFC 8866 section 5.2), and the name and the intervals of RTCP.

use telepath_core::entropy::{Entropy, EntropyError, random_bytes};
use telepath_media::bridge::RtcpSeed;
use telepath_media::playout::StreamStart;
use telepath_media::rtcp::CanonicalName;
use telepath_media::rtp::{RtpTimestamp, SequenceNumber, Ssrc};

/// Random bytes per call.
pub(crate) const SEED_BYTES: usize = 34;

pub(crate) struct MediaSeeds {
    pub(crate) stream: StreamStart,
    /// Identifier of our session descriptions.
    pub(crate) session: u32,
    pub(crate) rtcp: RtcpSeed,
}

impl MediaSeeds {
    pub(crate) fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let random = random_bytes::<SEED_BYTES>(entropy)?;
        let [s0, s1, s2, s3, q0, q1, t0, t1, t2, t3, i0, i1, i2, i3, rest @ ..] = random;
        let [cname @ .., r0, r1, r2, r3, r4, r5, r6, r7] = rest;
        Ok(Self {
            rtcp: RtcpSeed {
                cname: CanonicalName::from_random(cname),
                intervals: u64::from_be_bytes([r0, r1, r2, r3, r4, r5, r6, r7]),
            },
            stream: StreamStart {
                ssrc: Ssrc(u32::from_be_bytes([s0, s1, s2, s3])),
                // In the lower half, so that the loss of the first packets cannot hide a rollover from an SRTP receiver
                // (RFC 3711 section 3.3.1).
                sequence: SequenceNumber(u16::from_be_bytes([q0, q1]) >> 1),
                timestamp: RtpTimestamp(u32::from_be_bytes([t0, t1, t2, t3])),
            },
            session: u32::from_be_bytes([i0, i1, i2, i3]),
        })
    }
}
