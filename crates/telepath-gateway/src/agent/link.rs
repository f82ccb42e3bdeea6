//! An open WebSocket to an agent with non-blocking reads and writes. Each frame is flushed to the kernel at once. What
//! the kernel does not accept, or would exceed the [`SendWindow`], waits in the bridge's bounded queue, which drops its
//! oldest audio. Pings distinguish a dead peer from a silent one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Sink as _, Stream as _};
use telepath_media::bridge::{CallBridge, WriteToken};
use telepath_media::dialect::AgentFrame;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::AgentSocket;
use super::send_window::SendWindow;

const PING_INTERVAL: Duration = Duration::from_secs(15);
/// The connection counts as lost if a pong takes longer.
const PONG_TIMEOUT: Duration = Duration::from_secs(10);

/// A frame from the agent.
#[derive(Debug)]
pub(crate) enum ReceivedFrame {
    Text(Utf8Bytes),
    Binary(Bytes),
}

/// How the connection ended. The text goes into the call record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkLost {
    /// The agent closed the WebSocket, with this code and explanation (RFC 6455 section 5.5.1).
    #[error("the agent closed the WebSocket{}", in_words(*code, explanation))]
    Closed { code: Option<u16>, explanation: String },
    /// The connection failed.
    #[error("{0}")]
    Broken(String),
}

#[derive(Debug)]
pub(crate) struct AgentLink {
    socket: AgentSocket,
    /// Whether a written frame has not been flushed.
    unflushed: bool,
    /// The token of the frame being written.
    token: Option<WriteToken>,
    window: SendWindow,
    next_ping: Instant,
    /// Whether to write a ping as soon as the socket accepts one.
    ping_due: bool,
    pong_deadline: Option<Instant>,
    closing: bool,
    /// The code and the explanation of the agent's close frame.
    close_frame: Option<(u16, String)>,
}

impl AgentLink {
    /// `window` bounds the audio that has been written but not read by the agent.
    pub(crate) fn new(socket: AgentSocket, window: Duration, now: Instant) -> Self {
        Self {
            socket,
            unflushed: false,
            token: None,
            window: SendWindow::new(window),
            next_ping: now + PING_INTERVAL,
            ping_due: false,
            pong_deadline: None,
            closing: false,
            close_frame: None,
        }
    }

    /// When to call [`AgentLink::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.pong_deadline.unwrap_or(self.next_ping)
    }

    /// Queues a ping when it is due.
    ///
    /// # Errors
    /// [`LinkLost::Broken`] if the last ping was not answered or could not be written in time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), LinkLost> {
        if self.pong_deadline.is_some_and(|deadline| now >= deadline) {
            return Err(LinkLost::Broken(format!(
                "the agent did not answer a ping within {} s",
                PONG_TIMEOUT.as_secs()
            )));
        }
        if now >= self.next_ping && self.pong_deadline.is_none() {
            self.pong_deadline = Some(now + PONG_TIMEOUT);
            self.next_ping = now + PING_INTERVAL;
            self.ping_due = true;
        }
        Ok(())
    }

    /// Writes queued frames as far as the kernel accepts them. Once the bridge is over and its queue is empty, starts
    /// the closing handshake.
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
            let message = if std::mem::take(&mut self.ping_due) || self.window.needs_ping() {
                self.pong_deadline.get_or_insert_with(|| Instant::now() + PONG_TIMEOUT);
                Message::Ping(self.window.ping())
            } else if !self.window.has_room() && !bridge.is_over() {
                return Poll::Pending;
            } else if let Some(output) = bridge.poll_agent() {
                self.token = output.token;
                self.window.note_sent(output.samples);
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

    /// The next frame from the agent. The link must not be polled again after an error.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<ReceivedFrame, LinkLost>> {
        loop {
            let Some(read) = ready!(Pin::new(&mut self.socket).poll_next(cx)) else {
                let (code, explanation) = self.close_frame.take().unzip();
                return Poll::Ready(Err(LinkLost::Closed {
                    code,
                    explanation: explanation.unwrap_or_default(),
                }));
            };
            match read.map_err(lost)? {
                Message::Close(Some(frame)) => {
                    let clean = frame.reason.chars().filter(|c| !c.is_control()).collect();
                    self.close_frame = Some((frame.code.into(), clean));
                }
                Message::Text(text) => return Poll::Ready(Ok(ReceivedFrame::Text(text))),
                Message::Binary(bytes) => return Poll::Ready(Ok(ReceivedFrame::Binary(bytes))),
                Message::Pong(data) => self.handle_pong(&data, cx),
                // The library answers pings; after a close frame the stream ends.
                Message::Ping(_) | Message::Close(None) | Message::Frame(_) => {}
            }
        }
    }
}

