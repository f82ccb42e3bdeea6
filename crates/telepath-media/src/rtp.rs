//! RTP (RFC 3550): packets, ordering of what comes in, statistics, and where to send.
//!
//! The receiver hands packets on in order and at once; it is a reorder window, not a jitter buffer, because
//! agents need audio in order but not paced.

mod latch;
mod packet;
mod receiver;
mod statistics;

pub use latch::{LEARNING, LatchDecision, SymmetricLatch};
pub use packet::{Datagram, PayloadType, RtpError, RtpHeader, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc};
pub use receiver::{
    COVER_AFTER, Delivery, GapCause, REORDER_PACKETS, REORDER_TIME, ReceiverCounters, RtpReceiver,
};
pub use statistics::ReceptionStatistics;

#[cfg(test)]
mod tests;
