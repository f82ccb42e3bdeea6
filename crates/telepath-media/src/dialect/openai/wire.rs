//! Events of the Realtime API: those that are written, and the members that are read.

use super::super::greeting::greeting_instruction;
use super::super::json::Text;
use super::super::openai_function::{function, function_call_output};
use super::super::settings::OpenAiSettings;
use super::super::tools::ToolResult;
use crate::audio_format::{AudioEncoding, AudioFormat};
use serde::Deserialize;
use serde_json::{Value, json};

/// `session.update`: everything that differs from the defaults.
pub(super) fn session_update(
    instructions: Option<&str>,
    settings: &OpenAiSettings,
    format: AudioFormat,
) -> String {
    let mut output = json!({"format": format_object(format)});
    if let Some(voice) = &settings.voice {
        output["voice"] = json!(voice);
    }
    let mut session = json!({
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": format_object(format),
                "turn_detection": {"type": "server_vad", "create_response": true, "interrupt_response": true},
            },
            "output": output,
        },
    });
    if let Some(instructions) = instructions {
        session["instructions"] = json!(instructions);
    }
    if !settings.tools.is_empty() {
        session["tools"] = settings.tools.iter().map(function).collect();
        session["tool_choice"] = json!("auto");
    }
    json!({"type": "session.update", "session": session}).to_string()
}

fn format_object(format: AudioFormat) -> Value {
    match format.encoding {
        AudioEncoding::Pcm16 => json!({"type": "audio/pcm", "rate": format.rate}),
        AudioEncoding::Pcmu => json!({"type": "audio/pcmu"}),
        AudioEncoding::Pcma => json!({"type": "audio/pcma"}),
    }
}

/// `response.create` for the greeting. The instructions of a response replace those of the session.
pub(super) fn greet(instructions: Option<&str>, greeting: &str) -> String {
    let prompt = instructions.map(|text| format!("{text}\n\n")).unwrap_or_default();
    let text = prompt + &greeting_instruction(greeting);
    json!({"type": "response.create", "response": {"instructions": text}}).to_string()
}

pub(super) fn create_response() -> String {
    json!({"type": "response.create"}).to_string()
}

/// What the model has said in an earlier session.
pub(super) fn assistant_message(text: &str) -> String {
    let content = json!([{"type": "output_text", "text": text}]);
    let item = json!({"type": "message", "role": "assistant", "content": content});
    json!({"type": "conversation.item.create", "item": item}).to_string()
}

/// A message of the caller in writing.
pub(super) fn user_message(text: &str) -> String {
    let content = json!([{"type": "input_text", "text": text}]);
    let item = json!({"type": "message", "role": "user", "content": content});
    json!({"type": "conversation.item.create", "item": item}).to_string()
}

pub(super) fn tool_output(result: &ToolResult) -> String {
    json!({"type": "conversation.item.create", "item": function_call_output(result)}).to_string()
}

pub(super) fn truncate(item: &str, milliseconds: u64) -> String {
    json!({
        "type": "conversation.item.truncate",
        "item_id": item,
        "content_index": 0,
        "audio_end_ms": milliseconds,
    })
    .to_string()
}

pub(super) fn delete(item: &str) -> String {
    json!({"type": "conversation.item.delete", "item_id": item}).to_string()
}

/// `response.output_audio.delta`.
#[derive(Debug, Deserialize)]
pub(super) struct AudioDelta<'a> {
    #[serde(borrow)]
    pub(super) response_id: Text<'a>,
    #[serde(borrow)]
    pub(super) item_id: Text<'a>,
    #[serde(borrow)]
    pub(super) delta: Text<'a>,
}

/// `response.output_audio.done`.
#[derive(Debug, Deserialize)]
pub(super) struct AudioDone<'a> {
    #[serde(borrow)]
    pub(super) item_id: Text<'a>,
}

/// `response.output_audio_transcript.done`.
#[derive(Debug, Deserialize)]
pub(super) struct Transcript<'a> {
    #[serde(borrow)]
    pub(super) transcript: Option<Text<'a>>,
}

/// `response.created` and `response.done`.
#[derive(Debug, Deserialize)]
pub(super) struct ResponseEvent<'a> {
    #[serde(borrow)]
    pub(super) response: Response<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) status_details: Option<StatusDetails<'a>>,
    #[serde(borrow)]
    pub(super) output: Option<Vec<OutputItem<'a>>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StatusDetails<'a> {
    #[serde(borrow)]
    pub(super) error: Option<ErrorBody<'a>>,
}

/// An item of a response. Only function calls have the last three members.
#[derive(Debug, Deserialize)]
pub(super) struct OutputItem<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) call_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) arguments: Option<Text<'a>>,
}

/// `error`.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorEvent<'a> {
    #[serde(borrow)]
    pub(super) error: ErrorBody<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) message: Option<Text<'a>>,
}
