//! A call with OpenAI Live, in virtual time.

use super::provider::{base64, closed, provider_call};
use super::*;
use crate::dialect::{DialectConfig, LiveBackend, OpenAiLiveSettings, ToolDefinition};
use crate::dtmf::Digit;
use proptest::prelude::*;
use serde_json::json;

fn settings() -> OpenAiLiveSettings {
    OpenAiLiveSettings { model: "gpt-live-1".into(), voice: None, greeting: None, backend: None }
}

fn new_call(settings: OpenAiLiveSettings, codec: AudioCodec) -> TestBridge {
    provider_call(DialectConfig::OpenAiLive(settings), codec)
}

fn ready_call() -> TestBridge {
    let mut test = new_call(settings(), AudioCodec::Pcmu);
    test.receive(&json!({"type": "session.started", "event_id": "e", "session": {"id": "s"}}));
    sent(&mut test);
    test
}

fn is_audio(frame: &Value) -> bool {
    frame["type"] == "session.input_audio.append"
}

fn sent(test: &mut TestBridge) -> Vec<Value> {
    test.take_sent(is_audio)
}

fn audio(test: &mut TestBridge, bytes: &[u8]) {
    test.receive(&json!({"type": "session.output_audio.delta", "delta": base64(bytes)}));
}

fn function_call(test: &mut TestBridge, id: &str) {
    let item = json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    test.receive(&json!({"type": "response.event", "delegation_id": "d1", "event": {
        "type": "response.output_item.done", "output_index": 0, "item": item,
    }}));
}

#[test]
fn session_start_is_the_first_frame_and_its_format_has_a_rate() {
    let backend = LiveBackend {
        model: "m1".into(),
        instructions: Some("Look it up.".into()),
        tools: vec![ToolDefinition { name: "f".into(), description: "d".into(), parameters: "{}".into() }],
    };
    let all = OpenAiLiveSettings { voice: Some("marin".into()), backend: Some(backend), ..settings() };
    for (codec, format) in [
        (AudioCodec::Pcmu, json!({"type": "audio/pcmu", "rate": 8000})),
        (AudioCodec::Pcma, json!({"type": "audio/pcma", "rate": 8000})),
        (AudioCodec::G722, json!({"type": "audio/pcm", "rate": 16000})),
    ] {
        let function = json!({"type": "function", "name": "f", "description": "d", "parameters": {}});
        let responses = json!({"model": "m1", "instructions": "Look it up.", "tools": [function]});
        let expected = json!({"type": "session.start", "session": {
            "model": "gpt-live-1",
            "instructions": "Be kind.",
            "audio": {"format": format, "output": {"voice": "marin"}},
            "delegation": {"type": "responses", "responses": responses},
        }});
        assert_eq!(sent(&mut new_call(all.clone(), codec)), [expected]);
    }
    let mut plain = config();
    plain.dialect = Dialect::new(DialectConfig::OpenAiLive(settings()));
    let frame = TestBridge::with(plain).take_sent(is_audio).remove(0);
    let session = frame["session"].as_object().unwrap();
    assert_eq!(session.keys().collect::<Vec<_>>(), ["audio", "model"], "the server rejects unknown members");
}

#[test]
fn the_agent_is_ready_at_session_started_and_greets_once() {
    let greeting = OpenAiLiveSettings { greeting: Some("Hello!".into()), ..settings() };
    let mut test = new_call(greeting, AudioCodec::Pcmu);
    sent(&mut test);
    assert!(!test.bridge.is_agent_ready());
    for _ in 0..2 {
        test.receive(&json!({"type": "session.started", "session": {}}));
    }
    assert_eq!((test.bridge.is_agent_ready(), test.became_ready), (true, 1));
    let frames = sent(&mut test);
    assert_eq!((frames.len(), &frames[0]["delegation_id"]), (1, &Value::Null));
    assert_eq!(frames[0]["type"], "session.commentary.append");
    assert!(frames[0]["content"].as_str().unwrap().ends_with("Hello!"));
}

#[test]
fn g711_passes_through_in_both_directions() {
    let mut test = ready_call();
    let every: Vec<u8> = (0..=255).chain(0..=63).collect();
    test.caller_payload(0, AudioCodec::Pcmu, &every[..160]);
    let frame = json!({"type": "session.input_audio.append", "audio": base64(&every[..160])});
    assert_eq!(test.events.last().unwrap().1, frame);
    audio(&mut test, &every);
    test.run_for(ms(100));
    assert_eq!(test.heard(), every);
}

#[test]
fn the_callers_speech_does_not_flush_because_the_model_stops_by_itself() {
    let mut test = ready_call();
    for n in 0..100 {
        audio(&mut test, &[0x21; 160]);
        test.caller_payload(n, AudioCodec::Pcmu, &[0x21; 160]);
        test.run_for(ms(20));
    }
    assert_eq!((test.packets.len(), test.bridge.report(test.now).played.cleared), (100, 0));
    assert!(sent(&mut test).is_empty());
}

