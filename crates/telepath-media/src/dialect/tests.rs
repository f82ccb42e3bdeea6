//! Tests of the dialect against its schema and with malformed input.

use super::*;
use crate::bridge::HangUpCause;
use crate::codec::AudioCodec;
use crate::dtmf::Digit;
use crate::playout::MarkName;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn schema() -> Value {
    serde_json::from_str(include_str!("../../schema/telepath.v1.json")).unwrap()
}

/// Validates against the keywords that the schema uses. An unknown keyword fails the test, so none is skipped.
fn valid(root: &Value, rule: &Value, value: &Value) -> bool {
    rule.as_object().unwrap().iter().all(|(keyword, argument)| match keyword.as_str() {
        "$schema" | "title" | "description" | "$defs" => true,
        "$ref" => valid(root, root.pointer(&argument.as_str().unwrap()[1..]).unwrap(), value),
        "oneOf" => argument.as_array().unwrap().iter().filter(|rule| valid(root, rule, value)).count() == 1,
        "const" => value == argument,
        "enum" => argument.as_array().unwrap().contains(value),
        "type" => match argument {
            Value::Array(types) => types.iter().any(|kind| is(kind.as_str().unwrap(), value)),
            kind => is(kind.as_str().unwrap(), value),
        },
        "required" => {
            argument.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
        }
        "properties" => argument
            .as_object()
            .unwrap()
            .iter()
            .all(|(name, rule)| value.get(name).is_none_or(|member| valid(root, rule, member))),
        "additionalProperties" => {
            value.as_object().unwrap().values().all(|member| valid(root, argument, member))
        }
        "maxLength" => {
            value.as_str().unwrap().chars().count() <= usize::try_from(argument.as_u64().unwrap()).unwrap()
        }
        "minLength" => {
            value.as_str().unwrap().chars().count() >= usize::try_from(argument.as_u64().unwrap()).unwrap()
        }
        // The decoder tests cover the digits that the patterns allow.
        "pattern" => value.is_string(),
        other => panic!("unsupported schema keyword {other}"),
    })
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "string" => value.is_string(),
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        other => panic!("type {other}"),
    }
}

fn start() -> CallContext {
    CallContext {
        call_id: "call_1".into(),
        trunk_id: "trunk_1".into(),
        from: "+4930123".into(),
        to: "+4930456".into(),
        system_prompt: None,
        metadata: BTreeMap::from([("team".to_owned(), "support".to_owned())]),
        sip_headers: BTreeMap::from([("X-Queue".to_owned(), "sales".to_owned())]),
    }
}

fn text(event: &ToAgent<'_>) -> Value {
    let mut output = DialectOutput::default();
    Dialect::telepath_v1().encode(event, Instant::now(), &mut output);
    let frames: Vec<AgentFrame> = output.take_frames().collect();
    match frames.as_slice() {
        [AgentFrame::Text(text)] => serde_json::from_str(text).unwrap(),
        other => panic!("events are text frames: {other:?}"),
    }
}

fn decode_text(text: &str) -> Result<FromAgent, AgentFault> {
    let mut output = DialectOutput::default();
    Dialect::telepath_v1().handle_text(text, Instant::now(), &mut output)?;
    Ok(output.take_events().remove(0))
}

#[test]
fn every_event_to_the_agent_matches_the_schema() {
    let root = schema();
    let rule = root.pointer("/$defs/from_gateway").unwrap();
    let call = start();
    let prompted = CallContext { system_prompt: Some("Be kind.".into()), ..start() };
    let mark = MarkName::new("end".into()).unwrap();
    let causes = [
        HangUpCause::AgentHangup,
        HangUpCause::MediaTimeout,
        HangUpCause::MaxDuration,
        HangUpCause::ProviderError,
    ];
    let faults = [
        AgentFault::NotAnEvent,
        AgentFault::BadEvent,
        AgentFault::BadAudio,
        AgentFault::UnexpectedBinary,
        AgentFault::TooLong,
        AgentFault::BadMark,
        AgentFault::BadTransfer,
        AgentFault::BadDigits,
        AgentFault::BadToolCall,
        AgentFault::TooManyMarks,
        AgentFault::PlayoutFull,
        AgentFault::DigitsNotSent,
    ];
    let mut events = vec![
        ToAgent::Start { call: &call, codec: AudioCodec::Pcmu },
        ToAgent::Start { call: &prompted, codec: AudioCodec::Pcma },
        ToAgent::SpeechStarted,
        ToAgent::SpeechStopped,
        ToAgent::Mark { name: &mark, cleared: false },
        ToAgent::Mark { name: &mark, cleared: true },
        ToAgent::Hold,
        ToAgent::Resume,
    ];
    events.extend((0..16).filter_map(Digit::from_event).map(ToAgent::Dtmf));
    events.extend(causes.map(|cause| ToAgent::Stop(cause.stop_reason())));
    events.extend(faults.map(ToAgent::Error));
    let failed = |failure| ToAgent::TransferFailed { failure, message: "486 Busy Here" };
    events.extend(TransferFailure::ALL.map(failed));
    for event in &events {
        let value = text(event);
        assert!(valid(&root, rule, &value), "{value}");
    }
    assert!(!valid(&root, rule, &json!({"type": "stop", "reason": "bored"})));
    assert!(!valid(&root, rule, &json!({"type": "dtmf"})));
}

