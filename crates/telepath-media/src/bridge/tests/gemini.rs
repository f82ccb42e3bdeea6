//! A call with the Gemini Live API: recorded sequences, in virtual time.

use super::provider::{base64, closed, provider_call};
use super::*;
use crate::dialect::{AgentClose, DialectConfig, GeminiSettings, ToolCallId, ToolDefinition};
use crate::dtmf::Digit;
use crate::g711;
use proptest::prelude::*;
use serde_json::json;

fn settings() -> GeminiSettings {
    GeminiSettings { model: "live-1".into(), voice: None, language: None, greeting: None, tools: Vec::new() }
}

fn new_call(settings: GeminiSettings) -> TestBridge {
    provider_call(DialectConfig::Gemini(settings), AudioCodec::Pcmu)
}

fn ready_call() -> TestBridge {
    let mut test = new_call(settings());
    test.receive(&json!({"setupComplete": {}}));
    sent(&mut test);
    test
}

fn is_audio(frame: &Value) -> bool {
    frame["realtimeInput"].get("audio").is_some()
}

fn sent(test: &mut TestBridge) -> Vec<Value> {
    test.take_sent(is_audio)
}

/// Audio of the provider: this many milliseconds of a constant level.
fn audio(test: &mut TestBridge, milliseconds: usize) {
    let bytes = 4000i16.to_le_bytes().repeat(24 * milliseconds);
    let data = json!({"mimeType": "audio/pcm;rate=24000", "data": base64(&bytes)});
    test.receive(
        &json!({"serverContent": {"modelTurn": {"role": "model", "parts": [{"inlineData": data}]}}}),
    );
}

