//! Random callers whose stream restarts, loses packets and holds payload types that were not negotiated: each key is reported
//! once and in order, and time stays true.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::digits::Caller;
use super::*;

#[derive(Debug, Clone)]
enum Step {
    Audio {
        packets: u16,
    },
    /// A key; bit n of `lost` is a lost packet, and at least one arrives.
    Press {
        key: char,
        end_packets: u16,
        lost: u8,
    },
    /// Another SSRC, with its own sequence numbers and timestamps.
    Restart {
        sequence: u16,
        timestamp: u32,
    },
    /// The timestamps of the same SSRC jump back by so many frames, and a bit more: a key that begins at exactly the time of
    /// the one before is that one.
    TimestampRestart {
        frames: u32,
    },
    /// Packets with a payload type that was not negotiated, or of comfort noise.
    Foreign {
        payload_type: u8,
        packets: u16,
    },
    Pause {
        millis: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop::sample::select("0123456789*#ABCD".chars().collect::<Vec<_>>());
    let timestamp = prop_oneof![Just(0_u32), Just(u32::MAX - 400), any::<u32>()];
    prop_oneof![
        4 => (2_u16..20).prop_map(|packets| Step::Audio { packets }),
        6 => (key, 0_u16..4, any::<u8>()).prop_map(|(key, end_packets, lost)| Step::Press { key, end_packets, lost }),
        2 => (any::<u16>(), timestamp)
            .prop_map(|(sequence, timestamp)| Step::Restart { sequence, timestamp }),
        1 => (50_u32..1_000_000).prop_map(|frames| Step::TimestampRestart { frames }),
        1 => (prop::sample::select(vec![8_u8, 9, 13, 18, 96, 102, 127]), 1_u16..5)
            .prop_map(|(payload_type, packets)| Step::Foreign { payload_type, packets }),
        1 => (0_u64..3_000).prop_map(|millis| Step::Pause { millis }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn each_key_is_reported_once_and_in_order_whatever_the_stream_does(
        steps in proptest::collection::vec(step(), 1..25),
    ) {
        let mut caller = Caller::new();
        let mut pressed = String::new();
        caller.audio(5);
        for step in steps {
            match step {
                Step::Audio { packets } => caller.audio(packets),
                Step::Press { key, end_packets, lost } => {
                    caller.press_with_loss(key, end_packets, lost);
                    pressed.push(key);
                    caller.audio(3);
                }
                Step::Restart { sequence, timestamp } => {
                    caller.header.ssrc = Ssrc(caller.header.ssrc.0.wrapping_add(1));
                    caller.header.sequence = SequenceNumber(sequence);
                    caller.header.timestamp = RtpTimestamp(timestamp);
                    caller.audio(5);
                }
                Step::TimestampRestart { frames } => {
                    let before = caller.header.timestamp.0.wrapping_sub(frames * 160 + 7);
                    caller.header.timestamp = RtpTimestamp(before);
                    caller.audio(5);
                }
                Step::Foreign { payload_type, packets } => {
                    let payload_type = PayloadType::new(payload_type).unwrap();
                    for _ in 0..packets {
                        caller.send(payload_type, caller.header.timestamp, &[0x55; 160]);
                    }
                    caller.audio(3);
                }
                Step::Pause { millis } => {
                    caller.test.run_for(ms(millis));
                    caller.header.timestamp = caller.header.timestamp.after(millis * 8);
                    caller.audio(3);
                }
            }
        }
        caller.audio(30);
        prop_assert_eq!(caller.digits(), pressed);
        let heard = caller.test.audio.len() as u128 / 8;
        let passed = caller.test.now.duration_since(caller.test.start).as_millis();
        prop_assert!(heard <= passed + 1_000, "{} ms of audio in {} ms", heard, passed);
        prop_assert!(caller.test.hang_up.is_none());
    }
}
