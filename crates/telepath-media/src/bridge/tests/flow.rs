//! Tests of audio through the bridge: order, timing and bounds.

use super::*;
use crate::g711;
use crate::rtp::RtpPacket;
use crate::tone::share_at;
use proptest::prelude::*;

fn headers(test: &TestBridge) -> Vec<(Instant, u16, u32, bool)> {
    test.packets
        .iter()
        .map(|(at, bytes)| {
            let header = RtpPacket::parse(bytes).unwrap().header;
            (*at, header.sequence.0, header.timestamp.0, header.marker)
        })
        .collect()
}

/// Mean share of the tone over windows of 200 ms, so that a phase shift does not hide it.
fn mean_tone_share(samples: &[i16]) -> f64 {
    let windows: Vec<f64> = samples.chunks(1600).map(|window| share_at(TONE, window)).collect();
    windows.iter().sum::<f64>() / f64::from(u32::try_from(windows.len()).unwrap())
}

/// A bridge whose caller may stay silent.
fn without_media_timeout() -> TestBridge {
    let mut config = config();
    config.limits.media_timeout = Duration::from_hours(24);
    TestBridge::with(config)
}

#[test]
fn a_real_time_echo_is_complete_and_not_delayed() {
    let mut call = EchoCall::new(1, LOSSLESS, tone(20));
    call.run(ms(19_999));
    assert_eq!(call.longest_queue, Duration::ZERO);
    let echo = call.caller.echo();
    assert_eq!(echo.distinct, 1000);
    assert_eq!(echo.matched, 1000);
    assert_eq!(echo.max, Some(Duration::ZERO));
    assert!(mean_tone_share(call.caller.recording()) > 0.95);
}

#[test]
fn network_jitter_does_not_add_queueing_delay() {
    for seed in 0..10 {
        let jittery = LinkConditions { jitter: ms(8), delay: ms(5), ..LOSSLESS };
        let mut call = EchoCall::new(seed, jittery, tone(20));
        call.run(Duration::from_secs(21));
        let echo = call.caller.echo();
        assert_eq!(echo.matched, 1000, "seed {seed}");
        // The link adds 5 ms of delay and up to 8 ms of jitter.
        assert!(echo.p50.unwrap() <= ms(10), "seed {seed}: {echo:?}");
        assert!(echo.p99.unwrap() <= ms(15), "seed {seed}: {echo:?}");
    }
}

#[test]
fn a_tone_survives_a_lossy_link_with_its_duration_preserved() {
    let bad = LinkConditions { loss: 20, duplicate: 10, reorder: 10, delay: ms(20), jitter: ms(10) };
    for seed in 0..10 {
        let mut call = EchoCall::new(seed, bad, tone(30));
        call.run(Duration::from_secs(32));
        call.caller.finish();
        let report = call.test.bridge.report(call.test.now);
        assert_eq!(report.packets_lost, call.up.lost().min(report.packets_lost), "seed {seed}");
        assert!(report.packets_lost + 3 >= call.up.lost(), "seed {seed}");
        let received = call.caller.recording();
        assert!(mean_tone_share(received) > 0.85, "seed {seed}: {}", mean_tone_share(received));
        // Never shorter than what was sent, except for packets lost at the edges.
        assert!(received.len() + 5 * 160 >= 30 * 8000, "seed {seed}: {}", received.len());
        assert!(call.longest_queue <= ms(200), "seed {seed}: {:?}", call.longest_queue);
        assert_eq!(report.played.overflowed, 0, "seed {seed}");
    }
}

#[test]
fn clock_drift_does_not_build_up_a_queue() {
    for parts_per_million in [-6000i64, -100, 100, 6000] {
        let mut test = without_media_timeout();
        let mut worst = Duration::ZERO;
        for n in 0..15_000u32 {
            let nominal = 20_000_000i64 * i64::from(n);
            let at = nominal - nominal / 1_000_000 * parts_per_million;
            test.run_until(test.start + Duration::from_nanos(u64::try_from(at).unwrap()));
            test.agent_audio(&[1000; 160]);
            worst = worst.max(test.bridge.playout_queued());
        }
        assert_eq!(test.packets.len(), 15_000, "{parts_per_million} ppm");
        assert_eq!(worst, Duration::ZERO, "{parts_per_million} ppm");
    }
}

