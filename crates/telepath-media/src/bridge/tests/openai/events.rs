//! Tool calls, keys, errors and malformed events of the OpenAI Realtime API.

use super::super::provider::closed;
use super::*;
use crate::dialect::ToolCallId;
use crate::dtmf::Digit;
use proptest::prelude::*;

#[test]
fn tool_calls_are_answered_and_one_response_follows_the_last_result() {
    let mut test = ready_call();
    begin_response(&mut test, "r1");
    let call = |id: &str| json!({"id": "f", "type": "function_call", "status": "completed", "name": "open_hours", "call_id": id, "arguments": "{}"});
    test.receive(&json!({"type": "response.done", "response": {
        "id": "r1", "status": "completed", "output": [{"type": "message", "id": "m"}, call("c1"), call("c2")],
    }}));
    let calls = std::mem::take(&mut test.tool_calls);
    assert_eq!(calls.iter().map(|call| call.id.as_str()).collect::<Vec<_>>(), ["c1", "c2"]);
    assert_eq!((calls[0].name.as_str(), calls[0].arguments.as_str()), ("open_hours", "{}"));
    test.bridge.handle_tool_result(&calls[1].id, Ok("9 to 5".into()), test.now);
    test.collect();
    let output = json!({"type": "function_call_output", "call_id": "c2", "output": "9 to 5"});
    assert_eq!(sent(&mut test), [json!({"type": "conversation.item.create", "item": output})]);
    test.bridge.handle_tool_result(&calls[1].id, Ok("again".into()), test.now);
    test.bridge.handle_tool_result(&calls[0].id, Err("timeout".into()), test.now);
    test.collect();
    let frames = sent(&mut test);
    assert_eq!(frames.len(), 2, "a second result of one call is ignored");
    assert_eq!(frames[0]["item"]["output"], r#"{"error":"timeout"}"#);
    assert_eq!(frames[1], json!({"type": "response.create"}));
}

#[test]
fn a_response_after_a_tool_result_waits_for_the_active_one() {
    let mut test = ready_call();
    begin_response(&mut test, "r1");
    let call = json!({"type": "function_call", "name": "open_hours", "call_id": "c1", "arguments": "{}"});
    test.receive(
        &json!({"type": "response.done", "response": {"id": "r1", "status": "completed", "output": [call]}}),
    );
    let id = test.tool_calls[0].id.clone();
    begin_response(&mut test, "r2");
    test.bridge.handle_tool_result(&id, Ok("x".into()), test.now);
    test.collect();
    assert_eq!(sent(&mut test).len(), 1);
    response_done(&mut test, "r2", "completed");
    assert_eq!(sent(&mut test), [json!({"type": "response.create"})]);
}

#[test]
fn without_a_tool_endpoint_the_model_is_told_and_the_conversation_goes_on() {
    let mut test = ready_call();
    test.bridge.state.has_tool_endpoint = false;
    let call = json!({"type": "function_call", "name": "open_hours", "call_id": "c1", "arguments": "{}"});
    test.receive(
        &json!({"type": "response.done", "response": {"id": "r1", "status": "completed", "output": [call]}}),
    );
    let frames = sent(&mut test);
    assert!(frames[0]["item"]["output"].as_str().unwrap().contains("no tool endpoint is configured"));
    assert_eq!(frames[1], json!({"type": "response.create"}));
    assert!(test.tool_calls.is_empty());
    assert_eq!(test.bridge.report(test.now).bridge.tool_calls_refused, 1);
}

#[test]
fn tool_calls_of_a_cancelled_response_are_not_carried_out() {
    let mut test = ready_call();
    let call = json!({"type": "function_call", "name": "open_hours", "call_id": "c1", "arguments": "{}"});
    test.receive(
        &json!({"type": "response.done", "response": {"id": "r1", "status": "cancelled", "output": [call]}}),
    );
    assert!(test.tool_calls.is_empty());
}

#[test]
fn keys_become_a_message_of_the_caller_and_the_model_is_asked_for_an_answer() {
    let mut test = ready_call();
    for key in "12".chars() {
        test.bridge.handle_signalled_digit(Digit::from_char(key).unwrap(), test.now);
    }
    test.run_for(ms(1999));
    assert!(sent(&mut test).is_empty());
    test.run_for(ms(1));
    let frames = sent(&mut test);
    let content = json!([{"type": "input_text", "text": "The caller pressed 12 on the telephone keypad."}]);
    let item = json!({"type": "message", "role": "user", "content": content});
    let message = json!({"type": "conversation.item.create", "item": item});
    assert_eq!(frames, [message, json!({"type": "response.create"})]);
}

#[test]
fn session_expired_ends_the_call_and_other_errors_do_not() {
    let error = |code: &str| json!({"type": "error", "event_id": "e", "error": {"type": "invalid_request_error", "code": code, "message": "m"}});
    let mut test = ready_call();
    test.receive(&error("response_cancel_not_active"));
    assert!(test.provider_errors.is_empty());
    test.receive(&error("unsupported_content_type"));
    assert_eq!(test.provider_errors[0].code, "unsupported_content_type");
    assert_eq!(test.hang_up, None);
    test.receive(&error("session_expired"));
    assert_eq!(test.hang_up, Some(HangUpCause::ProviderError));
    assert_eq!(test.detail.as_deref(), Some("session_expired: m"));
}

#[test]
fn an_error_instead_of_session_updated_ends_the_call_with_its_text() {
    let mut test = new_call(AudioCodec::Pcmu);
    test.receive(
        &json!({"type": "error", "error": {"type": "invalid_request_error", "message": "Unknown voice"}}),
    );
    assert_eq!(test.hang_up, Some(HangUpCause::ProviderError));
    assert_eq!(test.detail.as_deref(), Some("invalid_request_error: Unknown voice"));
}

#[test]
fn a_failed_response_is_an_error_and_an_exhausted_quota_ends_the_call() {
    let failed = |code: &str| {
        json!({"type": "response.done", "response": {
            "id": "r", "status": "failed", "output": null,
            "status_details": {"type": "failed", "error": {"type": "x", "code": code, "message": "m"}},
        }})
    };
    let mut test = ready_call();
    test.receive(&failed("rate_limit_exceeded"));
    assert_eq!((test.provider_errors.len(), test.hang_up), (1, None));
    test.receive(&failed("insufficient_quota"));
    assert_eq!(test.hang_up, Some(HangUpCause::ProviderError));
}

#[test]
fn known_events_are_ignored_and_unknown_and_malformed_ones_are_counted() {
    let mut test = ready_call();
    for kind in ["rate_limits.updated", "conversation.item.added", "response.output_audio_transcript.delta"] {
        test.receive(&json!({"type": kind, "event_id": "e"}));
    }
    test.receive(&json!({"type": "input_audio_buffer.dtmf_event_received", "event": "5", "received_at": 1}));
    let counters = test.bridge.report(test.now).bridge;
    assert_eq!((counters.agent_unknown, counters.agent_faults), (0, 0));
    test.receive(&json!({"type": "weather.updated"}));
    test.agent_text("{\"type\":");
    test.agent_text(r#"{"type":7}"#);
    test.agent_text(r#"{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"!!"}"#);
    test.agent_text(r#"{"type":"response.output_audio.delta","response_id":"r"}"#);
    test.bridge.handle_agent_message(AgentMessage::Binary(&[1, 2]), test.now);
    test.collect();
    let counters = test.bridge.report(test.now).bridge;
    assert_eq!((counters.agent_unknown, counters.agent_faults), (1, 5));
    assert!(sent(&mut test).is_empty(), "the provider is not told");
}

#[test]
fn a_socket_that_drops_in_the_middle_of_an_item_is_a_failure() {
    let mut test = ready_call();
    begin_response(&mut test, "r1");
    audio(&mut test, "r1", "i1", &[0x20; 8000]);
    test.run_for(ms(100));
    test.bridge.handle_agent_closed(closed(Some(1001)), test.now);
    test.collect();
    assert_eq!(test.hang_up, Some(HangUpCause::ProviderError));
    assert_eq!(test.detail.as_deref(), Some("the agent closed the WebSocket with code 1001"));
    test.run_for(Duration::from_secs(1));
    assert_eq!(test.packets.len(), 6, "nothing is sent after the end");
    assert!(sent(&mut test).is_empty());
}

#[test]
fn a_tool_result_without_a_call_has_no_effect() {
    let mut test = ready_call();
    let id = ToolCallId::new("c9").unwrap();
    test.bridge.handle_tool_result(&id, Ok("y".into()), test.now);
    test.collect();
    assert!(sent(&mut test).is_empty());
}

proptest! {
    #[test]
    fn arbitrary_members_never_cause_a_panic(
        kind in prop::sample::select(vec![
            "response.output_audio.delta", "response.output_audio.done", "response.created", "response.done",
            "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "session.updated", "error",
        ]),
        members in prop::collection::vec((prop::sample::select(vec![
            "response", "response_id", "item_id", "delta", "error", "output", "status", "id",
        ]), prop::sample::select(vec![
            json!(null), json!("a"), json!("AAAA"), json!(7), json!([]), json!({}), json!({"id": "a", "output": [{}]}),
            json!({"id": "a", "status": "completed", "output": [{"type": "function_call", "call_id": "c", "name": "n"}]}),
        ])), 0..5),
    ) {
        let mut test = ready_call();
        let mut event = json!({"type": kind});
        for (name, value) in members {
            event[name] = value;
        }
        test.receive(&event);
        test.run_for(ms(60));
    }

    #[test]
    fn arbitrary_text_never_causes_a_panic(text in ".{0,100}") {
        let mut test = ready_call();
        test.agent_text(&text);
        test.agent_text(&format!("{{\"type\":\"response.done\",\"response\":{text}}}"));
    }
}
