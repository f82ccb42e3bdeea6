//! Writes the compound packets that we send: a report with the canonical name, and at the end a BYE.

use super::cname::CanonicalName;
use super::packet::{BYE, RECEIVER_REPORT, ReportBlock, SENDER_REPORT, SOURCE_DESCRIPTION, SenderInfo};
use crate::rtp::Ssrc;

/// The item of a source description that holds the canonical name.
const CNAME: u8 = 1;
/// Room for a sender report with one block, the name, a BYE and what SRTCP adds.
const CAPACITY: usize = 128;

/// Writes a sender report, or without `info` a receiver report, and the canonical name, which every compound packet must
/// have (RFC 3550 section 6.1).
pub(super) fn report(
    ssrc: Ssrc,
    info: Option<SenderInfo>,
    block: Option<ReportBlock>,
    cname: &CanonicalName,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(CAPACITY);
    let kind = if info.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
    packet(&mut out, kind, u8::from(block.is_some()), |out| {
        out.extend(ssrc.0.to_be_bytes());
        if let Some(info) = info {
            out.extend(info.sent_at.0.to_be_bytes());
            out.extend(info.timestamp.0.to_be_bytes());
            out.extend(info.packets.to_be_bytes());
            out.extend(info.octets.to_be_bytes());
        }
        if let Some(block) = block {
            write_block(out, &block);
        }
    });
    packet(&mut out, SOURCE_DESCRIPTION, 1, |out| {
        out.extend(ssrc.0.to_be_bytes());
        let name = cname.as_str().as_bytes();
        out.push(CNAME);
        out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.extend(name.iter().take(u8::MAX.into()));
        // At least one zero ends the list of items.
        out.push(0);
    });
    out
}

/// Appends a BYE to a compound packet.
pub(super) fn bye(out: &mut Vec<u8>, ssrc: Ssrc) {
    packet(out, BYE, 1, |out| out.extend(ssrc.0.to_be_bytes()));
}

fn write_block(out: &mut Vec<u8>, block: &ReportBlock) {
    out.extend(block.ssrc.0.to_be_bytes());
    // The loss has 24 bits and a sign (RFC 3550 appendix A.3).
    let [_, l0, l1, l2] = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
    out.extend([block.fraction_lost, l0, l1, l2]);
    for word in [block.highest_sequence, block.jitter, block.last_report, block.delay] {
        out.extend(word.to_be_bytes());
    }
}

/// Writes one packet: header, content, and zeros up to the next word.
fn packet(out: &mut Vec<u8>, kind: u8, count: u8, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0x80 | count, kind, 0, 0]);
    content(out);
    out.resize(start + (out.len() - start).next_multiple_of(4), 0);
    let words = u16::try_from((out.len() - start) / 4 - 1).unwrap_or(u16::MAX);
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}
