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
    /// A ping is to be written as soon as the socket takes one.
    ping_due: bool,
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
            ping_due: false,
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

    /// Has a ping written when it is time; fails when the last one was not answered. A socket that does not even take
    /// the ping is as dead as one that does not answer it.
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
            self.ping_due = true;
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
            let message = if std::mem::take(&mut self.ping_due) {
                Message::Ping(Bytes::new())
            } else if let Some(notice) = self.notice.take() {
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use telepath_core::clock::Timestamp;
    use telepath_media::bridge::{BargeIn, BridgeConfig, Limits};
    use telepath_media::codec::Codec;
    use telepath_media::dialect::{CallId, CallStart, Dialect, Party, TrunkId};
    use telepath_media::playout::StreamStart;
    use telepath_media::rtp::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
    use telepath_media::sdp::{Direction, Negotiated};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::tungstenite::protocol::Role;
    use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

    use super::*;
    use crate::echo_agent::EchoAgent;

    fn bridge(now: Instant) -> CallBridge {
        let media = Negotiated {
            codec: Codec::Pcmu,
            payload_type: PayloadType::PCMU,
            telephone_event: None,
            remote: None,
            direction: Direction::SendRecv,
            peer_ptime_ms: None,
        };
        let stream = StreamStart { ssrc: Ssrc(1), sequence: SequenceNumber(1), timestamp: RtpTimestamp(1) };
        let call = CallStart {
            call_id: CallId(Timestamp::default().to_string()),
            trunk_id: TrunkId("t".to_owned()),
            from: Party("a".to_owned()),
            to: Party("b".to_owned()),
            system_prompt: None,
            metadata: std::collections::BTreeMap::new(),
        };
        let config = BridgeConfig {
            negotiated: media,
            stream,
            dialect: Dialect::telepath_v1(),
            call,
            limits: Limits::default(),
            barge_in: BargeIn::AgentDecides,
        };
        CallBridge::new(config, now)
    }

    #[tokio::test]
    async fn an_agent_that_never_answers_a_ping_is_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_peer, _) = listener.accept().await.unwrap();
        let socket =
            WebSocketStream::from_raw_socket(MaybeTlsStream::Plain(stream), Role::Client, None).await;
        let now = Instant::now();
        let (mut link, mut bridge) = (AgentLink::new(socket, now), bridge(now));
        link.handle_timeout(now + PING_EVERY).unwrap();
        poll_fn(|cx| {
            assert!(link.poll_write(&mut bridge, cx).is_pending());
            assert!(link.poll_read(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(link.poll_timeout(), now + PING_EVERY + PONG_WITHIN);
        assert!(link.handle_timeout(now + PING_EVERY).is_ok());
        assert!(matches!(link.handle_timeout(now + PING_EVERY + PONG_WITHIN), Err(LinkLost::Broken(_))));
    }

    #[tokio::test]
    async fn an_answered_ping_keeps_a_silent_agent() {
        let echo = EchoAgent::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let plan = super::super::AgentPlan {
            url: telepath_core::trunk::AgentUrl::try_from(echo.url()).unwrap(),
            headers: Vec::new(),
        };
        let id = <telepath_core::id::CallId as telepath_core::id::Id>::from_bytes([1; 16]);
        let allow = telepath_egress::AllowList::default().and_service("127.0.0.1", echo.addr().port());
        let egress = telepath_egress::Egress::new(allow);
        let socket = super::super::connect(&plan, id, "telepath.v1", &egress, PONG_WITHIN).await.unwrap();
        let now = Instant::now();
        let (mut link, mut bridge) = (AgentLink::new(socket, now), bridge(now));
        link.handle_timeout(now + PING_EVERY).unwrap();
        let answered = poll_fn(|cx| {
            assert!(link.poll_write(&mut bridge, cx).is_pending());
            assert!(link.poll_read(cx).is_pending(), "an echo says nothing of itself");
            if link.pong_by.is_none() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::time::timeout(Duration::from_secs(20), answered).await.unwrap();
        assert_eq!(link.poll_timeout(), now + PING_EVERY * 2);
    }
}
