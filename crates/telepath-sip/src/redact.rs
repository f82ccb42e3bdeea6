//! Removes credentials (RFC 3261 sections 20.7 and 20.28), DTMF digits and the keys of media from a message before it is traced:
//! a digest response allows offline guessing of the password, digits may be a PIN or a card number, and a key decrypts the
//! conversation, so they must not reach a log.

use crate::message::{HeaderName, KnownHeader, REDACTED, decode, readable};

/// The media types of DTMF in INFO requests. No RFC defines them; these are the forms that carriers and telephones send.
pub(crate) const DTMF_TYPES: [&str; 2] = ["application/dtmf-relay", "application/dtmf"];

/// The attributes and lines of SDP that hold keys: security descriptions (RFC 4568 section 4), key management such as MIKEY (RFC
/// 4567 section 3.1), and the obsolete `k=` (RFC 8866 section 5.12).
const KEY_LINES: [&str; 3] = ["a=crypto:", "a=key-mgmt:", "k="];

/// The message as text, without the values of Authorization and Proxy-Authorization, including folded lines, without the keys in
/// SDP, and without a body of DTMF. The body of an INFO request with a Content-Type is removed whatever its type, because digits are sent in
/// types that nobody has registered, and within multipart bodies.
///
/// Works on bytes, because a malformed message may contain credentials too. Bytes that are not UTF-8 are read as Latin-1,
/// and control characters, which a binary body contains and a database may refuse, become U+FFFD.
pub fn redact(message: &[u8]) -> String {
    let text = decode(message);
    let text: String = readable(&text).chars().map(printable).collect();
    let mut redactor = Redactor { out: String::with_capacity(text.len()), ..Redactor::default() };
    let mut lines = text.split_inclusive('\n');
    for line in lines.by_ref() {
        let content = line.trim_end_matches(['\r', '\n']);
        let end = content.is_empty() && redactor.started;
        redactor.header_line(line, content);
        if end {
            break;
        }
    }
    let mut body = lines.peekable();
    if redactor.holds_digits() && body.peek().is_some() {
        redactor.out.push_str(REDACTED);
    } else {
        body.for_each(|line| redactor.body_line(line));
    }
    redactor.out
}

#[derive(Default, PartialEq, Eq)]
enum CurrentHeader {
    #[default]
    Other,
    Credentials,
    ContentType,
}

#[derive(Default)]
struct Redactor {
    out: String,
    /// Whether the start line has been read; blank lines before it are ignored (RFC 3261 section 7.5).
    started: bool,
    is_info: bool,
    /// The header that a folded line continues.
    current: CurrentHeader,
    /// The value of Content-Type, with its folded lines.
    content_type: Option<String>,
}

impl Redactor {
    fn header_line(&mut self, line: &str, content: &str) {
        if !self.started {
            self.started = !content.is_empty();
            self.is_info = content.starts_with("INFO ");
        } else if content.starts_with([' ', '\t']) {
            match self.current {
                CurrentHeader::Credentials => return,
                CurrentHeader::ContentType => self.content_type.get_or_insert_default().push_str(content),
                CurrentHeader::Other => {}
            }
        } else {
            let (name, value) = content.split_once(':').unwrap_or((content, ""));
            let header = HeaderName::parse(name.trim());
            if header.as_ref().is_some_and(HeaderName::holds_credentials) && content.contains(':') {
                self.current = CurrentHeader::Credentials;
                self.out.push_str(name);
                self.out.push_str(": ");
                self.out.push_str(REDACTED);
                self.out.push_str(&line[content.len()..]);
                return;
            }
            self.current = CurrentHeader::Other;
            if header == Some(HeaderName::Known(KnownHeader::ContentType)) {
                self.current = CurrentHeader::ContentType;
                self.content_type = Some(value.to_owned());
            }
        }
        self.out.push_str(line);
    }