#[test]
fn one_response_follows_the_last_result_of_the_tool_calls() {
    let mut test = ready_call();
    function_call(&mut test, "c1");
    function_call(&mut test, "c2");
    test.receive(&json!({"type": "response.event", "event": {"type": "response.completed", "response": {}}}));
    let calls = std::mem::take(&mut test.tool_calls);
    assert_eq!(calls.len(), 2);
    test.bridge.handle_tool_result(&calls[0].id, Ok("yes".into()), test.now);
    test.bridge.handle_tool_result(&calls[1].id, Err("no".into()), test.now);
    test.collect();
    let output = |id: &str, text: &str| {
        let item = json!({"type": "function_call_output", "call_id": id, "output": text});
        json!({"type": "response.item.create", "item": item})
    };
    let expected =
        [output("c1", "yes"), output("c2", r#"{"error":"no"}"#), json!({"type": "response.create"})];
    assert_eq!(sent(&mut test), expected);
}

#[test]
fn work_that_is_delegated_to_this_side_is_declined() {
    let mut test = ready_call();
    let delegation = |target: &str| json!({"type": "delegation", "id": "d1", "target": target});
    test.receive(
        &json!({"type": "session.delegation.created", "offset_ms": 1, "delegation": delegation("responses")}),
    );
    assert!(sent(&mut test).is_empty());
    test.receive(
        &json!({"type": "session.delegation.created", "offset_ms": 1, "delegation": delegation("client")}),
    );
    let frames = sent(&mut test);
    assert_eq!(
        (&frames[0]["type"], &frames[0]["delegation_id"]),
        (&json!("session.commentary.append"), &json!("d1"))
    );
}

#[test]
fn keys_are_appended_to_the_instructions() {
    let mut test = ready_call();
    test.bridge.handle_signalled_digit(Digit::from_char('4').unwrap(), test.now);
    test.run_for(Duration::from_secs(2));
    let text = "The caller pressed 4 on the telephone keypad.";
    let expected = json!({"type": "session.instructions.append", "content": text, "delegation_id": null});
    assert_eq!(sent(&mut test), [expected]);
}

#[test]
fn session_closed_ends_the_call_by_its_reason_and_stop_asks_for_it() {
    for (reason, cause) in [
        ("remote_hangup", HangUpCause::AgentHangup),
        ("expired", HangUpCause::ProviderError),
        ("content", HangUpCause::ProviderError),
    ] {
        let mut test = ready_call();
        test.receive(&json!({"type": "session.closed", "reason": reason, "session": {}, "usage": {}}));
        assert_eq!(test.hang_up, Some(cause), "{reason}");
    }
    let mut test = ready_call();
    test.bridge.handle_stop(StopReason("normal_disconnect"), test.now);
    test.collect();
    assert_eq!(sent(&mut test), [json!({"type": "session.close"})]);
    let mut lost = ready_call();
    lost.bridge.handle_agent_closed(closed(Some(1000)), lost.now);
    lost.collect();
    assert_eq!(lost.hang_up, Some(HangUpCause::ProviderError));
}

#[test]
fn an_error_ends_the_call_only_before_the_session_has_started() {
    let error = json!({"type": "error", "error": {"type": "t", "code": "unknown_parameter", "message": "m"}});
    let mut test = ready_call();
    test.receive(&error);
    assert_eq!((test.provider_errors.len(), test.hang_up), (1, None));
    let mut early = new_call(settings(), AudioCodec::Pcmu);
    early.receive(&error);
    assert_eq!(early.detail.as_deref(), Some("unknown_parameter: m"));
}

#[test]
fn known_events_are_ignored_and_unknown_and_malformed_ones_are_counted() {
    let mut test = ready_call();
    for kind in ["session.usage.updated", "session.input_transcript.delta", "info"] {
        test.receive(&json!({"type": kind, "delta": 1}));
    }
    test.receive(&json!({"type": "dance"}));
    test.agent_text("{}");
    test.agent_text(r#"{"type":"session.output_audio.delta","delta":"?"}"#);
    test.agent_text(r#"{"type":"response.event"}"#);
    let counters = test.bridge.report(test.now).bridge;
    assert_eq!((counters.agent_unknown, counters.agent_faults), (1, 3));
    assert!(sent(&mut test).is_empty());
}

proptest! {
    #[test]
    fn arbitrary_members_never_cause_a_panic(
        kind in prop::sample::select(vec![
            "session.started", "session.output_audio.delta", "response.event", "session.delegation.created",
            "session.closed", "error",
        ]),
        member in prop::sample::select(vec!["delta", "event", "delegation", "reason", "error"]),
        value in prop::sample::select(vec![
            json!(null), json!("AAA"), json!({}), json!([]), json!({"type": "response.output_item.done", "item": {}}),
            json!({"id": "d", "target": "client"}), json!({"code": "x"}),
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
