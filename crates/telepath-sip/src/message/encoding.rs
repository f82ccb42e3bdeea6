//! Text in messages. SIP is UTF-8 (RFC 3261 section 7), but carriers send names in Latin-1 too, and a response must repeat
//! From and To as they are. A byte that is not UTF-8 is therefore kept as a character of a private-use area, from which the
//! writers restore it.

use std::borrow::Cow;

/// The byte `b` is kept as the character `ESCAPE + b`; only bytes from 0x80 on occur.
const ESCAPE: u32 = 0x10_ff00;

fn escape(byte: u8) -> char {
    char::from_u32(ESCAPE + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn escaped_byte(c: char) -> Option<u8> {
    u32::from(c).checked_sub(ESCAPE).and_then(|byte| u8::try_from(byte).ok()).filter(|byte| *byte >= 0x80)
}

/// Text that [`encode`] turns into exactly these bytes.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match escaped_byte(c) {
                None => text.push(c),
                Some(_) => text.extend(c.encode_utf8(&mut [0; 4]).bytes().map(escape)),
            }
        }
        text.extend(chunk.invalid().iter().copied().map(escape));
    }
    text
}

/// The bytes on the wire.
pub(crate) fn encode(text: String) -> Vec<u8> {
    if !text.contains(|c| escaped_byte(c).is_some()) {
        return text.into_bytes();
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match escaped_byte(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Text for people: bytes that are not UTF-8 are read as Latin-1.
pub(crate) fn readable(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| escaped_byte(c).is_some()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| escaped_byte(c).map_or(c, char::from)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf_8_survive_and_read_as_latin_1() {
        let latin_1 = b"Jos\xe9 \xc3\xa9 \xff";
        let text = decode(latin_1);
        assert_eq!(readable(&text), "José é ÿ");
        assert_eq!(encode(text), latin_1);
    }

    #[test]
    fn every_byte_sequence_is_restored() {
        let escapes: String = (0x80..=0xff).map(escape).collect();
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [escapes.as_bytes(), &all, "é€😀\u{10ffff}".as_bytes(), b""] {
            assert_eq!(encode(decode(bytes)), bytes);
        }
    }
}