#[test]
fn a_backlog_after_a_short_stall_is_worked_off() {
    for late in [15, 35, 55, 70] {
        let mut test = without_media_timeout();
        for n in 0..600u64 {
            // The first and every 200th frame are late, and so are the frames behind them.
            let stall = if n % 200 < 4 { late } else { 0 };
            let at = (n * 20).max(n / 200 * 4000 + stall);
            test.run_until(test.start + ms(at));
            test.agent_audio(&[1000; 160]);
            if n % 200 == 199 {
                assert_eq!(test.bridge.playout_queued(), Duration::ZERO, "{late} ms, frame {n}");
                assert_eq!(test.packets.last().unwrap().0, test.now, "{late} ms, frame {n} was sent at once");
            }
        }
        assert_eq!(test.packets.len(), 600);
    }
}

#[test]
fn chunks_of_several_frames_are_sent_every_20_ms() {
    let mut test = without_media_timeout();
    for n in 0..50u64 {
        test.run_until(test.start + ms(100 * n));
        test.agent_audio(&[1000; 800]);
    }
    test.run_for(Duration::from_secs(1));
    let sent = headers(&test);
    assert_eq!(sent.len(), 250);
    for (n, (at, ..)) in (0u32..).zip(&sent) {
        assert_eq!(*at, test.start + ms(20) * n);
    }
}

#[test]
fn a_burst_is_sent_every_20_ms_from_its_first_packet() {
    let mut test = TestBridge::new();
    test.run_for(ms(333));
    // Silence at 0, 20, … 320 ms.
    assert_eq!(test.silence.len(), 17);
    let before = test.silence.len();
    test.agent_audio(&tone(2));
    assert_eq!(test.packets.len(), 1, "the first frame is sent at once");
    test.run_for(ms(1990));
    assert_eq!(test.silence.len(), before, "no silence within the burst");
    test.run_for(Duration::from_secs(1));
    let sent = headers(&test);
    assert_eq!(sent.len(), 100);
    for (n, (at, sequence, timestamp, marker)) in (0u16..).zip(&sent) {
        assert_eq!(*at, test.start + ms(333) + ms(20) * u32::from(n));
        assert_eq!(*sequence, 0xfff0_u16.wrapping_add(17 + n));
        // The timestamps continue those of the silence.
        assert_eq!(*timestamp, 0xffff_f000_u32.wrapping_add(340 * 8 + u32::from(n) * 160));
        assert_eq!(*marker, n == 0);
    }
}

