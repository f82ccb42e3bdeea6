//! A call with the OpenAI Realtime API: recorded sequences, in virtual time.

use super::provider::{base64, provider_call};
use super::*;
use crate::dialect::{DialectConfig, OpenAiSettings, ToolDefinition};
use crate::g711;
use crate::turns::TurnSpeaker;
use serde_json::json;

mod events;

pub(super) fn settings() -> OpenAiSettings {
    OpenAiSettings {
        voice: Some("marin".into()),
        greeting: Some("Hello, this is Anna.".into()),
        tools: vec![ToolDefinition {
            name: "open_hours".into(),
            description: "When a shop is open.".into(),
            parameters: r#"{"type":"object","properties":{"shop":{"type":"string"}}}"#.into(),
        }],
    }
}

pub(super) fn new_call(codec: AudioCodec) -> TestBridge {
    provider_call(DialectConfig::OpenAi(settings()), codec)
}

/// A call whose session is configured; what was sent until then is forgotten.
pub(super) fn ready_call() -> TestBridge {
    let mut test = new_call(AudioCodec::Pcmu);
    test.receive(&json!({"type": "session.created", "event_id": "e1", "session": {"type": "realtime"}}));
    test.receive(&json!({"type": "session.updated", "event_id": "e2", "session": {"type": "realtime"}}));
    sent(&mut test);
    test
}

pub(super) fn is_audio(frame: &Value) -> bool {
    frame["type"] == "input_audio_buffer.append"
}

pub(super) fn sent(test: &mut TestBridge) -> Vec<Value> {
    test.take_sent(is_audio)
}

pub(super) fn begin_response(test: &mut TestBridge, response: &str) {
    test.receive(&json!({"type": "response.created", "response": {"id": response, "status": "in_progress", "output": []}}));
}

pub(super) fn audio(test: &mut TestBridge, response: &str, item: &str, bytes: &[u8]) {
    test.receive(&json!({
        "type": "response.output_audio.delta", "event_id": "e", "response_id": response, "item_id": item,
        "output_index": 0, "content_index": 0, "delta": base64(bytes),
    }));
}

pub(super) fn audio_done(test: &mut TestBridge, item: &str) {
    test.receive(&json!({"type": "response.output_audio.done", "response_id": "r", "item_id": item}));
}

pub(super) fn response_done(test: &mut TestBridge, response: &str, status: &str) {
    test.receive(
        &json!({"type": "response.done", "response": {"id": response, "status": status, "output": []}}),
    );
}

pub(super) fn speech_started(test: &mut TestBridge) {
    test.receive(&json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 1, "item_id": "u1"}));
}

#[test]
fn session_update_is_the_first_frame_and_names_the_g711_format_of_the_leg_without_a_rate() {
    for (codec, format) in [(AudioCodec::Pcmu, "audio/pcmu"), (AudioCodec::Pcma, "audio/pcma")] {
        let mut test = new_call(codec);
        let expected = json!({"type": "session.update", "session": {
            "type": "realtime", "output_modalities": ["audio"], "instructions": "Be kind.",
            "audio": {
                "input": {
                    "format": {"type": format},
                    "turn_detection": {"type": "server_vad", "create_response": true, "interrupt_response": true},
                },
                "output": {"format": {"type": format}, "voice": "marin"},
            },
            "tools": [{
                "type": "function", "name": "open_hours", "description": "When a shop is open.",
                "parameters": {"type": "object", "properties": {"shop": {"type": "string"}}},
            }],
            "tool_choice": "auto",
        }});
        assert_eq!(sent(&mut test), [expected]);
    }
}

#[test]
fn a_g722_leg_is_converted_to_pcm_of_24_khz_the_only_rate_of_the_api() {
    let mut test = new_call(AudioCodec::G722);
    let format = json!({"type": "audio/pcm", "rate": 24000});
    let update = sent(&mut test).remove(0);
    let audio_settings = &update["session"]["audio"];
    assert_eq!((&audio_settings["input"]["format"], &audio_settings["output"]["format"]), (&format, &format));
    test.receive(&json!({"type": "session.updated", "session": {}}));
    test.caller_payload(0, AudioCodec::G722, &[0x21; 160]);
    let audio_sent = test.events.last().unwrap().1["audio"].as_str().unwrap().to_owned();
    assert_eq!(audio_sent.len(), base64(&[0; 960]).len(), "20 ms");
    begin_response(&mut test, "r1");
    audio(&mut test, "r1", "i1", &1000i16.to_le_bytes().repeat(24_000));
    test.run_for(ms(500));
    sent(&mut test);
    speech_started(&mut test);
    let played = sent(&mut test)[0]["audio_end_ms"].as_u64().unwrap();
    assert!((480..=500).contains(&played), "{played} ms were played");
}

