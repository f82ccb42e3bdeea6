//! What goes into play-out beside audio, and what comes out of it.

use crate::rtp::{Datagram, RtpTimestamp, SequenceNumber, Ssrc};
use std::time::Instant;

/// A name the agent gave to a position in its audio. At most 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MarkName(String);

impl MarkName {
    /// Longest name in bytes.
    pub const LIMIT: usize = 256;

    /// Takes a name; `None` when it is too long.
    pub fn new(name: String) -> Option<Self> {
        (name.len() <= Self::LIMIT).then_some(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The random starting values of a sent stream (RFC 3550 section 5.1), drawn by the shell.
#[derive(Debug, Clone, Copy)]
pub struct StreamStart {
    /// Identifier of our stream.
    pub ssrc: Ssrc,
    /// First sequence number.
    pub sequence: SequenceNumber,
    /// Timestamp of the origin.
    pub timestamp: RtpTimestamp,
}

/// What play-out produces.
#[derive(Debug)]
pub enum PlayOutEvent {
    /// Send this packet now.
    Packet {
        /// The packet.
        datagram: Datagram,
        /// What is known of its audio; `None` for a DTMF event.
        audio: Option<SentAudio>,
    },
    /// The audio before this mark has been played.
    Played(MarkName),
    /// The utterance has ended: nothing is left to play.
    Idle,
}

/// What is known of a frame that is being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentAudio {
    /// When the first byte of the frame was read from the agent.
    pub read_at: Instant,
    /// Whether it begins an utterance.
    pub first: bool,
    /// Whether it carries sound above -50 dBFS.
    pub sound: bool,
}

/// Frames that were not played, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlayOutCounters {
    /// Frames sent.
    pub sent: u64,
    /// Oldest frames dropped because the queue was full.
    pub overflowed: u64,
    /// Frames flushed by a barge-in.
    pub cleared: u64,
    /// Times the clock was started anew because we were late by more than [`super::UTTERANCE_GAP`] with audio waiting.
    pub stalls: u64,
}