impl AgentLink {
    fn handle_pong(&mut self, data: &[u8], cx: &Context<'_>) {
        let was_full = !self.window.has_room();
        self.window.handle_pong(data);
        self.pong_deadline = self.window.awaits_pong().then(|| Instant::now() + PONG_TIMEOUT);
        if was_full && self.window.has_room() {
            // Writing has stopped, and no other event may come.
            cx.waker().wake_by_ref();
        }
    }
}

/// A close code other than that of a normal end (1000).
fn in_words(code: Option<u16>, explanation: &str) -> String {
    match code {
        None | Some(1000) => String::new(),
        Some(code) if explanation.is_empty() => format!(" with code {code}"),
        Some(code) => format!(" with code {code}: {explanation}"),
    }
}

fn lost(error: Error) -> LinkLost {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => {
            LinkLost::Closed { code: None, explanation: String::new() }
        }
        other => LinkLost::Broken(format!("the WebSocket to the agent failed: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use telepath_core::trunk::{AgentProtocol, AgentSession, AgentTarget, AgentUrl, ProviderUrls};
    use telepath_media::bridge::{BargeIn, BridgeConfig, BridgeLimits, RtcpSeed};
    use telepath_media::codec::AudioCodec;
    use telepath_media::dialect::{CallContext, Dialect};
    use telepath_media::playout::StreamStart;
    use telepath_media::rtcp::CanonicalName;
    use telepath_media::rtp::{RtpTimestamp, SequenceNumber, Ssrc};
    use telepath_media::sdp::Negotiated;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::tungstenite::protocol::Role;
    use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

    use super::*;
    use crate::echo_agent::EchoAgent;

    fn bridge(now: Instant) -> CallBridge {
        let stream = StreamStart { ssrc: Ssrc(1), sequence: SequenceNumber(1), timestamp: RtpTimestamp(1) };
        let call = CallContext {
            call_id: "call_1".to_owned(),
            trunk_id: "trunk_1".to_owned(),
            from: "a".to_owned(),
            to: "b".to_owned(),
            system_prompt: None,
            metadata: std::collections::BTreeMap::new(),
            sip_headers: std::collections::BTreeMap::new(),
        };
        let config = BridgeConfig {
            negotiated: Negotiated::proposed(AudioCodec::Pcmu),
            stream,
            rtcp: RtcpSeed { cname: CanonicalName::from_random([1; 12]), intervals: 1 },
            dialect: Dialect::telepath_v1(),
            call,
            limits: BridgeLimits::default(),
            barge_in: BargeIn::AgentDecides,
            has_tool_endpoint: false,
        };
        CallBridge::new(config, now)
    }

    #[tokio::test]
    async fn an_unanswered_ping_breaks_the_link() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_peer, _) = listener.accept().await.unwrap();
        let socket =
            WebSocketStream::from_raw_socket(MaybeTlsStream::Plain(stream), Role::Client, None).await;
        let now = Instant::now();
        let (mut link, mut bridge) = (AgentLink::new(socket, Duration::from_secs(1), now), bridge(now));
        link.handle_timeout(now + PING_INTERVAL).unwrap();
        poll_fn(|cx| {
            assert!(link.poll_write(&mut bridge, cx).is_pending());
            assert!(link.poll_read(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(link.poll_timeout(), now + PING_INTERVAL + PONG_TIMEOUT);
        assert!(link.handle_timeout(now + PING_INTERVAL).is_ok());
        assert!(matches!(link.handle_timeout(now + PING_INTERVAL + PONG_TIMEOUT), Err(LinkLost::Broken(_))));
    }

    #[tokio::test]
    async fn an_answered_ping_keeps_the_link_to_a_silent_agent() {
        let echo = EchoAgent::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let target = AgentTarget::Custom {
            url: AgentUrl::try_from(echo.url()).unwrap(),
            protocol: AgentProtocol::TelepathV1,
            headers: Vec::new(),
        };
        let agent =
            super::super::AgentEndpoint::of(&target, &AgentSession::default(), &ProviderUrls::default());
        let id = <telepath_core::id::CallId as telepath_core::id::Id>::from_bytes([1; 16]);
        let allow = telepath_egress::AllowList::default().and_service("127.0.0.1", echo.addr().port());
        let egress = telepath_egress::Egress::new(allow);
        let socket =
            super::super::connect(&agent, id, Some("telepath.v1"), &egress, PONG_TIMEOUT).await.unwrap();
        let now = Instant::now();
        let (mut link, mut bridge) = (AgentLink::new(socket, Duration::from_secs(1), now), bridge(now));
        link.handle_timeout(now + PING_INTERVAL).unwrap();
        let answered = poll_fn(|cx| {
            assert!(link.poll_write(&mut bridge, cx).is_pending());
            assert!(link.poll_read(cx).is_pending(), "the echo agent sends nothing on its own");
            if link.pong_deadline.is_none() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::time::timeout(Duration::from_secs(20), answered).await.unwrap();
        assert_eq!(link.poll_timeout(), now + PING_INTERVAL * 2);
    }
}
