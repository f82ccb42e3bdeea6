//! Tests of silence, of a full queue, of cleared marks, of the agent's clock, and of late packets.

use super::*;
use crate::g711;

/// A bridge whose caller may stay silent.
fn without_media_timeout(mut config: BridgeConfig) -> TestBridge {
    config.limits.media_timeout = Duration::from_hours(24);
    TestBridge::with(config)
}

fn with_comfort_noise() -> BridgeConfig {
    let mut config = config();
    config.negotiated.send.comfort_noise = Some(PayloadType::COMFORT_NOISE);
    config.negotiated.receive.comfort_noise = Some(PayloadType::COMFORT_NOISE);
    config
}

/// All packets in the order of their sequence numbers: time, payload type, timestamp.
fn sent(test: &TestBridge) -> Vec<(Instant, u8, u32)> {
    let mut packets: Vec<_> = test
        .packets
        .iter()
        .chain(&test.silence)
        .map(|(at, bytes)| (*at, RtpPacket::parse(bytes).unwrap().header))
        .collect();
    packets.sort_by_key(|(_, header)| header.sequence.0.wrapping_sub(0xfff0));
    for (n, (_, header)) in (0u16..).zip(&packets) {
        assert_eq!(header.sequence.0, 0xfff0_u16.wrapping_add(n), "one sequence for audio and silence");
    }
    packets.iter().map(|(at, header)| (*at, header.payload_type.get(), header.timestamp.0)).collect()
}

#[test]
fn silence_is_sent_every_20_ms_from_the_answer_on_while_the_agent_is_silent() {
    let mut test = without_media_timeout(config());
    test.run_for(ms(59_990));
    let packets = sent(&test);
    assert_eq!((packets.len(), test.packets.len()), (3000, 0));
    for (n, (at, payload_type, timestamp)) in (0u32..).zip(&packets) {
        assert_eq!((*at, *payload_type), (test.start + ms(20) * n, 0));
        assert_eq!(*timestamp, 0xffff_f000_u32.wrapping_add(n * 160));
    }
    assert!(test.silence.iter().all(|(_, bytes)| bytes[12..] == [g711::mu_encode(0); 160]));
    assert_eq!(test.bridge.report(test.now).played.silent, 3000);
}

#[test]
fn timestamps_of_speech_and_silence_never_go_back_and_lead_the_clock_by_at_most_one_frame() {
    let mut test = without_media_timeout(config());
    for n in 0..500u64 {
        test.run_for(ms(477 + n * 7 % 400));
        test.agent_audio(&vec![1000; 160 * (1 + usize::try_from(n % 20).unwrap())]);
    }
    test.run_for(Duration::from_secs(2));
    let mut last = None;
    for (at, _, timestamp) in sent(&test) {
        let position = timestamp.wrapping_sub(0xffff_f000);
        assert!(last.is_none_or(|last| position >= last + 160), "{last:?} {position}");
        let clock = u32::try_from((at - test.start).as_micros() / 125).unwrap();
        // Speech is sent at once, although its slot may be up to one frame later.
        assert!(position <= clock + 162, "{position} against {clock}");
        last = Some(position);
    }
}

#[test]
fn comfort_noise_is_sent_instead_of_silence_if_it_was_negotiated() {
    let mut test = without_media_timeout(with_comfort_noise());
    test.run_for(ms(10_010));
    test.agent_audio(&[1000; 1600]);
    test.run_for(Duration::from_secs(5));
    let packets = sent(&test);
    assert_eq!(packets[0].0, test.start, "the first packet is sent at the answer");
    for pair in packets.windows(2) {
        assert!(pair[1].0 - pair[0].0 <= crate::playout::COMFORT_NOISE_INTERVAL);
        assert!(pair[1].2.wrapping_sub(pair[0].2) < 1 << 31, "timestamps grow");
    }
    assert!(test.silence.iter().all(|(_, bytes)| bytes[1] == 13 && bytes.len() == 13));
    assert_eq!((test.silence.len(), test.packets.len()), (21 + 10, 10));
}

#[test]
fn no_silence_is_sent_on_hold_or_after_the_call() {
    for direction in [MediaDirection::RecvOnly, MediaDirection::Inactive] {
        let mut test = without_media_timeout(config());
        test.run_for(ms(990));
        test.bridge.handle_negotiated(&media(direction), test.now);
        test.run_for(Duration::from_mins(1));
        assert_eq!(test.silence.len(), 50, "{direction:?}");
        test.bridge.handle_negotiated(&media(MediaDirection::SendRecv), test.now);
        test.collect();
        assert_eq!(test.silence.len(), 51, "silence continues at once");
        let gap = sent(&test)[50].2.wrapping_sub(sent(&test)[49].2);
        assert_eq!(gap, 60_010 * 8, "timestamps follow real time");
        test.bridge.handle_stop(StopReason("normal_disconnect"), test.now);
        test.run_for(Duration::from_secs(1));
        assert_eq!(test.silence.len(), 51);
    }
}

