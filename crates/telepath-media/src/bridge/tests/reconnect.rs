//! What happens when the agent's connection is lost and another one is opened.

use super::provider::{base64, provider_call};
use super::*;
use crate::dialect::{DeepgramSettings, DialectConfig, ElevenLabsSettings, GeminiSettings, OpenAiSettings};
use serde_json::json;

fn openai() -> TestBridge {
    let settings = OpenAiSettings { greeting: Some("Hello!".into()), ..OpenAiSettings::default() };
    let mut test = provider_call(DialectConfig::OpenAi(settings), AudioCodec::Pcmu);
    test.receive(&json!({"type": "session.updated"}));
    test.events.clear();
    test
}

fn reconnect(test: &mut TestBridge) -> bool {
    let reconnected = test.bridge.reconnect_agent(test.now);
    test.collect();
    reconnected
}

#[test]
fn openai_continues_in_a_new_session_with_what_the_model_has_said() {
    let mut test = openai();
    test.receive(&json!({"type": "response.created", "response": {"id": "r1"}}));
    let delta = base64(&[0x21; 8000]);
    test.receive(&json!({
        "type": "response.output_audio.delta", "response_id": "r1", "item_id": "i1", "delta": delta,
    }));
    test.receive(
        &json!({"type": "response.output_audio_transcript.done", "item_id": "i1", "transcript": "Good day."}),
    );
    test.run_for(ms(100));
    assert!(reconnect(&mut test));
    assert!(!test.bridge.is_agent_ready());
    assert_eq!(test.events[0].1["type"], "session.update");
    test.run_for(Duration::from_secs(1));
    assert_eq!(test.packets.len(), 50, "what arrived is still played");
    test.events.clear();
    test.receive(&json!({"type": "session.updated"}));
    assert!(test.bridge.is_agent_ready());
    let frames: Vec<Value> = test.events.drain(..).map(|(_, frame)| frame).collect();
    let content = json!([{"type": "output_text", "text": "Good day."}]);
    let item = json!({"type": "message", "role": "assistant", "content": content});
    // The response was active when the connection was lost. The greeting is not repeated.
    assert_eq!(
        frames,
        [json!({"type": "conversation.item.create", "item": item}), json!({"type": "response.create"})]
    );
}

#[test]
fn the_caller_is_heard_after_the_handshake_of_the_new_connection() {
    let mut test = openai();
    assert!(reconnect(&mut test));
    test.events.clear();
    for n in 0..10 {
        test.caller_payload(n, AudioCodec::Pcmu, &[0x21; 160]);
        test.run_for(ms(20));
    }
    assert!(test.events.is_empty());
    test.receive(&json!({"type": "session.updated"}));
    let audio = test.events.iter().filter(|(_, frame)| frame["type"] == "input_audio_buffer.append");
    assert_eq!(audio.count(), 10);
}

#[test]
fn tool_calls_of_the_lost_connection_are_cancelled() {
    let mut test = openai();
    let call = json!({"type": "function_call", "name": "f", "call_id": "c1", "arguments": "{}"});
    test.receive(
        &json!({"type": "response.done", "response": {"id": "r", "status": "completed", "output": [call]}}),
    );
    assert!(reconnect(&mut test));
    assert_eq!(test.cancelled_tool_calls.len(), 1);
    test.receive(&json!({"type": "session.updated"}));
    test.events.clear();
    let id = test.tool_calls[0].id.clone();
    test.bridge.handle_tool_result(&id, Ok("late".into()), test.now);
    test.collect();
    assert!(test.events.is_empty());
}

#[test]
fn gemini_continues_with_the_latest_handle_and_not_without_one() {
    let settings = GeminiSettings {
        model: "live-1".into(),
        voice: None,
        language: None,
        greeting: Some("Hello!".into()),
        tools: Vec::new(),
    };
    let mut test = provider_call(DialectConfig::Gemini(settings), AudioCodec::Pcmu);
    test.receive(&json!({"setupComplete": {}}));
    test.events.clear();
    assert!(!reconnect(&mut test));
    test.receive(&json!({"sessionResumptionUpdate": {"newHandle": "h1", "resumable": true}}));
    test.receive(&json!({"sessionResumptionUpdate": {"resumable": false}}));
    assert!(reconnect(&mut test));
    assert_eq!(test.events[0].1["setup"]["sessionResumption"], json!({"handle": "h1"}));
    test.events.clear();
    test.receive(&json!({"setupComplete": {}}));
    assert!(test.bridge.is_agent_ready() && test.events.is_empty(), "the greeting is not repeated");
}

#[test]
fn other_dialects_do_not_continue_on_a_new_connection() {
    for dialect in [
        DialectConfig::TelepathV1,
        DialectConfig::Twilio,
        DialectConfig::ElevenLabs(ElevenLabsSettings::default()),
        DialectConfig::Deepgram(DeepgramSettings::default()),
    ] {
        let mut test = provider_call(dialect.clone(), AudioCodec::Pcmu);
        test.events.clear();
        assert!(!reconnect(&mut test), "{dialect:?}");
        assert!(test.events.is_empty(), "{dialect:?}");
    }
    let mut over = openai();
    over.bridge.handle_stop(StopReason("normal_disconnect"), over.now);
    assert!(!reconnect(&mut over));
}
