//! Long texts in the audit trail. The trail is kept long after a text was replaced, so it holds the digest of a long text in
//! the place of the text: enough to tell which text was there, and bounded whatever is changed how often.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

/// The longest text that an entry holds, in bytes.
pub const MAX_TEXT: usize = 1024;
/// The longest JSON of a member that is a list or an object, in bytes.
pub const MAX_MEMBER: usize = 4096;

/// The members of an entry as they are stored: texts over [`MAX_TEXT`], and other members over [`MAX_MEMBER`], are
/// replaced by `{"sha256": …, "bytes": …}` of the text, or of the member's JSON.
pub fn digested(members: &Value) -> Value {
    let Value::Object(members) = members else { return shortened(members) };
    let member = |(name, value): (&String, &Value)| (name.clone(), bounded(shortened(value)));
    Value::Object(members.iter().map(member).collect::<Map<_, _>>())
}

/// The value with its long texts replaced.
fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > MAX_TEXT => digest_of(text),
        Value::Array(items) => items.iter().map(shortened).collect(),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| (name.clone(), shortened(value));
            Value::Object(members.iter().map(member).collect::<Map<_, _>>())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn bounded(value: Value) -> Value {
    match &value {
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            if text.len() > MAX_MEMBER { digest_of(&text) } else { value }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn digest_of(text: &str) -> Value {
    let mut hash = String::with_capacity(64);
    for byte in digest(&SHA256, text.as_bytes()).as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
    }
    json!({ "sha256": hash, "bytes": text.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_one_kibibyte_stays_and_a_longer_one_becomes_its_digest() {
        let longest = "x".repeat(MAX_TEXT);
        let kept = json!({ "greeting": longest, "name": "Support", "limit": 5, "gone": null });
        assert_eq!(digested(&kept), kept);
        let long = "a".repeat(1_000_000);
        // The SHA-256 of a million times the letter a (FIPS 180-4 test vector).
        let hash = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        assert_eq!(
            digested(&json!({ "system_prompt": long })),
            json!({ "system_prompt": { "sha256": hash, "bytes": 1_000_000 } })
        );
    }

    #[test]
    fn the_length_of_a_text_is_counted_in_bytes() {
        let text = "é".repeat(513);
        assert_eq!(digested(&json!({ "greeting": text }))["greeting"]["bytes"], 1026);
    }

    #[test]
    fn texts_inside_lists_and_objects_are_replaced_too() {
        let long = "x".repeat(MAX_TEXT + 1);
        let stored = digested(&json!({ "metadata": { "note": long, "kept": "short" }, "list": [long] }));
        assert_eq!(stored["metadata"]["note"]["bytes"], 1025);
        assert_eq!(stored["metadata"]["kept"], "short");
        assert_eq!(stored["list"][0]["bytes"], 1025);
    }

    #[test]
    fn a_list_of_many_short_texts_is_bounded_as_a_whole() {
        let few = json!({ "inbound_numbers": vec!["+15550100123"; 200] });
        assert_eq!(digested(&few), few);
        let many = json!({ "inbound_numbers": vec!["+15550100123"; 1000] });
        let stored = digested(&many);
        assert_eq!(stored["inbound_numbers"]["bytes"], many["inbound_numbers"].to_string().len());
        assert!(stored.to_string().len() < 200);
    }
}
