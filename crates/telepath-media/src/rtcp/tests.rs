use super::*;
use crate::rtp::{PayloadType, ReceptionReport, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use crate::sim::{LinkConditions, LossyLink};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const US: Ssrc = Ssrc(0x1111_1111);
const PEER: Ssrc = Ssrc(0x2222_2222);

fn cname(seed: u8) -> CanonicalName {
    CanonicalName::from_random([seed; 12])
}

fn session(ssrc: Ssrc, seed: u64, now: Instant) -> RtcpSession {
    let mut session = RtcpSession::new(ssrc, cname(1), seed, now);
    session.start(now);
    session
}

fn header(sequence: u16, timestamp: u32, ssrc: Ssrc) -> RtpHeader {
    RtpHeader {
        marker: false,
        payload_type: PayloadType::PCMU,
        sequence: SequenceNumber(sequence),
        timestamp: RtpTimestamp(timestamp),
        ssrc,
    }
}

fn reception(ssrc: Ssrc) -> ReceptionReport {
    ReceptionReport { ssrc, fraction_lost: 64, cumulative_lost: 25, highest_sequence: 0x1_0063, jitter: 12 }
}

/// Every report that is due until `until`, with the time at which it was due.
fn reports(session: &mut RtcpSession, until: Instant) -> Vec<(Instant, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some(due) = session.poll_timeout().filter(|&due| due <= until) {
        found.push((due, session.poll_report(|| None, due).unwrap()));
    }
    found
}

#[test]
fn reports_are_sent_at_random_intervals_around_four_seconds_and_the_first_one_early() {
    let start = Instant::now();
    for seed in 0..50 {
        let mut session = session(US, seed, start);
        let sent = reports(&mut session, start + Duration::from_mins(10));
        let first = sent[0].0 - start;
        // 0.5 to 1.5 times the interval, divided by e - 3/2.
        assert!((1.02..=3.08).contains(&first.as_secs_f64()), "seed {seed}: {first:?}");
        for pair in sent.windows(2) {
            let gap = (pair[1].0 - pair[0].0).as_secs_f64();
            assert!((2.05..=6.16).contains(&gap), "seed {seed}: {gap}");
        }
        assert!((120..=185).contains(&sent.len()), "seed {seed}: {}", sent.len());
    }
}

#[test]
fn a_sender_report_has_the_time_of_the_stream_at_which_it_is_sent() {
    let start = Instant::now();
    let mut session = session(US, 1, start);
    session.note_sent(header(9, 1_000, US), 160, start);
    session.note_sent(header(10, 1_160, US), 160, start + Duration::from_millis(20));
    let due = session.poll_timeout().unwrap();
    let bytes = session.poll_report(|| None, due).unwrap();
    let packets: Vec<RtcpPacket<'_>> = CompoundPacket::parse(&bytes).unwrap().packets().collect();
    let RtcpPacket::Report { ssrc, info: Some(info), .. } = packets[0] else { panic!("{packets:?}") };
    let since = due - (start + Duration::from_millis(20));
    assert_eq!((ssrc, info.packets, info.octets), (US, 2, 320));
    assert_eq!(
        info.timestamp,
        RtpTimestamp(1_160).after(u64::try_from(since.as_micros()).unwrap() * 8 / 1_000)
    );
    assert_eq!(info.sent_at, NtpTime::after(due - start + Duration::from_secs(1)));
    assert_eq!(packets[1..], [RtcpPacket::Other], "the canonical name");
    let name = cname(1).as_str().as_bytes().to_vec();
    assert!(bytes.windows(name.len()).any(|part| part == name));
}

#[test]
fn an_endpoint_that_stopped_sending_sends_receiver_reports() {
    let start = Instant::now();
    let mut session = session(US, 1, start);
    session.note_sent(header(1, 0, US), 160, start);
    let kinds: Vec<u8> =
        reports(&mut session, start + Duration::from_mins(1)).iter().map(|(_, bytes)| bytes[1]).collect();
    assert_eq!(kinds[..4], [200, 200, 201, 201]);
}

#[test]
fn the_loss_of_each_interval_and_of_the_whole_stream_is_reported() {
    use crate::rtp::{PayloadTypes, RtpPacket, RtpReceiver};
    let types = PayloadTypes { audio: PayloadType::PCMU, telephone_event: None, comfort_noise: None };
    let mut receiver = RtpReceiver::new(types);
    let mut now = Instant::now();
    let mut receive = |receiver: &mut RtpReceiver, sequences: std::ops::Range<u32>, keep: fn(u32) -> bool| {
        for n in sequences {
            now += Duration::from_millis(20);
            if keep(n) {
                let header = header((n & 0xffff) as u16, n * 160, PEER);
                receiver.handle(RtpPacket { header, payload: &[0; 160] }, now, &mut |_| {});
            }
        }
    };
    assert_eq!(receiver.report(), None);
    receive(&mut receiver, 0xff9c..0x1_0000, |n| n % 4 != 1);
    let first = receiver.report().unwrap();
    assert_eq!((first.ssrc, first.fraction_lost, first.cumulative_lost), (PEER, 64, 25));
    assert_eq!(first.highest_sequence, 0xffff);
    receive(&mut receiver, 0x1_0000..0x1_0064, |_| true);
    let second = receiver.report().unwrap();
    assert_eq!((second.fraction_lost, second.cumulative_lost), (0, 25));
    assert_eq!(second.highest_sequence, 0x1_0063, "one cycle");
    assert_eq!(receiver.report().unwrap().fraction_lost, 0, "nothing was expected");
}

#[test]
fn a_new_source_is_reported_from_its_first_packet_on() {
    use crate::rtp::{PayloadTypes, RtpPacket, RtpReceiver};
    let types = PayloadTypes { audio: PayloadType::PCMU, telephone_event: None, comfort_noise: None };
    let mut receiver = RtpReceiver::new(types);
    let mut now = Instant::now();
    for (ssrc, sequences) in [(PEER, [1_u16, 2, 9, 10]), (Ssrc(7), [500, 501, 502, 504])] {
        now += Duration::from_secs(1);
        for sequence in sequences {
            now += Duration::from_millis(20);
            let header = header(sequence, u32::from(sequence) * 160, ssrc);
            receiver.handle(RtpPacket { header, payload: &[0; 160] }, now, &mut |_| {});
        }
    }
    let report = receiver.report().unwrap();
    assert_eq!((report.ssrc, report.cumulative_lost, report.highest_sequence), (Ssrc(7), 1, 504));
    assert_eq!(report.fraction_lost, 51, "one of five");
}

#[test]
fn the_round_trip_is_measured_by_both_sides_over_a_link_with_delay() {
    let start = Instant::now();
    // The clocks of the peers began at different times.
    let (mut us, mut peer) = (session(US, 1, start), session(PEER, 2, start + Duration::from_millis(700)));
    let conditions = LinkConditions {
        loss: 0,
        duplicate: 0,
        reorder: 0,
        delay: Duration::from_millis(60),
        jitter: Duration::from_micros(1),
    };
    let (mut there, mut back) = (LossyLink::new(1, conditions), LossyLink::new(2, conditions));
    for ms in 0..60_000_u64 {
        let now = start + Duration::from_millis(ms);
        if ms.is_multiple_of(20) {
            let n = u16::try_from(ms / 20).unwrap();
            us.note_sent(header(n, u32::from(n) * 160, US), 160, now);
            peer.note_sent(header(n, u32::from(n) * 160, PEER), 160, now);
        }
        us.poll_report(|| Some(reception(PEER)), now).into_iter().for_each(|bytes| there.send(&bytes, now));
        peer.poll_report(|| Some(reception(US)), now).into_iter().for_each(|bytes| back.send(&bytes, now));
        while let Some(bytes) = there.receive(now) {
            peer.handle(&bytes, now).unwrap();
        }
        while let Some(bytes) = back.receive(now) {
            us.handle(&bytes, now).unwrap();
        }
    }
    for figures in [us.figures(), peer.figures()] {
        let round_trip = figures.round_trip.unwrap().as_secs_f64() * 1_000.0;
        assert!((119.0..=123.0).contains(&round_trip), "{round_trip} ms");
        let reception = figures.peer.unwrap();
        assert_eq!((reception.lost, reception.jitter), (25, 12));
    }
}

#[test]
fn a_round_trip_within_the_coarseness_of_the_peers_clock_is_zero_and_an_absurd_one_is_ignored() {
    let start = Instant::now();
    let mut us = session(US, 1, start);
    us.note_sent(header(1, 0, US), 160, start);
    let sent_at = start + Duration::from_secs(5);
    let middle = NtpTime::after(Duration::from_secs(6)).middle();
    let block = |last_report, delay| {
        let reception = reception(US);
        let block = ReportBlock {
            ssrc: US,
            fraction_lost: 0,
            cumulative_lost: -3,
            highest_sequence: reception.highest_sequence,
            jitter: 0,
            last_report,
            delay,
        };
        write::report(PEER, None, Some(block), &cname(2))
    };
    for (last_report, delay) in [(0, 0), (middle.wrapping_add(60 * 65_536), 0), (1, 0), (middle, 40 * 65_536)]
    {
        us.handle(&block(last_report, delay), sent_at + Duration::from_secs(20)).unwrap();
        assert_eq!(us.figures().round_trip, None, "{last_report} {delay}");
    }
    us.handle(&block(middle, 20), sent_at).unwrap();
    assert_eq!(us.figures().round_trip, Some(Duration::ZERO));
    assert_eq!(us.figures().peer.unwrap().lost, 0, "more duplicates than losses");
}

#[test]
fn blocks_about_other_sources_are_ignored() {
    let start = Instant::now();
    let mut us = session(US, 1, start);
    us.note_sent(header(1, 0, US), 160, start);
    let mut other = session(PEER, 2, start);
    let due = other.poll_timeout().unwrap();
    let bytes = other.poll_report(|| Some(reception(Ssrc(5))), due).unwrap();
    us.handle(&bytes, due).unwrap();
    assert_eq!(us.figures(), RtcpFigures::default());
}

#[test]
fn a_call_ends_with_a_bye_after_a_report_and_nothing_follows() {
    let start = Instant::now();
    let mut us = session(US, 1, start);
    let bytes = us.finish(Some(reception(PEER)), start + Duration::from_secs(1)).unwrap();
    let packets: Vec<RtcpPacket<'_>> = CompoundPacket::parse(&bytes).unwrap().packets().collect();
    assert!(matches!(packets[0], RtcpPacket::Report { info: None, .. }));
    assert_eq!(packets[0].blocks().count(), 1);
    assert_eq!(packets[1..], [RtcpPacket::Other, RtcpPacket::Bye { ssrc: Some(US) }]);
    assert_eq!((us.poll_timeout(), us.finish(None, start)), (None, None));
    assert_eq!(RtcpSession::new(US, cname(1), 1, start).finish(None, start), None, "never answered");
}

#[test]
fn a_report_of_the_peer_is_acknowledged_with_its_delay() {
    let start = Instant::now();
    let mut us = session(US, 1, start);
    let mut peer = session(PEER, 2, start);
    peer.note_sent(header(1, 0, PEER), 160, start);
    let sent = peer.poll_timeout().unwrap();
    us.handle(&peer.poll_report(|| None, sent).unwrap(), sent).unwrap();
    let bytes = us.finish(Some(reception(PEER)), sent + Duration::from_millis(500)).unwrap();
    let report = CompoundPacket::parse(&bytes).unwrap().packets().next().unwrap();
    let block = report.blocks().next().unwrap();
    assert_eq!(block.last_report, NtpTime::after(sent - start + Duration::from_secs(1)).middle());
    assert_eq!(block.delay, 32_768);
    assert_eq!((block.fraction_lost, block.cumulative_lost), (64, 25));
    us.start(sent);
    let bytes = us.finish(Some(reception(Ssrc(9))), sent).unwrap();
    let report = CompoundPacket::parse(&bytes).unwrap().packets().next().unwrap();
    assert_eq!(report.blocks().next().unwrap().last_report, 0, "another source has sent no report");
}

/// baresip opens the path through NAT with an APP packet (RFC 3550 section 6.7), and libraries end with a BYE alone.
#[test]
fn a_datagram_need_not_begin_with_a_report() {
    let app = [0x80, 204, 0, 3, 0, 0, 0, 9, b'P', b'I', b'N', b'G', b'P', b'O', b'N', b'G'];
    let bye = [0x81, 203, 0, 1, 0, 0, 0, 9];
    let packets = |bytes: &[u8]| CompoundPacket::parse(bytes).unwrap().packets().count();
    assert_eq!((packets(&app), packets(&bye), packets(&[app.as_slice(), &bye].concat())), (1, 1, 2));
}

#[test]
fn malformed_compound_packets_are_rejected_by_rule() {
    let good = write::report(US, None, None, &cname(1));
    assert!(CompoundPacket::parse(&good).is_ok());
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        CompoundPacket::parse(&bytes).err()
    };
    assert_eq!(with(&|bytes| bytes.clear()), Some(RtcpError::Truncated));
    assert_eq!(with(&|bytes| bytes[1] = 191), Some(RtcpError::NotRtcp));
    assert_eq!(with(&|bytes| bytes[0] = 0x40), Some(RtcpError::Version));
    assert_eq!(with(&|bytes| bytes[3] = 200), Some(RtcpError::Truncated));
    assert_eq!(with(&|bytes| bytes[0] = 0x81), Some(RtcpError::Truncated), "a block is promised");
    assert_eq!(with(&|bytes| bytes[0] |= 0x20), Some(RtcpError::Padding), "not the last packet");
    let (last, length) = (8, good.len());
    assert_eq!(with(&|bytes| (bytes[last] |= 0x20, bytes[length - 1] = 8).0), None);
    for padding in [0, 3, 200] {
        let found = with(&|bytes| (bytes[last] |= 0x20, bytes[length - 1] = padding).0);
        assert_eq!(found, Some(RtcpError::Padding), "{padding}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        loss in -0x80_0000_i32..0x7f_ffff,
        words: [u32; 4],
        fraction_lost: u8,
        info: Option<(u64, u32, u32, u32)>,
    ) {
        let [highest_sequence, jitter, last_report, delay] = words;
        let block = ReportBlock {
            ssrc: PEER, fraction_lost, cumulative_lost: loss, highest_sequence, jitter, last_report, delay,
        };
        let info = info.map(|(sent_at, timestamp, packets, octets)| SenderInfo {
            sent_at: NtpTime(sent_at), timestamp: RtpTimestamp(timestamp), packets, octets,
        });
        let bytes = write::report(US, info, Some(block), &cname(3));
        let compound = CompoundPacket::parse(&bytes).unwrap();
        let report = compound.packets().next().unwrap();
        let is_same = matches!(report, RtcpPacket::Report { ssrc: US, info: read, .. } if read == info);
        prop_assert!(is_same);
        prop_assert_eq!(report.blocks().collect::<Vec<_>>(), vec![block]);
    }

    #[test]
    fn no_datagram_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        random in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let start = Instant::now();
        let mut us = session(US, 1, start);
        us.note_sent(header(1, 0, US), 160, start);
        let mut bytes = us.finish(Some(reception(US)), start).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        for bytes in [bytes, random] {
            let _ = us.handle(&bytes, start + Duration::from_secs(3));
            if let Ok(compound) = CompoundPacket::parse(&bytes) {
                prop_assert!(compound.packets().all(|packet| packet.blocks().count() <= MAX_REPORT_BLOCKS));
            }
        }
    }
}
