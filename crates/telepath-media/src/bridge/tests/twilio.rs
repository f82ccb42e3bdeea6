//! A call with an agent that was written for Twilio Media Streams.

use super::provider::{base64, closed, provider_call};
use super::*;
use crate::dialect::{DialectConfig, twilio_call_sid};
use crate::dtmf::Digit;
use crate::g711;
use proptest::prelude::*;
use serde_json::json;

fn call(codec: AudioCodec) -> TestBridge {
    provider_call(DialectConfig::Twilio, codec)
}

fn is_media(frame: &Value) -> bool {
    frame["event"] == "media"
}

fn media(test: &mut TestBridge, bytes: &[u8]) {
    let sid = "anything";
    test.receive(&json!({"event": "media", "streamSid": sid, "media": {"payload": base64(bytes)}}));
}

fn mark(test: &mut TestBridge, name: &str) {
    test.receive(&json!({"event": "mark", "streamSid": "MZ", "mark": {"name": name}}));
}

/// The names of the marks that were returned.
fn marks(test: &mut TestBridge) -> Vec<String> {
    let frames = test.take_sent(is_media);
    let marks = frames.iter().filter(|frame| frame["event"] == "mark");
    marks.map(|mark| mark["mark"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn connected_and_start_are_the_first_two_frames() {
    let mut config = config();
    config.dialect = Dialect::new(DialectConfig::Twilio);
    config.call = provider::call_context();
    config.call.sip_headers.insert("X-Queue".into(), "sales".into());
    let mut test = TestBridge::with(config);
    assert!(test.bridge.is_agent_ready());
    assert_eq!(test.bridge.subprotocol(), None);
    let frames = test.take_sent(is_media);
    assert_eq!(frames[0], json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}));
    let start = &frames[1];
    let stream = start["streamSid"].as_str().unwrap();
    assert!(stream.starts_with("MZ") && stream.len() == 34);
    assert_eq!((&start["event"], &start["sequenceNumber"]), (&json!("start"), &json!("1")));
    let account = &start["start"]["accountSid"];
    assert!(account.as_str().unwrap().starts_with("AC"));
    let parameters = json!({
        "call_id": "call_1", "trunk_id": "trunk_1", "from": "+491", "to": "+492", "team": "support",
        "system_prompt": "Be kind.", "SipHeader_X-Queue": "sales",
    });
    let expected = json!({
        "streamSid": stream, "accountSid": account, "callSid": twilio_call_sid("call_1"), "tracks": ["inbound"],
        "customParameters": parameters,
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    });
    assert_eq!(start["start"], expected);
    assert_eq!(frames.len(), 2);
}

#[test]
fn numbers_of_media_are_strings_and_the_sequence_rises_by_one_over_all_messages() {
    let mut test = call(AudioCodec::Pcmu);
    test.caller_payload(0, AudioCodec::Pcmu, &[0x7f; 160]);
    test.bridge.handle_signalled_digit(Digit::from_char('5').unwrap(), test.now);
    test.run_for(ms(20));
    test.caller_payload(1, AudioCodec::Pcmu, &[0x21; 160]);
    test.bridge.handle_stop(StopReason("normal_disconnect"), test.now);
    test.collect();
    let frames: Vec<&Value> = test.events.iter().map(|(_, frame)| frame).skip(1).collect();
    let sequence: Vec<&str> = frames.iter().map(|frame| frame["sequenceNumber"].as_str().unwrap()).collect();
    assert_eq!(sequence, ["1", "2", "3", "4", "5"]);
    let expected =
        json!({"track": "inbound", "chunk": "1", "timestamp": "0", "payload": base64(&[0x7f; 160])});
    assert_eq!((&frames[1]["event"], &frames[1]["media"]), (&json!("media"), &expected));
    assert_eq!(frames[2]["dtmf"], json!({"track": "inbound_track", "digit": "5"}));
    assert_eq!((&frames[3]["media"]["chunk"], &frames[3]["media"]["timestamp"]), (&json!("2"), &json!("20")));
    let stop = json!({"accountSid": frames[0]["start"]["accountSid"], "callSid": twilio_call_sid("call_1")});
    assert_eq!((&frames[4]["event"], &frames[4]["stop"]), (&json!("stop"), &stop));
    assert!(frames.iter().all(|frame| frame["streamSid"] == frames[0]["streamSid"]));
}

#[test]
fn media_has_160_bytes_whatever_the_packet_length_of_the_caller() {
    for length in [80, 160, 240, 320, 480] {
        let mut test = call(AudioCodec::Pcmu);
        let packets = u16::try_from(4800 / length).unwrap();
        for n in 0..packets {
            let timestamp = u32::from(n) * u32::try_from(length).unwrap();
            let mut packet = vec![0x80, 0];
            packet.extend(n.to_be_bytes());
            packet.extend(timestamp.to_be_bytes());
            packet.extend([0, 0, 0, 9]);
            packet.resize(12 + length, 0x21);
            test.rtp(&packet);
            test.run_for(ms(length as u64 / 8));
        }
        let media: Vec<&Value> = test.events.iter().map(|(_, frame)| frame).filter(|f| is_media(f)).collect();
        assert_eq!(media.len(), 30, "packets of {length}");
        assert!(media.iter().all(|frame| frame["media"]["payload"] == base64(&[0x21; 160])));
    }
}

#[test]
fn mu_law_passes_through_and_a_law_is_transcoded() {
    let every: Vec<u8> = (0..=255).chain(0..=63).collect();
    let mut test = call(AudioCodec::Pcmu);
    media(&mut test, &every);
    test.run_for(ms(100));
    assert_eq!(test.heard(), every);
    let mut other = call(AudioCodec::Pcma);
    media(&mut other, &every);
    other.run_for(ms(100));
    let expected: Vec<u8> = every.iter().map(|&code| g711::a_encode(g711::mu_decode(code))).collect();
    assert_eq!(other.heard(), expected);
}

#[test]
fn a_mark_is_returned_when_the_audio_before_it_was_really_played() {
    let mut test = call(AudioCodec::Pcmu);
    mark(&mut test, "nothing queued");
    assert_eq!(marks(&mut test), ["nothing queued"]);
    media(&mut test, &[0x21; 1600]);
    mark(&mut test, "end");
    test.run_for(ms(199));
    assert!(marks(&mut test).is_empty());
    test.run_for(ms(1));
    assert_eq!(marks(&mut test), ["end"]);
}

#[test]
fn clear_flushes_and_returns_all_pending_marks() {
    let mut test = call(AudioCodec::Pcmu);
    media(&mut test, &[0x21; 16_000]);
    mark(&mut test, "a");
    mark(&mut test, "b");
    test.run_for(ms(100));
    let packets = test.packets.len();
    test.receive(&json!({"event": "clear", "streamSid": "MZ"}));
    assert_eq!(marks(&mut test), ["a", "b"]);
    test.run_for(ms(500));
    assert_eq!((test.packets.len(), marks(&mut test).len()), (packets, 0));
}

#[test]
fn the_agent_that_closes_the_socket_hangs_up_and_one_that_fails_does_not() {
    for (code, cause) in [
        (Some(1000), HangUpCause::AgentHangup),
        (Some(1005), HangUpCause::AgentHangup),
        (Some(4000), HangUpCause::AgentHangup),
        (Some(1011), HangUpCause::ProviderError),
        (None, HangUpCause::ProviderError),
    ] {
        let mut test = call(AudioCodec::Pcmu);
        media(&mut test, &[0x21; 1600]);
        test.bridge.handle_agent_closed(closed(code), test.now);
        test.collect();
        assert_eq!(test.hang_up, Some(cause), "{code:?}");
    }
}

#[test]
fn frames_that_twilio_would_warn_about_are_counted_and_ignored() {
    let mut test = call(AudioCodec::Pcmu);
    test.take_sent(is_media);
    test.receive(&json!({"event": "dance"}));
    for text in [
        "hello",
        "{}",
        r#"{"event":7}"#,
        r#"{"event":"media"}"#,
        r#"{"event":"media","media":{"payload":"!"}}"#,
        r#"{"event":"mark","mark":{}}"#,
    ] {
        test.agent_text(text);
    }
    test.bridge.handle_agent_message(AgentMessage::Binary(&[0; 160]), test.now);
    test.collect();
    let counters = test.bridge.report(test.now).bridge;
    assert_eq!((counters.agent_unknown, counters.agent_faults), (1, 7));
    assert!(test.take_sent(is_media).is_empty());
}

#[test]
fn the_built_in_detector_measures_turns_and_the_agent_is_told_nothing() {
    let mut test = call(AudioCodec::Pcmu);
    test.take_sent(is_media);
    for n in 0..20 {
        test.caller_payload(n, AudioCodec::Pcmu, &[g711::mu_encode(6000); 160]);
        test.run_for(ms(20));
    }
    assert!(test.take_sent(is_media).is_empty());
    assert_eq!(test.bridge.report(test.now).turns_total, 1);
}

proptest! {
    #[test]
    fn arbitrary_members_never_cause_a_panic(
        event in prop::sample::select(vec!["media", "mark", "clear", "start", ""]),
        member in prop::sample::select(vec!["media", "mark", "streamSid"]),
        value in prop::sample::select(vec![json!(null), json!(1), json!({"payload": "AAA"}), json!({"name": "x"}), json!([])]),
        text in ".{0,80}",
    ) {
        let mut test = call(AudioCodec::Pcmu);
        let mut frame = json!({"event": event});
        frame[member] = value;
        test.receive(&frame);
        test.agent_text(&text);
        test.run_for(ms(60));
    }
}
