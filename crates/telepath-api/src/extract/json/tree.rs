//! A strict JSON parser. It refuses a repeated member at any depth, because RFC 8259 section 4 leaves its meaning open and two
//! parsers that disagree about it are a vulnerability. It also refuses text that is nested too deeply.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// The deepest nesting of lists and objects that is read.
pub(crate) const MAX_DEPTH: usize = 16;

/// A JSON value.
#[derive(Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The places of the texts that `wanted` holds for, such as `metadata.a` or `codecs[2]`; empty for the whole body. The place
    /// of a member's name is the object.
    pub(crate) fn places(&self, wanted: impl Fn(&str) -> bool + Copy) -> Vec<String> {
        let mut places = Vec::new();
        self.collect_places(String::new(), wanted, &mut places);
        places
    }

    fn collect_places(&self, place: String, wanted: impl Fn(&str) -> bool + Copy, places: &mut Vec<String>) {
        match self {
            Json::Text(text) if wanted(text) => places.push(place),
            Json::Null
            | Json::Bool(_)
            | Json::Unsigned(_)
            | Json::Signed(_)
            | Json::Float(_)
            | Json::Text(_) => {}
            Json::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.collect_places(format!("{place}[{index}]"), wanted, places);
                }
            }
            Json::Object(members) => {
                for (name, member) in members {
                    if wanted(name) {
                        places.push(place.clone());
                    } else {
                        let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                        member.collect_places(place, wanted, places);
                    }
                }
            }
        }
    }
}

/// Why a text is not taken as JSON. None of these holds a value of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotJson {
    /// This member appears twice in one object.
    Repeated(String),
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Not JSON, first noticed here.
    Malformed { line: usize, column: usize },
}

/// Reads a whole text.
pub(crate) fn parse(text: &[u8]) -> Result<Json, NotJson> {
    let problem = RefCell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let tree = Node { depth: 0, problem: &problem }.deserialize(&mut reader);
    let tree = tree.and_then(|tree| reader.end().map(|()| tree));
    tree.map_err(|error| {
        problem.into_inner().unwrap_or(NotJson::Malformed { line: error.line(), column: error.column() })
    })
}

/// Reads one value. The reader's own errors are texts, so the reason is kept aside.
#[derive(Clone, Copy)]
struct Node<'a> {
    depth: usize,
    problem: &'a RefCell<Option<NotJson>>,
}

impl Node<'_> {
    fn refuse<E: de::Error>(self, why: NotJson) -> E {
        *self.problem.borrow_mut() = Some(why);
        E::custom("refused")
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth < MAX_DEPTH {
            Ok(Self { depth: self.depth + 1, ..self })
        } else {
            Err(self.refuse(NotJson::TooDeep))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Json, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Unsigned(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Signed(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(self.refuse(NotJson::Repeated(name)));
            }
            members.push((name, map.next_value_seed(inner)?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> NotJson {
        parse(text.as_bytes()).err().expect("must be refused")
    }

    #[test]
    fn a_repeated_member_is_refused_at_any_depth_and_named() {
        assert_eq!(refused(r#"{"a":1,"b":2,"a":3}"#), NotJson::Repeated("a".into()));
        assert_eq!(refused(r#"{"a":[{"b":{"c":1,"\u0063":2}}]}"#), NotJson::Repeated("c".into()));
        assert!(parse(br#"{"a":{"x":1},"b":{"x":1}}"#).is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(refused(&nested(MAX_DEPTH + 1)), NotJson::TooDeep);
        assert_eq!(refused(&"[".repeat(60_000)), NotJson::TooDeep);
    }

    #[test]
    fn what_is_not_json_is_placed_but_not_quoted() {
        assert_eq!(refused("{\n\"a\": secret}"), NotJson::Malformed { line: 2, column: 6 });
        for text in ["", "{", "{} {}", "{'a':1}", "{\"a\":1,}", "\u{feff}{}", "nul", "\"\u{1}\"", "01", "NaN"]
        {
            assert!(matches!(refused(text), NotJson::Malformed { .. }), "{text:?}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        assert!(parse(b"1e999").is_err());
    }
}