#[test]
fn a_full_playout_queue_refuses_the_newest_audio_and_tells_the_agent_once() {
    let mut config = config();
    config.limits.playout_queue = Duration::from_mins(1);
    let mut test = without_media_timeout(config);
    // 90 s at once: each second has its own level.
    for second in 0..90i16 {
        test.agent_audio(&vec![1000 + 300 * second; 8000]);
        assert!(test.bridge.playout_queued() <= Duration::from_mins(1));
    }
    assert_eq!(test.events_of_type("error").len(), 1);
    assert_eq!(test.events_of_type("error")[0]["code"], "playout_full");
    test.agent_text(r#"{"type":"mark","name":"end"}"#);
    test.run_for(Duration::from_secs(70));
    let report = test.bridge.report(test.now);
    assert_eq!(report.played.overflowed + report.played.sent, 90 * 50);
    // The first frame left the queue before the rest came.
    assert_eq!(report.played.sent, 60 * 50 + 1);
    for (n, (_, bytes)) in test.packets.iter().enumerate() {
        let level = 1000 + 300 * i16::try_from(n / 50).unwrap();
        assert_eq!(bytes[12], g711::mu_encode(level), "frame {n}: the beginning is kept");
    }
    let marks = test.events_of_type("mark");
    assert_eq!((marks.len(), marks[0]["cleared"].as_bool()), (1, None));
    // After the queue had room, the agent is told again.
    test.agent_audio(&vec![1000; 8000 * 62]);
    assert_eq!(test.events_of_type("error").len(), 2);
}

#[test]
fn a_mark_after_refused_audio_is_returned_when_the_accepted_audio_was_played() {
    let mut config = config();
    config.limits.playout_queue = Duration::from_secs(1);
    let mut test = without_media_timeout(config);
    test.agent_audio(&vec![1000; 8000 * 3 + 50]);
    test.agent_text(r#"{"type":"mark","name":"a"}"#);
    test.agent_audio(&[1000; 200]);
    test.agent_text(r#"{"type":"mark","name":"b"}"#);
    test.run_for(Duration::from_secs(3));
    let names: Vec<_> = test.events_of_type("mark").iter().map(|mark| mark["name"].to_string()).collect();
    assert_eq!(names, ["\"a\"", "\"b\""]);
}

#[test]
fn cleared_marks_differ_from_played_ones() {
    let mut test = TestBridge::new();
    test.agent_audio(&[1000; 160 * 5]);
    test.agent_text(r#"{"type":"mark","name":"played"}"#);
    test.agent_audio(&[1000; 160 * 50]);
    test.agent_text(r#"{"type":"mark","name":"cut"}"#);
    // The fifth frame is on its way to the caller.
    test.run_for(ms(85));
    test.agent_text(r#"{"type":"clear"}"#);
    test.agent_text(r#"{"type":"mark","name":"after"}"#);
    test.run_for(Duration::from_secs(1));
    let marks: Vec<_> = test
        .events_of_type("mark")
        .iter()
        .map(|mark| (mark["name"].as_str().unwrap(), mark.get("cleared").is_some()))
        .collect();
    assert_eq!(marks, [("played", false), ("cut", true), ("after", false)]);
}

/// Streams in messages of `chunk` frames from a clock that is fast by `ppm`; checks that the queue stays short.
fn check_drift(chunk: u32, ppm: i64, length: Duration) {
    let mut test = without_media_timeout(config());
    let audio = vec![1000; 160 * usize::try_from(chunk).unwrap()];
    let (mut highest, mut n) = (Duration::ZERO, 0);
    while test.now < test.start + length {
        let nominal = i64::from(n) * i64::from(chunk) * 20_000_000;
        let at = nominal - nominal / 1_000_000 * ppm;
        test.run_until(test.start + Duration::from_nanos(u64::try_from(at).unwrap()));
        test.agent_audio(&audio);
        highest = highest.max(test.bridge.playout_queued());
        test.packets.clear();
        n += 1;
    }
    let played = test.bridge.report(test.now).played;
    assert!(highest <= ms(20) * (chunk + 3), "{chunk} frames, {ppm} ppm: {highest:?} queued");
    assert_eq!((played.overflowed, played.stalls), (0, 0), "{chunk} frames, {ppm} ppm");
    assert!(played.silent <= 1, "{chunk} frames, {ppm} ppm: {} gaps", played.silent);
}

#[test]
fn clock_drift_of_200_ppm_for_an_hour_is_corrected_with_messages_of_40_ms() {
    check_drift(2, 200, Duration::from_hours(1));
}

#[test]
fn clock_drift_of_200_ppm_for_an_hour_is_corrected_with_messages_of_100_ms() {
    check_drift(5, 200, Duration::from_hours(1));
}

#[test]
fn clock_drift_is_corrected_at_any_message_length_in_both_directions() {
    for chunk in [1, 2, 3, 5] {
        // Ten times the drift of real clocks, so that minutes are like an hour.
        for ppm in [-2000, 2000] {
            check_drift(chunk, ppm, Duration::from_mins(6));
        }
    }
}

#[test]
fn a_burst_is_not_played_faster() {
    let mut test = without_media_timeout(config());
    for _ in 0..4 {
        let before = test.packets.len();
        test.agent_audio(&vec![1000; 8000 * 30]);
        test.run_for(Duration::from_secs(32));
        let times: Vec<_> = test.packets[before..].iter().map(|(at, _)| *at).collect();
        assert_eq!(times.len(), 1500);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == ms(20)));
    }
}

#[test]
fn packets_sent_more_than_20_ms_late_are_counted() {
    let mut test = TestBridge::new();
    test.agent_audio(&tone(2));
    test.run_for(ms(490));
    assert_eq!(test.bridge.report(test.now).played.late, 0);
    assert_eq!(test.bridge.report(test.now).send_lateness, Some(Duration::ZERO));
    // The timer fires 45 ms late: the frames due 45 and 25 ms ago are late, the one due 5 ms ago is not.
    test.now += ms(55);
    test.bridge.handle_timeout(test.now);
    test.collect();
    let report = test.bridge.report(test.now);
    assert_eq!((report.played.late, report.played.stalls), (2, 0));
    assert!(report.send_lateness.unwrap() >= ms(20));
}
