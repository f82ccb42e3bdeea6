//! A call with `ElevenLabs` Agents: recorded sequences, in virtual time.

use super::provider::{base64, closed, provider_call};
use super::*;
use crate::dialect::{DialectConfig, ElevenLabsSettings};
use crate::dtmf::Digit;
use crate::g711;
use crate::turns::TurnSpeaker;
use proptest::prelude::*;
use serde_json::json;

fn new_call(settings: ElevenLabsSettings) -> TestBridge {
    provider_call(DialectConfig::ElevenLabs(settings), AudioCodec::Pcmu)
}

fn metadata(test: &mut TestBridge, to_caller: &str, to_agent: &str) {
    test.receive(&json!({
        "type": "conversation_initiation_metadata",
        "conversation_initiation_metadata_event": {
            "conversation_id": "conv_1", "agent_output_audio_format": to_caller, "user_input_audio_format": to_agent,
        },
    }));
}

fn ready_call() -> TestBridge {
    let mut test = new_call(ElevenLabsSettings::default());
    metadata(&mut test, "ulaw_8000", "ulaw_8000");
    sent(&mut test);
    test
}

fn is_audio(frame: &Value) -> bool {
    frame.get("user_audio_chunk").is_some()
}

fn sent(test: &mut TestBridge) -> Vec<Value> {
    test.take_sent(is_audio)
}

fn audio(test: &mut TestBridge, event: i64, bytes: &[u8]) {
    test.receive(&json!({"type": "audio", "audio_event": {
        "audio_base_64": base64(bytes), "event_id": event, "alignment": {"chars": ["a"], "char_start_times_ms": [0]},
    }}));
}

fn interruption(test: &mut TestBridge, event: i64) {
    test.receive(&json!({"type": "interruption", "interruption_event": {"event_id": event}}));
}

#[test]
fn initiation_data_is_the_first_frame_and_overrides_only_what_is_set() {
    let mut test = provider_call(
        DialectConfig::ElevenLabs(ElevenLabsSettings {
            first_message: Some("Hello!".into()),
            voice_id: Some("v1".into()),
            language: Some("de".into()),
            client_tools: true,
        }),
        AudioCodec::Pcmu,
    );
    let frames = sent(&mut test);
    let events = ["audio", "interruption", "conversation_initiation_metadata", "ping", "client_tool_call"];
    let variables =
        json!({"call_id": "call_1", "trunk_id": "trunk_1", "from": "+491", "to": "+492", "team": "support"});
    let expected = json!({
        "type": "conversation_initiation_client_data",
        "conversation_config_override": {
            "agent": {"prompt": {"prompt": "Be kind."}, "first_message": "Hello!", "language": "de"},
            "tts": {"voice_id": "v1"},
            "conversation": {"client_events": events},
        },
        "dynamic_variables": variables,
    });
    assert_eq!(frames, [expected]);

    let mut plain = config();
    plain.dialect = Dialect::new(DialectConfig::ElevenLabs(ElevenLabsSettings::default()));
    let frames = TestBridge::with(plain).take_sent(is_audio);
    assert_eq!(frames[0].get("conversation_config_override"), None);
}

#[test]
fn the_agent_is_ready_at_its_metadata_which_decide_the_formats() {
    let mut test = new_call(ElevenLabsSettings::default());
    assert!(!test.bridge.is_agent_ready());
    metadata(&mut test, "ulaw_8000", "pcm_8000");
    assert_eq!((test.bridge.is_agent_ready(), test.became_ready), (true, 1));
    sent(&mut test);
    test.caller_payload(0, AudioCodec::Pcmu, &[0x21; 160]);
    let sample = g711::mu_decode(0x21).to_le_bytes();
    let chunk = json!({"user_audio_chunk": base64(&sample.repeat(160))});
    assert_eq!(test.events.last().unwrap().1, chunk, "an audio chunk has no type");
    audio(&mut test, 1, &[0x7f; 160]);
    test.run_for(ms(50));
    assert_eq!(test.heard(), [0x7f; 160], "µ-law passes through");
}

