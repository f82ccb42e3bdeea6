//! The media clock: sampling rate, frame length, and conversions between samples and time.
//!
//! Every codec in use samples at 8 kHz, so one clock serves RTP timestamps (RFC 3550 section 5.1), telephone
//! events (RFC 4733 section 2.1) and the agent's audio.

use std::time::Duration;

/// Sampling rate of every codec, in hertz.
pub const SAMPLE_RATE: u32 = 8000;

/// Audio in one packet sent to the caller (`a=ptime:20`).
pub const FRAME_DURATION: Duration = Duration::from_millis(20);

/// Samples in one frame of [`FRAME_DURATION`].
pub const FRAME_SAMPLES: usize = 160;

/// Nanoseconds per sample.
const SAMPLE_NANOS: u32 = 1_000_000_000 / SAMPLE_RATE;

/// The number of whole samples in a duration.
pub fn samples_in(duration: Duration) -> u64 {
    duration.as_secs() * u64::from(SAMPLE_RATE) + u64::from(duration.subsec_nanos() / SAMPLE_NANOS)
}

/// The duration of a number of samples.
pub fn duration_of(samples: u64) -> Duration {
    Duration::from_nanos(samples.saturating_mul(u64::from(SAMPLE_NANOS)))
}
