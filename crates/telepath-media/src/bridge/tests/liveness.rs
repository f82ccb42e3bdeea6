//! Tests of the latch within a call, and of what counts as a sign of life of the peer.

use super::*;
use crate::rtp::{Datagram, RtpHeader};

const MEDIA_TIMEOUT: Duration = Duration::from_secs(30);

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn packet(ssrc: u32, n: u16) -> Datagram {
    let header = RtpHeader {
        marker: false,
        payload_type: PayloadType::PCMU,
        sequence: SequenceNumber(n),
        timestamp: RtpTimestamp(u32::from(n) * 160),
        ssrc: Ssrc(ssrc),
    };
    Datagram::new(header, &[0xff; 160])
}

/// A receiver report without report blocks.
const RECEIVER_REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 9];

fn stream(test: &mut TestBridge, from: &str, ssrc: u32, sequences: std::ops::Range<u16>) {
    for n in sequences {
        test.bridge.handle_rtp(packet(ssrc, n).as_mut_bytes(), address(from), test.now);
        test.collect();
        test.run_for(ms(20));
    }
}

#[test]
fn a_stranger_that_sends_rtp_while_the_phone_rings_does_not_get_the_calls_audio() {
    let start = Instant::now();
    let mut bridge = CallBridge::new(config(), start);
    for n in 0..100u16 {
        let at = start + ms(20) * u32::from(n);
        bridge.handle_rtp(packet(666, n).as_mut_bytes(), address("203.0.113.5:9"), at);
    }
    let answer = start + ms(2000);
    bridge.handle_answered(answer);
    assert_eq!(bridge.remote(), Some(peer()));
    bridge.handle_rtp(packet(666, 100).as_mut_bytes(), address("203.0.113.5:9"), answer + ms(1200));
    bridge.handle_rtp(packet(1, 0).as_mut_bytes(), peer(), answer + ms(1200));
    assert_eq!(bridge.remote(), Some(peer()));
    let report = bridge.report(answer + ms(1300));
    assert_eq!((report.bridge.foreign_address, report.packets_received), (101, 1));
}

#[test]
fn hold_and_resume_with_the_same_sdp_and_rtp_from_a_new_port_keeps_the_audio_in_both_directions() {
    for hold in [MediaDirection::RecvOnly, MediaDirection::Inactive] {
        for (blackhole, ssrc) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
            let mut test = TestBridge::new();
            stream(&mut test, "192.0.2.1:4000", 1, 0..100);
            let mut held = media(hold);
            held.remote = held.remote.filter(|_| !blackhole);
            test.bridge.handle_negotiated(&held, test.now);
            test.run_for(Duration::from_secs(20));
            test.bridge.handle_negotiated(&media(MediaDirection::SendRecv), test.now);
            test.collect();
            test.audio.clear();
            stream(&mut test, "192.0.2.1:4400", ssrc, 100..1700);
            assert_eq!(test.bridge.remote(), Some(address("192.0.2.1:4400")));
            assert!(test.audio.len() >= 1560 * 160, "{}", test.audio.len());
            assert_eq!(test.hang_up, None);
        }
    }
}

#[test]
fn an_nat_that_rebinds_the_port_in_the_middle_of_a_call_loses_no_packet() {
    let mut test = TestBridge::new();
    stream(&mut test, "192.0.2.1:4000", 1, 0..500);
    stream(&mut test, "192.0.2.1:50123", 1, 500..1000);
    assert_eq!(test.bridge.remote(), Some(address("192.0.2.1:50123")));
    let report = test.bridge.report(test.now);
    assert_eq!((report.packets_received, report.bridge.foreign_address), (1000, 0));
}

#[test]
fn agent_audio_waits_until_the_peers_address_is_known() {
    let mut config = config();
    config.negotiated.remote = None;
    let mut test = TestBridge::with(config);
    test.agent_audio(&tone(1));
    test.run_for(ms(400));
    assert!(test.packets.is_empty());
    stream(&mut test, "198.51.100.7:4000", 1, 0..60);
    assert_eq!(test.packets.len(), 50, "nothing of the greeting is lost");
    assert_eq!(test.bridge.remote(), Some(address("198.51.100.7:4000")));
}

