//! Message bodies: a session description alone, or as a part of a `multipart/*` body (RFC 5621, RFC 2046 section 5.1), as
//! SIP-I (ISUP), PIDF-LO and other additions of carriers use it.

use std::borrow::Cow;

use super::encoding::decode;
use super::lex::{Params, trim, unquote};

/// The only session description format.
const SDP: &str = "application/sdp";
/// Nested multiparts deeper than this are not understood.
const MAX_DEPTH: usize = 4;
/// More parts than this are not understood.
const MAX_PARTS: usize = 16;

/// A body contains a part that its receiver must understand and does not (415).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnsupportedBody;

/// A body or a part of one, with the headers that describe it.
#[derive(Clone, Debug)]
pub(crate) struct BodyPart<'a> {
    content_type: Option<Cow<'a, str>>,
    disposition: Option<Cow<'a, str>>,
    encoding: Option<Cow<'a, str>>,
    /// Of parts only.
    transfer_encoding: Option<Cow<'a, str>>,
    /// Whether a header may refer to the part (RFC 5621 section 6).
    has_id: bool,
    content: &'a [u8],
}

impl<'a> BodyPart<'a> {
    /// The whole body of a message.
    pub(crate) fn whole(
        content_type: Option<&'a str>,
        disposition: Option<&'a str>,
        encoding: Option<&'a str>,
        content: &'a [u8],
    ) -> Self {
        Self {
            content_type: content_type.map(Cow::Borrowed),
            disposition: disposition.map(Cow::Borrowed),
            encoding: encoding.map(Cow::Borrowed),
            transfer_encoding: None,
            has_id: false,
            content,
        }
    }

    /// The session description, if there is one.
    ///
    /// # Errors
    /// [`UnsupportedBody`] if a part that is not a session description must be understood.
    pub(crate) fn session_description(&self) -> Result<Option<&'a [u8]>, UnsupportedBody> {
        if self.content.is_empty() { Ok(None) } else { self.find(0) }
    }

    fn find(&self, depth: usize) -> Result<Option<&'a [u8]>, UnsupportedBody> {
        let (media_type, params) = split(self.content_type.as_deref().unwrap_or("text/plain"));
        if media_type == SDP && self.is_session() && self.is_plain() {
            return Ok(Some(self.content));
        }
        let Some(subtype) = media_type.strip_prefix("multipart/") else { return self.skip() };
        let boundary = params.as_ref().and_then(|params| params.value("boundary"));
        let boundary = boundary
            .and_then(|text| if text.starts_with('"') { unquote(text) } else { Some(text.to_owned()) });
        let boundary = boundary.filter(|_| depth < MAX_DEPTH && self.is_plain());
        let parts = boundary.and_then(|boundary| parts_of(self.content, &boundary));
        let Some(parts) = parts else { return self.skip() };
        // Of alternatives, one that is understood is enough (RFC 2046 section 5.1.4); the last one is the best.
        if subtype == "alternative" {
            let found = parts.iter().rev().find_map(|part| part.find(depth + 1).ok().flatten());
            return found.map_or_else(|| self.skip(), |found| Ok(Some(found)));
        }
        let mut session = None;
        for part in parts {
            if let Some(found) = part.find(depth + 1)? {
                session.get_or_insert(found);
            }
        }
        Ok(session)
    }

    /// The disposition of SDP without the header is `session` (RFC 3261 section 20.11).
    fn is_session(&self) -> bool {
        self.disposition.as_deref().is_none_or(|value| split(value).0 == "session")
    }

    fn is_plain(&self) -> bool {
        let identity = |value: &str| value.eq_ignore_ascii_case("identity");
        let unchanged =
            |value: &str| ["7bit", "8bit", "binary"].iter().any(|name| value.eq_ignore_ascii_case(name));
        self.encoding.as_deref().is_none_or(identity)
            && self.transfer_encoding.as_deref().is_none_or(unchanged)
    }

    /// Ignores a part that is not understood, if that is allowed. `handling` is `required` by default (RFC 3261 section
    /// 20.11); a part to which a header refers is never required by itself (RFC 5621 section 6).
    fn skip(&self) -> Result<Option<&'a [u8]>, UnsupportedBody> {
        let optional = match self.disposition.as_deref().map(split) {
            None => self.has_id,
            Some((disposition, params)) => {
                let handling = params.as_ref().and_then(|params| params.value("handling"));
                disposition == "by-reference"
                    || handling.is_some_and(|value| value.eq_ignore_ascii_case("optional"))
            }
        };
        if optional { Ok(None) } else { Err(UnsupportedBody) }
    }
}

