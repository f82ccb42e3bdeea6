//! Converts a JSON tree to a draft of the domain, with our own error messages: serde's quote the invalid value, which may be a
//! password.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserialize, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::tree::Json;

/// Why a tree does not fit a type. Holds names of members, never values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// There is no such member.
    Unknown(String),
    /// A member is not there.
    Missing(&'static str),
    /// What the value must be.
    MustBe(&'static str),
}

/// A mismatch and the place of the value, such as `allowed_ips[2]`; empty for the whole body.
pub(crate) type TypeMismatch = (String, Mismatch);

/// Reads a type from a tree.
pub(crate) fn read<'de, T: Deserialize<'de>>(tree: Json) -> Result<T, TypeMismatch> {
    serde_path_to_error::deserialize(Reader(tree)).map_err(|error| {
        let path = error.path().to_string();
        (if path == "." { String::new() } else { path }, error.into_inner())
    })
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Unknown(_) => f.write_str("is not a known member"),
            Mismatch::Missing(name) => write!(f, "Missing required field: {name}"),
            Mismatch::MustBe(what) => write!(f, "must be {what}"),
        }
    }
}

impl std::error::Error for Mismatch {}

/// Turns what a type expects into words; the expectations of derived types are names of Rust types.
fn in_words(expected: &dyn Expected) -> &'static str {
    match expected.to_string().as_str() {
        "a string" | "a borrowed string" | "string" => "a string",
        "a boolean" => "true or false",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        _ => "an object",
    }
}

impl de::Error for Mismatch {
    /// The text might quote a value, so it is not kept.
    fn custom<T: fmt::Display>(_text: T) -> Self {
        Mismatch::MustBe("of another form")
    }

    fn invalid_type(_found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Mismatch::MustBe(in_words(expected))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Mismatch::MustBe(match (found, expected.to_string().as_str()) {
            (Unexpected::Unsigned(_), "u32") => "a whole number from 0 to 4294967295",
            _ => in_words(expected),
        })
    }

    fn unknown_field(field: &str, _expected: &'static [&'static str]) -> Self {
        Mismatch::Unknown(field.to_owned())
    }

    fn missing_field(field: &'static str) -> Self {
        Mismatch::Missing(field)
    }
}

enum Whole {
    Unsigned(u64),
    Signed(i64),
}

/// A number such as 600.0 or 6e2, which is an integer in JSON Schema (2020-12 Validation section 6.1.1) however it is written.
/// Beyond 2^53 a float no longer tells which integer was meant.
fn whole(value: f64) -> Option<Whole> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    if value.fract() != 0.0 || value.abs() > LIMIT {
        return None;
    }
    // Formatting is exact for whole numbers in this range, and needs no lossy cast.
    let text = format!("{value:.0}");
    text.parse().map(Whole::Unsigned).or_else(|_| text.parse().map(Whole::Signed)).ok()
}

/// A tree as something that serde reads from.
struct Reader(Json);

impl IntoDeserializer<'_, Mismatch> for Reader {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Reader {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Json::Null => visitor.visit_unit(),
            Json::Bool(value) => visitor.visit_bool(value),
            Json::Unsigned(value) => visitor.visit_u64(value),
            Json::Signed(value) => visitor.visit_i64(value),
            Json::Float(value) => match whole(value) {
                Some(Whole::Unsigned(value)) => visitor.visit_u64(value),
                Some(Whole::Signed(value)) => visitor.visit_i64(value),
                None => visitor.visit_f64(value),
            },
            Json::Text(value) => visitor.visit_string(value),
            Json::List(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(Reader))),
            Json::Object(members) => {
                let members = members.into_iter().map(|(name, value)| (name, Reader(value)));
                visitor.visit_map(MapDeserializer::new(members))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.0 == Json::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    /// Structures are objects and nothing else; serde would also take a list.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        if matches!(self.0, Json::Object(_)) {
            self.deserialize_any(visitor)
        } else {
            Err(Mismatch::MustBe("an object"))
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use telepath_api_types::trunks::{CreateTrunk, UpdateTrunk};

    use super::super::tree::parse;
    use super::*;

    fn mismatch(text: &str) -> (String, String) {
        let (place, problem) = read::<CreateTrunk>(parse(text.as_bytes()).ok().unwrap()).unwrap_err();
        (place, problem.to_string())
    }

    #[test]
    fn places_are_named_and_values_are_never_quoted() {
        for (text, place, says) in [
            (
                r#"{"max_call_seconds":"hunter2"}"#,
                "max_call_seconds",
                "must be a whole number that is not negative",
            ),
            (r#"{"max_call_seconds":-1}"#, "max_call_seconds", "must be a whole number that is not negative"),
            (
                r#"{"max_call_seconds":1.5}"#,
                "max_call_seconds",
                "must be a whole number that is not negative",
            ),
            (
                r#"{"max_call_seconds":99999999999}"#,
                "max_call_seconds",
                "must be a whole number from 0 to 4294967295",
            ),
            (r#"{"sip_password":12345678}"#, "sip_password", "must be a string"),
            (r#"{"allowed_ips":"hunter2"}"#, "allowed_ips", "must be a list"),
            (r#"{"allowed_ips":["10.0.0.1",7]}"#, "allowed_ips[1]", "must be a string"),
            (r#"{"custom_headers":{"X-Token":["hunter2"]}}"#, "custom_headers.X-Token", "must be a string"),
            (r#"{"custom_headers":"hunter2"}"#, "custom_headers", "must be an object"),
            (r#"["hunter2"]"#, "", "must be an object"),
            (r#""hunter2""#, "", "must be an object"),
        ] {
            assert_eq!(mismatch(text), (place.to_owned(), says.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_or_an_exponent() {
        let number = |text: &str| {
            let tree = parse(format!(r#"{{"max_call_seconds":{text}}}"#).as_bytes()).ok().unwrap();
            read::<CreateTrunk>(tree).map(|trunk| trunk.max_call_seconds)
        };
        for text in ["600", "600.0", "6e2", "6.0E+2"] {
            assert_eq!(number(text), Ok(Some(600)), "{text}");
        }
        assert_eq!(number("-0.0"), Ok(Some(0)));
        for text in ["600.5", "-600.0", "6e20", "1e300"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_member_is_named() {
        let tree = parse(br#"{"name":"n","colour":"red"}"#).ok().unwrap();
        let (_, problem) = read::<CreateTrunk>(tree).unwrap_err();
        assert_eq!(problem, Mismatch::Unknown("colour".into()));
    }

    #[test]
    fn null_and_left_out_stay_apart() {
        let patch = |text: &str| read::<UpdateTrunk>(parse(text.as_bytes()).ok().unwrap());
        assert!(patch(r#"{"greeting":null}"#).is_ok());
        assert!(patch("{}").is_ok());
    }
}
