//! Sanitizes text from requests before it is stored: bounded length, printable ASCII, and nothing that could be an API key.

/// The longest user agent that is kept, in bytes.
pub const MAX_USER_AGENT: usize = 128;
/// The longest path that is kept, in bytes.
pub const MAX_PATH: usize = 256;
/// A longer run of letters and digits could be the body of a key, which has 49; ids have 26.
const LONGEST_RUN: usize = 32;
/// Replaces text that is not kept.
const WITHHELD: &[u8] = "…".as_bytes();

/// Appends a user agent.
pub fn append_user_agent(text: &mut Vec<u8>, raw: &[u8]) {
    append(text, &raw[..raw.len().min(MAX_USER_AGENT)]);
}

/// Appends a path, percent-decoded so that nothing can hide in the encoding.
pub fn append_path(text: &mut Vec<u8>, raw: &str) {
    if !raw.as_bytes().contains(&b'%') {
        return append(text, &raw.as_bytes()[..raw.len().min(MAX_PATH)]);
    }
    let mut decoded = [0; MAX_PATH];
    let mut length = 0;
    let mut rest = raw.as_bytes();
    while length < MAX_PATH {
        let Some((byte, after)) = next_byte(rest) else { break };
        decoded[length] = byte;
        length += 1;
        rest = after;
    }
    append(text, &decoded[..length]);
}

/// The first byte and what follows it. A `%` that is not an escape is taken literally.
fn next_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    if let [b'%', high, low, after @ ..] = text
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        return Some((high << 4 | low, after));
    }
    text.split_first().map(|(byte, after)| (*byte, after))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn append(text: &mut Vec<u8>, raw: &[u8]) {
    let start = text.len();
    let mut run = 0;
    for byte in raw {
        run = if byte.is_ascii_alphanumeric() { run + 1 } else { 0 };
        if run > LONGEST_RUN || byte_ends_prefix(&text[start..], *byte) {
            text.truncate(start);
            text.extend_from_slice(WITHHELD);
            return;
        }
        text.push(if byte.is_ascii_graphic() || *byte == b' ' { *byte } else { b'?' });
    }
}

/// Whether the text together with this byte ends in `sk_`.
fn byte_ends_prefix(text: &[u8], byte: u8) -> bool {
    byte == b'_' && text.ends_with(b"sk")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> String {
        let mut text = Vec::new();
        append_path(&mut text, raw);
        String::from_utf8(text).unwrap()
    }

    fn user_agent(raw: &[u8]) -> String {
        let mut text = b"before".to_vec();
        append_user_agent(&mut text, raw);
        String::from_utf8(text.split_off(6)).unwrap()
    }

    #[test]
    fn plain_text_is_unchanged() {
        assert_eq!(
            path("/v1/keys/key_01k9v1n2xrf6t8g3m5q7w9y0za"),
            "/v1/keys/key_01k9v1n2xrf6t8g3m5q7w9y0za"
        );
        assert_eq!(path("/v1/a%20b%2"), "/v1/a b%2");
        assert_eq!(user_agent(b"curl/8.5.0 (linux; x)"), "curl/8.5.0 (linux; x)");
        assert_eq!(user_agent(b""), "");
    }

    #[test]
    fn text_is_bounded_and_printable() {
        assert_eq!(user_agent("a\r\n\u{202e}b".as_bytes()), "a?????b");
        assert_eq!(user_agent("-".repeat(5000).as_bytes()).len(), MAX_USER_AGENT);
        assert_eq!(path(&"/%00".repeat(500)).len(), MAX_PATH);
    }

    #[test]
    fn text_that_could_be_a_key_is_redacted() {
        let body = "a1B2".repeat(13);
        for raw in [
            format!("/v1/sk_live_{}", &body[..49]),
            "/v1/sk_".to_owned(),
            format!("/v1/{}", &body[..49]),
            format!("/v1/%73k_live_{}", &body[..49]),
            format!("/v1/x%5f{}%41", &body[..33]),
        ] {
            assert_eq!(path(&raw), "…", "{raw}");
            assert_eq!(user_agent(raw.replace("%73", "s").as_bytes()), "…", "{raw}");
        }
    }
}
