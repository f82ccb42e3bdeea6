//! A call with the Deepgram Voice Agent API: recorded sequences, in virtual time.

use super::provider::{call_context, closed, provider_call};
use super::*;
use crate::dialect::{DeepgramSettings, DialectConfig, ToolCallId, ToolDefinition};
use crate::dtmf::Digit;
use proptest::prelude::*;
use serde_json::json;

fn new_call(settings: DeepgramSettings, codec: AudioCodec) -> TestBridge {
    provider_call(DialectConfig::Deepgram(settings), codec)
}

fn ready_call() -> TestBridge {
    let mut test = new_call(DeepgramSettings::default(), AudioCodec::Pcmu);
    test.receive(&json!({"type": "Welcome", "request_id": "r"}));
    test.receive(&json!({"type": "SettingsApplied"}));
    sent(&mut test);
    test
}

fn sent(test: &mut TestBridge) -> Vec<Value> {
    test.take_sent(|_| false)
}

fn audio(test: &mut TestBridge, bytes: &[u8]) {
    test.bridge.handle_agent_message(AgentMessage::Binary(bytes), test.now);
    test.collect();
}

#[test]
fn settings_is_the_first_frame_with_the_g711_law_of_the_leg_in_both_directions() {
    let settings = DeepgramSettings {
        agent_id: None,
        greeting: Some("Hello!".into()),
        listen_model: Some("flux-general-en".into()),
        language: Some("en".into()),
        think_provider: Some("anthropic".into()),
        think_model: Some("m1".into()),
        voice: Some("aura-2-apollo-en".into()),
        tools: vec![ToolDefinition { name: "f".into(), description: "d".into(), parameters: "oops".into() }],
    };
    for (codec, encoding) in [(AudioCodec::Pcmu, "mulaw"), (AudioCodec::Pcma, "alaw")] {
        let mut test = new_call(settings.clone(), codec);
        let function =
            json!({"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}});
        let listen =
            json!({"type": "deepgram", "version": "v2", "model": "flux-general-en", "language": "en"});
        let speak = json!({"type": "deepgram", "version": "v1", "model": "aura-2-apollo-en"});
        let expected = json!({
            "type": "Settings",
            "audio": {
                "input": {"encoding": encoding, "sample_rate": 8000},
                "output": {"encoding": encoding, "sample_rate": 8000, "container": "none"},
            },
            "agent": {
                "listen": {"provider": listen},
                "think": {
                    "provider": {"type": "anthropic", "model": "m1"}, "prompt": "Be kind.", "functions": [function],
                },
                "speak": {"provider": speak},
                "greeting": "Hello!",
            },
        });
        assert_eq!(sent(&mut test), [expected]);
    }
}

#[test]
fn an_agent_with_an_identifier_gets_the_instructions_when_it_is_ready() {
    let settings = DeepgramSettings { agent_id: Some("agent-1".into()), ..DeepgramSettings::default() };
    let mut test = new_call(settings, AudioCodec::Pcmu);
    assert_eq!(sent(&mut test)[0]["agent"], "agent-1");
    test.receive(&json!({"type": "SettingsApplied"}));
    assert_eq!(sent(&mut test), [json!({"type": "UpdatePrompt", "prompt": call_context().system_prompt})]);
    test.receive(&json!({"type": "SettingsApplied"}));
    assert!(sent(&mut test).is_empty());
}

#[test]
fn the_agent_is_ready_at_settings_applied_and_not_at_welcome() {
    let mut test = new_call(DeepgramSettings::default(), AudioCodec::Pcmu);
    test.receive(&json!({"type": "Welcome", "request_id": "r"}));
    assert!(!test.bridge.is_agent_ready());
    test.receive(&json!({"type": "SettingsApplied"}));
    assert_eq!((test.bridge.is_agent_ready(), test.became_ready), (true, 1));
}

#[test]
fn binary_frames_of_g711_pass_through_in_both_directions() {
    let mut test = ready_call();
    let every: Vec<u8> = (0..=255).chain(0..=63).collect();
    audio(&mut test, &every);
    test.run_for(ms(100));
    assert_eq!(test.heard(), every);
    let start = Instant::now();
    let mut config = config();
    config.dialect = Dialect::new(DialectConfig::Deepgram(DeepgramSettings::default()));
    let mut bridge = CallBridge::new(config, start);
    bridge.handle_answered(start);
    bridge.handle_agent_message(AgentMessage::Text(r#"{"type":"SettingsApplied"}"#), start);
    while bridge.poll_agent().is_some() {}
    let mut packet = vec![0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
    packet.extend(&every[..160]);
    bridge.handle_rtp(&mut packet.clone(), peer(), start);
    assert_eq!(bridge.poll_agent().unwrap().frame, AgentFrame::Binary(every[..160].to_vec()));
}

#[test]
fn user_started_speaking_flushes_and_the_next_answer_is_played() {
    let mut test = ready_call();
    audio(&mut test, &[0x21; 16_000]);
    test.run_for(ms(500));
    let packets = test.packets.len();
    test.receive(&json!({"type": "UserStartedSpeaking"}));
    test.run_for(ms(500));
    assert_eq!(test.packets.len(), packets);
    assert!(test.bridge.report(test.now).turns[0].interrupted);
    audio(&mut test, &[0x21; 160]);
    assert_eq!(test.packets.len(), packets + 1);
}

#[test]
fn keep_alive_is_sent_every_five_seconds_without_audio_such_as_on_hold() {
    let mut test = ready_call();
    for n in 0..500u16 {
        test.audio.clear();
        test.caller_payload(n, AudioCodec::Pcmu, &[0x21; 160]);
        test.run_for(ms(20));
    }
    assert!(sent(&mut test).is_empty());
    test.bridge.handle_negotiated(&media(MediaDirection::RecvOnly), test.now);
    // Audio was sent in the interval in which the hold began.
    test.run_for(Duration::from_secs(21));
    assert_eq!(sent(&mut test), vec![json!({"type": "KeepAlive"}); 4]);
}

#[test]
fn function_calls_are_answered_by_id_and_those_of_the_server_are_not() {
    let mut test = ready_call();
    let function = |id: &str, client: bool| json!({"id": id, "name": "f", "arguments": "{\"a\":1}", "client_side": client});
    test.receive(
        &json!({"type": "FunctionCallRequest", "functions": [function("c1", true), function("c2", false)]}),
    );
    assert_eq!(test.tool_calls.len(), 1);
    let call = test.tool_calls.remove(0);
    assert_eq!((call.id.as_str(), call.name.as_str(), call.arguments.as_str()), ("c1", "f", "{\"a\":1}"));
    test.bridge.handle_tool_result(&call.id, Ok("done".into()), test.now);
    test.collect();
    let response = json!({"type": "FunctionCallResponse", "id": "c1", "name": "f", "content": "done"});
    assert_eq!(sent(&mut test), [response]);
}

#[test]
fn a_cancelled_function_call_gets_no_response() {
    let mut test = ready_call();
    test.receive(&json!({"type": "FunctionCallRequest", "functions": [
        {"id": "c1", "name": "f", "arguments": "{}", "client_side": true},
    ]}));
    test.receive(&json!({"type": "FunctionCallCancelled", "functions": [{"id": "c1", "name": "f"}, {"id": "c9", "name": "g"}]}));
    let id = ToolCallId::new("c1").unwrap();
    assert_eq!(test.cancelled_tool_calls, std::slice::from_ref(&id));
    test.bridge.handle_tool_result(&id, Ok("late".into()), test.now);
    test.collect();
    assert!(sent(&mut test).is_empty());
}

#[test]
fn keys_become_a_message_of_the_caller() {
    let mut test = ready_call();
    test.bridge.handle_signalled_digit(Digit::from_char('#').unwrap(), test.now);
    test.collect();
    let content = "The caller pressed # on the telephone keypad.";
    assert_eq!(sent(&mut test), [json!({"type": "InjectUserMessage", "content": content})]);
}

#[test]
fn an_error_ends_the_call_and_a_warning_does_not() {
    let mut test = ready_call();
    test.receive(&json!({"type": "Warning", "description": "slow", "code": "SLOW"}));
    assert_eq!((test.provider_errors[0].to_string().as_str(), test.hang_up), ("SLOW: slow", None));
    test.receive(&json!({"type": "Error", "description": "no speech", "code": "FAILED_TO_SPEAK"}));
    assert_eq!(test.hang_up, Some(HangUpCause::ProviderError));
    assert_eq!(test.detail.as_deref(), Some("FAILED_TO_SPEAK: no speech"));
}

#[test]
fn a_socket_that_drops_in_the_middle_of_an_answer_is_a_failure() {
    for code in [None, Some(1000), Some(1011)] {
        let mut test = ready_call();
        audio(&mut test, &[0x21; 8000]);
        test.bridge.handle_agent_closed(closed(code), test.now);
        test.collect();
        assert_eq!(test.hang_up, Some(HangUpCause::ProviderError), "{code:?}");
    }
}

#[test]
fn known_events_are_ignored_and_unknown_and_malformed_ones_are_counted() {
    let mut test = ready_call();
    for kind in ["AgentThinking", "ConversationText", "AgentAudioDone", "FunctionCallResponse"] {
        test.receive(&json!({"type": kind, "content": 1}));
    }
    test.receive(&json!({"type": "Dance"}));
    test.agent_text("?");
    test.agent_text(r#"{"type":"FunctionCallRequest"}"#);
    test.agent_text(r#"{"type":"FunctionCallRequest","functions":[{"id":"","name":"f"}]}"#);
    let counters = test.bridge.report(test.now).bridge;
    assert_eq!((counters.agent_unknown, counters.agent_faults), (1, 3));
    assert!(sent(&mut test).is_empty());
}

proptest! {
    #[test]
    fn arbitrary_frames_never_cause_a_panic(
        kind in prop::sample::select(vec![
            "SettingsApplied", "UserStartedSpeaking", "FunctionCallRequest", "FunctionCallCancelled", "Error", "Warning",
        ]),
        functions in prop::sample::select(vec![json!(null), json!([]), json!([{}]), json!([{"id": "a"}]), json!(7)]),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        text in ".{0,80}",
    ) {
        let mut test = ready_call();
        test.agent_text(&text);
        audio(&mut test, &bytes);
        test.receive(&json!({"type": kind, "functions": functions}));
        test.run_for(ms(60));
    }
}
