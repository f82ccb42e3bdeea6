//! Marks, barge-in, hold, digits, turns, figures and the ends of a call.

use super::*;
use crate::dtmf::{Digit, DtmfReceiver, DtmfSender, DtmfTick};
use crate::rtp::{Datagram, RtpHeader, RtpPacket};
use crate::turns::Speaker;

fn frame_from_caller(n: u16, level: i16) -> Datagram {
    let header = RtpHeader {
        marker: false,
        payload_type: PayloadType::PCMU,
        sequence: SequenceNumber(n),
        timestamp: RtpTimestamp(u32::from(n) * 160),
        ssrc: Ssrc(9),
    };
    Datagram::new(header, &[Codec::Pcmu.encode(level); 160])
}

/// The caller speaks or is silent for a number of frames.
fn caller_says(rig: &mut Rig, n: &mut u16, frames: u16, level: i16) {
    for _ in 0..frames {
        rig.rtp(frame_from_caller(*n, level).as_bytes());
        *n += 1;
        rig.run_for(ms(20));
    }
}

#[test]
fn start_is_the_first_thing_the_agent_hears_and_stop_the_last() {
    let mut rig = Rig::new();
    rig.bridge.handle_stop(EndReason::NormalDisconnect, rig.now);
    rig.collect();
    assert_eq!(rig.events.first().unwrap().1["type"], "start");
    let last = &rig.events.last().unwrap().1;
    assert_eq!((last["type"].as_str(), last["reason"].as_str()), (Some("stop"), Some("normal_disconnect")));
    assert_eq!(rig.hang_up, None, "a call that ended outside needs no BYE from us");
    assert_eq!(rig.bridge.poll_timeout(), None);
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
fn marks_come_back_once_when_their_audio_has_been_played() {
    let mut rig = Rig::new();
    rig.agent_text(r#"{"type":"mark","name":"empty"}"#);
    assert_eq!(rig.named("mark").len(), 1, "nothing is queued, so it has been played");
    rig.agent_audio(&[1000; 160 * 5]);
    rig.agent_text(r#"{"type":"mark","name":"a"}"#);
    rig.agent_audio(&[1000; 200]);
    rig.agent_text(r#"{"type":"mark","name":"b"}"#);
    rig.run_for(Duration::from_secs(1));
    let marks: Vec<(Duration, &str)> = rig
        .events
        .iter()
        .filter(|(_, event)| event["type"] == "mark")
        .map(|(at, event)| (*at - rig.start, event["name"].as_str().unwrap()))
        .collect();
    // Five frames last 100 ms; the tail of 40 samples needs a frame of its own, seven in all.
    assert_eq!(marks, [(ms(0), "empty"), (ms(100), "a"), (ms(140), "b")]);
}

#[test]
fn clear_flushes_within_a_frame_and_returns_every_mark_once() {
    let mut rig = Rig::new();
    rig.agent_audio(&tone(10));
    rig.agent_text(r#"{"type":"mark","name":"a"}"#);
    rig.agent_text(r#"{"type":"mark","name":"b"}"#);
    rig.run_for(ms(500));
    let sent = rig.packets.len();
    rig.agent_text(r#"{"type":"clear"}"#);
    assert_eq!(rig.named("mark").len(), 2);
    rig.run_for(Duration::from_secs(2));
    assert_eq!(rig.packets.len(), sent, "not one packet after clear");
    assert_eq!(rig.named("mark").len(), 2);
    assert_eq!(rig.bridge.report(rig.now).played.cleared, 500 - u64::try_from(sent).unwrap());
    rig.agent_audio(&[1000; 160]);
    assert_eq!(rig.packets.len(), sent + 1, "new audio flows at once");
}

#[test]
fn marks_beyond_their_bound_are_refused_with_an_error() {
    let mut rig = Rig::new();
    rig.agent_audio(&tone(1));
    for n in 0..300 {
        rig.agent_text(&format!(r#"{{"type":"mark","name":"{n}"}}"#));
    }
    assert_eq!(rig.named("error").len(), 300 - crate::playout::MARK_LIMIT);
    rig.run_for(Duration::from_secs(2));
    assert_eq!(rig.named("mark").len(), crate::playout::MARK_LIMIT);
}

#[test]
fn malformed_frames_are_answered_and_unknown_events_ignored() {
    let mut rig = Rig::new();
    rig.agent_text("{");
    rig.agent_text(r#"{"type":"sing"}"#);
    assert_eq!(rig.named("error")[0]["code"], "malformed");
    assert_eq!(rig.named("error").len(), 1);
    let counters = rig.bridge.report(rig.now).bridge;
    assert_eq!((counters.agent_faults, counters.agent_unknown), (1, 1));
}

#[test]
fn an_agent_hangs_up_and_transfers() {
    let mut rig = Rig::new();
    rig.agent_text(r#"{"type":"transfer","to":"sip:desk@example.com"}"#);
    rig.agent_text(r#"{"type":"hangup"}"#);
    assert_eq!(rig.transfers, ["sip:desk@example.com"]);
    assert_eq!(rig.hang_up, Some(EndReason::AgentHangup));
    assert_eq!(rig.named("stop").len(), 1);
    rig.bridge.handle_agent_closed(rig.now);
    rig.collect();
    assert_eq!(rig.bridge.report(rig.now).reason, Some(EndReason::AgentHangup), "the first reason stays");
}

#[test]
fn a_lost_agent_ends_the_call_as_its_fault() {
    let mut rig = Rig::new();
    rig.bridge.handle_agent_closed(rig.now);
    rig.collect();
    assert_eq!(rig.hang_up, Some(EndReason::AiProviderError));

    let start = Instant::now();
    let mut ringing = CallBridge::new(config(), start);
    ringing.handle_agent_closed(start);
    assert!(matches!(ringing.poll_output(), Some(Output::HangUp { reason: EndReason::ConnectionFailed })));
}

#[test]
fn a_call_without_media_ends_but_a_held_one_does_not() {
    let mut rig = Rig::new();
    rig.run_for(Limits::default().media_timeout);
    assert_eq!(rig.hang_up, Some(EndReason::NetworkError));

    let mut held = Rig::new();
    held.bridge.handle_negotiated(&media(Direction::Inactive), held.now);
    held.run_for(Limits::default().media_timeout * 10);
    assert_eq!(held.hang_up, None);
    held.bridge.handle_negotiated(&media(Direction::SendRecv), held.now);
    held.run_for(ms(29_999));
    assert_eq!(held.hang_up, None, "the watchdog starts anew when the hold ends");
    held.run_for(ms(1));
    assert_eq!(held.hang_up, Some(EndReason::NetworkError));
}

#[test]
fn a_call_ends_at_its_longest_duration_even_while_held() {
    let mut config = config();
    config.limits.max_duration = Duration::from_secs(100);
    let mut rig = Rig::with(config);
    rig.bridge.handle_negotiated(&media(Direction::RecvOnly), rig.now);
    rig.run_for(Duration::from_secs(200));
    assert_eq!(rig.hang_up, Some(EndReason::MaxDuration));
    assert_eq!(rig.bridge.report(rig.now).duration, Duration::from_secs(100));
}

#[test]
fn no_packet_is_sent_while_the_peer_holds_and_queued_audio_goes_on_after() {
    let mut rig = Rig::new();
    rig.agent_audio(&tone(2));
    rig.run_for(ms(510));
    rig.bridge.handle_negotiated(&media(Direction::RecvOnly), rig.now);
    rig.collect();
    let sent = rig.packets.len();
    rig.agent_audio(&tone(1));
    rig.rtp(frame_from_caller(0, 9000).as_bytes());
    rig.run_for(Duration::from_secs(5));
    assert_eq!(rig.packets.len(), sent);
    assert!(rig.audio.is_empty(), "music on hold is not for the agent");
    rig.bridge.handle_negotiated(&media(Direction::SendRecv), rig.now);
    rig.collect();
    rig.run_for(Duration::from_secs(3));
    assert_eq!(rig.packets.len(), 100);
    assert_eq!((rig.named("hold").len(), rig.named("resume").len()), (1, 1));
    assert_eq!(rig.bridge.report(rig.now).bridge.dropped_while_held, 50);
    rig.rtp(frame_from_caller(1, 9000).as_bytes());
    assert_eq!(rig.audio.len(), 160, "the hold is not made up as silence");
}

#[test]
fn a_digit_reaches_the_agent_once_and_its_time_is_filled() {
    let mut rig = Rig::new();
    let mut sender = DtmfSender::default();
    sender.push(Digit::from_char('7').unwrap());
    rig.rtp(frame_from_caller(0, 0).as_bytes());
    let mut sequence = 1;
    for _ in 0..9 {
        rig.run_for(ms(20));
        if let Some(DtmfTick::Event { payload, .. }) = sender.next_tick() {
            let header = RtpHeader {
                marker: false,
                payload_type: PayloadType::TELEPHONE_EVENT,
                sequence: SequenceNumber(sequence),
                timestamp: RtpTimestamp(160),
                ssrc: Ssrc(9),
            };
            sequence += 1;
            rig.rtp(Datagram::new(header, &payload).as_bytes());
        }
    }
    rig.run_for(ms(20));
    let header = RtpPacket::parse(frame_from_caller(10, 0).as_bytes()).unwrap().header;
    let after = RtpHeader { sequence: SequenceNumber(sequence), ..header };
    rig.rtp(Datagram::new(after, &[0xff; 160]).as_bytes());
    assert_eq!(rig.named("dtmf").len(), 1);
    assert_eq!(rig.named("dtmf")[0]["digit"], "7");
    assert_eq!(rig.audio.len(), 11 * 160);
}

#[test]
fn digits_from_the_agent_are_sent_between_audio_with_true_timestamps() {
    let mut rig = Rig::new();
    rig.agent_audio(&tone(1));
    rig.run_for(ms(100));
    rig.agent_text(r#"{"type":"send_dtmf","digits":"42"}"#);
    rig.run_for(Duration::from_secs(2));
    let mut receiver = DtmfReceiver::default();
    let (mut heard, mut audio) = (String::new(), 0);
    for (at, bytes) in &rig.packets {
        let packet = RtpPacket::parse(bytes).unwrap();
        if packet.header.payload_type == PayloadType::TELEPHONE_EVENT {
            let digits = receiver.handle(packet.payload, packet.header.timestamp, *at);
            heard.extend(digits.into_iter().flatten().map(Digit::to_char));
        } else {
            audio += 1;
            let position = packet.header.timestamp.distance_from(RtpTimestamp(0xffff_f000));
            let elapsed = i32::try_from((*at - rig.start).as_millis() * 8).unwrap();
            assert_eq!(position, elapsed, "audio waits for the digits in time, too");
        }
    }
    assert_eq!((heard.as_str(), audio), ("42", 50));
}

#[test]
fn digits_are_refused_when_the_caller_takes_no_events() {
    let mut config = config();
    config.negotiated.telephone_event = None;
    let mut rig = Rig::with(config);
    rig.agent_text(r#"{"type":"send_dtmf","digits":"1"}"#);
    assert_eq!(rig.named("error")[0]["code"], "dtmf_not_sent");
}

#[test]
fn a_conversation_has_turns_latency_and_figures() {
    let mut rig = Rig::new();
    let mut n = 0;
    rig.run_for(ms(40));
    caller_says(&mut rig, &mut n, 50, 0);
    caller_says(&mut rig, &mut n, 50, 6000);
    // The agent answers 300 ms after the last loud frame was read.
    caller_says(&mut rig, &mut n, 14, 0);
    rig.agent_audio(&tone(1));
    caller_says(&mut rig, &mut n, 100, 0);
    rig.bridge.handle_stop(EndReason::NormalDisconnect, rig.now);
    rig.collect();
    assert_eq!((rig.named("speech_started").len(), rig.named("speech_stopped").len()), (1, 1));
    let report = rig.bridge.report(rig.now);
    let turns: Vec<(Speaker, u128, u128)> = report
        .turns
        .iter()
        .map(|turn| (turn.speaker, turn.started.as_millis(), turn.duration.as_millis()))
        .collect();
    assert_eq!(turns, [(Speaker::Caller, 1040, 1000), (Speaker::Agent, 2320, 1000)]);
    assert_eq!(report.ai_latency, Some(ms(300)));
    assert_eq!(report.time_to_first_speech, Some(ms(300)));
    assert_eq!(report.carrier_lag, Some(ms(40)));
    assert_eq!(report.gateway_processing, Some(Duration::ZERO));
    assert_eq!((report.packets_received, report.packets_lost), (214, 0));
    assert!(report.mos.unwrap() > 4.3, "{:?}", report.mos);
    assert!(!report.turns.iter().any(|turn| turn.interrupted));
}

#[test]
fn a_cleared_turn_counts_as_interrupted() {
    let mut rig = Rig::new();
    rig.agent_audio(&tone(5));
    rig.run_for(ms(1000));
    rig.agent_text(r#"{"type":"clear"}"#);
    let turn = rig.bridge.report(rig.now).turns[0];
    assert!(turn.interrupted);
    assert_eq!((turn.duration, turn.latency), (ms(1000), None));
}

#[test]
fn with_flushing_barge_in_the_callers_speech_silences_the_agent() {
    let mut config = config();
    config.barge_in = BargeIn::Flush;
    let mut rig = Rig::with(config);
    let mut n = 0;
    rig.agent_audio(&tone(20));
    caller_says(&mut rig, &mut n, 50, 0);
    caller_says(&mut rig, &mut n, 10, 6000);
    let spoke = rig.events.iter().find(|(_, event)| event["type"] == "speech_started").unwrap().0;
    let last = rig.packets.last().unwrap().0;
    assert!(last <= spoke, "not a packet after the caller's speech was found");
    assert!(rig.bridge.report(rig.now).turns[0].interrupted);
}

#[test]
fn noise_on_the_line_is_no_speech_for_long() {
    let mut rig = Rig::new();
    let mut n = 0;
    caller_says(&mut rig, &mut n, 500, 60);
    assert!(rig.named("speech_started").is_empty());
}

#[test]
fn steady_loud_noise_stops_counting_as_speech_and_talk_above_it_still_does() {
    let mut rig = Rig::new();
    let mut n = 0;
    caller_says(&mut rig, &mut n, 1000, 400);
    assert_eq!((rig.named("speech_started").len(), rig.named("speech_stopped").len()), (1, 1));
    caller_says(&mut rig, &mut n, 20, 8000);
    assert_eq!(rig.named("speech_started").len(), 2);
}

#[test]
fn a_call_that_begins_on_hold_tells_the_agent_and_sends_nothing() {
    let mut config = config();
    config.negotiated = media(Direction::RecvOnly);
    let mut rig = Rig::with(config);
    rig.agent_audio(&[1000; 1600]);
    rig.run_for(Duration::from_secs(1));
    assert_eq!(rig.named("hold").len(), 1);
    assert!(rig.packets.is_empty());
}

#[test]
fn a_change_of_codec_converts_what_is_queued_and_what_comes() {
    let mut rig = Rig::new();
    rig.agent_audio(&[4000; 480]);
    let other =
        Negotiated { codec: Codec::Pcma, payload_type: PayloadType::PCMA, ..media(Direction::SendRecv) };
    rig.bridge.handle_negotiated(&other, rig.now);
    rig.run_for(ms(100));
    let last = RtpPacket::parse(&rig.packets[2].1).unwrap();
    assert_eq!(last.header.payload_type, PayloadType::PCMA);
    let expected = Codec::Pcmu.decode(Codec::Pcmu.encode(4000));
    assert_eq!(Codec::Pcma.decode(last.payload[0]), Codec::Pcma.decode(Codec::Pcma.encode(expected)));
    let header = RtpPacket::parse(frame_from_caller(0, 0).as_bytes()).unwrap().header;
    let header = RtpHeader { payload_type: PayloadType::PCMA, ..header };
    rig.rtp(Datagram::new(header, &[Codec::Pcma.encode(-5000); 160]).as_bytes());
    assert_eq!(rig.audio, [Codec::Pcma.decode(Codec::Pcma.encode(-5000)); 160]);
}

#[test]
fn an_agent_that_answers_within_the_hangover_has_its_latency_counted_once() {
    let mut rig = Rig::new();
    let mut n = 0;
    caller_says(&mut rig, &mut n, 50, 6000);
    caller_says(&mut rig, &mut n, 9, 0);
    for _ in 0..3 {
        // Three utterances answer one question; the second and third answer nobody.
        rig.agent_audio(&tone(1));
        caller_says(&mut rig, &mut n, 100, 0);
    }
    let report = rig.bridge.report(rig.now);
    let latencies: Vec<Option<Duration>> = report.turns.iter().map(|turn| turn.latency).collect();
    assert_eq!(latencies, [None, Some(ms(200)), None, None]);
    assert_eq!(report.ai_latency, Some(ms(200)));
}

#[test]
fn an_agent_that_talks_over_the_caller_has_no_latency() {
    let mut rig = Rig::new();
    let mut n = 0;
    caller_says(&mut rig, &mut n, 50, 6000);
    rig.agent_audio(&tone(1));
    caller_says(&mut rig, &mut n, 50, 6000);
    let report = rig.bridge.report(rig.now);
    assert_eq!(report.turns_total, 2);
    assert_eq!((report.ai_latency, report.time_to_first_speech), (None, None));
}

#[test]
fn strangers_and_garbage_are_counted_and_dropped() {
    let mut rig = Rig::new();
    rig.rtp(frame_from_caller(0, 0).as_bytes());
    rig.rtp(b"hello");
    let stranger = SocketAddr::from(([203, 0, 113, 5], 9));
    rig.bridge.handle_rtp(frame_from_caller(1, 0).as_bytes(), stranger, rig.now);
    let counters = rig.bridge.report(rig.now).bridge;
    assert_eq!((counters.malformed_rtp, counters.foreign_address), (1, 1));
    assert_eq!(rig.bridge.remote(), Some(peer()));
}
