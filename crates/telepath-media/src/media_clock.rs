//! The media clock: its rate, frame length, and conversions between samples and time.
//!
//! The RTP clock of every codec in use is 8 kHz, so one clock serves RTP timestamps (RFC 3550 section 5.1), telephone
//! events (RFC 4733 section 2.1) and the queues of the bridge. G.711 samples at this rate too. G.722 samples at 16 kHz, but
//! keeps the clock (RFC 3551 section 4.5.2): one tick is one byte of payload.

use std::time::Duration;

/// The RTP clock rate of every codec and the sampling rate of G.711, in hertz.
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
