//! Audio through the bridge: order, time, pace, bounds.

use super::*;
use crate::rtp::RtpPacket;
use crate::tone::share_at;
use proptest::prelude::*;

fn headers(rig: &Rig) -> Vec<(Instant, u16, u32, bool)> {
    rig.packets
        .iter()
        .map(|(at, bytes)| {
            let header = RtpPacket::parse(bytes).unwrap().header;
            (*at, header.sequence.0, header.timestamp.0, header.marker)
        })
        .collect()
}

/// Mean share of the tone over windows of 200 ms, so that a shift in phase does not hide it.
fn tone_in(samples: &[i16]) -> f64 {
    let windows: Vec<f64> = samples.chunks(1600).map(|window| share_at(TONE, window)).collect();
    windows.iter().sum::<f64>() / f64::from(u32::try_from(windows.len()).unwrap())
}

/// A bridge whose caller may be silent for as long as a test likes.
fn patient() -> Rig {
    let mut config = config();
    config.limits.media_timeout = Duration::from_hours(24);
    Rig::with(config)
}

#[test]
fn a_paced_echo_comes_back_without_delay_and_complete() {
    let mut call = EchoCall::new(1, PERFECT, tone(20));
    call.run(ms(19_999));
    assert_eq!(call.longest_queue, Duration::ZERO);
    let echo = call.caller.echo();
    assert_eq!(echo.distinct, 1000);
    assert_eq!(echo.matched, 1000);
    assert_eq!(echo.max, Some(Duration::ZERO));
    assert!(tone_in(call.caller.recording()) > 0.95);
}

#[test]
fn network_jitter_of_the_caller_adds_no_queueing_to_the_echo() {
    for seed in 0..10 {
        let jittery = Conditions { jitter: ms(8), delay: ms(5), ..PERFECT };
        let mut call = EchoCall::new(seed, jittery, tone(20));
        call.run(Duration::from_secs(21));
        let echo = call.caller.echo();
        assert_eq!(echo.matched, 1000, "seed {seed}");
        // 5 ms of delay, up to 8 of jitter: the rest would be ours.
        assert!(echo.p50.unwrap() <= ms(10), "seed {seed}: {echo:?}");
        assert!(echo.p99.unwrap() <= ms(15), "seed {seed}: {echo:?}");
    }
}

#[test]
fn over_a_bad_network_the_tone_survives_and_time_stays_true() {
    let bad = Conditions { loss: 20, duplicate: 10, reorder: 10, delay: ms(20), jitter: ms(10) };
    for seed in 0..10 {
        let mut call = EchoCall::new(seed, bad, tone(30));
        call.run(Duration::from_secs(32));
        call.caller.finish();
        let report = call.rig.bridge.report(call.rig.now);
        assert_eq!(report.packets_lost, call.up.lost().min(report.packets_lost), "seed {seed}");
        assert!(report.packets_lost + 3 >= call.up.lost(), "seed {seed}");
        let heard = call.caller.recording();
        assert!(tone_in(heard) > 0.85, "seed {seed}: {}", tone_in(heard));
        // Packets sent plus trailing cover: never shorter than what was said, but for lost edges.
        assert!(heard.len() + 5 * 160 >= 30 * 8000, "seed {seed}: {}", heard.len());
        assert!(call.longest_queue <= ms(200), "seed {seed}: {:?}", call.longest_queue);
        assert_eq!(report.played.overflowed, 0, "seed {seed}");
    }
}

#[test]
fn caller_clocks_that_run_fast_or_slow_do_not_build_a_queue() {
    for parts_per_million in [-6000i64, -100, 100, 6000] {
        let mut rig = patient();
        let mut worst = Duration::ZERO;
        for n in 0..15_000u32 {
            let nominal = 20_000_000i64 * i64::from(n);
            let at = nominal - nominal / 1_000_000 * parts_per_million;
            rig.run_until(rig.start + Duration::from_nanos(u64::try_from(at).unwrap()));
            rig.agent_audio(&[1000; 160]);
            worst = worst.max(rig.bridge.playout_queued());
        }
        assert_eq!(rig.packets.len(), 15_000, "{parts_per_million} ppm");
        assert_eq!(worst, Duration::ZERO, "{parts_per_million} ppm");
    }
}

