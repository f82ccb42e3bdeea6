//! Media without I/O: SDP, RTP, codecs, agent dialects and the call bridge.
//!
//! This crate owns no socket, clock or random source. Time enters as an [`std::time::Instant`] argument and random
//! starting values as arguments; callers poll for what to send. The gateway adds the I/O. The tests drive the same
//! code with virtual time and a simulated lossy network.
#![warn(missing_docs)]

pub mod audio_converter;
pub mod audio_format;
pub mod bridge;
pub mod call_report;
pub mod caller_actions;
pub mod codec;
pub mod dialect;
pub mod dtmf;
pub mod g711;
pub mod g722;
pub mod histogram;
pub mod media_clock;
pub mod payload;
pub mod playout;
pub mod resample;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
#[cfg(test)]
mod sim;
pub mod srtp;
pub mod test_caller;
pub mod tone;
pub mod turns;
pub mod vad;
pub mod wav;
