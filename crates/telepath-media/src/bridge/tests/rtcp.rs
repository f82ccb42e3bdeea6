//! Reports of a call: when they are sent, where to, and what they measure.

use super::*;
use crate::rtcp::{CompoundPacket, RtcpPacket, RtcpSession};

fn with(rtcp: RtcpTransport) -> TestBridge {
    let mut config = config();
    config.negotiated.rtcp = rtcp;
    TestBridge::with(config)
}

fn kinds(packet: &[u8]) -> Vec<u8> {
    let packets = CompoundPacket::parse(packet).unwrap();
    packets
        .packets()
        .map(|packet| match packet {
            RtcpPacket::Report { info: Some(_), .. } => 200,
            RtcpPacket::Report { info: None, .. } => 201,
            RtcpPacket::Bye { .. } => 203,
            RtcpPacket::Other => 202,
        })
        .collect()
}

#[test]
fn sender_reports_are_sent_from_the_answer_on_and_a_bye_at_the_end() {
    let mut config = config();
    config.limits.media_timeout = Duration::from_mins(10);
    let mut test = TestBridge::with(config);
    test.run_for(Duration::from_mins(1));
    assert!((9..=20).contains(&test.reports.len()), "{}", test.reports.len());
    assert!(test.reports.iter().all(|(packet, _)| kinds(packet) == [200, 202]));
    test.reports.clear();
    test.bridge.handle_stop(StopReason("normal_disconnect"), test.now);
    test.collect();
    assert_eq!(test.reports.iter().map(|(packet, _)| kinds(packet)).collect::<Vec<_>>(), [[200, 202, 203]]);
}

#[test]
fn no_report_is_sent_before_the_answer() {
    let now = Instant::now();
    let mut bridge = CallBridge::new(config(), now);
    bridge.handle_timeout(now + Duration::from_mins(1));
    bridge.handle_stop(StopReason("normal_disconnect"), now + Duration::from_mins(1));
    assert!(
        !std::iter::from_fn(|| bridge.poll_output()).any(|output| matches!(output, Output::SendRtcp { .. }))
    );
}

#[test]
fn reports_continue_while_the_call_is_on_hold() {
    let mut test = TestBridge::new();
    test.bridge.handle_negotiated(&media(MediaDirection::Inactive), test.now);
    test.run_for(Duration::from_mins(2));
    assert!(test.reports.len() > 15, "{}", test.reports.len());
    assert_eq!(kinds(&test.reports.last().unwrap().0), [201, 202], "nothing is sent");
}

#[test]
fn reports_go_to_the_next_port_the_named_one_or_that_of_rtp() {
    let named: SocketAddr = "192.0.2.7:9000".parse().unwrap();
    for (rtcp, expected) in [
        (RtcpTransport::Separate(None), "192.0.2.1:4001"),
        (RtcpTransport::Separate(Some(named)), "192.0.2.7:9000"),
        (RtcpTransport::Muxed, "192.0.2.1:4000"),
    ] {
        let mut test = with(rtcp);
        assert_eq!(test.bridge.is_rtcp_muxed(), rtcp == RtcpTransport::Muxed);
        test.run_for(Duration::from_secs(10));
        let (_, to) = test.reports[0];
        assert_eq!(to, expected.parse().unwrap());
    }
}

#[test]
fn behind_nat_reports_go_to_where_the_peers_reports_come_from() {
    for (rtcp, expected) in
        [(RtcpTransport::Separate(None), "192.0.2.1:61000"), (RtcpTransport::Muxed, "192.0.2.1:4000")]
    {
        let mut test = with(rtcp);
        let from = "192.0.2.1:61000".parse().unwrap();
        test.bridge.handle_rtcp(&mut [0x80, 201, 0, 1, 0, 0, 0, 9], from, test.now);
        let stranger = "192.0.2.8:61000".parse().unwrap();
        test.bridge.handle_rtcp(&mut [0x80, 201, 0, 1, 0, 0, 0, 9], stranger, test.now);
        test.run_for(Duration::from_secs(10));
        assert_eq!(test.reports[0].1, expected.parse().unwrap());
        assert_eq!(test.bridge.report(test.now).bridge.foreign_address, 1);
    }
}

#[test]
fn the_round_trip_and_what_the_peer_receives_are_reported() {
    let mut test = TestBridge::new();
    let mut peer_session = RtcpSession::new(Ssrc(2), CanonicalName::from_random([1; 12]), 5, test.now);
    peer_session.start(test.now);
    let (one_way, lost) = (ms(40), 3);
    for _ in 0..60_000 {
        test.run_for(ms(1));
        for (packet, _) in std::mem::take(&mut test.reports) {
            peer_session.handle(&packet, test.now + one_way).unwrap();
        }
        let reception = crate::rtp::ReceptionReport {
            ssrc: Ssrc(1),
            fraction_lost: 0,
            cumulative_lost: lost,
            highest_sequence: 0x1_0500,
            jitter: 80,
        };
        // The peer's clock runs at its end of the link.
        if let Some(report) =
            peer_session.poll_report(|| Some(reception), test.now.checked_sub(one_way).unwrap())
        {
            test.bridge.handle_rtcp(&mut report.clone(), peer(), test.now);
        }
    }
    let figures = test.bridge.report(test.now).rtcp;
    let round_trip = figures.round_trip.unwrap();
    assert!((ms(78)..=ms(82)).contains(&round_trip), "{round_trip:?}");
    let peer = figures.peer.unwrap();
    assert_eq!((peer.lost, peer.jitter), (3, 80));
    assert!(peer.expected > 1_000, "{peer:?}");
}
