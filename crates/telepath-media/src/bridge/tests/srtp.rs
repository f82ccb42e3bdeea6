//! A call with SRTP.

use super::*;
use crate::playout::StreamStart;
use crate::srtp::{CryptoSuite, MAX_KEY_BYTES, MasterKey, PeerKey, SrtpKeys, SrtpSession};
use zeroize::Zeroizing;

fn key(suite: CryptoSuite, value: u8) -> MasterKey {
    MasterKey::from_random(suite, &Zeroizing::new([value; MAX_KEY_BYTES]))
}

fn keys(suite: CryptoSuite, local: u8, remote: u8) -> SrtpKeys {
    SrtpKeys { local: key(suite, local), remote: PeerKey { key: key(suite, remote), identifier: None } }
}

fn secure_media(suite: CryptoSuite) -> Negotiated {
    Negotiated { srtp: Some(keys(suite, 1, 2)), ..media(MediaDirection::SendRecv) }
}

/// An answered call with SRTP, and the session of its peer.
fn secure_call(suite: CryptoSuite) -> (TestBridge, SrtpSession) {
    let mut config = config();
    config.negotiated = secure_media(suite);
    (TestBridge::with(config), SrtpSession::new(keys(suite, 2, 1)))
}

fn caller(suite: CryptoSuite, at: Instant) -> TestCaller {
    let start = StreamStart { ssrc: Ssrc(2), sequence: SequenceNumber(100), timestamp: RtpTimestamp(0) };
    TestCaller::new(&secure_media(suite), start, sine(Hertz(440.0), 8_000, 8_000), at)
}

/// The encrypted packets of the first second of a caller.
fn spoken(suite: CryptoSuite, session: &mut SrtpSession, at: Instant) -> Vec<(Instant, Vec<u8>)> {
    let (mut caller, mut packets) = (caller(suite, at), Vec::new());
    while let Some(due) = caller.poll_timeout().filter(|&due| due < at + Duration::from_secs(1)) {
        while let Some(mut datagram) = caller.poll_packet(due) {
            assert!(session.protect(&mut datagram));
            packets.push((due, datagram.as_bytes().to_vec()));
        }
    }
    packets
}

#[test]
fn audio_is_decrypted_for_the_agent_and_encrypted_for_the_caller() {
    for suite in CryptoSuite::ALL {
        let (mut test, mut peer_session) = secure_call(suite);
        for (due, bytes) in spoken(suite, &mut peer_session, test.now) {
            test.run_until(due);
            test.rtp(&bytes);
        }
        assert!(test.audio.len() >= 7_800, "{suite:?}: {}", test.audio.len());
        assert!(test.audio.iter().any(|&sample| sample > 7_000));
        test.agent_audio(&sine(Hertz(440.0), 8_000, 1_600));
        test.run_for(Duration::from_secs(5));
        let sent: Vec<_> = test.packets.drain(..).chain(test.silence.drain(..)).collect();
        assert!(sent.len() > 200, "silence is encrypted too");
        for (_, mut bytes) in sent {
            assert_eq!(bytes.len(), 172 + suite.tag_length());
            assert!(RtpPacket::parse(peer_session.unprotect(&mut bytes).unwrap()).is_ok());
        }
        let (mut report, _) = test.reports.pop().unwrap();
        assert!(
            crate::rtcp::CompoundPacket::parse(peer_session.unprotect_rtcp(&mut report).unwrap()).is_ok()
        );
        let report = test.bridge.report(test.now);
        assert_eq!((report.crypto_suite, report.srtp.unauthenticated), (Some(suite), 0));
        assert_eq!(report.packets_lost, 0);
    }
}

#[test]
fn a_packet_that_is_not_authenticated_reaches_neither_the_agent_nor_the_latch() {
    let suite = CryptoSuite::AeadAes128Gcm;
    let (mut test, mut peer_session) = secure_call(suite);
    test.run_for(Duration::from_secs(3));
    let stranger: SocketAddr = "203.0.113.5:9".parse().unwrap();
    let mut cleartext = caller(suite, test.now);
    for _ in 0..20 {
        test.run_for(ms(20));
        while let Some(mut datagram) = cleartext.poll_packet(test.now) {
            test.bridge.handle_rtp(datagram.as_mut_bytes(), stranger, test.now);
        }
    }
    assert_eq!(test.bridge.remote(), Some(peer()), "the signalled address");
    let counted = test.bridge.report(test.now);
    assert!(counted.srtp.unauthenticated >= 19, "{:?}", counted.srtp);
    assert_eq!((counted.packets_received, counted.bridge.foreign_address), (0, 0));
    let speech = spoken(suite, &mut peer_session, test.now);
    test.rtp(&speech[0].1);
    test.rtp(&speech[0].1);
    assert_eq!(test.bridge.report(test.now).srtp.replayed, 1);
    assert_eq!(test.bridge.report(test.now).packets_received, 1);
    let mut clear_report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    test.bridge.handle_rtcp(&mut clear_report, peer(), test.now);
    assert_eq!(test.bridge.report(test.now).bridge.control_packets, 0, "RTCP in clear");
}

#[test]
fn a_reinvite_with_the_same_keys_keeps_the_rollover_counters_of_both_directions() {
    let suite = CryptoSuite::AesCm128HmacSha1_80;
    let (mut test, mut peer_session) = secure_call(suite);
    // The stream of the tests begins 16 packets before its sequence numbers wrap.
    test.agent_audio(&sine(Hertz(440.0), 8_000, 16_000));
    test.run_for(Duration::from_secs(1));
    test.bridge.handle_negotiated(&secure_media(suite), test.now);
    test.run_for(Duration::from_secs(1));
    assert!(test.packets.len() > 90);
    for (_, bytes) in &mut test.packets {
        peer_session.unprotect(bytes).unwrap();
    }
}

#[test]
fn a_renegotiation_may_change_the_keys_and_turn_srtp_off_and_on() {
    let suite = CryptoSuite::AeadAes256Gcm;
    let (mut test, mut first) = secure_call(suite);
    let send = |test: &mut TestBridge, session: &mut SrtpSession, sequence| {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::PCMU,
            sequence: SequenceNumber(sequence),
            timestamp: RtpTimestamp(u32::from(sequence) * 160),
            ssrc: Ssrc(2),
        };
        let mut datagram = crate::rtp::Datagram::new(header, &[0x55; 160]);
        assert!(session.protect(&mut datagram));
        test.rtp(datagram.as_bytes());
        test.bridge.report(test.now).packets_received
    };
    assert_eq!(send(&mut test, &mut first, 1), 1);
    let rekeyed = Negotiated { srtp: Some(keys(suite, 3, 4)), ..media(MediaDirection::SendRecv) };
    test.bridge.handle_negotiated(&rekeyed, test.now);
    assert_eq!(send(&mut test, &mut first, 2), 1, "the old key");
    let mut second = SrtpSession::new(keys(suite, 4, 3));
    assert_eq!(send(&mut test, &mut second, 3), 2);
    test.bridge.handle_negotiated(&media(MediaDirection::SendRecv), test.now);
    assert_eq!(test.bridge.report(test.now).crypto_suite, None);
    assert_eq!(test.bridge.report(test.now).srtp.unauthenticated, 1, "what was counted stays counted");
    test.packets.clear();
    test.agent_audio(&sine(Hertz(440.0), 8_000, 160));
    assert_eq!(test.packets[0].1.len(), 172, "in clear");
    test.bridge.handle_negotiated(&rekeyed, test.now);
    assert_eq!(test.bridge.report(test.now).crypto_suite, Some(suite));
}
