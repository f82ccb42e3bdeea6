//! Published test vectors, and streams over a bad network.

use super::*;
use crate::rtp::{PayloadType, RtpHeader, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc};
use crate::sim::{LinkConditions, LossyLink};
use proptest::prelude::*;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

fn key(suite: CryptoSuite, seed: u8) -> MasterKey {
    let mut random = Zeroizing::new([0; MAX_KEY_BYTES]);
    (seed..).zip(random.iter_mut()).for_each(|(value, byte)| *byte = value);
    MasterKey::from_random(suite, &random)
}

fn peer(key: MasterKey) -> PeerKey {
    PeerKey { key, identifier: None }
}

/// Two sessions that talk to each other.
fn pair(suite: CryptoSuite) -> (SrtpSession, SrtpSession) {
    let (a, b) = (key(suite, 1), key(suite, 101));
    let session = |local: &MasterKey, remote: &MasterKey| {
        SrtpSession::new(SrtpKeys { local: local.clone(), remote: peer(remote.clone()) })
    };
    (session(&a, &b), session(&b, &a))
}

fn packet(ssrc: u32, sequence: u16, payload: &[u8]) -> Datagram {
    let header = RtpHeader {
        marker: false,
        payload_type: PayloadType::PCMU,
        sequence: SequenceNumber(sequence),
        timestamp: RtpTimestamp(u32::from(sequence) * 160),
        ssrc: Ssrc(ssrc),
    };
    Datagram::new(header, payload)
}

fn protected(session: &mut SrtpSession, mut packet: Datagram) -> Vec<u8> {
    assert!(session.protect(&mut packet));
    packet.as_bytes().to_vec()
}

mod vectors;

#[test]
fn packets_of_every_suite_and_length_survive_the_round_trip() {
    for suite in CryptoSuite::ALL {
        let (mut us, mut them) = pair(suite);
        for (sequence, length) in [(0_u16, 0_usize), (1, 1), (2, 20), (3, 160)] {
            let payload = vec![0x5a; length];
            let plain = packet(7, sequence, &payload);
            let mut sealed = protected(&mut us, plain.clone());
            assert_eq!(sealed.len(), plain.as_bytes().len() + suite.tag_length(), "{suite:?}");
            assert_eq!(sealed[..12], plain.as_bytes()[..12], "the header stays in clear");
            assert!(length < 20 || sealed[12..12 + length] != payload, "the payload does not");
            assert_eq!(them.unprotect(&mut sealed).unwrap(), plain.as_bytes());
        }
        assert_eq!(them.counters(), SrtpCounters::default());
    }
}

#[test]
fn contributing_sources_and_a_header_extension_are_authenticated_but_not_encrypted() {
    for suite in CryptoSuite::ALL {
        let mut cipher_text = Vec::new();
        cipher_text.extend([0x92, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]);
        cipher_text.extend([1; 8]);
        cipher_text.extend([0xbe, 0xde, 0, 1, 7, 7, 7, 7]);
        let header = cipher_text.len();
        cipher_text.extend([0xaa; 20]);
        let plain = cipher_text.clone();
        let sender = cipher::SessionCipher::for_rtp(&key(suite, 101)).unwrap();
        cipher_text.resize(plain.len() + suite.tag_length(), 0);
        sender.seal_rtp(&mut cipher_text, header, Ssrc(9), 1).unwrap();
        assert_eq!(cipher_text[..header], plain[..header]);
        for at in 0..header {
            let mut altered = cipher_text.clone();
            altered[at] ^= 0x40;
            assert!(pair(suite).0.unprotect(&mut altered).is_err(), "byte {at} of the header");
        }
        assert_eq!(pair(suite).0.unprotect(&mut cipher_text).unwrap(), plain);
    }
}

