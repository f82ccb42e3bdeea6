//! Packets, order, statistics and the latch, under virtual time.

use super::*;
use crate::sim::{BadNetwork, Conditions};
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

fn header(sequence: u16, timestamp: u32) -> RtpHeader {
    RtpHeader {
        marker: false,
        payload_type: PayloadType::PCMU,
        sequence: SequenceNumber(sequence),
        timestamp: RtpTimestamp(timestamp),
        ssrc: Ssrc(7),
    }
}

/// What a receiver handed on, one letter or number a frame: the first byte of the payload or the silence.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Audio(u8),
    Lost(u64),
    Paused(u64),
    Event,
}

struct Ear {
    receiver: RtpReceiver,
    heard: Vec<Heard>,
    samples: u64,
}

impl Ear {
    fn new() -> Self {
        let receiver = RtpReceiver::new(PayloadType::PCMU, Some(PayloadType::TELEPHONE_EVENT));
        Self { receiver, heard: Vec::new(), samples: 0 }
    }

    fn note(heard: &mut Vec<Heard>, samples: &mut u64, delivery: Delivery<'_>) {
        heard.push(match delivery {
            Delivery::Audio { payload, arrival: _ } => {
                *samples += payload.len() as u64;
                Heard::Audio(payload[0])
            }
            Delivery::Event { .. } => Heard::Event,
            Delivery::Silence { samples: count, cause } => {
                *samples += count;
                match cause {
                    GapCause::Loss => Heard::Lost(count),
                    GapCause::Pause => Heard::Paused(count),
                }
            }
        });
    }

    fn bytes(&mut self, bytes: &[u8], now: Instant) {
        let Self { receiver, heard, samples } = self;
        let packet = RtpPacket::parse(bytes).unwrap();
        receiver.handle(packet, now, &mut |delivery| Self::note(heard, samples, delivery));
    }

    fn packet(&mut self, header: RtpHeader, content: u8, now: Instant) {
        self.bytes(Datagram::new(header, &[content; 160]).as_bytes(), now);
    }

    fn timeout(&mut self, now: Instant) {
        let Self { receiver, heard, samples } = self;
        receiver.handle_timeout(now, &mut |delivery| Self::note(heard, samples, delivery));
    }