#[test]
fn a_new_utterance_has_the_marker_bit_and_a_timestamp_in_real_time() {
    let mut test = TestBridge::new();
    test.agent_audio(&[1000; 320]);
    test.run_for(ms(1000));
    test.agent_audio(&[1000; 160]);
    let sent = headers(&test);
    let offsets: Vec<u32> = sent.iter().map(|(_, _, ts, _)| ts.wrapping_sub(0xffff_f000)).collect();
    // One frame of silence was sent at the answer, and one at 1000 ms.
    assert_eq!(offsets, [160, 320, 8160]);
    assert_eq!(sent.iter().map(|(.., marker)| *marker).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn chunks_of_any_length_become_whole_frames_with_a_padded_tail() {
    for size in [1, 37, 159, 161, 400, 1000] {
        let mut test = TestBridge::new();
        let samples: Vec<i16> = (1..=1000).map(|n| n * 30).collect();
        samples.chunks(size).for_each(|chunk| test.agent_audio(chunk));
        test.run_for(Duration::from_secs(1));
        let received: Vec<u8> = test.packets.iter().flat_map(|(_, bytes)| bytes[12..].to_vec()).collect();
        assert_eq!(received.len(), 7 * 160, "chunks of {size}");
        let expected: Vec<u8> = samples.iter().map(|&sample| g711::mu_encode(sample)).collect();
        assert_eq!(received[..1000], expected, "chunks of {size}");
        assert!(received[1000..].iter().all(|&code| code == 0xff), "chunks of {size}");
    }
}

#[test]
fn a_slow_agent_loses_the_oldest_audio_but_no_event() {
    let start = Instant::now();
    let mut bridge = CallBridge::new(config(), start);
    bridge.handle_answered(start);
    let mut caller = TestCaller::new(&media(MediaDirection::SendRecv), stream(2), tone(60), start);
    while let Some(at) = caller.poll_timeout() {
        let mut datagram = caller.poll_packet(at).unwrap();
        bridge.handle_rtp(datagram.as_mut_bytes(), peer(), at);
        assert!(bridge.agent_queued() <= BridgeLimits::default().agent_queue);
    }
    let mut frames = 0;
    let mut texts = Vec::new();
    while let Some(output) = bridge.poll_agent() {
        match output.frame {
            AgentFrame::Text(text) => texts.push(text),
            AgentFrame::Binary(_) => frames += 1,
        }
    }
    assert_eq!(frames, 100);
    assert!(texts[0].contains("start") && texts[1].contains("speech_started"), "{texts:?}");
    let report = bridge.report(start + Duration::from_mins(1));
    assert_eq!(report.bridge.agent_audio_dropped, 2900);
}

#[test]
fn timestamps_stay_exact_for_an_hour() {
    let mut test = without_media_timeout();
    let utterance = vec![3000i16; 8000 * 7];
    let mut expected = Vec::new();
    // Every 10 s an utterance of 7 s, as one burst.
    for n in 0..360u32 {
        test.run_until(test.start + Duration::from_secs(10) * n);
        // A frame of silence was sent at the same moment.
        expected.push((test.now, (0xffff_f000_u32).wrapping_add(n * 80_000 + 160)));
        test.agent_audio(&utterance);
    }
    test.run_for(Duration::from_secs(10));
    let spurts: Vec<(Instant, u32)> =
        headers(&test).iter().filter(|(.., marker)| *marker).map(|(at, _, ts, _)| (*at, *ts)).collect();
    assert_eq!(spurts, expected);
    assert_eq!(test.packets.len(), 360 * 350);
}

proptest! {
    #[test]
    fn arbitrary_input_never_causes_a_panic_or_unbounded_queues(
        steps in prop::collection::vec((0u8..8, prop::collection::vec(any::<u8>(), 0..400), 0u64..100), 1..60),
    ) {
        let mut test = TestBridge::new();
        for (kind, mut bytes, wait) in steps {
            match kind {
                0 => test.rtp(&bytes),
                1 | 2 => {
                    // A valid header, so that the payload is processed.
                    let mut packet = vec![0x80, if kind == 1 { 0 } else { 101 }, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
                    packet.append(&mut bytes);
                    test.rtp(&packet);
                }
                3 => test.agent_text(&String::from_utf8_lossy(&bytes)),
                4 => test.agent_text(r#"{"type":"clear"}"#),
                5 => test.agent_text(r#"{"type":"mark","name":"m"}"#),
                6 => test.bridge.handle_negotiated(
                    &media(if bytes.len() % 2 == 0 { MediaDirection::RecvOnly } else { MediaDirection::SendRecv }),
                    test.now,
                ),
                _ => {
                    test.bridge.handle_agent_message(AgentMessage::Binary(&bytes), test.now);
                    test.collect();
                }
            }
            test.run_for(ms(wait));
            prop_assert!(test.bridge.agent_queued() <= BridgeLimits::default().agent_queue);
            prop_assert!(test.bridge.poll_timeout().is_none_or(|due| due > test.now));
        }
    }
}

#[test]
fn a_late_timer_does_not_cause_a_burst() {
    let mut test = TestBridge::new();
    test.agent_audio(&tone(2));
    test.now += Duration::from_secs(1);
    test.bridge.handle_timeout(test.now);
    test.collect();
    assert_eq!(test.packets.len(), 2, "one frame for the late slot");
    assert_eq!(test.bridge.report(test.now).played.stalls, 1);
}