#[test]
fn the_backlog_that_a_hiccup_leaves_is_worked_off() {
    for late in [15, 35, 55, 70] {
        let mut rig = patient();
        for n in 0..600u64 {
            // The first and each two hundredth frame come late, and with them those that queued up behind.
            let hiccup = if n % 200 < 4 { late } else { 0 };
            let at = (n * 20).max(n / 200 * 4000 + hiccup);
            rig.run_until(rig.start + ms(at));
            rig.agent_audio(&[1000; 160]);
            if n % 200 == 199 {
                assert_eq!(rig.bridge.playout_queued(), Duration::ZERO, "{late} ms, frame {n}");
                assert_eq!(rig.packets.last().unwrap().0, rig.now, "{late} ms, frame {n} was sent at once");
            }
        }
        assert_eq!(rig.packets.len(), 600);
    }
}

#[test]
fn chunks_of_several_frames_keep_the_pace_of_20_ms() {
    let mut rig = patient();
    for n in 0..50u64 {
        rig.run_until(rig.start + ms(100 * n));
        rig.agent_audio(&[1000; 800]);
    }
    rig.run_for(Duration::from_secs(1));
    let sent = headers(&rig);
    assert_eq!(sent.len(), 250);
    for (n, (at, ..)) in (0u32..).zip(&sent) {
        assert_eq!(*at, rig.start + ms(20) * n);
    }
}

#[test]
fn a_burst_is_paced_at_20_ms_from_its_first_packet() {
    let mut rig = Rig::new();
    rig.run_for(ms(333));
    rig.agent_audio(&tone(2));
    assert_eq!(rig.packets.len(), 1, "the first frame goes at once");
    rig.run_for(Duration::from_secs(3));
    let sent = headers(&rig);
    assert_eq!(sent.len(), 100);
    for (n, (at, sequence, timestamp, marker)) in (0u16..).zip(&sent) {
        assert_eq!(*at, rig.start + ms(333) + ms(20) * u32::from(n));
        assert_eq!(*sequence, 0xfff0_u16.wrapping_add(n));
        assert_eq!(*timestamp, 0xffff_f000_u32.wrapping_add(333 * 8 + u32::from(n) * 160));
        assert_eq!(*marker, n == 0);
    }
}

