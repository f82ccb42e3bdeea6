//! Tests of marks, barge-in, hold, digits, turns, measurements and the end of a call.

use super::*;
use crate::dtmf::{Digit, DtmfReceiver, DtmfSender, DtmfTick};
use crate::g711;
use crate::rtp::{Datagram, RtpHeader, RtpPacket};
use crate::turns::TurnSpeaker;

fn caller_frame(n: u16, level: i16) -> Datagram {
    let header = RtpHeader {
        marker: false,
        payload_type: PayloadType::PCMU,
        sequence: SequenceNumber(n),
        timestamp: RtpTimestamp(u32::from(n) * 160),
        ssrc: Ssrc(9),
    };
    Datagram::new(header, &[g711::mu_encode(level); 160])
}

/// The caller sends a number of frames of constant level; 0 is silence.
fn caller_speaks(test: &mut TestBridge, n: &mut u16, frames: u16, level: i16) {
    for _ in 0..frames {
        test.rtp(caller_frame(*n, level).as_bytes());
        *n += 1;
        test.run_for(ms(20));
    }
}

#[test]
fn start_is_the_first_event_and_stop_the_last() {
    let mut test = TestBridge::new();
    test.bridge.handle_stop(StopReason("normal_disconnect"), test.now);
    test.collect();
    assert_eq!(test.events.first().unwrap().1["type"], "start");
    let last = &test.events.last().unwrap().1;
    assert_eq!((last["type"].as_str(), last["reason"].as_str()), (Some("stop"), Some("normal_disconnect")));
    assert_eq!(test.hang_up, None, "the bridge does not hang up a call that already ended");
    assert_eq!(test.bridge.poll_timeout(), None);
}

#[test]
fn nothing_is_sent_to_the_caller_before_the_answer() {
    let start = Instant::now();
    let mut bridge = CallBridge::new(config(), start);
    bridge.handle_agent_message(AgentMessage::Binary(&[1; 640]), start);
    bridge.handle_timeout(start + ms(500));
    assert!(bridge.poll_output().is_none());
    bridge.handle_answered(start + ms(500));
    assert!(matches!(bridge.poll_output(), Some(Output::SendRtp { .. })));
}

