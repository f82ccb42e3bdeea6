//! Removes credentials (RFC 3261 sections 20.7 and 20.28) and DTMF digits from a message before it is traced: a digest response
//! allows offline guessing of the password, and digits may be a PIN or a card number, so they must not reach a log.

use crate::message::{HeaderName, KnownHeader, REDACTED, decode, readable};

/// The media types of DTMF in INFO requests. No RFC defines them; these are the forms that carriers and telephones send.
pub(crate) const DTMF_TYPES: [&str; 2] = ["application/dtmf-relay", "application/dtmf"];

/// The message as text, without the values of Authorization and Proxy-Authorization, including folded lines, and without a
/// body of DTMF.
///
/// Works on bytes, because a malformed message may contain credentials too. Bytes that are not UTF-8 are read as Latin-1,
/// and control characters, which a binary body contains and a database may refuse, become U+FFFD.
pub fn redact(message: &[u8]) -> String {
    let text = decode(message);
    let text: String = readable(&text).chars().map(printable).collect();
    let mut out = String::with_capacity(text.len());
    let mut in_credentials = false;
    let mut in_body = false;
    let mut holds_digits = false;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        in_body |= content.is_empty() && !out.is_empty();
        if in_body {
            out.push_str(line);
            if holds_digits {
                out.push_str(REDACTED);
                return out;
            }
            continue;
        }
        if in_credentials && content.starts_with([' ', '\t']) {
            continue;
        }
        in_credentials = false;
        holds_digits |=
            content.split_once(':').is_some_and(|(name, value)| is_dtmf(name.trim(), value.trim()));
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

/// Whether a header says that the body is a DTMF signal.
fn is_dtmf(name: &str, value: &str) -> bool {
    let media_type = value.split(';').next().unwrap_or(value).trim();
    HeaderName::parse(name) == Some(HeaderName::Known(KnownHeader::ContentType))
        && DTMF_TYPES.iter().any(|dtmf| dtmf.eq_ignore_ascii_case(media_type))
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
    fn digits_of_dtmf_bodies_are_removed() {
        for name in ["Content-Type: application/dtmf-relay", "c : Application/DTMF;x=y"] {
            let head = format!("INFO sip:a SIP/2.0\r\n{name}\r\nContent-Length: 24\r\n\r\n");
            let clean = redact(format!("{head}Signal=5\r\nDuration=160\r\n").as_bytes());
            assert_eq!(clean, format!("{head}[redacted]"));
        }
    }

    #[test]
    fn truncated_credentials_are_removed_completely() {
        assert_eq!(
            redact(b"BYE sip:a SIP/2.0\r\nAuthorization: Digest user"),
            "BYE sip:a SIP/2.0\r\nAuthorization: [redacted]"
        );
    }
}
