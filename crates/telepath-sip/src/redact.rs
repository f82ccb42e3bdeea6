//! Removes credentials (RFC 3261 sections 20.7 and 20.28) from a message before it is traced: a digest response allows
//! offline guessing of the password, so it must not reach a log.

use crate::message::{HeaderName, REDACTED, decode, readable};

/// The message as text, without the values of Authorization and Proxy-Authorization, including folded lines.
///
/// Works on bytes, because a malformed message may contain credentials too. Bytes that are not UTF-8 are read as Latin-1,
/// and control characters, which a binary body contains and a database may refuse, become U+FFFD.
pub fn redact(message: &[u8]) -> String {
    let text = decode(message);
    let text: String = readable(&text).chars().map(printable).collect();
    let mut out = String::with_capacity(text.len());
    let mut in_credentials = false;
    let mut in_body = false;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        in_body |= content.is_empty() && !out.is_empty();
        if in_body {
            out.push_str(line);
            continue;
        }
        if in_credentials && content.starts_with([' ', '\t']) {
            continue;
        }
        in_credentials = false;
        match content.split_once(':') {
            Some((name, _)) if holds_credentials(name.trim()) => {
                in_credentials = true;
                out.push_str(name);
                out.push_str(": ");
                out.push_str(REDACTED);
                out.push_str(&line[content.len()..]);
            }
            Some(_) | None => out.push_str(line),
        }
    }
    out
}

fn printable(c: char) -> char {
    if c.is_control() && !matches!(c, '\r' | '\n' | '\t') { char::REPLACEMENT_CHARACTER } else { c }
}

fn holds_credentials(name: &str) -> bool {
    HeaderName::parse(name).is_some_and(|name| name.holds_credentials())
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn only_credentials_are_removed() {
        let text = "INVITE sip:a@b SIP/2.0\r\nauthorization : Digest response=\"beef\",\r\n  cnonce=\"cafe\"\r\n\
                    Proxy-Authorization: Digest response=\"dead\"\r\nSubject: x\r\n\r\nAuthorization: body\r\n";
        let clean = redact(text.as_bytes());
        assert_eq!(
            clean,
            "INVITE sip:a@b SIP/2.0\r\nauthorization : [redacted]\r\nProxy-Authorization: [redacted]\r\n\
             Subject: x\r\n\r\nAuthorization: body\r\n"
        );
    }

    #[test]
    fn binary_bodies_and_latin_1_names_are_readable() {
        let clean = redact(b"INFO sip:a SIP/2.0\r\nFrom: Jos\xe9 <sip:b@c>\r\n\r\n\x00\x01\x80z");
        assert_eq!(clean, "INFO sip:a SIP/2.0\r\nFrom: José <sip:b@c>\r\n\r\n\u{fffd}\u{fffd}\u{fffd}z");
    }

    #[test]
    fn truncated_credentials_are_removed_completely() {
        assert_eq!(
            redact(b"BYE sip:a SIP/2.0\r\nAuthorization: Digest user"),
            "BYE sip:a SIP/2.0\r\nAuthorization: [redacted]"
        );
    }
}