#[test]
fn rtcp_of_the_peer_counts_as_a_sign_of_life() {
    for from in ["192.0.2.1:4000", "192.0.2.1:4001"] {
        let mut test = TestBridge::new();
        for _ in 0..60 {
            test.bridge.handle_rtcp(&mut RECEIVER_REPORT.clone(), address(from), test.now);
            test.run_for(Duration::from_secs(5));
        }
        assert_eq!(test.hang_up, None, "{from}");
        test.run_for(MEDIA_TIMEOUT);
        assert_eq!(test.hang_up, Some(HangUpCause::MediaTimeout), "{from}");
    }
    // On the media port too (RFC 5761).
    let mut test = TestBridge::new();
    test.run_for(Duration::from_secs(20));
    test.rtp(&RECEIVER_REPORT);
    test.run_for(Duration::from_secs(20));
    assert_eq!(test.hang_up, None);
    assert_eq!(test.bridge.report(test.now).bridge.control_packets, 1);
}

#[test]
fn rtcp_of_a_stranger_and_malformed_rtcp_are_no_sign_of_life() {
    let mut test = TestBridge::new();
    for n in 0..30u8 {
        test.run_for(Duration::from_secs(1));
        test.bridge.handle_rtcp(&mut RECEIVER_REPORT.clone(), address("203.0.113.5:4001"), test.now);
        for bytes in
            [&[0x80, 201, 0, 2, 0, 0, 0, 9][..], &[0x40, 201, 0, 1, 0, 0, 0, 9], &[0x80, 204, 0, 1], &[n]]
        {
            test.bridge.handle_rtcp(&mut bytes.to_vec(), peer(), test.now);
        }
    }
    assert_eq!(test.hang_up, Some(HangUpCause::MediaTimeout));
}

#[test]
fn a_recvonly_peer_is_not_disconnected_for_its_silence() {
    // The peer's a=recvonly is a=sendonly on our side.
    let mut config = config();
    config.negotiated = media(MediaDirection::SendOnly);
    let mut test = TestBridge::with(config);
    test.run_for(MEDIA_TIMEOUT * 100);
    assert_eq!(test.hang_up, None);
    test.agent_audio(&tone(1));
    assert_eq!(test.packets.len(), 1, "the peer still hears the agent");
    test.bridge.handle_negotiated(&media(MediaDirection::SendRecv), test.now);
    test.run_for(ms(29_999));
    assert_eq!(test.hang_up, None, "the media timeout starts when the peer may send again");
    test.run_for(ms(1));
    assert_eq!(test.hang_up, Some(HangUpCause::MediaTimeout));
}

#[test]
fn comfort_noise_is_a_sign_of_life_and_neither_speech_nor_audio() {
    let mut config = config();
    config.negotiated.receive.comfort_noise = Some(PayloadType::COMFORT_NOISE);
    config.limits.media_timeout = MEDIA_TIMEOUT;
    let mut test = TestBridge::with(config);
    stream(&mut test, "192.0.2.1:4000", 1, 0..50);
    // A caller with silence suppression: a packet every two seconds, as loud as the format permits (RFC 3389 section 3).
    for n in 50..80u16 {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::COMFORT_NOISE,
            sequence: SequenceNumber(n),
            timestamp: RtpTimestamp(50 * 160 + u32::from(n - 50) * 16_000),
            ssrc: Ssrc(1),
        };
        test.rtp(Datagram::new(header, &[0]).as_bytes());
        test.run_for(ms(2000));
    }
    assert_eq!(test.hang_up, None, "a minute without audio");
    assert!(test.events_of_type("speech_started").is_empty());
    assert!(test.audio.iter().all(|&sample| sample == 0));
    let report = test.bridge.report(test.now);
    assert_eq!((report.received.comfort_noise, report.received.unknown_payload), (30, 0));
    assert_eq!(report.packets_lost, 0);
    // The same silence without these packets ends the call.
    test.run_for(MEDIA_TIMEOUT);
    assert_eq!(test.hang_up, Some(HangUpCause::MediaTimeout));
}
