//! Tests of the latch in virtual time.

use super::*;

const PUBLIC: &str = "198.51.100.10:4000";
const STRANGER: &str = "203.0.113.66:9999";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A latch with virtual time and one stream per sender.
struct TestLatch {
    latch: SymmetricLatch,
    now: Instant,
    sequence: u16,
}

impl TestLatch {
    fn ringing(signalled: &str) -> Self {
        let latch = SymmetricLatch::new(signalled.parse().ok());
        Self { latch, now: Instant::now(), sequence: 100 }
    }

    fn answered(signalled: &str) -> Self {
        let mut test = Self::ringing(signalled);
        test.latch.open(test.now);
        test
    }

    fn packet(&mut self, from: &str, ssrc: u32, sequence: u16, negotiated: bool) -> bool {
        let packet = StreamPacket { ssrc: Ssrc(ssrc), sequence: SequenceNumber(sequence), negotiated };
        self.latch.check_source(address(from), packet, self.now) == LatchDecision::Accept
    }

    /// Sends consecutive packets every 20 ms and returns how many were accepted.
    fn stream(&mut self, from: &str, ssrc: u32, packets: u16) -> u16 {
        let mut accepted = 0;
        for _ in 0..packets {
            let sequence = self.sequence;
            accepted += u16::from(self.packet(from, ssrc, sequence, true));
            self.sequence += 1;
            self.wait(20);
        }
        accepted
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn target(&self) -> String {
        self.latch.target().map(|target| target.to_string()).unwrap_or_default()
    }
}

#[test]
fn no_source_is_latched_before_the_answer() {
    let mut test = TestLatch::ringing(PUBLIC);
    assert_eq!(test.stream(STRANGER, 666, 100), 0);
    assert_eq!(test.stream(PUBLIC, 1, 10), 0, "the caller has no address to send to before the answer");
    test.latch.open(test.now);
    assert_eq!(test.stream(STRANGER, 666, 10), 0, "packets while ringing do not count");
    assert_eq!(test.stream(PUBLIC, 1, 10), 10);
    assert_eq!(test.target(), PUBLIC);
}

#[test]
fn the_signalled_address_wins_at_its_first_packet_at_any_time() {
    for signalled in [PUBLIC, "192.168.1.20:4000", "[2001:db8:1::5]:4000"] {
        let mut test = TestLatch::answered(signalled);
        test.wait(700);
        assert_eq!(test.stream(STRANGER, 666, 500), 500 - u16::from(PROBATION_PACKETS - 1));
        assert_eq!(test.target(), STRANGER);
        assert!(test.packet(signalled, 1, 1, true), "{signalled}");
        assert_eq!(test.target(), signalled);
        assert_eq!(test.stream(STRANGER, 666, 99), 0, "{signalled}: the peer was heard less than 2 s ago");
        assert_eq!(test.target(), signalled);
    }
}

#[test]
fn another_source_is_ignored_while_the_public_signalled_address_sends() {
    let mut test = TestLatch::answered(PUBLIC);
    for n in 0..3000u16 {
        assert!(test.packet(PUBLIC, 1, n, true));
        assert!(!test.packet(STRANGER, 666, n, true));
        // The stranger even knows the SSRC.
        assert!(!test.packet("203.0.113.67:4000", 1, n, true));
        test.wait(20);
    }
    assert_eq!(test.target(), PUBLIC);
}

#[test]
fn another_source_is_accepted_after_consecutive_packets_once_the_signalled_address_is_silent() {
    let mut test = TestLatch::answered(PUBLIC);
    assert_eq!(test.stream(STRANGER, 5, 25), 0, "the peer has 500 ms for its first packet");
    assert_eq!(test.stream(STRANGER, 5, 3), 0);
    assert_eq!(test.stream(STRANGER, 5, 1), 1);
    assert_eq!(test.target(), STRANGER);
    // The peer was heard and falls silent.
    let mut test = TestLatch::answered(PUBLIC);
    assert_eq!(test.stream(PUBLIC, 1, 50), 50);
    assert_eq!(test.stream(STRANGER, 5, 99), 0);
    assert_eq!(test.stream(STRANGER, 5, 4), 1);
    assert_eq!(test.target(), STRANGER);
}

#[test]
fn a_private_or_unknown_signalled_address_is_replaced_after_consecutive_packets() {
    for signalled in [
        "10.1.2.3:4000",
        "172.16.0.9:4000",
        "192.168.1.20:4000",
        "100.64.0.1:4000",
        "169.254.3.3:4000",
        "127.0.0.1:4000",
        "[fd00::1]:4000",
        "[fe80::1]:4000",
        "unknown",
    ] {
        let mut test = TestLatch::answered(signalled);
        assert_eq!(test.stream(PUBLIC, 7, 3), 0, "{signalled}");
        assert_eq!(test.stream(PUBLIC, 7, 1), 1, "{signalled}");
        assert_eq!(test.target(), PUBLIC, "{signalled}");
        assert_eq!(test.stream(STRANGER, 666, 50), 0, "{signalled}: the accepted source was just heard");
    }
}

#[test]
fn only_consecutive_packets_of_one_ssrc_with_a_negotiated_payload_type_count() {
    let mut test = TestLatch::answered("192.168.1.20:4000");
    for n in 0..50u16 {
        assert!(!test.packet(STRANGER, u32::from(n), n, true), "a new SSRC each time");
        assert!(!test.packet(STRANGER, 700, n, false), "a payload type that was not negotiated");
        assert!(!test.packet(STRANGER, 701, n * 2, true), "gaps in the sequence");
        assert!(!test.packet(STRANGER, 702, 9, true), "one packet over and over");
        assert!(!test.packet(&format!("203.0.113.66:{}", 1000 + n), 703, n, true), "a new port each time");
        test.wait(20);
    }
    assert_eq!(test.target(), "192.168.1.20:4000");
}

#[test]
fn a_flood_from_many_addresses_does_not_keep_the_peer_from_being_latched() {
    let mut test = TestLatch::answered("192.168.1.20:4000");
    for n in 0..4u16 {
        assert_eq!(test.packet(PUBLIC, 7, n, true), n == 3);
        for port in 1..200u16 {
            test.packet(&format!("203.0.113.9:{port}"), 1, n * 200 + port, true);
        }
        assert!(test.latch.candidates.len() <= CANDIDATES);
        test.wait(20);
    }
    assert_eq!(test.target(), PUBLIC);
}

#[test]
fn the_same_ip_and_ssrc_may_change_its_port_at_any_time() {
    let mut test = TestLatch::answered(PUBLIC);
    assert_eq!(test.stream(PUBLIC, 1, 500), 500);
    for (port, wait) in [(4100, 0), (4200, 20), (61000, 9_000), (4300, 3_600_000)] {
        test.wait(wait);
        let rebound = format!("198.51.100.10:{port}");
        assert_eq!(test.stream(&rebound, 1, 50), 50, "port {port} from its first packet on");
        assert_eq!(test.target(), rebound);
    }
    assert_eq!(test.stream("198.51.100.10:4400", 2, 20), 0, "another SSRC needs a silent peer");
    assert!(!test.packet("198.51.100.10:4500", 1, 1, false), "a payload type that was not negotiated");
}

#[test]
fn after_a_reinvite_to_a_new_address_no_straggler_of_the_old_one_wins() {
    for new in ["198.51.100.20:5000", "198.51.100.10:5000", "10.0.0.5:5000"] {
        for ssrc in [1, 9] {
            let mut test = TestLatch::answered(PUBLIC);
            test.stream(PUBLIC, 1, 100);
            test.latch.set_signalled(Some(address(new)), test.now);
            assert_eq!(test.target(), new, "packets go to the new address at once");
            assert_eq!(test.stream(PUBLIC, 1, 100), 0, "{new}");
            assert!(test.packet(new, ssrc, 1, true));
            assert_eq!(test.stream(PUBLIC, 1, 99), 0, "{new}, SSRC {ssrc}");
            assert_eq!(test.target(), new);
        }
    }
    // The learnt address of a peer behind NAT is an old address too.
    let mut test = TestLatch::answered("192.168.1.20:4000");
    test.stream(PUBLIC, 1, 100);
    test.latch.set_signalled(Some(address("192.168.1.21:4000")), test.now);
    assert_eq!(test.stream(PUBLIC, 1, 200), 0);
    assert_eq!(test.stream("198.51.100.10:4002", 3, 10), 7);
}

#[test]
fn after_hold_and_resume_with_the_same_sdp_rtp_from_a_new_port_is_accepted() {
    for (signalled, wait) in [(PUBLIC, 25), ("192.168.1.20:4000", 0)] {
        for ssrc in [1, 2] {
            let mut test = TestLatch::answered(signalled);
            test.stream(PUBLIC, 1, 100);
            test.wait(300);
            test.latch.set_signalled(signalled.parse().ok(), test.now);
            test.latch.open(test.now);
            let resumed = "198.51.100.10:7000";
            assert!(test.stream(resumed, ssrc, wait + 10) >= 7, "{signalled}, SSRC {ssrc}");
            assert_eq!(test.target(), resumed);
        }
    }
}

#[test]
fn a_source_that_is_learnt_before_the_answer_in_the_ack_is_learnt_again() {
    let mut test = TestLatch::answered("unknown");
    assert_eq!(test.stream(STRANGER, 5, 10), 7);
    test.latch.set_signalled(Some(address(PUBLIC)), test.now);
    assert_eq!(test.target(), PUBLIC);
    assert!(test.packet(PUBLIC, 1, 1, true));
}

#[test]
fn rtcp_of_the_peer_is_recognized_by_its_ip_address() {
    let mut test = TestLatch::ringing("192.168.1.20:4000");
    assert!(!test.latch.is_peer(address("192.168.1.20:4001").ip()));
    test.latch.open(test.now);
    test.stream(PUBLIC, 7, 5);
    assert!(test.latch.is_peer(address("198.51.100.10:4001").ip()));
    assert!(test.latch.is_peer(address("192.168.1.20:4001").ip()));
    assert!(!test.latch.is_peer(address(STRANGER).ip()));
}