#[test]
fn the_rollover_counter_continues_when_a_renegotiation_keeps_the_key_and_restarts_with_a_new_one() {
    for suite in CryptoSuite::ALL {
        let (mut us, mut them) = pair(suite);
        let send = |us: &mut SrtpSession, them: &mut SrtpSession, sequence| {
            let mut sealed = protected(us, packet(7, sequence, b"audio"));
            them.unprotect(&mut sealed).map(<[u8]>::to_vec)
        };
        send(&mut us, &mut them, 0xfffe).unwrap();
        send(&mut us, &mut them, 0xffff).unwrap();
        send(&mut us, &mut them, 0).unwrap();
        us.set_keys(us.keys.clone());
        them.set_keys(them.keys.clone());
        send(&mut us, &mut them, 1).unwrap();
        let rekeyed = key(suite, 201);
        us.set_keys(SrtpKeys { local: rekeyed.clone(), remote: us.keys.remote.clone() });
        assert_eq!(send(&mut us, &mut them, 2), Err(SrtpError::Unauthenticated), "not negotiated yet");
        them.set_keys(SrtpKeys { local: them.keys.local.clone(), remote: peer(rekeyed) });
        send(&mut us, &mut them, 3).unwrap();
    }
}

#[test]
fn the_sources_of_a_peer_have_rollover_counters_of_their_own() {
    let (mut us, mut them) = pair(CryptoSuite::AeadAes128Gcm);
    for (ssrc, sequence) in [(7, 0xffff), (7, 0), (8, 500), (8, 501)] {
        let mut sealed = protected(&mut us, packet(ssrc, sequence, b"audio"));
        them.unprotect(&mut sealed).unwrap();
    }
    let mut announcement = SrtpSession::new(us.keys.clone());
    let mut replay = protected(&mut announcement, packet(8, 500, b"audio"));
    assert_eq!(them.unprotect(&mut replay), Err(SrtpError::Replayed));
}

#[test]
fn forged_packets_create_no_state_and_sources_are_bounded() {
    let (mut us, mut them) = pair(CryptoSuite::AesCm128HmacSha1_80);
    for ssrc in 0..1_000 {
        let mut forged = protected(&mut us, packet(ssrc, 1, b"audio"));
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(them.unprotect(&mut forged), Err(SrtpError::Unauthenticated));
    }
    let mut accepted = 0;
    for ssrc in 0..1_000 {
        let mut sealed = protected(&mut us, packet(ssrc, 2, b"audio"));
        accepted += usize::from(them.unprotect(&mut sealed).is_ok());
    }
    assert_eq!((accepted, them.counters().unauthenticated), (MAX_SOURCES, 2_000 - MAX_SOURCES as u64));
}

#[test]
fn an_index_is_never_used_twice() {
    let (mut us, _) = pair(CryptoSuite::AeadAes256Gcm);
    assert!(us.protect(&mut packet(7, 10, b"audio")));
    for sequence in [10, 9, 0xffff] {
        assert!(!us.protect(&mut packet(7, sequence, b"other")), "{sequence}");
    }
    assert_eq!(us.counters().unprotected, 3);
}

#[test]
fn srtcp_is_encrypted_authenticated_and_protected_against_replay() {
    for suite in CryptoSuite::ALL {
        let (mut us, mut them) = pair(suite);
        let plain = [0x80, 201, 0, 1, 0, 0, 0, 9, 0x81, 202, 0, 2, 0, 0, 0, 9, 1, 2, b'a', b'b'];
        let mut first = plain.to_vec();
        assert!(us.protect_rtcp(&mut first));
        let mut second = plain.to_vec();
        assert!(us.protect_rtcp(&mut second));
        assert!(first != second && first[..8] == plain[..8] && first[8..20] != plain[8..]);
        assert_eq!(first.len(), plain.len() + 4 + suite.tag_length());
        for at in 0..first.len() {
            let mut altered = first.clone();
            altered[at] ^= 1;
            assert!(them.unprotect_rtcp(&mut altered).is_err(), "{suite:?} byte {at}");
        }
        assert_eq!(them.unprotect_rtcp(&mut second.clone()).unwrap(), plain);
        assert_eq!(them.unprotect_rtcp(&mut first.clone()).unwrap(), plain, "out of order");
        assert_eq!(them.unprotect_rtcp(&mut first), Err(SrtpError::Replayed));
        assert!(them.unprotect_rtcp(&mut plain.to_vec()).is_err(), "RTCP in clear");
    }
}

