//! RTCP (RFC 3550 section 6): compound packets, and the reports of one call.
//!
//! A [`RtcpSession`] sends sender and receiver reports, and learns from those of the peer how long a round trip takes and
//! how well the peer receives.

mod cname;
mod interval;
mod packet;
mod session;
mod write;

pub use cname::CanonicalName;
pub use packet::{
    CompoundPacket, MAX_REPORT_BLOCKS, NtpTime, ReportBlock, RtcpError, RtcpPacket, SenderInfo,
};
pub use session::{PeerReception, RtcpFigures, RtcpSession};

#[cfg(test)]
mod tests;
