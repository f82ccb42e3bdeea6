//! Answers to what is not HTTP. The HTTP/1.1 library answers a head that it cannot read by itself, before any of our code
//! sees a request, so such an answer would lack the headers and the envelope that every answer of this API has. This
//! wrapper around a connection sees what is written to it and puts a whole answer in the place of a bare one.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::response::Response;
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Collected};
use telepath_core::error::ErrorCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Treatment;
use crate::api::Api;
use crate::auth::gate::Peer;

/// A connection whose bare answers are completed.
pub(super) struct Completed<I> {
    stream: I,
    api: Arc<Api>,
    treatment: Treatment,
    /// What is written instead of the bare answer, and how much of it is out.
    instead: Option<(Vec<u8>, usize)>,
}

impl<I> Completed<I> {
    pub(super) fn new(stream: I, api: Arc<Api>, treatment: Treatment) -> Self {
        Self { stream, api, treatment, instead: None }
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

impl<I: AsyncRead + Unpin> AsyncRead for Completed<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Completed<I> {
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
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
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
