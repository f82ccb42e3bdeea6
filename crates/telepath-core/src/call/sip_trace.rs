//! The text of a SIP trace: a line with time, direction and peer before each message, and an empty line after it. The writer
//! and the reader of such a line are here, so that they agree. A line of a message that looks like one is written with a space
//! before it; otherwise whoever sends a message could make up others.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use crate::named::named_enum;

named_enum! {
    /// The direction of a traced message, seen from us.
    pub enum SipDirection {
        /// From the peer.
        Received = "received",
        /// To the peer.
        Sent = "sent",
    }
}

/// A message of a SIP trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipMessage {
    /// Since the first INVITE.
    pub at: Duration,
    pub direction: SipDirection,
    pub peer: SocketAddr,
    /// How many messages before this one are not in the trace.
    pub omitted_before: u64,
    /// Without credentials and digits. A message that was cut ends with `…`.
    pub text: String,
}

/// What marks text that was left out.
const CUT: char = '…';
const OMITTED_END: &str = " messages were left out";

/// Appends the line before a message, and the message without trailing empty lines.
pub fn append_message(
    trace: &mut String,
    at: Duration,
    direction: SipDirection,
    peer: SocketAddr,
    message: &str,
) {
    let way = match direction {
        SipDirection::Received => "received from",
        SipDirection::Sent => "sent to",
    };
    // Writing to a String cannot fail.
    let _ = writeln!(trace, "+{:.3}s {way} {peer}", at.as_secs_f64());
    for line in message.trim_end().split_inclusive('\n') {
        if is_own_line(line) {
            trace.push(' ');
        }
        trace.push_str(line);
    }
}

/// The line in place of messages that are left out, with the empty line after it.
pub fn omission(messages: u64) -> String {
    format!("{CUT} {messages}{OMITTED_END}\n\n")
}

fn is_own_line(line: &str) -> bool {
    head_of(line).is_some() || omitted_by(line).is_some()
}

fn head_of(line: &str) -> Option<(Duration, SipDirection, SocketAddr)> {
    let (time, rest) = line.trim_end().strip_prefix('+')?.split_once("s ")?;
    let (direction, peer) = match rest.strip_prefix("received from ") {
        Some(peer) => (SipDirection::Received, peer),
        None => (SipDirection::Sent, rest.strip_prefix("sent to ")?),
    };
    let (seconds, millis) = time.split_once('.').filter(|(_, millis)| millis.len() == 3)?;
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(seconds) || !is_number(millis) {
        return None;
    }
    let at = Duration::from_secs(seconds.parse().ok()?) + Duration::from_millis(millis.parse().ok()?);
    Some((at, direction, peer.parse().ok()?))
}

fn omitted_by(line: &str) -> Option<u64> {
    line.trim_end().strip_prefix(CUT)?.strip_prefix(' ')?.strip_suffix(OMITTED_END)?.parse().ok()
}

/// The messages of a trace. Text before the first line of ours belongs to no message.
pub fn messages_of(trace: &str) -> Vec<SipMessage> {
    let mut messages: Vec<SipMessage> = Vec::new();
    let mut omitted_before = 0;
    for line in trace.split_inclusive('\n') {
        if let Some((at, direction, peer)) = head_of(line) {
            messages.push(SipMessage { at, direction, peer, omitted_before, text: String::new() });
            omitted_before = 0;
        } else if let Some(messages_left_out) = omitted_by(line) {
            omitted_before = messages_left_out;
        } else if let Some(message) = messages.last_mut().filter(|_| omitted_before == 0) {
            message.text.push_str(line);
        }
    }
    for message in &mut messages {
        message.text.truncate(message.text.trim_end().len());
    }
    messages
}

impl SipMessage {
    /// Whether the message is longer than its text.
    pub fn is_cut(&self) -> bool {
        self.text.ends_with(CUT)
    }

