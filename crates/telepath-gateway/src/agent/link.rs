//! An open agent socket, read and written without ever waiting: each write is pushed to the kernel at once, and what
//! the kernel does not take stays in the bridge's bounded queue, which drops its oldest audio. Pings tell a dead peer
//! from a silent one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Sink as _, Stream as _};
use telepath_media::bridge::{CallBridge, WriteToken};
use telepath_media::dialect::AgentFrame;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::AgentSocket;

/// How often the agent is pinged.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long a pong may take.
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// What the socket brought.
#[derive(Debug)]
pub(crate) enum Heard {
    Text(Utf8Bytes),
    Binary(Bytes),
}

/// The socket is of no use any more.
#[derive(Debug)]
pub(crate) enum LinkLost {
    /// The agent closed it.
    Closed,
    /// It broke; the text is for the call record.
    Broken(String),
}

#[derive(Debug)]
pub(crate) struct AgentLink {
    socket: AgentSocket,
    /// Whether something was written that the kernel has not taken yet.
    unflushed: bool,
    /// The measurement of the frame that is being written.
    token: Option<WriteToken>,
    /// An event that the bridge does not know of. At most one waits; a newer one replaces it.
    notice: Option<&'static str>,
    ping_at: Instant,
    pong_by: Option<Instant>,
    closing: bool,
}

impl AgentLink {
    pub(crate) fn new(socket: AgentSocket, now: Instant) -> Self {
        Self {
            socket,
            unflushed: false,
            token: None,
            notice: None,
            ping_at: now + PING_EVERY,
            pong_by: None,
            closing: false,
        }
    }

    /// Sends a text frame of the shell's own.
    pub(crate) fn notify(&mut self, text: &'static str) {
        self.notice = Some(text);
    }

    /// When [`AgentLink::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.pong_by.unwrap_or(self.ping_at)
    }

    /// Pings when it is time; fails when the last ping was not answered.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), LinkLost> {
        if self.pong_by.is_some_and(|by| now >= by) {
            return Err(LinkLost::Broken(format!(
                "the agent did not answer a ping for {} s",
                PONG_WITHIN.as_secs()
            )));
        }
        if now >= self.ping_at && self.pong_by.is_none() {
            self.pong_by = Some(now + PONG_WITHIN);
            self.ping_at = now + PING_EVERY;
            if !self.unflushed {
                self.start(Message::Ping(Bytes::new()))?;
            }
        }
        Ok(())
    }

    /// Writes what the bridge has for the agent, as far as the kernel takes it. When the bridge is over and has
    /// nothing more to say, the closing handshake is begun.
    pub(crate) fn poll_write(
        &mut self,
        bridge: &mut CallBridge,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), LinkLost>> {
        loop {
            if self.unflushed {
                ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(lost)?;
                self.unflushed = false;
                if let Some(token) = self.token.take() {
                    bridge.handle_written(token, Instant::now());
                }
            }
            if self.closing {
                return Poll::Pending;
            }
            let message = if let Some(notice) = self.notice.take() {
                Message::Text(Utf8Bytes::from_static(notice))
            } else if let Some(output) = bridge.poll_agent() {
                self.token = output.token;
                match output.frame {
                    AgentFrame::Text(text) => Message::Text(text.into()),
                    AgentFrame::Binary(bytes) => Message::Binary(bytes.into()),
                }
            } else if bridge.is_over() {
                self.closing = true;
                Message::Close(None)
            } else {
                return Poll::Pending;
            };
            self.start(message)?;
        }
    }

    fn start(&mut self, message: Message) -> Result<(), LinkLost> {
        self.unflushed = true;
        Pin::new(&mut self.socket).start_send(message).map_err(lost)
    }

    /// The next frame of the agent. After the end has been reported the link must not be polled again.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Heard, LinkLost>> {
        loop {
            let Some(read) = ready!(Pin::new(&mut self.socket).poll_next(cx)) else {
                return Poll::Ready(Err(LinkLost::Closed));
            };
            match read.map_err(lost)? {
                Message::Text(text) => return Poll::Ready(Ok(Heard::Text(text))),
                Message::Binary(bytes) => return Poll::Ready(Ok(Heard::Binary(bytes))),
                Message::Pong(_) => self.pong_by = None,
                // Pings are answered by the library; after a close the stream ends by itself.
                Message::Ping(_) | Message::Close(_) | Message::Frame(_) => {}
            }
        }
    }
}

fn lost(error: Error) -> LinkLost {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => LinkLost::Closed,
        other => LinkLost::Broken(format!("the agent's socket broke: {other}")),
    }
}