/// A value in lower case and its parameters; malformed parameters count as none.
fn split(value: &str) -> (String, Option<Params>) {
    let at = value.find(';').unwrap_or(value.len());
    (trim(&value[..at]).to_ascii_lowercase(), Params::parse_header(&value[at..]))
}

/// The parts between the boundaries; `None` if the body has none, or too many.
fn parts_of<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<BodyPart<'a>>> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at < body.len() {
        let end = body[at..].iter().position(|b| *b == b'\n').map_or(body.len(), |length| at + length + 1);
        let line = body[at..end].trim_ascii_end();
        let rest = line.strip_prefix(delimiter.as_bytes());
        if let Some(rest) = rest.filter(|rest| rest.is_empty() || *rest == b"--") {
            if let Some(start) = start {
                parts.push(part(&body[start..at])?);
            }
            if rest == b"--" {
                return (!parts.is_empty()).then_some(parts);
            }
            if parts.len() >= MAX_PARTS {
                return None;
            }
            start = Some(end);
        }
        at = end;
    }
    // Some carriers leave out the last boundary.
    parts.push(part(&body[start?..])?);
    Some(parts)
}

/// A part: its headers, an empty line, and its content without the line break before the next boundary.
fn part(bytes: &[u8]) -> Option<BodyPart<'_>> {
    let mut part = BodyPart::whole(None, None, None, &[]);
    let mut rest = bytes;
    loop {
        let end = rest.iter().position(|b| *b == b'\n')?;
        let line = rest[..end].trim_ascii_end();
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        let line = decode(line);
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = Cow::Owned(trim(value).to_owned());
        match trim(name).to_ascii_lowercase().as_str() {
            "content-type" | "c" => part.content_type = Some(value),
            "content-disposition" => part.disposition = Some(value),
            "content-encoding" | "e" => part.encoding = Some(value),
            "content-transfer-encoding" => part.transfer_encoding = Some(value),
            "content-id" => part.has_id = true,
            _ => {}
        }
    }
    let content = rest.strip_suffix(b"\n").unwrap_or(rest);
    part.content = content.strip_suffix(b"\r").unwrap_or(content);
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "multipart/mixed; boundary=\"b 1\"";

    fn session<'a>(content_type: &'a str, body: &'a str) -> Result<Option<&'a str>, UnsupportedBody> {
        let part = BodyPart::whole(Some(content_type), None, None, body.as_bytes());
        part.session_description().map(|found| found.map(|bytes| std::str::from_utf8(bytes).unwrap()))
    }

    fn with_part(headers: &str) -> String {
        format!(
            "preamble\r\n--b 1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\ns=-\r\n\r\n--b 1\r\n{headers}\r\n\r\n\
             \u{1}binary\r\n--b 1--\r\nepilogue"
        )
    }

    #[test]
    fn the_session_description_of_a_multipart_body_is_found() {
        let isup = with_part(
            "Content-Type: application/isup;version=itu-t92+\r\nContent-Disposition: signal;handling=optional",
        );
        assert_eq!(session(MIXED, &isup), Ok(Some("v=0\r\ns=-\r\n")));
        let location = with_part("Content-Type: application/pidf+xml\r\nContent-ID: <target@host.test>");
        assert_eq!(session(MIXED, &location), Ok(Some("v=0\r\ns=-\r\n")));
        let referred = with_part("Content-Type: application/pidf+xml\r\nContent-Disposition: by-reference");
        assert!(session(MIXED, &referred).is_ok());
        let lines = isup.replace("\r\n", "\n");
        assert_eq!(session(MIXED, &lines), Ok(Some("v=0\ns=-\n")), "bare line feeds");
        let open = isup.replace("--b 1--", "");
        assert_eq!(session(MIXED, &open), Ok(Some("v=0\r\ns=-\r\n")), "without the last boundary");
    }

    #[test]
    fn a_part_that_must_be_understood_is_unsupported() {
        for headers in [
            "Content-Type: application/isup\r\nContent-Disposition: signal;handling=required",
            "Content-Type: application/isup\r\nContent-Disposition: signal",
            "Content-Type: text/html",
            "Content-Type: application/sdp\r\nContent-Transfer-Encoding: base64",
            "Content-Type: application/sdp\r\nContent-Disposition: early-session",
        ] {
            assert_eq!(session(MIXED, &with_part(headers)), Err(UnsupportedBody), "{headers}");
        }
        assert_eq!(session("application/isup", "x"), Err(UnsupportedBody));
        assert_eq!(session("multipart/mixed", "--b\r\n"), Err(UnsupportedBody), "no boundary");
        assert_eq!(session("multipart/mixed;boundary=b", "nothing"), Err(UnsupportedBody));
    }

    #[test]
    fn headers_of_parts_may_be_in_latin_1() {
        let body = with_part(
            "Content-Type: application/pdf\r\nContent-Disposition: attachment;handling=optional;filename=\"caf\u{e9}\"",
        );
        let latin_1: Vec<u8> = body.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let whole = BodyPart::whole(Some(MIXED), None, None, &latin_1);
        assert_eq!(whole.session_description(), Ok(Some(&b"v=0\r\ns=-\r\n"[..])));
    }

    #[test]
    fn of_alternatives_the_session_description_is_enough() {
        let body = "--a\r\nContent-Type: text/plain\r\n\r\nhello\r\n--a\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--a--";
        assert_eq!(session("multipart/alternative;boundary=a", body), Ok(Some("v=0")));
        let nested =
            format!("--m\r\nContent-Type: multipart/alternative;boundary=a\r\n\r\n{body}\r\n--m--\r\n");
        assert_eq!(session("Multipart/Related;boundary=m", &nested), Ok(Some("v=0")));
    }

    #[test]
    fn a_body_without_parts_is_judged_alone() {
        assert_eq!(session("application/sdp;charset=utf-8", "v=0\r\n"), Ok(Some("v=0\r\n")));
        assert_eq!(session("APPLICATION/SDP", "v=0\r\n"), Ok(Some("v=0\r\n")));
        assert_eq!(session("text/odd", ""), Ok(None));
        let optional =
            BodyPart::whole(Some("application/isup"), Some("signal; handling=OPTIONAL"), None, b"x");
        assert_eq!(optional.session_description(), Ok(None));
        let packed = BodyPart::whole(Some("application/sdp"), None, Some("gzip"), b"x");
        assert_eq!(packed.session_description(), Err(UnsupportedBody));
    }

    #[test]
    fn deep_and_long_multiparts_are_bounded() {
        let mut body = "Content-Type: application/sdp\r\n\r\nv=0\r\n".to_owned();
        for depth in 0..32 {
            body = format!(
                "Content-Type: multipart/mixed;boundary=d{depth}\r\n\r\n--d{depth}\r\n{body}\r\n--d{depth}--\r\n"
            );
        }
        assert_eq!(
            session("multipart/mixed;boundary=z", &format!("--z\r\n{body}\r\n--z--")),
            Err(UnsupportedBody)
        );
        let long = "--z\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n".repeat(64);
        assert_eq!(session("multipart/mixed;boundary=z", &long), Err(UnsupportedBody));
    }
}
