//! Tests of packets, reordering, statistics and the latch, in virtual time.

use super::*;
use crate::sim::{LinkConditions, LossyLink};
use proptest::prelude::*;
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

/// A delivery: the first byte of the audio payload, or the length of silence.
#[derive(Debug, PartialEq, Eq)]
enum Delivered {
    Audio(u8),
    Lost(u64),
    Paused(u64),
    Event,
    SourceChanged,
}

struct TestReceiver {
    receiver: RtpReceiver,
    delivered: Vec<Delivered>,
    samples: u64,
}

impl TestReceiver {
    fn new() -> Self {
        let receiver = RtpReceiver::new(PayloadTypes {
            audio: PayloadType::PCMU,
            telephone_event: Some(PayloadType::TELEPHONE_EVENT),
            comfort_noise: Some(PayloadType::COMFORT_NOISE),
        });
        Self { receiver, delivered: Vec::new(), samples: 0 }
    }

    fn record(delivered: &mut Vec<Delivered>, samples: &mut u64, delivery: Delivery<'_>) {
        delivered.push(match delivery {
            Delivery::Audio { payload, arrival: _ } => {
                *samples += payload.len() as u64;
                Delivered::Audio(payload[0])
            }
            Delivery::Event { .. } => Delivered::Event,
            Delivery::SourceChanged => Delivered::SourceChanged,
            Delivery::Silence { samples: count, cause } => {
                *samples += count;
                match cause {
                    GapCause::Loss => Delivered::Lost(count),
                    GapCause::Pause => Delivered::Paused(count),
                }
            }
        });
    }

    fn bytes(&mut self, bytes: &[u8], now: Instant) {
        let Self { receiver, delivered, samples } = self;
        let packet = RtpPacket::parse(bytes).unwrap();
        receiver.handle(packet, now, &mut |delivery| Self::record(delivered, samples, delivery));
    }

    fn packet(&mut self, header: RtpHeader, content: u8, now: Instant) {
        self.bytes(Datagram::new(header, &[content; 160]).as_bytes(), now);
    }

    fn timeout(&mut self, now: Instant) {
        let Self { receiver, delivered, samples } = self;
        receiver.handle_timeout(now, &mut |delivery| Self::record(delivered, samples, delivery));
    }

