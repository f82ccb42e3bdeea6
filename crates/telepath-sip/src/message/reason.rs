//! The Reason header (RFC 3326): why a request or response was sent.

use std::fmt;

use super::encoding::readable;
use super::lex::{quote, split_unquoted, trim};
use super::{Headers, KnownHeader};

/// The longest text kept of the Reason headers of a message, in characters.
const MAX_TEXT: usize = 256;

/// The protocol whose cause a Reason header gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasonProtocol {
    /// A SIP status code.
    Sip,
    /// A cause of ITU-T Q.850.
    Q850,
}

/// A Reason that we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The protocol of the cause.
    pub protocol: ReasonProtocol,
    /// The cause.
    pub cause: u16,
    /// What it means, for people.
    pub text: &'static str,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            ReasonProtocol::Sip => "SIP",
            ReasonProtocol::Q850 => "Q.850",
        };
        write!(f, "{protocol};cause={};text={}", self.cause, quote(self.text))
    }
}

/// The Reason values of a message as one bounded text without control characters; `None` if there are none.
pub(crate) fn received(headers: &Headers) -> Option<String> {
    let values =
        headers.all(KnownHeader::Reason).flat_map(|value| split_unquoted(value, b',').unwrap_or(vec![value]));
    let values: Vec<&str> = values.map(trim).filter(|value| !value.is_empty()).collect();
    let text = values.join(", ");
    let text: String = readable(&text).chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_written_as_rfc_3326_demands() {
        let reason = Reason { protocol: ReasonProtocol::Q850, cause: 16, text: "agent_hangup" };
        assert_eq!(reason.to_string(), "Q.850;cause=16;text=\"agent_hangup\"");
    }

    #[test]
    fn received_reasons_are_joined_and_bounded() {
        let mut headers = Headers::default();
        assert_eq!(received(&headers), None);
        headers.push(KnownHeader::Reason, "SIP ;cause=200 ;text=\"Call completed, elsewhere\"".to_owned());
        headers.push(KnownHeader::Reason, "Q.850;cause=26, ".to_owned());
        let expected = "SIP ;cause=200 ;text=\"Call completed, elsewhere\", Q.850;cause=26";
        assert_eq!(received(&headers).as_deref(), Some(expected));
        headers.push(KnownHeader::Reason, "x".repeat(10_000));
        assert_eq!(received(&headers).unwrap().chars().count(), MAX_TEXT);
    }
}