#[test]
fn the_agent_is_ready_at_session_updated_and_then_greets() {
    let mut test = new_call(AudioCodec::Pcmu);
    sent(&mut test);
    test.receive(&json!({"type": "session.created", "session": {}}));
    assert!(!test.bridge.is_agent_ready());
    assert_eq!((sent(&mut test).len(), test.became_ready), (0, 0));
    test.receive(&json!({"type": "session.updated", "session": {}}));
    assert!(test.bridge.is_agent_ready());
    let frames = sent(&mut test);
    assert_eq!((frames.len(), frames[0]["type"].as_str()), (1, Some("response.create")));
    let instructions = frames[0]["response"]["instructions"].as_str().unwrap();
    assert!(instructions.starts_with("Be kind.") && instructions.ends_with("Hello, this is Anna."));
    test.receive(&json!({"type": "session.updated", "session": {}}));
    assert_eq!((sent(&mut test).len(), test.became_ready), (0, 1), "it greets once");
}

#[test]
fn audio_is_sent_after_the_handshake_and_begins_with_the_newest_second_before_it() {
    let mut test = new_call(AudioCodec::Pcmu);
    for n in 0..150u16 {
        test.caller_payload(n, AudioCodec::Pcmu, &[u8::try_from(n).unwrap(); 160]);
        test.run_for(ms(20));
    }
    assert!(!test.events.iter().any(|(_, event)| is_audio(event)));
    test.receive(&json!({"type": "session.updated", "session": {}}));
    let frames: Vec<Value> = test.events.drain(..).map(|(_, event)| event).filter(is_audio).collect();
    let limit = BridgeLimits::default().agent_queue;
    assert_eq!(frames.len(), usize::try_from(limit.as_millis() / 20).unwrap());
    assert_eq!(frames.last().unwrap()["audio"], base64(&[149; 160]));
    assert_eq!(test.bridge.report(test.now).bridge.agent_audio_dropped, 50);
}

#[test]
fn g711_passes_through_byte_for_byte_in_both_directions_including_both_zeros_of_mu_law() {
    for codec in [AudioCodec::Pcmu, AudioCodec::Pcma] {
        let mut test = new_call(codec);
        test.receive(&json!({"type": "session.updated", "session": {}}));
        let every: Vec<u8> = (0..=255).collect();
        for (n, payload) in (0..).zip(every.chunks(128)) {
            test.caller_payload(n, codec, payload);
        }
        let audio_sent: Vec<Value> =
            test.events.iter().map(|(_, event)| event.clone()).filter(is_audio).collect();
        assert_eq!(audio_sent[0]["audio"], base64(&every[..128]), "{codec}");
        assert_eq!(audio_sent[0].as_object().unwrap().len(), 2);
        let reversed: Vec<u8> = (0..=255).rev().chain(0..=63).collect();
        audio(&mut test, "r1", "i1", &reversed);
        test.run_for(ms(100));
        assert_eq!(test.heard(), reversed, "{codec}");
    }
}

#[test]
fn an_interruption_truncates_the_item_at_the_milliseconds_that_were_played() {
    let mut test = ready_call();
    begin_response(&mut test, "r1");
    // Ten seconds arrive at once.
    for _ in 0..10 {
        audio(&mut test, "r1", "i1", &[0x20; 8000]);
    }
    test.run_for(ms(1230));
    let packets = test.packets.len();
    speech_started(&mut test);
    let expected = json!({
        "type": "conversation.item.truncate", "item_id": "i1", "content_index": 0, "audio_end_ms": 1230,
    });
    assert_eq!(sent(&mut test), [expected]);
    test.run_for(ms(500));
    assert_eq!(test.packets.len(), packets, "the queue is flushed within one frame");
}

#[test]
fn late_audio_of_a_cut_response_is_dropped_and_the_next_response_is_played() {
    let mut test = ready_call();
    begin_response(&mut test, "r1");
    audio(&mut test, "r1", "i1", &[0x20; 8000]);
    test.run_for(ms(200));
    speech_started(&mut test);
    test.run_for(ms(100));
    let packets = test.packets.len();
    audio(&mut test, "r1", "i1", &[0x20; 8000]);
    audio(&mut test, "r1", "i2", &[0x20; 8000]);
    response_done(&mut test, "r1", "cancelled");
    audio(&mut test, "r1", "i1", &[0x20; 8000]);
    test.run_for(ms(500));
    assert_eq!(test.packets.len(), packets);
    assert_eq!(test.bridge.report(test.now).bridge.agent_audio_late, 3);
    begin_response(&mut test, "r2");
    audio(&mut test, "r2", "i3", &[0x30; 320]);
    test.run_for(ms(100));
    assert_eq!(test.packets.len(), packets + 2);
}

#[test]
fn an_item_that_was_played_completely_is_not_truncated() {
    let mut test = ready_call();
    begin_response(&mut test, "r1");
    audio(&mut test, "r1", "i1", &[0x20; 1600]);
    audio_done(&mut test, "i1");
    response_done(&mut test, "r1", "completed");
    test.run_for(Duration::from_secs(1));
    speech_started(&mut test);
    assert!(sent(&mut test).is_empty());
}