#[test]
fn an_unknown_audio_format_ends_the_call_with_its_name() {
    for (to_caller, to_agent) in [("mp3_44100", "ulaw_8000"), ("ulaw_8000", "pcm_1"), ("pcm_x", "ulaw_8000")]
    {
        let mut test = new_call(ElevenLabsSettings::default());
        metadata(&mut test, to_caller, to_agent);
        assert_eq!(test.hang_up, Some(HangUpCause::ProviderError));
        assert!(test.detail.unwrap().contains("unknown audio format"));
    }
}

#[test]
fn a_ping_is_answered_with_its_event_id() {
    let mut test = ready_call();
    test.receive(&json!({"type": "ping", "ping_event": {"event_id": 17, "ping_ms": 50}}));
    assert_eq!(sent(&mut test), [json!({"type": "pong", "event_id": 17})]);
}

#[test]
fn an_interruption_flushes_and_audio_of_that_event_and_earlier_ones_is_dropped() {
    let mut test = ready_call();
    audio(&mut test, 3, &[0x21; 16_000]);
    test.run_for(ms(500));
    let packets = test.packets.len();
    interruption(&mut test, 4);
    audio(&mut test, 3, &[0x21; 1600]);
    audio(&mut test, 4, &[0x21; 1600]);
    test.run_for(ms(500));
    assert_eq!(test.packets.len(), packets);
    assert_eq!(test.bridge.report(test.now).bridge.agent_audio_late, 2);
    interruption(&mut test, 2);
    audio(&mut test, 4, &[0x21; 1600]);
    audio(&mut test, 5, &[0x31; 160]);
    test.run_for(ms(100));
    assert_eq!(test.packets.len(), packets + 1);
    assert!(sent(&mut test).is_empty(), "the provider needs no answer");
    assert!(test.bridge.report(test.now).turns[0].interrupted);
}

#[test]
fn the_built_in_detector_measures_turns_and_does_not_flush() {
    let mut config = config();
    config.dialect = Dialect::new(DialectConfig::ElevenLabs(ElevenLabsSettings::default()));
    config.barge_in = BargeIn::Flush;
    let mut test = TestBridge::with(config);
    metadata(&mut test, "ulaw_8000", "ulaw_8000");
    audio(&mut test, 1, &[0x21; 16_000]);
    for n in 0..50 {
        test.caller_payload(n, AudioCodec::Pcmu, &[g711::mu_encode(6000); 160]);
        test.run_for(ms(20));
    }
    let report = test.bridge.report(test.now);
    assert_eq!(report.turns_total, 2);
    assert_eq!(report.turns.iter().filter(|turn| turn.speaker == TurnSpeaker::Caller).count(), 1);
    assert_eq!(report.played.cleared, 0, "the provider decides what is an interruption");
}

#[test]
fn client_tool_calls_are_answered_and_other_tools_belong_to_the_agent() {
    let mut test = ready_call();
    test.receive(&json!({"type": "client_tool_call", "client_tool_call": {
        "tool_name": "open_hours", "tool_call_id": "t1", "parameters": {"shop": "A", "n": [1]}, "event_id": 4,
    }}));
    test.receive(&json!({"type": "agent_tool_response", "agent_tool_response": {"tool_name": "end_call"}}));
    let call = test.tool_calls.remove(0);
    assert_eq!((call.name.as_str(), call.id.as_str()), ("open_hours", "t1"));
    assert_eq!(serde_json::from_str::<Value>(&call.arguments).unwrap(), json!({"shop": "A", "n": [1]}));
    test.bridge.handle_tool_result(&call.id, Ok("9 to 5".into()), test.now);
    test.collect();
    let result =
        json!({"type": "client_tool_result", "tool_call_id": "t1", "result": "9 to 5", "is_error": false});
    assert_eq!(sent(&mut test), [result]);
    test.bridge.state.has_tool_endpoint = false;
    test.receive(
        &json!({"type": "client_tool_call", "client_tool_call": {"tool_name": "x", "tool_call_id": "t2"}}),
    );
    let refusal = &sent(&mut test)[0];
    assert_eq!((&refusal["tool_call_id"], &refusal["is_error"]), (&json!("t2"), &json!(true)));
}

#[test]
fn keys_become_a_message_of_the_caller() {
    let mut test = ready_call();
    test.bridge.handle_signalled_digit(Digit::from_char('7').unwrap(), test.now);
    test.run_for(Duration::from_secs(2));
    let text = "The caller pressed 7 on the telephone keypad.";
    assert_eq!(sent(&mut test), [json!({"type": "user_message", "text": text})]);
}

