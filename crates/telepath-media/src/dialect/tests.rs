//! The dialect against its published schema, and against input nobody should send.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../schema/telepath.v1.json")).unwrap()
}

/// Checks the keywords the schema uses; an unknown keyword is a failure, so none is silently skipped.
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
        // Patterns are read by people and validators; the digits they allow are tested apart.
        "pattern" => value.is_string(),
        other => panic!("the schema uses {other}, which this check does not know"),
    })
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "string" => value.is_string(),
        "null" => value.is_null(),
        other => panic!("type {other}"),
    }
}

fn start() -> CallStart {
    CallStart {
        call_id: CallId("call_1".into()),
        trunk_id: TrunkId("trunk_1".into()),
        from: Party("+4930123".into()),
        to: Party("+4930456".into()),
        system_prompt: None,
        metadata: BTreeMap::from([("team".to_owned(), "support".to_owned())]),
    }
}

fn text(event: &ToAgent<'_>) -> Value {
    match Dialect::telepath_v1().encode(event) {
        AgentFrame::Text(text) => serde_json::from_str(&text).unwrap(),
        AgentFrame::Binary(_) => panic!("an event is text"),
    }
}

#[test]
fn every_event_the_gateway_writes_fits_the_published_schema() {
    let root = schema();
    let rule = root.pointer("/$defs/from_gateway").unwrap();
    let call = start();
    let prompted = CallStart { system_prompt: Some(SystemPrompt("Be kind.".into())), ..start() };
    let mark = MarkName::new("end".into()).unwrap();
    let reasons = [
        EndReason::NormalDisconnect,
        EndReason::AgentHangup,
        EndReason::ApiHangup,
        EndReason::NoAnswer,
        EndReason::ConnectionFailed,
        EndReason::NetworkError,
        EndReason::AiProviderError,
        EndReason::CarrierError,
        EndReason::MaxDuration,
        EndReason::TrunkDeleted,
        EndReason::ServerShutdown,
        EndReason::Unknown,
    ];
    let faults = [
        AgentFault::NotAnEvent,
        AgentFault::TooLong,
        AgentFault::BadMark,
        AgentFault::BadTransfer,
        AgentFault::BadDigits,
        AgentFault::TooManyMarks,
        AgentFault::DigitsNotSent,
    ];
    let mut events = vec![
        ToAgent::Start { call: &call, codec: Codec::Pcmu },
        ToAgent::Start { call: &prompted, codec: Codec::Pcma },
        ToAgent::SpeechStarted,
        ToAgent::SpeechStopped,
        ToAgent::Mark(&mark),
        ToAgent::Hold,
        ToAgent::Resume,
    ];
    events.extend((0..16).filter_map(Digit::from_event).map(ToAgent::Dtmf));
    events.extend(reasons.map(ToAgent::Stop));
    events.extend(faults.map(ToAgent::Error));
    for event in &events {
        let value = text(event);
        assert!(valid(&root, rule, &value), "{value}");
    }
    assert!(!valid(&root, rule, &json!({"type": "stop", "reason": "bored"})));
    assert!(!valid(&root, rule, &json!({"type": "dtmf"})));
}

#[test]
fn start_says_everything_about_the_call() {
    let call = start();
    let expected = json!({
        "type": "start", "call_id": "call_1", "trunk_id": "trunk_1", "from": "+4930123", "to": "+4930456",
        "codec": "PCMA", "sample_rate": 8000, "system_prompt": null, "metadata": {"team": "support"},
    });
    assert_eq!(text(&ToAgent::Start { call: &call, codec: Codec::Pcma }), expected);
}

#[test]
fn every_request_of_an_agent_is_read_and_fits_the_schema() {
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
        assert_eq!(Dialect::telepath_v1().decode_text(&value.to_string()), Ok(expected));
    }
    assert_eq!(Dialect::telepath_v1().decode_text(r#"{"type":"from_the_future"}"#), Ok(FromAgent::Unknown));
}

#[test]
fn malformed_frames_are_named_by_their_fault() {
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
        assert_eq!(Dialect::telepath_v1().decode_text(frame), Err(fault), "{frame:.60}");
    }
}

#[test]
fn audio_cut_anywhere_is_put_together_again() {
    let samples: Vec<i16> = (0..999).map(|n| n * 31).collect();
    let AgentFrame::Binary(bytes) = Dialect::telepath_v1().encode_audio(samples.iter().copied()) else {
        panic!("audio is binary")
    };
    for size in [1, 2, 3, 7, 320, 321] {
        let mut dialect = Dialect::telepath_v1();
        let mut heard = Vec::new();
        for chunk in bytes.chunks(size) {
            heard.extend(dialect.decode_audio(&[]));
            heard.extend(dialect.decode_audio(chunk));
        }
        assert_eq!(heard, samples, "chunks of {size}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_decoder_panic(text in ".{0,200}") {
        let _ = Dialect::telepath_v1().decode_text(&text);
    }

    #[test]
    fn no_mutated_event_makes_the_decoder_panic(at in 0usize..40, with in any::<char>()) {
        let mut text: Vec<char> = r#"{"type":"send_dtmf","digits":"12345"}"#.chars().collect();
        let at = at % text.len();
        text[at] = with;
        let _ = Dialect::telepath_v1().decode_text(&text.iter().collect::<String>());
    }
}