#[test]
fn the_key_identifier_of_a_peer_is_checked_and_removed() {
    for suite in CryptoSuite::ALL {
        let (mut us, them) = pair(suite);
        let identifier = KeyIdentifier::parse("258:2").unwrap();
        let remote = PeerKey { identifier: Some(identifier), ..them.keys.remote.clone() };
        let mut them = SrtpSession::new(SrtpKeys { local: them.keys.local.clone(), remote });
        let with = |sealed: &[u8], bytes: [u8; 2]| {
            let behind = if suite == CryptoSuite::AesCm128HmacSha1_80 { 10 } else { 0 };
            let (front, tag) = sealed.split_at(sealed.len() - behind);
            [front, &bytes, tag].concat()
        };
        let plain = packet(7, 1, b"audio");
        let sealed = protected(&mut us, plain.clone());
        assert_eq!(them.unprotect(&mut with(&sealed, [1, 3])), Err(SrtpError::Unauthenticated));
        assert_eq!(them.unprotect(&mut with(&sealed, [1, 2])).unwrap(), plain.as_bytes());
        let plain = [0x80, 201, 0, 1, 0, 0, 0, 9];
        let mut report = plain.to_vec();
        assert!(us.protect_rtcp(&mut report));
        assert_eq!(them.unprotect_rtcp(&mut with(&report, [1, 2])).unwrap(), plain);
    }
    for text in ["", "1", "0:1", "1:0", "1:5", "256:1", "x:1", "1:x", "4294967296:4"] {
        let parsed = KeyIdentifier::parse(text);
        assert_eq!(parsed.is_some(), text == "0:1", "{text}");
    }
}

#[test]
fn keys_are_not_printed() {
    let keys = SrtpKeys {
        local: key(CryptoSuite::AeadAes128Gcm, 1),
        remote: peer(key(CryptoSuite::AeadAes128Gcm, 2)),
    };
    let text = format!("{keys:?} {:?}", SrtpSession::new(keys.clone()));
    assert!(text.contains("MasterKey(AEAD_AES_128_GCM, [redacted])"), "{text}");
    for part in ["1, 2", "2, 3", "0102", &*keys.local.to_base64()] {
        assert!(!text.contains(part), "{part}: {text}");
    }
}

#[test]
fn over_a_bad_network_every_packet_is_delivered_once_and_unaltered() {
    for suite in CryptoSuite::ALL {
        for seed in 0..8_u8 {
            let conditions = LinkConditions {
                loss: 50,
                duplicate: 50,
                reorder: 50,
                delay: Duration::from_millis(20),
                jitter: Duration::from_millis(30),
            };
            let (mut us, mut them) = pair(suite);
            let mut link = LossyLink::new(seed.into(), conditions);
            let start = Instant::now();
            let first = 0xff00_u16;
            let mut received = vec![0_u8; 2_000];
            for n in 0..2_100_u16 {
                let now = start + Duration::from_millis(20) * n.into();
                if n < 2_000 {
                    let plain = packet(7, first.wrapping_add(n), &n.to_be_bytes());
                    link.send(&protected(&mut us, plain), now);
                }
                while let Some(mut bytes) = link.receive(now) {
                    match them.unprotect(&mut bytes) {
                        Ok(plain) => {
                            let payload = RtpPacket::parse(plain).unwrap().payload;
                            let n = u16::from_be_bytes(payload.try_into().unwrap());
                            received[usize::from(n)] += 1;
                        }
                        Err(error) => assert_eq!(error, SrtpError::Replayed, "seed {seed}"),
                    }
                }
            }
            assert!(received.iter().all(|&count| count <= 1), "seed {seed}");
            let delivered: u64 = received.iter().copied().map(u64::from).sum();
            assert_eq!(delivered + link.lost(), 2_000, "seed {seed}");
        }
    }
}

proptest! {
    #[test]
    fn no_datagram_panics_or_is_accepted_without_the_key(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        at in 0_usize..300,
        suite in proptest::sample::select(CryptoSuite::ALL.to_vec()),
        identified: bool,
    ) {
        let (mut us, mut them) = pair(suite);
        if identified {
            let identifier = KeyIdentifier::parse("1:1");
            them.inbound = InboundContext::new(&PeerKey { identifier, ..them.keys.remote.clone() }).ok();
        }
        prop_assert!(them.unprotect(&mut bytes.clone()).is_err());
        prop_assert!(them.unprotect_rtcp(&mut bytes.clone()).is_err());
        let mut sealed = protected(&mut us, packet(7, 1, &bytes[..bytes.len().min(160)]));
        let length = sealed.len();
        sealed[at % length] ^= 1;
        prop_assert!(them.unprotect(&mut sealed).is_err());
        prop_assert!(them.unprotect(&mut sealed[..at % length]).is_err());
    }
}
