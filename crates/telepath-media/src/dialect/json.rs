//! JSON frames with base64 audio: parsing without a tree and without copies, and writing in one allocation.

use super::fault::AgentFault;
use super::frame::AgentFrame;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use std::borrow::Cow;

/// Padding is written, and not required from others.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A string that is borrowed from the frame unless it contains escapes.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text of an optional member, or an empty one.
pub(super) fn or_empty<'a>(text: Option<&'a Text<'_>>) -> &'a str {
    text.map_or("", Text::as_str)
}

/// Parses an event of a known type.
///
/// # Errors
/// [`AgentFault::BadEvent`] if a member is missing or has the wrong type.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, AgentFault> {
    serde_json::from_str(text).map_err(|_| AgentFault::BadEvent)
}

/// The member `type` of an event.
///
/// # Errors
/// [`AgentFault::NotAnEvent`] if the frame is not a JSON object with a string of that name.
pub(super) fn event_type(text: &str) -> Result<Text<'_>, AgentFault> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow, rename = "type")]
        kind: Text<'a>,
    }
    serde_json::from_str::<Head<'_>>(text).map(|head| head.kind).map_err(|_| AgentFault::NotAnEvent)
}

/// Appends decoded base64 to `bytes`.
///
/// # Errors
/// [`AgentFault::BadAudio`] if the text is not base64.
pub(super) fn decode_base64(text: &Text<'_>, bytes: &mut Vec<u8>) -> Result<(), AgentFault> {
    BASE64.decode_vec(text.as_str(), bytes).map_err(|_| AgentFault::BadAudio)
}

/// A text frame with audio as base64 between two parts of JSON.
pub(super) fn audio_frame(before: &str, audio: &[u8], after: &str) -> AgentFrame {
    let mut text = String::with_capacity(before.len() + audio.len().div_ceil(3) * 4 + after.len());
    text.push_str(before);
    BASE64.encode_string(audio, &mut text);
    text.push_str(after);
    AgentFrame::Text(text)
}