#[test]
fn marks_are_reported_once_after_their_audio_was_played() {
    let mut test = TestBridge::new();
    test.agent_text(r#"{"type":"mark","name":"empty"}"#);
    assert_eq!(test.events_of_type("mark").len(), 1, "reported at once, because no audio is queued");
    test.agent_audio(&[1000; 160 * 5]);
    test.agent_text(r#"{"type":"mark","name":"a"}"#);
    test.agent_audio(&[1000; 200]);
    test.agent_text(r#"{"type":"mark","name":"b"}"#);
    test.run_for(Duration::from_secs(1));
    let marks: Vec<(Duration, &str)> = test
        .events
        .iter()
        .filter(|(_, event)| event["type"] == "mark")
        .map(|(at, event)| (*at - test.start, event["name"].as_str().unwrap()))
        .collect();
    // Five frames last 100 ms. The tail of 40 samples needs a frame of its own: seven frames in total.
    assert_eq!(marks, [(ms(0), "empty"), (ms(100), "a"), (ms(140), "b")]);
}

#[test]
fn clear_flushes_within_one_frame_and_reports_every_pending_mark_once() {
    let mut test = TestBridge::new();
    test.agent_audio(&tone(10));
    test.agent_text(r#"{"type":"mark","name":"a"}"#);
    test.agent_text(r#"{"type":"mark","name":"b"}"#);
    test.run_for(ms(500));
    let sent = test.packets.len();
    test.agent_text(r#"{"type":"clear"}"#);
    assert_eq!(test.events_of_type("mark").len(), 2);
    assert!(test.events_of_type("mark").iter().all(|mark| mark["cleared"] == true));
    test.run_for(Duration::from_secs(2));
    assert_eq!(test.packets.len(), sent, "no packet after clear");
    assert_eq!(test.events_of_type("mark").len(), 2);
    assert_eq!(test.bridge.report(test.now).played.cleared, 500 - u64::try_from(sent).unwrap());
    test.agent_audio(&[1000; 160]);
    assert_eq!(test.packets.len(), sent + 1, "new audio is sent at once");
}

#[test]
fn marks_beyond_the_limit_are_rejected_with_an_error() {
    let mut test = TestBridge::new();
    test.agent_audio(&tone(1));
    for n in 0..300 {
        test.agent_text(&format!(r#"{{"type":"mark","name":"{n}"}}"#));
    }
    assert_eq!(test.events_of_type("error").len(), 300 - crate::playout::MARK_LIMIT);
    test.run_for(Duration::from_secs(2));
    assert_eq!(test.events_of_type("mark").len(), crate::playout::MARK_LIMIT);
}

#[test]
fn malformed_frames_are_answered_with_error_and_unknown_events_are_ignored() {
    let mut test = TestBridge::new();
    test.agent_text("{");
    test.agent_text(r#"{"type":"sing"}"#);
    assert_eq!(test.events_of_type("error")[0]["code"], "malformed");
    assert_eq!(test.events_of_type("error").len(), 1);
    let counters = test.bridge.report(test.now).bridge;
    assert_eq!((counters.agent_faults, counters.agent_unknown), (1, 1));
}

#[test]
fn transfer_and_hangup_from_the_agent_become_outputs() {
    let mut test = TestBridge::new();
    test.agent_text(r#"{"type":"transfer","to":"sip:desk@example.com"}"#);
    test.agent_text(r#"{"type":"hangup"}"#);
    assert_eq!(test.transfers, ["sip:desk@example.com"]);
    assert_eq!(test.hang_up, Some(HangUpCause::AgentHangup));
    assert_eq!(test.events_of_type("stop").len(), 1);
    test.bridge.handle_stop(StopReason("ai_provider_error"), test.now);
    test.collect();
    assert_eq!(test.events_of_type("stop").len(), 1);
    assert_eq!(test.events_of_type("stop")[0]["reason"], "agent_hangup", "the first reason is final");
}

#[test]
fn a_call_without_media_ends_unless_it_is_on_hold() {
    let mut test = TestBridge::new();
    test.run_for(BridgeLimits::default().media_timeout);
    assert_eq!(test.hang_up, Some(HangUpCause::MediaTimeout));

    let mut held = TestBridge::new();
    held.bridge.handle_negotiated(&media(MediaDirection::Inactive), held.now);
    held.run_for(BridgeLimits::default().media_timeout * 10);
    assert_eq!(held.hang_up, None);
    held.bridge.handle_negotiated(&media(MediaDirection::SendRecv), held.now);
    held.run_for(ms(29_999));
    assert_eq!(held.hang_up, None, "the media timeout restarts when the hold ends");
    held.run_for(ms(1));
    assert_eq!(held.hang_up, Some(HangUpCause::MediaTimeout));
}

#[test]
fn max_duration_ends_a_call_on_hold() {
    let mut config = config();
    config.limits.max_duration = Duration::from_secs(100);
    let mut test = TestBridge::with(config);
    test.bridge.handle_negotiated(&media(MediaDirection::RecvOnly), test.now);
    test.run_for(Duration::from_secs(200));
    assert_eq!(test.hang_up, Some(HangUpCause::MaxDuration));
    assert_eq!(test.bridge.report(test.now).duration, Duration::from_secs(100));
}

#[test]
fn no_packet_is_sent_during_hold_and_queued_audio_continues_afterwards() {
    let mut test = TestBridge::new();
    test.agent_audio(&tone(2));
    test.run_for(ms(510));
    test.bridge.handle_negotiated(&media(MediaDirection::RecvOnly), test.now);
    test.collect();
    let (sent, silent) = (test.packets.len(), test.silence.len());
    test.agent_audio(&tone(1));
    test.rtp(caller_frame(0, 9000).as_bytes());
    test.run_for(Duration::from_secs(5));
    assert_eq!((test.packets.len(), test.silence.len()), (sent, silent));
    assert!(test.audio.is_empty(), "music on hold is not passed to the agent");
    test.bridge.handle_negotiated(&media(MediaDirection::SendRecv), test.now);
    test.collect();
    test.run_for(Duration::from_secs(3));
    assert_eq!(test.packets.len(), 100);
    assert_eq!((test.events_of_type("hold").len(), test.events_of_type("resume").len()), (1, 1));
    assert_eq!(test.bridge.report(test.now).bridge.dropped_while_held, 50);
    test.rtp(caller_frame(1, 9000).as_bytes());
    assert_eq!(test.audio.len(), 160, "the hold is not filled with silence");
}

#[test]
fn a_digit_is_reported_once_and_its_duration_is_filled_with_silence() {
    let mut test = TestBridge::new();
    let mut sender = DtmfSender::default();
    sender.push(Digit::from_char('7').unwrap());
    test.rtp(caller_frame(0, 0).as_bytes());
    let mut sequence = 1;
    for _ in 0..9 {
        test.run_for(ms(20));
        if let Some(DtmfTick::Event { payload, .. }) = sender.next_tick() {
            let header = RtpHeader {
                marker: false,
                payload_type: PayloadType::TELEPHONE_EVENT,
                sequence: SequenceNumber(sequence),
                timestamp: RtpTimestamp(160),
                ssrc: Ssrc(9),
            };
            sequence += 1;
            test.rtp(Datagram::new(header, &payload).as_bytes());
        }
    }
    test.run_for(ms(20));
    let header = RtpPacket::parse(caller_frame(10, 0).as_bytes()).unwrap().header;
    let after = RtpHeader { sequence: SequenceNumber(sequence), ..header };
    test.rtp(Datagram::new(after, &[0xff; 160]).as_bytes());
    assert_eq!(test.events_of_type("dtmf").len(), 1);
    assert_eq!(test.events_of_type("dtmf")[0]["digit"], "7");
    assert_eq!(test.audio.len(), 11 * 160);
}

#[test]
fn digits_from_the_agent_delay_audio_and_keep_timestamps_exact() {
    let mut test = TestBridge::new();
    test.agent_audio(&tone(1));
    test.run_for(ms(100));
    test.agent_text(r#"{"type":"send_dtmf","digits":"42"}"#);
    test.run_for(Duration::from_secs(2));
    let mut receiver = DtmfReceiver::default();
    let (mut decoded, mut audio) = (String::new(), 0);
    for (at, bytes) in &test.packets {
        let packet = RtpPacket::parse(bytes).unwrap();
        if packet.header.payload_type == PayloadType::TELEPHONE_EVENT {
            let digits = receiver.handle(packet.payload, packet.header.timestamp, *at);
            decoded.extend(digits.into_iter().flatten().map(Digit::to_char));
        } else {
            audio += 1;
            let position = packet.header.timestamp.distance_from(RtpTimestamp(0xffff_f000));
            let elapsed = i32::try_from((*at - test.start).as_millis() * 8).unwrap();
            // One frame of silence was sent at the answer.
            assert_eq!(position, elapsed + 160, "timestamps include the time taken by the digits");
        }
    }
    assert_eq!((decoded.as_str(), audio), ("42", 50));
}

#[test]
fn send_dtmf_is_rejected_without_telephone_event() {
    let mut config = config();
    config.negotiated.send.telephone_event = None;
    let mut test = TestBridge::with(config);
    test.agent_text(r#"{"type":"send_dtmf","digits":"1"}"#);
    assert_eq!(test.events_of_type("error")[0]["code"], "dtmf_not_sent");
}

#[test]
fn a_conversation_is_reported_with_turns_and_latencies() {
    let mut test = TestBridge::new();
    let mut n = 0;
    test.run_for(ms(40));
    caller_speaks(&mut test, &mut n, 50, 0);
    caller_speaks(&mut test, &mut n, 50, 6000);
    // The agent responds 300 ms after the last loud frame was read.
    caller_speaks(&mut test, &mut n, 14, 0);
    test.agent_audio(&tone(1));
    caller_speaks(&mut test, &mut n, 100, 0);
    test.bridge.handle_stop(StopReason("normal_disconnect"), test.now);
    test.collect();
    assert_eq!(
        (test.events_of_type("speech_started").len(), test.events_of_type("speech_stopped").len()),
        (1, 1)
    );
    let report = test.bridge.report(test.now);
    let turns: Vec<(TurnSpeaker, u128, u128)> = report
        .turns
        .iter()
        .map(|turn| (turn.speaker, turn.started.as_millis(), turn.duration.as_millis()))
        .collect();
    assert_eq!(turns, [(TurnSpeaker::Caller, 1040, 1000), (TurnSpeaker::Agent, 2320, 1000)]);
    assert_eq!(report.ai_latency, Some(ms(300)));
    assert_eq!(report.time_to_first_speech, Some(ms(300)));
    assert_eq!(report.carrier_lag, Some(ms(40)));
    assert_eq!(report.gateway_processing, Some(Duration::ZERO));
    assert_eq!((report.packets_received, report.packets_lost), (214, 0));
    assert!(report.mos.unwrap() > 4.3, "{:?}", report.mos);
    assert!(!report.turns.iter().any(|turn| turn.interrupted));
}

#[test]
fn clear_marks_the_agents_turn_as_interrupted() {
    let mut test = TestBridge::new();
    test.agent_audio(&tone(5));
    test.run_for(ms(1000));
    test.agent_text(r#"{"type":"clear"}"#);
    let turn = test.bridge.report(test.now).turns[0];
    assert!(turn.interrupted);
    assert_eq!((turn.duration, turn.latency), (ms(1000), None));
}

#[test]
fn barge_in_flush_stops_agent_audio_when_the_caller_speaks() {
    let mut config = config();
    config.barge_in = BargeIn::Flush;
    let mut test = TestBridge::with(config);
    let mut n = 0;
    test.agent_audio(&tone(20));
    caller_speaks(&mut test, &mut n, 50, 0);
    caller_speaks(&mut test, &mut n, 10, 6000);
    let spoke = test.events.iter().find(|(_, event)| event["type"] == "speech_started").unwrap().0;
    let last = test.packets.last().unwrap().0;
    assert!(last <= spoke, "no packet after the caller's speech was detected");
    assert!(test.bridge.report(test.now).turns[0].interrupted);
}

#[test]
fn quiet_noise_is_not_speech() {
    let mut test = TestBridge::new();
    let mut n = 0;
    caller_speaks(&mut test, &mut n, 500, 60);
    assert!(test.events_of_type("speech_started").is_empty());
}

#[test]
fn steady_noise_stops_counting_as_speech_and_louder_speech_is_detected() {
    let mut test = TestBridge::new();
    let mut n = 0;
    caller_speaks(&mut test, &mut n, 1000, 400);
    assert_eq!(
        (test.events_of_type("speech_started").len(), test.events_of_type("speech_stopped").len()),
        (1, 1)
    );
    caller_speaks(&mut test, &mut n, 20, 8000);
    assert_eq!(test.events_of_type("speech_started").len(), 2);
}

#[test]
fn a_call_that_starts_on_hold_sends_a_hold_event_and_no_packets() {
    let mut config = config();
    config.negotiated = media(MediaDirection::RecvOnly);
    let mut test = TestBridge::with(config);
    test.agent_audio(&[1000; 1600]);
    test.run_for(Duration::from_secs(1));
    assert_eq!(test.events_of_type("hold").len(), 1);
    assert!(test.packets.is_empty() && test.silence.is_empty());
}

#[test]
fn a_codec_change_transcodes_queued_and_new_audio() {
    let mut test = TestBridge::new();
    test.agent_audio(&[4000; 480]);
    let mut other = media(MediaDirection::SendRecv);
    other.codec = AudioCodec::Pcma;
    other.send.audio = PayloadType::PCMA;
    other.receive.audio = PayloadType::PCMA;
    test.bridge.handle_negotiated(&other, test.now);
    test.run_for(ms(100));
    let last = RtpPacket::parse(&test.packets[2].1).unwrap();
    assert_eq!(last.header.payload_type, PayloadType::PCMA);
    let expected = g711::mu_decode(g711::mu_encode(4000));
    assert_eq!(g711::a_decode(last.payload[0]), g711::a_decode(g711::a_encode(expected)));
    let header = RtpPacket::parse(caller_frame(0, 0).as_bytes()).unwrap().header;
    let header = RtpHeader { payload_type: PayloadType::PCMA, ..header };
    test.rtp(Datagram::new(header, &[g711::a_encode(-5000); 160]).as_bytes());
    assert_eq!(test.audio, [g711::a_decode(g711::a_encode(-5000)); 160]);
}

#[test]
fn latency_is_counted_once_for_a_response_within_the_vad_hangover() {
    let mut test = TestBridge::new();
    let mut n = 0;
    caller_speaks(&mut test, &mut n, 50, 6000);
    caller_speaks(&mut test, &mut n, 9, 0);
    for _ in 0..3 {
        // Three utterances follow one question. Only the first is a response.
        test.agent_audio(&tone(1));
        caller_speaks(&mut test, &mut n, 100, 0);
    }
    let report = test.bridge.report(test.now);
    let latencies: Vec<Option<Duration>> = report.turns.iter().map(|turn| turn.latency).collect();
    assert_eq!(latencies, [None, Some(ms(200)), None, None]);
    assert_eq!(report.ai_latency, Some(ms(200)));
}

#[test]
fn an_agent_that_talks_over_the_caller_has_no_latency() {
    let mut test = TestBridge::new();
    let mut n = 0;
    caller_speaks(&mut test, &mut n, 50, 6000);
    test.agent_audio(&tone(1));
    caller_speaks(&mut test, &mut n, 50, 6000);
    let report = test.bridge.report(test.now);
    assert_eq!(report.turns_total, 2);
    assert_eq!((report.ai_latency, report.time_to_first_speech), (None, None));
}

#[test]
fn packets_from_other_addresses_and_malformed_packets_are_counted_and_dropped() {
    let mut test = TestBridge::new();
    test.rtp(caller_frame(0, 0).as_bytes());
    test.rtp(b"hello");
    let stranger = SocketAddr::from(([203, 0, 113, 5], 9));
    test.bridge.handle_rtp(caller_frame(1, 0).as_mut_bytes(), stranger, test.now);
    let counters = test.bridge.report(test.now).bridge;
    assert_eq!((counters.malformed_rtp, counters.foreign_address), (1, 1));
    assert_eq!(test.bridge.remote(), Some(peer()));
}
