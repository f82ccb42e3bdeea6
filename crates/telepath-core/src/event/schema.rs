//! The JSON form of event members, derived from their Rust types, so that the documented schema cannot differ from what is
//! sent. A front end turns [`JsonShape`] into the schema language of its document.

use serde_json::{Map, Value};

use crate::account::Actor;
use crate::alert::{AlertRule, Severity};
use crate::call::{DisconnectReason, Party};
use crate::id::Id;
use crate::trunk::{AiProvider, Codec};
use crate::webhook::status::DisabledReason;

/// The JSON form of one value.
#[derive(Debug, Clone, Copy)]
pub enum JsonShape {
    /// Any string.
    Text,
    /// An integer that is never negative.
    Count,
    /// One of these strings.
    OneOf(fn() -> Vec<&'static str>),
    /// `null`, or a value of this form.
    Nullable(&'static JsonShape),
    /// An object with exactly these members.
    Record(&'static [Member]),
    /// An object with any members.
    Object,
}

/// A member of an event or of an object in it. Every member is always present.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// The name in the JSON.
    pub name: &'static str,
    /// One sentence for the reference.
    pub description: &'static str,
    /// The form of its value.
    pub shape: JsonShape,
}

/// A type with a known JSON form.
pub trait HasShape {
    /// The form of every value of the type.
    const SHAPE: JsonShape;
}

impl HasShape for String {
    const SHAPE: JsonShape = JsonShape::Text;
}

impl HasShape for &'static str {
    const SHAPE: JsonShape = JsonShape::Text;
}

impl HasShape for u32 {
    const SHAPE: JsonShape = JsonShape::Count;
}

impl HasShape for Map<String, Value> {
    const SHAPE: JsonShape = JsonShape::Object;
}

impl HasShape for Party {
    const SHAPE: JsonShape = JsonShape::Text;
}

impl HasShape for Actor {
    const SHAPE: JsonShape = JsonShape::Text;
}

impl<T: Id> HasShape for T {
    const SHAPE: JsonShape = JsonShape::Text;
}

impl<T: HasShape> HasShape for Option<T> {
    const SHAPE: JsonShape = JsonShape::Nullable(&T::SHAPE);
}

macro_rules! named_values {
    ($($name:ty),+ $(,)?) => {$(
        impl HasShape for $name {
            const SHAPE: JsonShape = JsonShape::OneOf(|| <$name>::ALL.iter().map(|value| value.name()).collect());
        }
    )+};
}

named_values!(AiProvider, AlertRule, Codec, DisabledReason, DisconnectReason, Severity);