#[test]
fn start_carries_the_call_context() {
    let call = start();
    let expected = json!({
        "type": "start", "call_id": "call_1", "trunk_id": "trunk_1", "from": "+4930123", "to": "+4930456",
        "codec": "PCMA", "sample_rate": 8000, "system_prompt": null, "metadata": {"team": "support"},
        "sip_headers": {"X-Queue": "sales"},
    });
    assert_eq!(text(&ToAgent::Start { call: &call, codec: AudioCodec::Pcma }), expected);
}

#[test]
fn every_event_from_the_agent_is_decoded_and_matches_the_schema() {
    let root = schema();
    let rule = root.pointer("/$defs/from_agent").unwrap();
    let digits = vec![Digit::from_char('1').unwrap(), Digit::from_char('#').unwrap()];
    for (value, expected) in [
        (json!({"type": "mark", "name": "a"}), FromAgent::Mark(MarkName::new("a".into()).unwrap())),
        (json!({"type": "clear"}), FromAgent::Clear),
        (json!({"type": "hangup", "extra": 1}), FromAgent::Hangup),
        (
            json!({"type": "transfer", "to": "tel:+491"}),
            FromAgent::Transfer(TransferTarget::new("tel:+491".into()).unwrap()),
        ),
        (json!({"type": "send_dtmf", "digits": "1#"}), FromAgent::SendDtmf(digits)),
    ] {
        assert!(valid(&root, rule, &value), "{value}");
        assert_eq!(decode_text(&value.to_string()), Ok(expected));
    }
    assert_eq!(decode_text(r#"{"type":"from_the_future"}"#), Ok(FromAgent::Unknown));
}

#[test]
fn malformed_frames_are_rejected_with_their_fault() {
    let long = "x".repeat(257);
    let digits = "1".repeat(65);
    for (frame, fault) in [
        ("", AgentFault::NotAnEvent),
        ("[1]", AgentFault::NotAnEvent),
        (r#"{"type":7}"#, AgentFault::NotAnEvent),
        (r#"{"type":"mark"}"#, AgentFault::BadMark),
        (&format!(r#"{{"type":"mark","name":"{long}"}}"#), AgentFault::BadMark),
        (r#"{"type":"transfer","to":"sip:a b"}"#, AgentFault::BadTransfer),
        (r#"{"type":"transfer","to":"sip:a\r\nX: y"}"#, AgentFault::BadTransfer),
        (r#"{"type":"send_dtmf","digits":""}"#, AgentFault::BadDigits),
        (r#"{"type":"send_dtmf","digits":"12x"}"#, AgentFault::BadDigits),
        (&format!(r#"{{"type":"send_dtmf","digits":"{digits}"}}"#), AgentFault::BadDigits),
        (&" ".repeat(MAX_TEXT + 1), AgentFault::TooLong),
    ] {
        assert_eq!(decode_text(frame), Err(fault), "{frame:.60}");
    }
}

#[test]
fn audio_is_a_binary_frame_of_pcm_at_8_khz() {
    let mut dialect = Dialect::telepath_v1();
    assert_eq!(dialect.formats(), AgentFormats::both(crate::audio_format::AudioFormat::pcm16(8000)));
    assert_eq!(dialect.encode_audio(vec![1, 2]), AgentFrame::Binary(vec![1, 2]));
    assert_eq!(dialect.binary_content(), BinaryContent::Audio);
    assert!(dialect.is_ready());
}

proptest! {
    #[test]
    fn arbitrary_text_never_causes_a_panic(text in ".{0,200}") {
        let _ = decode_text(&text);
    }

    #[test]
    fn mutated_events_never_cause_a_panic(at in 0usize..40, with in any::<char>()) {
        let mut text: Vec<char> = r#"{"type":"send_dtmf","digits":"12345"}"#.chars().collect();
        let at = at % text.len();
        text[at] = with;
        let _ = decode_text(&text.iter().collect::<String>());
    }
}