    /// Keeps the name of an attribute with a key, and of a security description its tag and suite, which name no secret.
    fn body_line(&mut self, line: &str) {
        let content = line.trim_end_matches(['\r', '\n']);
        let bare = content.trim_start();
        let named = KEY_LINES
            .iter()
            .find(|name| bare.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)));
        let kept = match (named, bare.find("inline:")) {
            // A malformed line may hold a key too.
            (Some(_) | None, Some(key)) => key + "inline:".len(),
            (Some(name), None) => name.len(),
            (None, None) => return self.out.push_str(line),
        };
        self.out.push_str(bare.get(..kept).unwrap_or_default());
        self.out.push_str(REDACTED);
        self.out.push_str(&line[content.len()..]);
    }

    /// Whether the body may be DTMF.
    fn holds_digits(&self) -> bool {
        let Some(content_type) = &self.content_type else { return false };
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        self.is_info || DTMF_TYPES.iter().any(|dtmf| dtmf.eq_ignore_ascii_case(media_type))
    }
}

fn printable(c: char) -> char {
    if c.is_control() && !matches!(c, '\r' | '\n' | '\t') { char::REPLACEMENT_CHARACTER } else { c }
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
    fn keys_of_media_are_removed_from_sdp_and_suites_stay() {
        let head = "INVITE sip:a SIP/2.0\r\nContent-Type: application/sdp\r\n\r\n";
        let sdp = "v=0\r\nk=base64:c2VjcmV0\r\nm=audio 4000 RTP/SAVP 0\r\n\
            a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^31|1:1;inline:c2VjcmV0 WSH=64\r\n\
            a=key-mgmt:mikey c2VjcmV0\r\nA=CRYPTO:2 X c2VjcmV0\n  a=crypto:3 Y inline: c2VjcmV0\r\n\
            a = crypto:4 Z inline:c2VjcmV0\r\na=sendrecv\r\n";
        let expected = "v=0\r\nk=[redacted]\r\nm=audio 4000 RTP/SAVP 0\r\n\
            a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:[redacted]\r\n\
            a=key-mgmt:[redacted]\r\nA=CRYPTO:[redacted]\na=crypto:3 Y inline:[redacted]\r\n\
            a = crypto:4 Z inline:[redacted]\r\na=sendrecv\r\n";
        assert_eq!(redact(format!("{head}{sdp}").as_bytes()), format!("{head}{expected}"));
        let multipart = format!("--b\r\nContent-Type: application/sdp\r\n\r\n{sdp}--b--\r\n");
        assert!(!redact(format!("{head}{multipart}").as_bytes()).contains("c2Vj"));
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
    fn no_body_of_an_info_request_with_a_content_type_is_kept() {
        for head in [
            "INFO sip:a SIP/2.0\r\nContent-Type:\r\n application/dtmf-relay\r\n\r\n",
            "INFO sip:a SIP/2.0\r\nContent-Type: application/vnd.nortelnetworks.digits\r\n\r\n",
            "INFO sip:a SIP/2.0\r\nc: audio/telephone-event\r\n\r\n",
            "INFO sip:a SIP/2.0\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n",
            "\r\n\r\nINFO sip:a SIP/2.0\r\nContent-Type: text/plain\r\n\r\n",
            "MESSAGE sip:a SIP/2.0\r\nContent-Type:\r\n\tapplication/dtmf\r\n\r\n",
        ] {
            let body = "--b\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal=5\r\n--b--\r\n";
            assert_eq!(redact(format!("{head}{body}").as_bytes()), format!("{head}[redacted]"));
            assert_eq!(redact(head.as_bytes()), head, "no body");
        }
        let offer = "INVITE sip:a SIP/2.0\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n";
        assert_eq!(redact(offer.as_bytes()), offer);
    }

    #[test]
    fn credentials_behind_blank_lines_before_the_start_line_are_removed() {
        let clean = redact(b"\r\n\r\nBYE sip:a SIP/2.0\r\nAuthorization: Digest x\r\n\r\n");
        assert_eq!(clean, "\r\n\r\nBYE sip:a SIP/2.0\r\nAuthorization: [redacted]\r\n\r\n");
    }

    #[test]
    fn truncated_credentials_are_removed_completely() {
        assert_eq!(
            redact(b"BYE sip:a SIP/2.0\r\nAuthorization: Digest user"),
            "BYE sip:a SIP/2.0\r\nAuthorization: [redacted]"
        );
    }
}
