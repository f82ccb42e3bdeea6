//! Replaces the error responses that the HTTP/1.1 library generates by itself. It answers a head that it cannot parse
//! before any application sees a request, so its response lacks the headers and the body that an application gives to all
//! of its responses.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Response;
use http_body::Body;
use http_body_util::{BodyExt as _, Collected};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Why bytes are not a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// They are not well-formed HTTP.
    Malformed,
    /// The request line or the headers are too large.
    HeadersTooLarge,
    /// The forwarding headers of a trusted proxy are malformed or contradict each other.
    ConflictingForwarding,
    /// They are not well-formed HTTP, and arrived over plain HTTP on the TLS port.
    PlainHttp,
}

/// A connection on which error responses of the library are replaced by what `replacement` returns for them.
pub(crate) struct RewrittenStream<I, F> {
    stream: I,
    replacement: F,
    /// The response that is being written instead, and how much of it is written.
    pending: Option<(Vec<u8>, usize)>,
}

impl<I, F> RewrittenStream<I, F> {
    pub(crate) fn new(stream: I, replacement: F) -> Self {
        Self { stream, replacement, pending: None }
    }
}

/// The header line that every response of an application has.
const REQUEST_ID_LINE: &[u8] = b"x-request-id:";

/// Whether written bytes begin a response of the library. Every response of an application has a request id, so an error
/// status without one is not an application's. A part of a body cannot look like that: JSON has no bare line ends, and no
/// other body begins so.
fn is_generated(written: &[u8]) -> bool {
    if !written.starts_with(b"HTTP/1.1 4") && !written.starts_with(b"HTTP/1.0 4") {
        return false;
    }
    let head = written.windows(4).position(|end| end == b"\r\n\r\n").map_or(written, |end| &written[..end]);
    !head.windows(REQUEST_ID_LINE.len()).any(|part| part.eq_ignore_ascii_case(REQUEST_ID_LINE))
}

fn problem_of(generated: &[u8]) -> Unreadable {
    match generated.get(9..12) {
        Some(b"431" | b"414") => Unreadable::HeadersTooLarge,
        Some(_) | None => Unreadable::Malformed,
    }
}

/// The last response of a connection in the format of HTTP/1.1 (RFC 9112 section 4). Its body must be in memory.
pub(crate) fn to_bytes<B: Body<Data = Bytes>>(response: Response<B>) -> Vec<u8> {
    let (parts, body) = response.into_parts();
    let body =
        body.collect().now_or_never().and_then(Result::ok).map(Collected::to_bytes).unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {}\r\n", parts.status).into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

impl<I: AsyncRead + Unpin, F: Unpin> AsyncRead for RewrittenStream<I, F> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin, F: Fn(Unreadable) -> Vec<u8> + Unpin> AsyncWrite for RewrittenStream<I, F> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.pending.is_none() {
            if !is_generated(bytes) {
                return Pin::new(&mut this.stream).poll_write(context, bytes);
            }
            this.pending = Some(((this.replacement)(problem_of(bytes)), 0));
        }
        while let Some((response, written)) = &mut this.pending {
            if *written == response.len() {
                this.pending = None;
                break;
            }
            match ready!(Pin::new(&mut this.stream).poll_write(context, &response[*written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *written += more,
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_error_responses_without_a_request_id_are_replaced() {
        assert!(is_generated(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"));
        assert!(is_generated(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\n\r\nx-request-id: in the body"
        ));
        assert!(!is_generated(b"HTTP/1.1 400 Bad Request\r\nx-request-id: req_1\r\n\r\n{}"));
        assert!(!is_generated(b"HTTP/1.1 404 Not Found\r\nallow: GET\r\nX-Request-Id: req_1\r\n\r\n"));
        assert!(!is_generated(b"HTTP/1.1 100 Continue\r\n\r\n"));
        assert!(!is_generated(b"HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!is_generated(b"{\"error\":{}}"));
    }

    #[test]
    fn heads_that_are_too_large_are_told_apart() {
        let problem = |status: &str| problem_of(format!("HTTP/1.1 {status}\r\n").as_bytes());
        assert_eq!(problem("431 Request Header Fields Too Large"), Unreadable::HeadersTooLarge);
        assert_eq!(problem("414 URI Too Long"), Unreadable::HeadersTooLarge);
        assert_eq!(problem("400 Bad Request"), Unreadable::Malformed);
    }
}
