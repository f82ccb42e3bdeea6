//! RTP (RFC 3550): packets, reordering, reception statistics and symmetric RTP.
//!
//! The receiver delivers packets in order and without delay. It is a reorder window, not a jitter buffer: agents need
//! audio in order, but not paced.

mod latch;
mod packet;
mod receiver;
mod statistics;
mod timeline;

pub use latch::{
    FIRST_PACKET_WAIT, LatchDecision, PROBATION_PACKETS, SOURCE_SILENCE, STRAGGLER_TIME, StreamPacket,
    SymmetricLatch,
};
pub(crate) use packet::payload_offset;
pub use packet::{
    Datagram, PayloadType, PayloadTypes, RtpError, RtpHeader, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc,
    is_rtcp,
};
pub use receiver::{Delivery, REORDER_PACKETS, REORDER_TIME, ReceiverCounters, RtpReceiver};
pub use statistics::{ReceptionReport, ReceptionStatistics};
pub use timeline::GapCause;

#[cfg(test)]
mod tests;