    fn take(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn what_is_written_is_parsed() {
    let header = RtpHeader { marker: true, ..header(0xfffe, 0xdead_beef) };
    let datagram = Datagram::new(header, &[1, 2, 3]);
    assert_eq!(RtpPacket::parse(datagram.as_bytes()), Ok(RtpPacket { header, payload: &[1, 2, 3] }));
}

#[test]
fn sources_extension_and_padding_are_skipped() {
    let mut bytes = vec![0xb2, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    bytes.extend([9; 8]);
    bytes.extend([0xbe, 0xde, 0, 1, 5, 5, 5, 5]);
    bytes.extend([42, 43, 0, 0, 3]);
    assert_eq!(RtpPacket::parse(&bytes).unwrap().payload, [42, 43]);
    for length in 0..bytes.len() {
        assert!(RtpPacket::parse(&bytes[..length]).is_err() || length > 28, "{length}");
    }
    assert_eq!(RtpPacket::parse(&[0x40; 12]), Err(RtpError::Version));
    assert_eq!(RtpPacket::parse(&[0x80; 11]), Err(RtpError::Truncated));
    assert_eq!(RtpPacket::parse(&[0x80, 200, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]), Err(RtpError::Control));
    let mut zero_padding = [0u8; 13];
    zero_padding[0] = 0xa0;
    assert_eq!(RtpPacket::parse(&zero_padding), Err(RtpError::Padding));
}

#[test]
fn packets_in_order_pass_at_once_across_the_wrap() {
    let (mut ear, start) = (Ear::new(), Instant::now());
    for n in 0..6u16 {
        let header = header(0xfffd_u16.wrapping_add(n), 0xffff_ff00_u32.wrapping_add(u32::from(n) * 160));
        ear.packet(header, u8::try_from(n).unwrap(), start + ms(20) * u32::from(n));
        assert_eq!(ear.take(), [Heard::Audio(u8::try_from(n).unwrap())]);
    }
    assert_eq!(ear.receiver.statistics().lost(), 0);
}

#[test]
fn overtaken_packets_are_put_in_order() {
    let (mut ear, start) = (Ear::new(), Instant::now());
    for n in [0, 2, 3, 1, 4] {
        ear.packet(header(n, u32::from(n) * 160), u8::try_from(n).unwrap(), start + ms(20));
    }
    assert_eq!(ear.take(), [0, 1, 2, 3, 4].map(Heard::Audio));
    assert_eq!(ear.receiver.counters(), ReceiverCounters::default());
}

#[test]
fn a_gap_is_given_up_after_its_time_and_filled_with_its_length() {
    let (mut ear, start) = (Ear::new(), Instant::now());
    ear.packet(header(0, 0), 0, start);
    ear.packet(header(3, 480), 3, start + ms(60));
    ear.timeout(start + ms(59) + REORDER_TIME);
    assert_eq!(ear.take(), [Heard::Audio(0)]);
    assert_eq!(ear.receiver.poll_timeout(), Some(start + ms(60) + REORDER_TIME));
    ear.timeout(start + ms(60) + REORDER_TIME);
    assert_eq!(ear.take(), [Heard::Lost(320), Heard::Audio(3)]);
    ear.packet(header(1, 160), 1, start + ms(130));
    ear.packet(header(1, 160), 1, start + ms(131));
    ear.packet(header(3, 480), 3, start + ms(132));
    assert_eq!(ear.take(), []);
    let counters = ear.receiver.counters();
    assert_eq!((counters.late, counters.duplicates, counters.concealed_samples), (1, 2, 320));
    assert_eq!(ear.receiver.statistics().lost(), 1);
}

#[test]
fn a_gap_is_given_up_when_too_many_packets_wait() {
    let (mut ear, start) = (Ear::new(), Instant::now());
    ear.packet(header(0, 0), 0, start);
    for n in 2..=5 {
        assert!(ear.receiver.waiting() <= REORDER_PACKETS);
        ear.packet(header(n, u32::from(n) * 160), u8::try_from(n).unwrap(), start + ms(40));
    }
    let expected = [
        Heard::Audio(0),
        Heard::Lost(160),
        Heard::Audio(2),
        Heard::Audio(3),
        Heard::Audio(4),
        Heard::Audio(5),
    ];
    assert_eq!(ear.take()[..6], expected);
    assert_eq!(ear.receiver.waiting(), 0);
}

#[test]
fn a_pause_is_filled_while_it_lasts_and_not_twice() {
    let (mut ear, start) = (Ear::new(), Instant::now());
    ear.packet(header(0, 0), 0, start);
    for tick in 1..=50 {
        ear.timeout(start + ms(20) * tick);
    }
    // One second after the last packet: all but the frame that could still be under way.
    assert_eq!(ear.samples, 160 + 49 * 160);
    ear.packet(header(1, 160 * 51), 1, start + ms(1020));
    assert_eq!(ear.samples, 52 * 160);
    assert_eq!(ear.receiver.counters().paused_samples, 50 * 160);
    assert_eq!(ear.receiver.counters().concealed_samples, 0);
}

#[test]
fn speech_after_a_network_stall_is_kept_and_time_comes_true_again() {
    let (mut ear, start) = (Ear::new(), Instant::now());
    ear.packet(header(0, 0), 0, start);
    ear.timeout(start + ms(300));
    // Fifteen delayed packets come at once: none is dropped.
    for n in 1..=15u16 {
        ear.packet(header(n, u32::from(n) * 160), 1, start + ms(300));
    }
    assert_eq!(ear.take().iter().filter(|heard| matches!(heard, Heard::Audio(_))).count(), 16);
    // The next real pause is shorter by what was put in too much.
    ear.packet(header(16, 36 * 160), 2, start + ms(720));
    assert_eq!(ear.samples, 37 * 160);
}

#[test]
fn a_new_source_takes_over_after_two_packets_and_a_stray_one_does_not() {
    let (mut ear, start) = (Ear::new(), Instant::now());
    let other = |n: u16| RtpHeader { ssrc: Ssrc(99), ..header(500 + n, 9_000_000 + u32::from(n) * 160) };
    ear.packet(header(0, 0), 0, start);
    ear.packet(other(0), 66, start + ms(5));
    ear.packet(header(1, 160), 1, start + ms(20));
    ear.packet(other(1), 66, start + ms(25));
    ear.packet(header(2, 320), 2, start + ms(40));
    assert_eq!(ear.take(), [0, 1, 2].map(Heard::Audio));
    ear.packet(other(2), 9, start + ms(60));
    ear.packet(other(3), 10, start + ms(80));
    ear.packet(other(4), 11, start + ms(100));
    assert_eq!(ear.take(), [Heard::Paused(160), Heard::Audio(10), Heard::Audio(11)]);
    assert_eq!(ear.receiver.counters().source_changes, 1);
    assert_eq!(ear.receiver.statistics().lost(), 0);
}

#[test]
fn a_timestamp_jump_is_filled_by_our_own_clock() {
    let (mut ear, start) = (Ear::new(), Instant::now());
    ear.packet(header(0, 0), 0, start);
    ear.packet(header(1, 3_000_000_000), 1, start + ms(20));
    ear.packet(header(2, 3_000_000_160), 2, start + ms(40));
    assert_eq!(ear.take(), [0, 1, 2].map(Heard::Audio));
    assert_eq!(ear.receiver.counters().jumps, 1);
}

#[test]
fn a_restarted_sequence_is_believed_at_its_second_packet() {
    let (mut ear, start) = (Ear::new(), Instant::now());
    ear.packet(header(0, 0), 0, start);
    ear.packet(header(30_000, 160), 1, start + ms(20));
    ear.packet(header(1, 160), 2, start + ms(20));
    assert_eq!(ear.take(), [Heard::Audio(0), Heard::Audio(2)]);
    ear.packet(header(40_000, 320), 3, start + ms(40));
    ear.packet(header(40_001, 480), 4, start + ms(60));
    assert_eq!(ear.take(), [Heard::Paused(160), Heard::Audio(4)]);
}

#[test]
fn jitter_follows_the_formula_of_rfc_3550() {
    let (mut ear, start) = (Ear::new(), Instant::now());
    let mut expected = 0.0f64;
    for n in 0..200u16 {
        // Every second packet comes 10 ms late: each difference is 80 samples.
        let late = ms(u64::from(n % 2) * 10);
        ear.packet(header(n, u32::from(n) * 160), 0, start + ms(20) * u32::from(n) + late);
        if n > 0 {
            expected += (80.0 - expected) / 16.0;
        }
    }
    let found = ear.receiver.statistics().jitter().as_secs_f64() * 8000.0;
    assert!((found - expected).abs() < 1.0, "{found} against {expected}");
}

#[test]
fn order_and_time_hold_over_a_bad_network() {
    let conditions = Conditions { loss: 30, duplicate: 20, reorder: 30, delay: ms(40), jitter: ms(15) };
    for seed in 0..20 {
        let (mut ear, start) = (Ear::new(), Instant::now());
        let mut network = BadNetwork::new(seed, conditions);
        for n in 0..3000u16 {
            let now = start + ms(20) * u32::from(n);
            let content = u8::try_from(n % 250).unwrap();
            // The edges are sent over a good network, so that the totals can be compared.
            if n == 0 || n > 2990 {
                network.send_surely(
                    Datagram::new(header(n, u32::from(n) * 160), &[content; 160]).as_bytes(),
                    now + ms(40),
                );
            } else {
                network.send(Datagram::new(header(n, u32::from(n) * 160), &[content; 160]).as_bytes(), now);
            }
        }
        while let Some(at) =
            [network.poll_timeout(), ear.receiver.poll_timeout().filter(|_| network.poll_timeout().is_some())]
                .into_iter()
                .flatten()
                .min()
        {
            if let Some(bytes) = network.receive(at) {
                ear.bytes(&bytes, at);
            }
            ear.timeout(at);
            assert!(ear.receiver.waiting() <= REORDER_PACKETS, "seed {seed}");
        }
        assert_eq!(ear.samples, 3000 * 160, "seed {seed}");
        let mut position = 0u64;
        for heard in ear.take() {
            match heard {
                Heard::Audio(content) => {
                    assert_eq!(u64::from(content), position % 250, "seed {seed}");
                    position += 1;
                }
                Heard::Lost(samples) | Heard::Paused(samples) => position += samples / 160,
                Heard::Event => panic!("no events were sent"),
            }
        }
        let statistics = ear.receiver.statistics();
        assert_eq!(statistics.lost(), network.lost(), "seed {seed}");
    }
}

#[test]
fn the_latch_follows_early_moves_and_then_locks() {
    let start = Instant::now();
    let address = |port: u16| SocketAddr::from(([192, 0, 2, 1], port));
    let mut latch = SymmetricLatch::new(Some(address(1000)));
    assert_eq!(latch.target(), Some(address(1000)));
    assert_eq!(latch.judge(address(2000), start), LatchDecision::Accept);
    assert_eq!(latch.target(), Some(address(2000)));
    assert_eq!(latch.judge(address(3000), start + ms(20)), LatchDecision::Ignore);
    assert_eq!(latch.judge(address(3000), start + ms(600)), LatchDecision::Accept);
    assert_eq!(latch.judge(address(1000), start + ms(620)), LatchDecision::Accept);
    assert_eq!(latch.judge(address(3000), start + LEARNING + ms(1000)), LatchDecision::Ignore);
    assert_eq!(latch.target(), Some(address(1000)));
    latch.resignal(Some(address(1000)));
    assert_eq!(latch.judge(address(3000), start + LEARNING * 3), LatchDecision::Ignore);
    latch.resignal(Some(address(4000)));
    assert_eq!(latch.judge(address(4000), start + LEARNING * 3), LatchDecision::Accept);
}

proptest! {
    #[test]
    fn no_bytes_make_parser_or_receiver_panic(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..40)) {
        let (mut ear, start) = (Ear::new(), Instant::now());
        for (n, mut bytes) in packets.into_iter().enumerate() {
            if let Some(first) = bytes.first_mut() {
                *first = *first & 0x3f | 0x80;
            }
            let now = start + ms(u64::try_from(n).unwrap() * 7);
            if RtpPacket::parse(&bytes).is_ok() {
                ear.bytes(&bytes, now);
            }
            ear.timeout(now);
            prop_assert!(ear.receiver.waiting() <= REORDER_PACKETS);
        }
    }
}