#[test]
fn a_new_utterance_carries_the_marker_and_the_time_that_passed() {
    let mut rig = Rig::new();
    rig.agent_audio(&[1000; 320]);
    rig.run_for(ms(1000));
    rig.agent_audio(&[1000; 160]);
    let sent = headers(&rig);
    let offsets: Vec<u32> = sent.iter().map(|(_, _, ts, _)| ts.wrapping_sub(0xffff_f000)).collect();
    assert_eq!(offsets, [0, 160, 8000]);
    assert_eq!(sent.iter().map(|(.., marker)| *marker).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn chunks_of_any_length_become_whole_frames_and_the_tail_is_padded() {
    for size in [1, 37, 159, 161, 400, 1000] {
        let mut rig = Rig::new();
        let samples: Vec<i16> = (1..=1000).map(|n| n * 30).collect();
        samples.chunks(size).for_each(|chunk| rig.agent_audio(chunk));
        rig.run_for(Duration::from_secs(1));
        let heard: Vec<u8> = rig.packets.iter().flat_map(|(_, bytes)| bytes[12..].to_vec()).collect();
        assert_eq!(heard.len(), 7 * 160, "chunks of {size}");
        let expected: Vec<u8> = samples.iter().map(|&sample| Codec::Pcmu.encode(sample)).collect();
        assert_eq!(heard[..1000], expected, "chunks of {size}");
        assert!(heard[1000..].iter().all(|&code| code == 0xff), "chunks of {size}");
    }
}

#[test]
fn the_playout_queue_loses_its_oldest_audio_beyond_its_bound() {
    let mut config = config();
    config.limits.playout_queue = Duration::from_secs(1);
    let mut rig = Rig::with(config);
    for n in 0..10 {
        rig.agent_audio(&[1000 * (n + 1); 8000]);
        assert!(rig.bridge.playout_queued() <= Duration::from_secs(1));
    }
    rig.run_for(Duration::from_secs(3));
    let report = rig.bridge.report(rig.now);
    assert_eq!(report.played.overflowed + report.played.sent, 500);
    let last = &rig.packets.last().unwrap().1;
    assert_eq!(last[12], Codec::Pcmu.encode(10_000));
}

#[test]
fn a_slow_agent_loses_oldest_audio_but_no_event_and_the_queue_stays_bounded() {
    let start = Instant::now();
    let mut bridge = CallBridge::new(config(), start);
    bridge.handle_answered(start);
    let mut caller = TestCaller::new(&media(Direction::SendRecv), stream(2), tone(60), start);
    while let Some(at) = caller.poll_timeout() {
        let datagram = caller.poll_packet(at).unwrap();
        bridge.handle_rtp(datagram.as_bytes(), peer(), at);
        assert!(bridge.agent_queued() <= Limits::default().agent_queue);
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
fn an_hour_of_talk_keeps_timestamps_exact() {
    let mut rig = patient();
    let utterance = vec![3000i16; 8000 * 7];
    let mut expected = Vec::new();
    // Every ten seconds an utterance of seven, as one burst.
    for n in 0..360u32 {
        rig.run_until(rig.start + Duration::from_secs(10) * n);
        expected.push((rig.now, (0xffff_f000_u32).wrapping_add(n * 80_000)));
        rig.agent_audio(&utterance);
    }
    rig.run_for(Duration::from_secs(10));
    let spurts: Vec<(Instant, u32)> =
        headers(&rig).iter().filter(|(.., marker)| *marker).map(|(at, _, ts, _)| (*at, *ts)).collect();
    assert_eq!(spurts, expected);
    assert_eq!(rig.packets.len(), 360 * 350);
}

proptest! {
    #[test]
    fn nothing_that_comes_in_makes_the_bridge_panic_or_grow(
        steps in prop::collection::vec((0u8..8, prop::collection::vec(any::<u8>(), 0..400), 0u64..100), 1..60),
    ) {
        let mut rig = Rig::new();
        for (kind, mut bytes, wait) in steps {
            match kind {
                0 => rig.rtp(&bytes),
                1 | 2 => {
                    // A plausible header in front, so that the payload gets further.
                    let mut packet = vec![0x80, if kind == 1 { 0 } else { 101 }, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
                    packet.append(&mut bytes);
                    rig.rtp(&packet);
                }
                3 => rig.agent_text(&String::from_utf8_lossy(&bytes)),
                4 => rig.agent_text(r#"{"type":"clear"}"#),
                5 => rig.agent_text(r#"{"type":"mark","name":"m"}"#),
                6 => rig.bridge.handle_negotiated(
                    &media(if bytes.len() % 2 == 0 { Direction::RecvOnly } else { Direction::SendRecv }),
                    rig.now,
                ),
                _ => {
                    rig.bridge.handle_agent_message(AgentMessage::Binary(&bytes), rig.now);
                    rig.collect();
                }
            }
            rig.run_for(ms(wait));
            prop_assert!(rig.bridge.agent_queued() <= Limits::default().agent_queue);
            prop_assert!(rig.bridge.poll_timeout().is_none_or(|due| due > rig.now));
        }
    }
}

#[test]
fn a_shell_that_was_late_does_not_send_a_burst() {
    let mut rig = Rig::new();
    rig.agent_audio(&tone(2));
    rig.now += Duration::from_secs(1);
    rig.bridge.handle_timeout(rig.now);
    rig.collect();
    assert_eq!(rig.packets.len(), 2, "one frame for the late slot, not fifty");
    assert_eq!(rig.bridge.report(rig.now).played.stalls, 1);
}