    /// The status of a response; `None` for a request.
    pub fn status(&self) -> Option<u16> {
        self.first_line().strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method of a request, or of the request that a response answers (its `CSeq`).
    pub fn method(&self) -> Option<&str> {
        let is_token = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        if self.first_line().starts_with("SIP/2.0 ") {
            let mut headers = self.text.lines().skip(1).take_while(|line| !line.is_empty());
            let value = headers.find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.trim_end().eq_ignore_ascii_case("CSeq").then_some(value)
            })?;
            return value.split_whitespace().nth(1).filter(is_token);
        }
        self.first_line().split(' ').next().filter(is_token)
    }

    /// The request line or the status line.
    pub fn first_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:a@b.test SIP/2.0\r\nCSeq: 1 INVITE\r\nContent-Length: 5\r\n\r\nv=0\r\n";
    const OK: &str = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP b\r\ncseq : 1 INVITE\r\n\r\n";

    fn peer() -> SocketAddr {
        "192.0.2.1:5060".parse().unwrap()
    }

    fn written(messages: &[(u64, SipDirection, &str)]) -> String {
        let mut trace = String::new();
        for (at, direction, message) in messages {
            append_message(&mut trace, Duration::from_millis(*at), *direction, peer(), message);
            trace.push_str("\n\n");
        }
        trace
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        let trace = written(&[(0, SipDirection::Received, INVITE), (1_042, SipDirection::Sent, OK)]);
        assert!(trace.starts_with("+0.000s received from 192.0.2.1:5060\nINVITE sip:a@b.test"), "{trace}");
        let messages = messages_of(&trace);
        assert_eq!(messages.len(), 2);
        assert_eq!((messages[0].text.as_str(), messages[0].at), (INVITE.trim_end(), Duration::ZERO));
        assert_eq!(
            (messages[1].text.as_str(), messages[1].at),
            (OK.trim_end(), Duration::from_millis(1_042))
        );
        assert_eq!((messages[0].method(), messages[0].status()), (Some("INVITE"), None));
        assert_eq!((messages[1].method(), messages[1].status()), (Some("INVITE"), Some(200)));
        assert_eq!(messages[1].direction, SipDirection::Sent);
        assert!(!messages[0].is_cut());
        assert_eq!(messages_of(""), []);
    }

    #[test]
    fn omitted_messages_are_counted_at_their_place() {
        let first = written(&[(0, SipDirection::Received, INVITE)]);
        let last = written(&[(9_000, SipDirection::Received, "BYE sip:a@b.test SIP/2.0\r\n…")]);
        let messages = messages_of(&format!("{first}{}{last}", omission(17)));
        assert_eq!(messages.iter().map(|message| message.omitted_before).collect::<Vec<_>>(), [0, 17]);
        assert_eq!(messages[0].text, INVITE.trim_end());
        assert!(messages[1].is_cut());
    }

    #[test]
    fn a_message_cannot_make_up_other_messages() {
        let forged = "+1.000s sent to 192.0.2.1:5060\nSIP/2.0 200 OK\n\n… 5 messages were left out\n\n";
        for message in [
            forged.to_owned(),
            format!("{INVITE}\r\n{forged}"),
            format!("{INVITE}\n\n{forged}"),
            "+9.999s received from [2001:db8::1]:5060\r\n".to_owned(),
        ] {
            let trace = written(&[(0, SipDirection::Received, &message), (5, SipDirection::Sent, OK)]);
            let messages = messages_of(&trace);
            assert_eq!(messages.len(), 2, "{trace}");
            assert!(messages.iter().all(|message| message.omitted_before == 0), "{trace}");
            let lines = messages[0].text.lines().map(str::trim_start).collect::<Vec<_>>();
            assert_eq!(lines, message.trim_end().lines().collect::<Vec<_>>(), "nothing is lost");
        }
    }

    #[test]
    fn lines_that_only_resemble_ours_are_text() {
        for line in [
            "+1.00s sent to 192.0.2.1:5060",
            "+1.000s sent to nowhere",
            "+x.000s sent to 192.0.2.1:1",
            "+1.000s",
        ] {
            assert_eq!(head_of(line), None, "{line}");
        }
        assert_eq!(messages_of("INVITE without a line of ours"), []);
    }

    #[test]
    fn a_message_without_a_method_has_none() {
        let of = |text: &str| SipMessage {
            at: Duration::ZERO,
            direction: SipDirection::Sent,
            peer: peer(),
            omitted_before: 0,
            text: text.to_owned(),
        };
        assert_eq!((of("").method(), of("").status()), (None, None));
        assert_eq!((of("SIP/2.0 2xx").status(), of("SIP/2.0 200 OK").method()), (None, None));
    }
}
