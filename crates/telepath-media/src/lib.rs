//! Media without I/O: SDP, RTP, codecs, agent dialects, the call bridge.
//!
//! Nothing here owns a socket, a clock or a source of randomness. Time enters as an [`std::time::Instant`]
//! argument, random starting values enter as arguments, and what should be sent is polled. The gateway is the
//! shell that does the I/O; the tests are another shell, with virtual time and a bad network.
#![warn(missing_docs)]

pub mod bridge;
pub mod caller;
pub mod codec;
pub mod dialect;
pub mod dtmf;
pub mod figures;
pub mod g711;
pub mod playout;
pub mod reason;
pub mod rtp;
pub mod sdp;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod tone;
pub mod turns;
pub mod vad;
pub mod wav;

/// Duration of one play-out frame: every packet toward the caller carries this much audio.
pub const FRAME: std::time::Duration = std::time::Duration::from_millis(20);

/// Samples of one play-out frame at 8 kHz.
pub const FRAME_SAMPLES: usize = 160;

/// Sampling rate of every codec spoken toward the carrier today, in hertz.
pub const SAMPLE_RATE: u32 = 8000;

/// Whole samples at 8 kHz that fit into a duration.
pub fn samples_in(duration: std::time::Duration) -> u64 {
    duration.as_secs() * u64::from(SAMPLE_RATE) + u64::from(duration.subsec_nanos() / 125_000)
}

/// The time that a number of samples takes at 8 kHz.
pub fn duration_of(samples: u64) -> std::time::Duration {
    std::time::Duration::from_nanos(samples.saturating_mul(125_000))
}
