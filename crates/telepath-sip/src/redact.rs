//! Takes secrets out of a message before it is kept for the SIP trace: what a peer proves its password with is
//! worth something to whoever reads a log, so it never gets that far.

use crate::message::{HeaderName, REDACTED};

/// The message as text, with the values of Authorization and Proxy-Authorization removed.
///
/// Works on the raw bytes and not on a parsed message, because a broken message may hold a secret too. Folded
/// lines of a secret header go with it. Bytes that are not UTF-8 become replacement characters.
pub fn redact(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let mut out = String::with_capacity(text.len());
    let mut in_secret = false;
    let mut in_body = false;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches(['\r', '\n']);
        in_body |= bare.is_empty() && !out.is_empty();
        if in_body {
            out.push_str(line);
            continue;
        }
        if in_secret && bare.starts_with([' ', '\t']) {
            continue;
        }
        in_secret = false;
        match bare.split_once(':') {
            Some((name, _)) if is_secret(name.trim()) => {
                in_secret = true;
                out.push_str(name);
                out.push_str(": ");
                out.push_str(REDACTED);
                out.push_str(&line[bare.len()..]);
            }
            Some(_) | None => out.push_str(line),
        }
    }
    out
}

fn is_secret(name: &str) -> bool {
    HeaderName::parse(name).is_some_and(|name| name.holds_credentials())
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn credentials_are_removed_and_the_rest_is_kept() {
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
    fn a_message_cut_inside_the_secret_keeps_nothing_of_it() {
        assert_eq!(
            redact(b"BYE sip:a SIP/2.0\r\nAuthorization: Digest user"),
            "BYE sip:a SIP/2.0\r\nAuthorization: [redacted]"
        );
    }
}
