//! Messages in the byte stream of a TCP or TLS connection (RFC 3261 sections 7.5 and 18.3): a message ends where its
//! Content-Length says. A stream whose next message has no known end cannot be read any further.

#[cfg(test)]
mod tests;

use super::MAX_MESSAGE_BYTES;
use super::lex::is_token_byte;
use super::parse::content_length;

/// The maximum length of the start line and the headers in bytes.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;

/// The two line ends of a keep-alive (RFC 5626 section 3.5.1), which a single one answers.
const PING: &[u8] = b"\r\n\r\n";

/// Splits the bytes of one connection into messages.
///
/// After each [`StreamFramer::push`], call [`StreamFramer::poll`] until it returns `None` or an error. It holds at most one
/// incomplete message and the bytes of the last push.
#[derive(Debug, Default)]
pub struct StreamFramer {
    buffer: Vec<u8>,
    /// Where the next message begins in the buffer.
    start: usize,
    /// Where the current line of the head begins, after `start`.
    line: usize,
    /// How much of the message, after `start`, has been searched for the end of that line.
    searched: usize,
    /// The length of the message, once its head is complete.
    length: Option<usize>,
}

/// A part of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamItem {
    /// One message with its body.
    Message(Vec<u8>),
    /// A keep-alive: a single CRLF must be sent back (RFC 5626 section 4.4.1).
    Ping,
}

/// The stream cannot be read any further, so the connection must be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct FramingError {
    /// Why.
    pub reason: FramingReason,
    /// The head of the message whose end is unknown. It is to be processed like a message before the connection is closed: a
    /// request gets 400.
    pub head: Option<Vec<u8>>,
}

/// Why a stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingReason {
    /// The first line is neither a request line nor a status line.
    #[error("not SIP")]
    NotSip,
    /// The head is longer than [`MAX_HEAD_BYTES`].
    #[error("the headers are too long")]
    HeadTooLong,
    /// There is no Content-Length, which is mandatory over TCP (RFC 3261 section 18.3).
    #[error("no Content-Length")]
    NoContentLength,
    /// There is more than one Content-Length, or it is not a number.
    #[error("malformed Content-Length")]
    MalformedContentLength,
    /// The message is longer than [`MAX_MESSAGE_BYTES`].
    #[error("the body is too long")]
    BodyTooLong,
}

impl FramingReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::NotSip,
        Self::HeadTooLong,
        Self::NoContentLength,
        Self::MalformedContentLength,
        Self::BodyTooLong,
    ];

    /// The name in snake case.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotSip => "not_sip",
            Self::HeadTooLong => "head_too_long",
            Self::NoContentLength => "no_content_length",
            Self::MalformedContentLength => "malformed_content_length",
            Self::BodyTooLong => "body_too_long",
        }
    }
}

impl StreamFramer {
    /// Adds bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a message has begun to arrive and is not complete.
    pub fn is_partial(&self) -> bool {
        !PING.starts_with(self.rest())
    }

    /// The next message or keep-alive; `None` until more bytes arrive.
    ///
    /// # Errors
    /// [`FramingError`]; every later call fails too.
    pub fn poll(&mut self) -> Result<Option<StreamItem>, FramingError> {
        if self.length.is_none() {
            if let Some(ping) = self.skip_line_ends() {
                return Ok(ping.then_some(StreamItem::Ping));
            }
            self.length = self.find_length()?;
        }
        let Some(length) = self.length else { return Ok(None) };
        let Some(message) = self.rest().get(..length) else { return Ok(None) };
        let message = message.to_vec();
        self.consume(length);
        Ok(Some(StreamItem::Message(message)))
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn consume(&mut self, length: usize) {
        self.start += length;
        (self.line, self.searched, self.length) = (0, 0, None);
    }

    /// Skips the line ends before a message (section 7.5). `Some(true)` if they are a keep-alive, `Some(false)` if they may
    /// become one, or if nothing else has arrived.
    fn skip_line_ends(&mut self) -> Option<bool> {
        if self.line > 0 {
            return None;
        }
        loop {
            let rest = self.rest();
            if rest.starts_with(PING) {
                self.consume(PING.len());
                return Some(true);
            }
            if PING.starts_with(rest) {
                return Some(false);
            }
            if !matches!(rest.first(), Some(b'\r' | b'\n')) {
                return None;
            }
            self.consume(1);
        }
    }

    /// The length of the message, if its head is complete.
    fn find_length(&mut self) -> Result<Option<usize>, FramingError> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let fail = |reason| FramingError { reason, head: None };
        // The method or `SIP/2.0`.
        if !rest.first().is_some_and(|byte| is_token_byte(*byte)) {
            return Err(fail(FramingReason::NotSip));
        }
        while let Some(at) = rest.get(self.searched..).and_then(|rest| rest.iter().position(|b| *b == b'\n'))
        {
            let end = self.searched + at;
            let line = rest.get(self.line..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if self.line == 0 && !is_start_line(line) {
                return Err(fail(FramingReason::NotSip));
            }
            if end >= MAX_HEAD_BYTES {
                return Err(fail(FramingReason::HeadTooLong));
            }
            if line.is_empty() {
                return message_length(rest, end + 1).map(Some);
            }
            (self.line, self.searched) = (end + 1, end + 1);
        }
        self.searched = rest.len();
        if rest.len() >= MAX_HEAD_BYTES {
            return Err(fail(FramingReason::HeadTooLong));
        }
        Ok(None)
    }
}

/// The length of the message that begins with a head of `head_end` bytes.
fn message_length(bytes: &[u8], head_end: usize) -> Result<usize, FramingError> {
    let head = bytes.get(..head_end).unwrap_or_default();
    let fail = |reason| FramingError { reason, head: Some(head.to_vec()) };
    let body = match content_length(head) {
        Ok(Some(body)) => body,
        Ok(None) => return Err(fail(FramingReason::NoContentLength)),
        Err(_malformed) => return Err(fail(FramingReason::MalformedContentLength)),
    };
    head_end
        .checked_add(body)
        .filter(|length| *length <= MAX_MESSAGE_BYTES)
        .ok_or_else(|| fail(FramingReason::BodyTooLong))
}

/// Whether a line may begin a message: it begins or ends with the version.
fn is_start_line(line: &[u8]) -> bool {
    let is_version = |word: &[u8]| word.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"SIP/"));
    let line = line.trim_ascii_end();
    is_version(line) || line.rsplit(|byte| *byte == b' ').next().is_some_and(is_version)
}
