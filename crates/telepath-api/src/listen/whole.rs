//! Sees to it that every answer is whole and arrives. The HTTP/1.1 library answers a head that it cannot read by itself,
//! before any of our code sees a request, so such an answer would lack the headers and the envelope that every answer of
//! this API has: a whole one is written in its place. And an answer given before the whole request was read would be lost
//! when the connection is closed over what is still arriving: so the rest is read and dropped for a moment first.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::response::Response;
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Collected};
use telepath_core::error::ErrorCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::connection::Treatment;
use crate::app::Api;
use crate::auth::peer::Peer;

/// How long a closing connection is read from, so that the peer's system does not throw our answer away.
const LINGER: Duration = Duration::from_millis(500);
/// The most that is read from it meanwhile.
const LINGER_BYTES: usize = 1024 * 1024;

/// A connection on which every answer is whole and arrives.
pub(super) struct Whole<I> {
    stream: I,
    api: Arc<Api>,
    treatment: Treatment,
    /// What is written instead of a bare answer, and how much of it is out.
    instead: Option<(Vec<u8>, usize)>,
    /// Our side is closed; until when, and how much more, is read from the other.
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<I> Whole<I> {
    pub(super) fn new(stream: I, api: Arc<Api>, treatment: Treatment) -> Self {
        Self { stream, api, treatment, instead: None, lingering: None }
    }

    /// The whole answer for a bare one.
    fn answer_for(&self, bare: &[u8]) -> Vec<u8> {
        let response = match self.treatment {
            Treatment::Serve(peer) => self.api.refuse_unreadable(code_of(bare), peer),
            Treatment::RefuseInClear(from) => self.in_clear(from),
        };
        to_bytes(response)
    }

    fn in_clear(&self, from: IpAddr) -> Response {
        self.api.refuse_unreadable(ErrorCode::HttpsRequired, Peer::Tls(from))
    }
}

/// The header that every answer of ours has.
const NAME: &[u8] = b"x-request-id:";

/// Every answer of ours has a request id in its head, so one with an error status and without the id is not ours. A part
/// of one of our bodies cannot look like that: JSON has no bare line ends, and no other body of ours begins so.
fn is_bare(written: &[u8]) -> bool {
    if !written.starts_with(b"HTTP/1.1 4") && !written.starts_with(b"HTTP/1.0 4") {
        return false;
    }
    let head = written.windows(4).position(|end| end == b"\r\n\r\n").map_or(written, |end| &written[..end]);
    !head.windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME))
}

fn code_of(bare: &[u8]) -> ErrorCode {
    match bare.get(9..12) {
        Some(b"431" | b"414") => ErrorCode::HeadersTooLarge,
        Some(_) | None => ErrorCode::MalformedRequest,
    }
}

/// An answer as HTTP/1.1 writes it (RFC 9112 section 4); it is the last one on its connection.
fn to_bytes(response: Response) -> Vec<u8> {
    let (parts, body) = response.into_parts();
    // An envelope is in memory, so it is there at once.
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

impl<I: AsyncRead + Unpin> AsyncRead for Whole<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Whole<I> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.instead.is_none() {
            if !is_bare(bytes) {
                return Pin::new(&mut this.stream).poll_write(context, bytes);
            }
            this.instead = Some((this.answer_for(bytes), 0));
        }
        while let Some((answer, out)) = &mut this.instead {
            if *out == answer.len() {
                this.instead = None;
                break;
            }
            match ready!(Pin::new(&mut this.stream).poll_write(context, &answer[*out..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => *out += written,
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        let (deadline, left) =
            this.lingering.get_or_insert_with(|| (Box::pin(tokio::time::sleep(LINGER)), LINGER_BYTES));
        let mut dropped = [0; 4096];
        while *left > 0 && deadline.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut dropped);
            match ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *left = left.saturating_sub(buffer.filled().len()),
                // The peer has closed its side too, or is gone.
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_without_a_request_id_are_bare() {
        assert!(is_bare(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"));
        assert!(is_bare(b"HTTP/1.1 431 Request Header Fields Too Large\r\n\r\nx-request-id: in the body"));
        assert!(!is_bare(b"HTTP/1.1 400 Bad Request\r\nx-request-id: req_1\r\n\r\n{}"));
        assert!(!is_bare(b"HTTP/1.1 404 Not Found\r\nallow: GET\r\nX-Request-Id: req_1\r\n\r\n"));
        assert!(!is_bare(b"HTTP/1.1 100 Continue\r\n\r\n"));
        assert!(!is_bare(b"HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!is_bare(b"{\"error\":{}}"));
    }

    #[test]
    fn heads_that_are_too_large_have_a_code_of_their_own() {
        assert_eq!(code_of(b"HTTP/1.1 431 Request Header Fields Too Large\r\n"), ErrorCode::HeadersTooLarge);
        assert_eq!(code_of(b"HTTP/1.1 414 URI Too Long\r\n"), ErrorCode::HeadersTooLarge);
        assert_eq!(code_of(b"HTTP/1.1 400 Bad Request\r\n"), ErrorCode::MalformedRequest);
    }
}