#[test]
fn setup_is_the_first_frame() {
    let mut test = new_call(GeminiSettings {
        voice: Some("Puck".into()),
        language: Some("de-DE".into()),
        tools: vec![ToolDefinition {
            name: "f".into(),
            description: "d".into(),
            parameters: r#"{"type":"object"}"#.into(),
        }],
        ..settings()
    });
    let speech =
        json!({"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}}, "languageCode": "de-DE"});
    let function = json!({"name": "f", "description": "d", "parametersJsonSchema": {"type": "object"}});
    let expected = json!({"setup": {
        "model": "models/live-1",
        "generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": speech},
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "tools": [{"functionDeclarations": [function]}],
        "sessionResumption": {},
        "contextWindowCompression": {"slidingWindow": {}},
    }});
    assert_eq!(sent(&mut test), [expected]);
}

#[test]
fn the_agent_is_ready_at_setup_complete_and_greets_once() {
    let mut test = new_call(GeminiSettings { greeting: Some("Hello!".into()), ..settings() });
    sent(&mut test);
    assert!(!test.bridge.is_agent_ready());
    // Frames may be binary.
    test.bridge.handle_agent_message(AgentMessage::Binary(br#"{"setupComplete":{}}"#), test.now);
    test.collect();
    assert_eq!((test.bridge.is_agent_ready(), test.became_ready), (true, 1));
    let frames = sent(&mut test);
    assert!(frames[0]["realtimeInput"]["text"].as_str().unwrap().ends_with("Hello!"), "{frames:?}");
    test.receive(&json!({"setupComplete": {}}));
    assert!(sent(&mut test).is_empty());
}

#[test]
fn audio_is_pcm_of_16_khz_to_the_provider_and_of_24_khz_from_it() {
    let mut test = ready_call();
    for n in 0..50 {
        test.caller_payload(n, AudioCodec::Pcmu, &[0x21; 160]);
        test.run_for(ms(20));
    }
    let frames: Vec<&Value> = test.events.iter().map(|(_, frame)| frame).filter(|f| is_audio(f)).collect();
    assert_eq!(frames.len(), 50);
    let last = &frames[49]["realtimeInput"]["audio"];
    assert_eq!(last["mimeType"], "audio/pcm;rate=16000");
    assert_eq!(last["data"].as_str().unwrap().len(), base64(&[0; 640]).len(), "20 ms");
    audio(&mut test, 200);
    test.run_for(ms(500));
    let heard = test.heard();
    assert!((1600 - 160..=1600 + 160).contains(&heard.len()), "{}", heard.len());
    let middle = i32::from(g711::mu_decode(heard[800]));
    assert!((middle - 4000).abs() < 300, "the level is kept: {middle}");
}

#[test]
fn an_interruption_flushes_and_needs_no_answer() {
    let mut test = ready_call();
    audio(&mut test, 2000);
    test.run_for(ms(500));
    let packets = test.packets.len();
    test.receive(&json!({"serverContent": {"interrupted": true}}));
    test.run_for(ms(500));
    assert_eq!(test.packets.len(), packets);
    assert!(sent(&mut test).is_empty());
    assert!(test.bridge.report(test.now).turns[0].interrupted);
    test.receive(&json!({"serverContent": {"turnComplete": true}, "usageMetadata": {"totalTokenCount": 1}}));
    audio(&mut test, 100);
    test.run_for(ms(300));
    assert!(test.packets.len() >= packets + 5, "the next answer is played");
}

#[test]
fn function_calls_are_answered_and_cancelled_ones_are_not() {
    let mut test = ready_call();
    let calls = json!([{"id": "c1", "name": "f", "args": {"a": 1}}, {"id": "c2", "name": "g"}]);
    test.receive(&json!({"toolCall": {"functionCalls": calls}}));
    assert_eq!(test.tool_calls.len(), 2);
    assert_eq!(
        (test.tool_calls[0].arguments.as_str(), test.tool_calls[1].arguments.as_str()),
        (r#"{"a":1}"#, "{}")
    );
    test.receive(&json!({"toolCallCancellation": {"ids": ["c2"]}}));
    assert_eq!(test.cancelled_tool_calls, [ToolCallId::new("c2").unwrap()]);
    for (id, output) in [("c1", Ok("yes".to_owned())), ("c2", Ok("late".to_owned()))] {
        test.bridge.handle_tool_result(&ToolCallId::new(id).unwrap(), output, test.now);
    }
    test.collect();
    let function = json!({"id": "c1", "name": "f", "response": {"output": "yes"}});
    assert_eq!(sent(&mut test), [json!({"toolResponse": {"functionResponses": [function]}})]);
}

#[test]
fn keys_become_text_of_the_caller() {
    let mut test = ready_call();
    test.bridge.handle_signalled_digit(Digit::from_char('9').unwrap(), test.now);
    test.run_for(Duration::from_secs(2));
    let text = "The caller pressed 9 on the telephone keypad.";
    assert_eq!(sent(&mut test), [json!({"realtimeInput": {"text": text}})]);
}

#[test]
fn the_reason_of_the_close_frame_is_what_the_record_says() {
    let mut test = ready_call();
    audio(&mut test, 500);
    let close = AgentClose { code: 1007, reason: "Request contains an invalid\nargument." };
    test.bridge.handle_agent_closed(Some(close), test.now);
    test.collect();
    assert_eq!(test.hang_up, Some(HangUpCause::ProviderError));
    let expected = "the agent closed the WebSocket with code 1007: Request contains an invalidargument.";
    assert_eq!(test.detail.as_deref(), Some(expected));
    let mut lost = ready_call();
    lost.bridge.handle_agent_closed(closed(None), lost.now);
    lost.collect();
    assert_eq!(lost.detail.as_deref(), Some("the connection to the agent was lost"));
}

#[test]
fn known_messages_are_ignored_and_unknown_and_malformed_ones_are_counted() {
    let mut test = ready_call();
    for message in [
        json!({"usageMetadata": {}}),
        json!({"goAway": {"timeLeft": "10s"}}),
        json!({"sessionResumptionUpdate": {"newHandle": "h", "resumable": true}}),
        json!({"serverContent": {"outputTranscription": {"text": "hi"}}}),
        json!({"serverContent": {"modelTurn": {"parts": [{"text": "thinking"}]}}}),
    ] {
        test.receive(&message);
    }
    test.receive(&json!({"surprise": 1}));
    let data = |kind: &str, data: &str| json!({"serverContent": {"modelTurn": {"parts": [{"inlineData": {"mimeType": kind, "data": data}}]}}});
    test.receive(&data("audio/pcm;rate=24000", "!"));
    test.receive(&data("audio/pcm;rate=48000", "AAAA"));
    test.receive(&data("image/png", "AAAA"));
    test.agent_text("[");
    test.bridge.handle_agent_message(AgentMessage::Binary(&[0xff, 0xfe]), test.now);
    test.collect();
    let counters = test.bridge.report(test.now).bridge;
    assert_eq!((counters.agent_unknown, counters.agent_faults), (1, 5));
    assert!(sent(&mut test).is_empty());
}

proptest! {
    #[test]
    fn arbitrary_messages_never_cause_a_panic(
        member in prop::sample::select(vec![
            "setupComplete", "serverContent", "toolCall", "toolCallCancellation", "sessionResumptionUpdate", "goAway",
        ]),
        value in prop::sample::select(vec![
            json!(null), json!({}), json!([]), json!(1), json!({"functionCalls": [{}]}), json!({"ids": ["", "a"]}),
            json!({"modelTurn": {"parts": [{"inlineData": {"data": "AAA"}}]}}), json!({"interrupted": true}),
            json!({"newHandle": "x", "resumable": true}),
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        text in ".{0,80}",
    ) {
        let mut test = ready_call();
        test.receive(&json!({member: value}));
        test.agent_text(&text);
        test.bridge.handle_agent_message(AgentMessage::Binary(&bytes), test.now);
        test.run_for(ms(60));
    }
}
