//! A change of an optional member in a partial update: keep, clear or set. In JSON these are an absent member, `null` and
//! a value (RFC 7396), which an `Option` cannot distinguish.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A change of an optional member. As a member of a struct it needs `#[serde(default)]`, so that left out is [`Patch::Keep`],
/// and `#[serde(skip_serializing_if = "Patch::is_kept")]` for the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// Left out: stays as it is.
    #[default]
    Keep,
    /// `null`: is taken away.
    Clear,
    /// A value: takes the place of the old one.
    Set(T),
}

impl<T> Patch<T> {
    /// Turns the value into another, which may fail; the other two stay what they are.
    pub fn try_map<U, E>(self, map: impl FnOnce(T) -> Result<U, E>) -> Result<Patch<U>, E> {
        Ok(match self {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(value) => Patch::Set(map(value)?),
        })
    }

    /// Turns the value into another.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(value) => Patch::Set(map(value)),
        }
    }

    /// Whether the member was mentioned at all.
    pub const fn is_given(&self) -> bool {
        !self.is_kept()
    }

    /// Whether the member was left out; then it is not to be written either.
    pub const fn is_kept(&self) -> bool {
        matches!(self, Patch::Keep)
    }

    /// What the member is after the change.
    pub fn apply(self, member: Option<T>) -> Option<T> {
        match self {
            Patch::Keep => member,
            Patch::Clear => None,
            Patch::Set(value) => Some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Patch::Clear, Patch::Set))
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Patch::Keep | Patch::Clear => serializer.serialize_none(),
            Patch::Set(value) => serializer.serialize_some(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Serialize)]
    struct Member {
        #[serde(default, skip_serializing_if = "Patch::is_kept")]
        member: Patch<u8>,
    }

    #[test]
    fn absent_null_and_value_are_distinguished() {
        let member = |json: &str| serde_json::from_str::<Member>(json).unwrap().member;
        assert_eq!(member("{}"), Patch::Keep);
        assert_eq!(member(r#"{"member":null}"#), Patch::Clear);
        assert_eq!(member(r#"{"member":3}"#), Patch::Set(3));
        for json in ["{}", r#"{"member":null}"#, r#"{"member":3}"#] {
            assert_eq!(serde_json::to_string(&Member { member: member(json) }).unwrap(), json);
        }
        assert_eq!(member("{}").apply(Some(1)), Some(1));
        assert_eq!(member(r#"{"member":null}"#).apply(Some(1)), None);
        assert_eq!(member(r#"{"member":3}"#).apply(None), Some(3));
    }
}
