//! What a partial update says about an optional member: leave it, take it away, or set it. JSON tells the three apart as
//! left out, `null` and a value (RFC 7396), which an `Option` cannot.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A change of an optional member. As a member of a struct it needs `#[serde(default)]`, so that left out is [`Change::Keep`],
/// and `#[serde(skip_serializing_if = "Change::is_kept")]` for the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// Left out: stays as it is.
    #[default]
    Keep,
    /// `null`: is taken away.
    Clear,
    /// A value: takes the place of the old one.
    Set(T),
}

impl<T> Change<T> {
    /// Turns the value into another, which may fail; the other two stay what they are.
    pub fn try_map<U, E>(self, map: impl FnOnce(T) -> Result<U, E>) -> Result<Change<U>, E> {
        Ok(match self {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(value) => Change::Set(map(value)?),
        })
    }

    /// Whether the member was mentioned at all.
    pub const fn is_given(&self) -> bool {
        !self.is_kept()
    }

    /// Whether the member was left out; then it is not to be written either.
    pub const fn is_kept(&self) -> bool {
        matches!(self, Change::Keep)
    }

    /// What the member is after the change.
    pub fn apply(self, member: Option<T>) -> Option<T> {
        match self {
            Change::Keep => member,
            Change::Clear => None,
            Change::Set(value) => Some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Change::Clear, Change::Set))
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Change::Keep | Change::Clear => serializer.serialize_none(),
            Change::Set(value) => serializer.serialize_some(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Serialize)]
    struct Patch {
        #[serde(default, skip_serializing_if = "Change::is_kept")]
        member: Change<u8>,
    }

    #[test]
    fn left_out_null_and_value_are_three_things() {
        let member = |json: &str| serde_json::from_str::<Patch>(json).unwrap().member;
        assert_eq!(member("{}"), Change::Keep);
        assert_eq!(member(r#"{"member":null}"#), Change::Clear);
        assert_eq!(member(r#"{"member":3}"#), Change::Set(3));
        for json in ["{}", r#"{"member":null}"#, r#"{"member":3}"#] {
            assert_eq!(serde_json::to_string(&Patch { member: member(json) }).unwrap(), json);
        }
        assert_eq!(member("{}").apply(Some(1)), Some(1));
        assert_eq!(member(r#"{"member":null}"#).apply(Some(1)), None);
        assert_eq!(member(r#"{"member":3}"#).apply(None), Some(3));
    }
}