#[test]
fn an_unfinished_item_is_truncated_at_what_arrived_even_if_all_of_that_was_played() {
    let mut test = ready_call();
    begin_response(&mut test, "r1");
    audio(&mut test, "r1", "i1", &[0x20; 1000]);
    test.run_for(Duration::from_secs(1));
    speech_started(&mut test);
    assert_eq!(sent(&mut test)[0]["audio_end_ms"], 125);
}

#[test]
fn an_item_of_which_nothing_was_played_is_deleted_instead_of_truncated() {
    let mut test = ready_call();
    begin_response(&mut test, "r1");
    audio(&mut test, "r1", "i1", &[0x20; 8000]);
    audio_done(&mut test, "i1");
    audio(&mut test, "r1", "i2", &[0x20; 8000]);
    test.run_for(ms(500));
    speech_started(&mut test);
    let frames = sent(&mut test);
    assert_eq!(frames.len(), 2);
    assert_eq!((&frames[0]["item_id"], &frames[0]["audio_end_ms"]), (&json!("i1"), &json!(500)));
    assert_eq!(frames[1], json!({"type": "conversation.item.delete", "item_id": "i2"}));
}

#[test]
fn no_response_cancel_is_sent_because_the_server_interrupts_itself() {
    let mut test = ready_call();
    begin_response(&mut test, "r1");
    audio(&mut test, "r1", "i1", &[0x20; 8000]);
    test.run_for(ms(500));
    speech_started(&mut test);
    assert!(sent(&mut test).iter().all(|frame| frame["type"] != "response.cancel"));
}

#[test]
fn speech_events_of_the_server_delimit_the_callers_turns() {
    let mut test = ready_call();
    let loud = g711::mu_encode(6000);
    for n in 0..50 {
        test.caller_payload(n, AudioCodec::Pcmu, &[loud; 160]);
        if n == 15 {
            speech_started(&mut test);
        }
        test.run_for(ms(20));
    }
    for n in 50..80 {
        test.caller_payload(n, AudioCodec::Pcmu, &[0xff; 160]);
        test.run_for(ms(20));
    }
    test.receive(
        &json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1600, "item_id": "u1"}),
    );
    begin_response(&mut test, "r1");
    audio(&mut test, "r1", "i1", &[0x20; 8000]);
    test.run_for(Duration::from_secs(2));
    let report = test.bridge.report(test.now);
    let turns: Vec<_> = report.turns.iter().map(|turn| (turn.speaker, turn.started, turn.duration)).collect();
    assert_eq!(turns[0], (TurnSpeaker::Caller, ms(0), ms(1000)), "the pause before the event is not speech");
    assert_eq!((turns[1].0, turns[1].2), (TurnSpeaker::Agent, ms(1000)));
    // The last loud frame was read at 980 ms, the answer at 1600 ms.
    assert_eq!(report.ai_latency, Some(ms(620)));
}

#[test]
fn noise_that_the_server_does_not_report_is_no_turn() {
    let mut test = ready_call();
    let loud = g711::mu_encode(6000);
    for n in 0..50 {
        test.caller_payload(n, AudioCodec::Pcmu, &[loud; 160]);
        test.run_for(ms(20));
    }
    assert_eq!(test.bridge.report(test.now).turns_total, 0);
}

#[test]
fn a_codec_change_during_the_call_transcodes_because_the_session_keeps_its_format() {
    let mut test = ready_call();
    let mut other = media(MediaDirection::SendRecv);
    other.codec = AudioCodec::Pcma;
    other.send.audio = PayloadType::PCMA;
    other.receive.audio = PayloadType::PCMA;
    test.bridge.handle_negotiated(&other, test.now);
    let code = g711::mu_encode(4000);
    audio(&mut test, "r1", "i1", &[code; 160]);
    test.run_for(ms(50));
    let expected = g711::a_encode(g711::mu_decode(code));
    assert_eq!(test.heard(), [expected; 160]);
}

#[test]
fn base64_without_padding_and_with_escaped_slashes_is_decoded() {
    let mut test = ready_call();
    // 0xff 0xff is "//8=" in base64.
    test.agent_text(
        r#"{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"\/\/8\/\/w"}"#,
    );
    test.run_for(ms(100));
    assert_eq!(test.bridge.report(test.now).bridge.agent_faults, 0);
    assert_eq!(test.bridge.report(test.now).played.sent, 1);
}

#[test]
fn one_megabyte_of_audio_in_one_event_is_queued_up_to_the_bound() {
    let mut test = ready_call();
    audio(&mut test, "r1", "i1", &vec![0x20; 768 * 1024]);
    // The first frame is sent at once.
    assert_eq!(test.bridge.playout_queued() + ms(20), BridgeLimits::default().playout_queue);
    assert_eq!(test.bridge.report(test.now).bridge.agent_faults, 1, "the queue is full");
}