    fn take(&mut self) -> Vec<Delivered> {
        std::mem::take(&mut self.delivered)
    }
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn an_encoded_packet_can_be_parsed() {
    let header = RtpHeader { marker: true, ..header(0xfffe, 0xdead_beef) };
    let datagram = Datagram::new(header, &[1, 2, 3]);
    assert_eq!(RtpPacket::parse(datagram.as_bytes()), Ok(RtpPacket { header, payload: &[1, 2, 3] }));
}

#[test]
fn contributing_sources_extension_and_padding_are_skipped() {
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
fn packets_in_sequence_are_delivered_at_once_across_the_wraparound() {
    let (mut receiver, start) = (TestReceiver::new(), Instant::now());
    for n in 0..6u16 {
        let header = header(0xfffd_u16.wrapping_add(n), 0xffff_ff00_u32.wrapping_add(u32::from(n) * 160));
        receiver.packet(header, u8::try_from(n).unwrap(), start + ms(20) * u32::from(n));
        assert_eq!(receiver.take(), [Delivered::Audio(u8::try_from(n).unwrap())]);
    }
    assert_eq!(receiver.receiver.statistics().lost(), 0);
}

#[test]
fn reordered_packets_are_delivered_in_sequence() {
    let (mut receiver, start) = (TestReceiver::new(), Instant::now());
    for n in [0, 2, 3, 1, 4] {
        receiver.packet(header(n, u32::from(n) * 160), u8::try_from(n).unwrap(), start + ms(20));
    }
    assert_eq!(receiver.take(), [0, 1, 2, 3, 4].map(Delivered::Audio));
    assert_eq!(receiver.receiver.counters(), ReceiverCounters::default());
}

#[test]
fn a_gap_is_replaced_by_silence_of_its_length_after_the_reorder_time() {
    let (mut receiver, start) = (TestReceiver::new(), Instant::now());
    receiver.packet(header(0, 0), 0, start);
    receiver.packet(header(3, 480), 3, start + ms(60));
    receiver.timeout(start + ms(59) + REORDER_TIME);
    assert_eq!(receiver.take(), [Delivered::Audio(0)]);
    assert_eq!(receiver.receiver.poll_timeout(), Some(start + ms(60) + REORDER_TIME));
    receiver.timeout(start + ms(60) + REORDER_TIME);
    assert_eq!(receiver.take(), [Delivered::Lost(320), Delivered::Audio(3)]);
    receiver.packet(header(1, 160), 1, start + ms(130));
    receiver.packet(header(1, 160), 1, start + ms(131));
    receiver.packet(header(3, 480), 3, start + ms(132));
    assert_eq!(receiver.take(), []);
    let counters = receiver.receiver.counters();
    assert_eq!((counters.late, counters.duplicates, counters.concealed_samples), (1, 2, 320));
    assert_eq!(receiver.receiver.statistics().lost(), 1);
}

#[test]
fn a_gap_is_skipped_when_the_reorder_window_is_full() {
    let (mut receiver, start) = (TestReceiver::new(), Instant::now());
    receiver.packet(header(0, 0), 0, start);
    for n in 2..=5 {
        assert!(receiver.receiver.waiting() <= REORDER_PACKETS);
        receiver.packet(header(n, u32::from(n) * 160), u8::try_from(n).unwrap(), start + ms(40));
    }
    let expected = [
        Delivered::Audio(0),
        Delivered::Lost(160),
        Delivered::Audio(2),
        Delivered::Audio(3),
        Delivered::Audio(4),
        Delivered::Audio(5),
    ];
    assert_eq!(receiver.take()[..6], expected);
    assert_eq!(receiver.receiver.waiting(), 0);
}

#[test]
fn a_pause_is_filled_with_silence_once() {
    let (mut receiver, start) = (TestReceiver::new(), Instant::now());
    receiver.packet(header(0, 0), 0, start);
    for tick in 1..=50 {
        receiver.timeout(start + ms(20) * tick);
    }
    // One second after the last packet, everything is filled except the frame that may still be in flight.
    assert_eq!(receiver.samples, 160 + 49 * 160);
    receiver.packet(header(1, 160 * 51), 1, start + ms(1020));
    assert_eq!(receiver.samples, 52 * 160);
    assert_eq!(receiver.receiver.counters().paused_samples, 50 * 160);
    assert_eq!(receiver.receiver.counters().concealed_samples, 0);
}

#[test]
fn packets_delayed_by_a_network_stall_are_kept_and_the_next_pause_is_shortened() {
    let (mut receiver, start) = (TestReceiver::new(), Instant::now());
    receiver.packet(header(0, 0), 0, start);
    receiver.timeout(start + ms(300));
    // Fifteen delayed packets arrive at once; none is dropped.
    for n in 1..=15u16 {
        receiver.packet(header(n, u32::from(n) * 160), 1, start + ms(300));
    }
    assert_eq!(
        receiver.take().iter().filter(|delivered| matches!(delivered, Delivered::Audio(_))).count(),
        16
    );
    // The next pause is shortened by the surplus of silence.
    receiver.packet(header(16, 36 * 160), 2, start + ms(720));
    assert_eq!(receiver.samples, 37 * 160);
}

#[test]
fn a_new_ssrc_is_accepted_at_its_second_consecutive_packet() {
    let (mut receiver, start) = (TestReceiver::new(), Instant::now());
    let other = |n: u16| RtpHeader { ssrc: Ssrc(99), ..header(500 + n, 9_000_000 + u32::from(n) * 160) };
    receiver.packet(header(0, 0), 0, start);
    receiver.packet(other(0), 66, start + ms(5));
    receiver.packet(header(1, 160), 1, start + ms(20));
    receiver.packet(other(1), 66, start + ms(25));
    receiver.packet(header(2, 320), 2, start + ms(40));
    assert_eq!(receiver.take(), [0, 1, 2].map(Delivered::Audio));
    receiver.packet(other(2), 9, start + ms(60));
    receiver.packet(other(3), 10, start + ms(80));
    receiver.packet(other(4), 11, start + ms(100));
    let expected =
        [Delivered::SourceChanged, Delivered::Paused(160), Delivered::Audio(10), Delivered::Audio(11)];
    assert_eq!(receiver.take(), expected);
    assert_eq!(receiver.receiver.counters().source_changes, 1);
    assert_eq!(receiver.receiver.statistics().lost(), 0);
}

#[test]
fn a_timestamp_jump_is_filled_according_to_the_arrival_time() {
    let (mut receiver, start) = (TestReceiver::new(), Instant::now());
    receiver.packet(header(0, 0), 0, start);
    receiver.packet(header(1, 3_000_000_000), 1, start + ms(20));
    receiver.packet(header(2, 3_000_000_160), 2, start + ms(40));
    assert_eq!(receiver.take(), [0, 1, 2].map(Delivered::Audio));
    assert_eq!(receiver.receiver.counters().jumps, 1);
}

#[test]
fn a_sequence_restart_is_accepted_at_its_second_packet() {
    let (mut receiver, start) = (TestReceiver::new(), Instant::now());
    receiver.packet(header(0, 0), 0, start);
    receiver.packet(header(30_000, 160), 1, start + ms(20));
    receiver.packet(header(1, 160), 2, start + ms(20));
    assert_eq!(receiver.take(), [Delivered::Audio(0), Delivered::Audio(2)]);
    receiver.packet(header(40_000, 320), 3, start + ms(40));
    receiver.packet(header(40_001, 480), 4, start + ms(60));
    assert_eq!(receiver.take(), [Delivered::SourceChanged, Delivered::Paused(160), Delivered::Audio(4)]);
    assert_eq!(receiver.receiver.counters().unconfirmed_jumps, 2, "each dropped packet is counted");
}

#[test]
fn jitter_follows_rfc_3550_appendix_a8() {
    let (mut receiver, start) = (TestReceiver::new(), Instant::now());
    let mut expected = 0.0f64;
    for n in 0..200u16 {
        // Every second packet is 10 ms late, so each difference is 80 samples.
        let late = ms(u64::from(n % 2) * 10);
        receiver.packet(header(n, u32::from(n) * 160), 0, start + ms(20) * u32::from(n) + late);
        if n > 0 {
            expected += (80.0 - expected) / 16.0;
        }
    }
    let found = receiver.receiver.statistics().jitter().as_secs_f64() * 8000.0;
    assert!((found - expected).abs() < 1.0, "{found} against {expected}");
}

#[test]
fn order_and_duration_are_preserved_over_a_lossy_link() {
    let conditions = LinkConditions { loss: 30, duplicate: 20, reorder: 30, delay: ms(40), jitter: ms(15) };
    for seed in 0..20 {
        let (mut receiver, start) = (TestReceiver::new(), Instant::now());
        let mut link = LossyLink::new(seed, conditions);
        for n in 0..3000u16 {
            let now = start + ms(20) * u32::from(n);
            let content = u8::try_from(n % 250).unwrap();
            // The first and last packets are sent reliably, so that the totals can be compared.
            if n == 0 || n > 2990 {
                link.send_reliably(
                    Datagram::new(header(n, u32::from(n) * 160), &[content; 160]).as_bytes(),
                    now + ms(40),
                );
            } else {
                link.send(Datagram::new(header(n, u32::from(n) * 160), &[content; 160]).as_bytes(), now);
            }
        }
        while let Some(at) =
            [link.poll_timeout(), receiver.receiver.poll_timeout().filter(|_| link.poll_timeout().is_some())]
                .into_iter()
                .flatten()
                .min()
        {
            if let Some(bytes) = link.receive(at) {
                receiver.bytes(&bytes, at);
            }
            receiver.timeout(at);
            assert!(receiver.receiver.waiting() <= REORDER_PACKETS, "seed {seed}");
        }
        assert_eq!(receiver.samples, 3000 * 160, "seed {seed}");
        let mut position = 0u64;
        for delivered in receiver.take() {
            match delivered {
                Delivered::Audio(content) => {
                    assert_eq!(u64::from(content), position % 250, "seed {seed}");
                    position += 1;
                }
                Delivered::Lost(samples) | Delivered::Paused(samples) => position += samples / 160,
                Delivered::Event | Delivered::SourceChanged => panic!("one source sent audio only"),
            }
        }
        let statistics = receiver.receiver.statistics();
        assert_eq!(statistics.lost(), link.lost(), "seed {seed}");
    }
}

/// Feeds packets of 160 bytes every 20 ms for 10 s whose timestamps advance by `step`; returns the delivered time.
fn delivered_in_ten_seconds(step: u32) -> Duration {
    let (mut receiver, start) = (TestReceiver::new(), Instant::now());
    for n in 0..500u16 {
        let now = start + ms(20) * u32::from(n);
        receiver.timeout(now);
        receiver.packet(header(n, u32::from(n).wrapping_mul(step)), 1, now);
    }
    crate::media_clock::duration_of(receiver.samples)
}

#[test]
fn timestamps_that_run_too_fast_do_not_stretch_time_by_more_than_a_second() {
    let second = Duration::from_secs(1);
    assert_eq!(delivered_in_ten_seconds(160), 10 * second);
    for step in [161, 320, 1600, 8100, 8159, 16_000, 1 << 31] {
        let delivered = delivered_in_ten_seconds(step);
        assert!(delivered >= 10 * second, "step {step}: {delivered:?}");
        assert!(delivered <= 11 * second + ms(40), "step {step}: {delivered:?}");
    }
}

#[test]
fn a_pause_is_filled_completely_after_timestamps_that_run_too_fast() {
    let (mut receiver, start) = (TestReceiver::new(), Instant::now());
    for n in 0..100u16 {
        receiver.packet(header(n, u32::from(n) * 480), 1, start + ms(20) * u32::from(n));
    }
    let mut now = start + ms(2000);
    while now < start + Duration::from_mins(1) {
        let due = receiver.receiver.poll_timeout().unwrap();
        assert!(due > now, "the timer never fires without end");
        now = due;
        receiver.timeout(now);
    }
    let delivered = crate::media_clock::duration_of(receiver.samples);
    assert!(delivered <= Duration::from_secs(61), "{delivered:?}");
    assert!(delivered >= Duration::from_secs(59), "{delivered:?}");
}

#[test]
fn comfort_noise_packets_are_counted_and_become_silence() {
    let (mut receiver, start) = (TestReceiver::new(), Instant::now());
    receiver.packet(header(0, 0), 1, start);
    let noise = RtpHeader { payload_type: PayloadType::COMFORT_NOISE, ..header(1, 160) };
    receiver.bytes(Datagram::new(noise, &[70]).as_bytes(), start + ms(20));
    receiver.packet(header(2, 800), 2, start + ms(100));
    assert_eq!(receiver.take(), [Delivered::Audio(1), Delivered::Paused(640), Delivered::Audio(2)]);
    let counters = receiver.receiver.counters();
    assert_eq!((counters.comfort_noise, counters.unknown_payload), (1, 0));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_cause_a_panic(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..40)) {
        let (mut receiver, start) = (TestReceiver::new(), Instant::now());
        for (n, mut bytes) in packets.into_iter().enumerate() {
            if let Some(first) = bytes.first_mut() {
                *first = *first & 0x3f | 0x80;
            }
            let now = start + ms(u64::try_from(n).unwrap() * 7);
            if RtpPacket::parse(&bytes).is_ok() {
                receiver.bytes(&bytes, now);
            }
            receiver.timeout(now);
            prop_assert!(receiver.receiver.waiting() <= REORDER_PACKETS);
        }
    }
}
