//! Inputs of play-out other than audio, and its outputs.

use crate::rtp::{Datagram, RtpTimestamp, SequenceNumber, Ssrc};
use std::time::{Duration, Instant};

/// A number that a dialect gives to an item of agent audio, such as one answer. Later items have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ItemNumber(pub u64);

/// How much of an item of agent audio the caller has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemPlayback {
    /// The item.
    pub item: ItemNumber,
    /// The part of its audio that was really played to the caller.
    pub played: Duration,
}

/// The agent's name for a position in its audio.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MarkName(String);

impl MarkName {
    /// Maximum length in bytes.
    pub const LIMIT: usize = 256;

    /// Returns `None` if the name is longer than [`Self::LIMIT`].
    pub fn new(name: String) -> Option<Self> {
        (name.len() <= Self::LIMIT).then_some(Self(name))
    }

    /// The name as the agent wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Random starting values of a sent stream (RFC 3550 section 5.1).
#[derive(Debug, Clone, Copy)]
pub struct StreamStart {
    /// SSRC of the stream.
    pub ssrc: Ssrc,
    /// First sequence number.
    pub sequence: SequenceNumber,
    /// Timestamp of the origin of the play-out clock.
    pub timestamp: RtpTimestamp,
}

/// Output of play-out.
#[derive(Debug)]
pub enum PlayOutEvent {
    /// Send this packet now.
    Packet {
        /// The encoded RTP packet.
        datagram: Datagram,
        /// What the packet contains.
        content: PacketContent,
    },
    /// The audio before a mark has been played, or at least partly cleared.
    Mark {
        /// The agent's name for the mark.
        name: MarkName,
        /// Whether audio before the mark was cleared.
        cleared: bool,
    },
    /// The utterance has ended: nothing is left to play.
    Idle,
}

/// The content of a sent packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketContent {
    /// Audio from the agent.
    Audio(SentAudio),
    /// A telephone event.
    TelephoneEvent,
    /// Silence or comfort noise, because the agent is silent.
    Silence,
}

/// Properties of a sent audio frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentAudio {
    /// When the first byte of the frame was read from the agent.
    pub read_at: Instant,
    /// Whether the frame starts an utterance.
    pub first: bool,
    /// Whether the frame is audible: above -50 dBFS.
    pub audible: bool,
}

/// Frames sent and dropped, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlayOutCounters {
    /// Frames of agent audio sent.
    pub sent: u64,
    /// Packets of silence or comfort noise sent while the agent was silent.
    pub silent: u64,
    /// Frames refused because the queue was full.
    pub overflowed: u64,
    /// Packets sent more than [`super::LATE`] after they were due.
    pub late: u64,
    /// Frames flushed by `clear` or barge-in.
    pub cleared: u64,
    /// Restarts of the clock because a frame was late by more than [`super::UTTERANCE_GAP`].
    pub stalls: u64,
}