#[test]
fn when_the_agent_ends_the_conversation_its_last_words_are_played_first() {
    let mut test = ready_call();
    audio(&mut test, 1, &[0x21; 8000]);
    test.run_for(ms(100));
    test.bridge.handle_agent_closed(closed(Some(1000)), test.now);
    test.collect();
    assert_eq!(test.hang_up, None);
    test.run_for(ms(890));
    assert_eq!(test.hang_up, None);
    test.run_for(ms(110));
    assert_eq!((test.hang_up, test.packets.len()), (Some(HangUpCause::AgentHangup), 50));

    let mut silent = ready_call();
    silent.bridge.handle_agent_closed(closed(Some(1000)), silent.now);
    silent.collect();
    assert_eq!(silent.hang_up, Some(HangUpCause::AgentHangup));
}

#[test]
fn a_socket_that_drops_in_the_middle_of_an_answer_is_a_failure() {
    for code in [None, Some(1006), Some(1008), Some(1011)] {
        let mut test = ready_call();
        audio(&mut test, 1, &[0x21; 8000]);
        test.run_for(ms(100));
        test.bridge.handle_agent_closed(closed(code), test.now);
        test.collect();
        assert_eq!(test.hang_up, Some(HangUpCause::ProviderError), "{code:?}");
    }
    let mut test = new_call(ElevenLabsSettings::default());
    test.bridge.handle_agent_closed(closed(Some(1000)), test.now);
    test.collect();
    assert_eq!(test.hang_up, Some(HangUpCause::ProviderError), "it never became ready");
}

#[test]
fn an_error_event_ends_the_call_with_its_type_and_message() {
    let mut test = ready_call();
    test.receive(&json!({"type": "error", "error_event": {
        "code": 1008, "error_type": "override_error", "message": "Override for voice is not allowed", "reason": null,
    }}));
    assert_eq!(test.hang_up, Some(HangUpCause::ProviderError));
    assert_eq!(test.detail.as_deref(), Some("override_error: Override for voice is not allowed"));
}

#[test]
fn known_events_are_ignored_and_unknown_and_malformed_ones_are_counted() {
    let mut test = ready_call();
    test.receive(&json!({"type": "user_transcript", "user_transcription_event": {"user_transcript": "hi"}}));
    test.receive(&json!({"type": "agent_response", "agent_response_event": {"agent_response": "hi"}}));
    test.receive(&json!({"type": "client_error"}));
    for text in [
        "[]",
        r#"{"type":"audio"}"#,
        r#"{"type":"audio","audio_event":{"audio_base_64":"%","event_id":1}}"#,
        r#"{"type":"ping","ping_event":{}}"#,
        r#"{"type":"client_tool_call","client_tool_call":{"tool_name":"","tool_call_id":"t"}}"#,
    ] {
        test.agent_text(text);
    }
    test.bridge.handle_agent_message(AgentMessage::Binary(&[1]), test.now);
    test.collect();
    let counters = test.bridge.report(test.now).bridge;
    assert_eq!((counters.agent_unknown, counters.agent_faults), (1, 6));
    assert!(sent(&mut test).is_empty());
}

proptest! {
    #[test]
    fn arbitrary_members_never_cause_a_panic(
        kind in prop::sample::select(vec![
            "audio", "ping", "interruption", "client_tool_call", "conversation_initiation_metadata", "error",
        ]),
        member in prop::sample::select(vec![
            "audio_event", "ping_event", "interruption_event", "client_tool_call",
            "conversation_initiation_metadata_event", "error_event",
        ]),
        value in prop::sample::select(vec![
            json!(null), json!({}), json!([1]), json!({"event_id": -1}), json!({"audio_base_64": "AA", "event_id": i64::MAX}),
            json!({"agent_output_audio_format": "pcm_8000"}), json!({"code": 1000}), json!({"event_id": 1e300}),
        ]),
        text in ".{0,80}",
    ) {
        let mut test = ready_call();
        let mut event = json!({"type": kind});
        event[member] = value;
        test.receive(&event);
        test.agent_text(&text);
        test.run_for(ms(60));
    }
}
