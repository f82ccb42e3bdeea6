//! Tests an agent: opens its socket as for a call, says what a call would say, and waits until the provider accepts the
//! session, or for the first message of an agent whose protocol has no handshake.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use telepath_core::call::DisconnectReason;
use telepath_core::entropy::{Entropy, SystemEntropy, random_bytes};
use telepath_core::id::{CallId, Id as _};
use telepath_core::ports::{AgentAnswer, AgentGreeting, AgentMessage, AgentProbe, PortFuture, ProbeError};
use telepath_core::trunk::{AgentSession, AgentTarget, ProviderUrls};
use telepath_egress::Egress;
use telepath_media::bridge::{BargeIn, BridgeConfig, BridgeLimits, CallBridge, Output, RtcpSeed};
use telepath_media::codec::AudioCodec;
use telepath_media::dialect::{self, CallContext, Dialect, DialectConfig};
use telepath_media::playout::StreamStart;
use telepath_media::rtcp::CanonicalName;
use telepath_media::rtp::{RtpTimestamp, SequenceNumber, Ssrc};
use telepath_media::sdp::Negotiated;
use tokio::sync::Semaphore;

use super::{AgentEndpoint, AgentLink, LinkLost, ReceivedFrame, connect, dialect_of};
use crate::disconnect_reason::stop_reason;

/// Until the socket is open; longer than calls wait, so that a slow agent is seen with its time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Until the provider is ready, after the socket is open.
const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// Until the first message of an agent without a handshake. One that waits for its caller sends none.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(3);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The most characters of a message that are kept.
const MAX_CHARACTERS: usize = 500;
/// Tests at once; further ones are refused.
const MAX_TESTS: usize = 8;

/// Tests agents through the rules about what this server may connect to.
#[derive(Debug)]
pub struct SocketProbe {
    egress: Egress,
    providers: ProviderUrls,
    permits: Semaphore,
}

impl SocketProbe {
    pub fn new(egress: Egress, providers: ProviderUrls) -> Self {
        Self { egress, providers, permits: Semaphore::new(MAX_TESTS) }
    }

    async fn run(&self, target: &AgentTarget, session: &AgentSession) -> Result<AgentAnswer, ProbeError> {
        let dialect = dialect_of(target, &quiet(target, session));
        let endpoint = AgentEndpoint::of(target, session, &self.providers);
        let busy = || ProbeError("other agents are being tested; try again in a few seconds".to_owned());
        let _permit = self.permits.try_acquire().map_err(|_| busy())?;
        let bytes = random_bytes(&SystemEntropy::default() as &dyn Entropy);
        let call = CallId::from_bytes(bytes.map_err(|error| ProbeError(error.to_string()))?);
        let began = Instant::now();
        let mut bridge = bridge(call, dialect, session, began);
        let subprotocol = bridge.subprotocol();
        let opened = connect(&endpoint, call, subprotocol, &self.egress, CONNECT_TIMEOUT).await;
        let socket = opened.map_err(|error| ProbeError(error.to_string()))?;
        let opened_in = began.elapsed();
        let mut conversation = Conversation {
            link: AgentLink::new(socket, BridgeLimits::default().agent_queue, Instant::now()),
            bridge: &mut bridge,
        };
        let greeting = conversation.greeting(began).await?;
        // The result is known; how the agent closes says nothing about calls.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, conversation.say_goodbye()).await;
        Ok(AgentAnswer { opened_in, greeting })
    }
}

impl AgentProbe for SocketProbe {
    fn probe<'a>(
        &'a self,
        target: &'a AgentTarget,
        session: &'a AgentSession,
    ) -> PortFuture<'a, Result<AgentAnswer, ProbeError>> {
        Box::pin(self.run(target, session))
    }
}

/// A session in which a model that speaks only when it is asked to is not asked, because nobody listens.
fn quiet(target: &AgentTarget, session: &AgentSession) -> AgentSession {
    match target {
        AgentTarget::OpenAi { .. } | AgentTarget::Gemini { .. } => {
            AgentSession { greeting: None, ..session.clone() }
        }
        AgentTarget::Custom { .. } | AgentTarget::ElevenLabs { .. } | AgentTarget::Deepgram { .. } => {
            session.clone()
        }
    }
}

/// The bridge of a call without a caller.
fn bridge(call: CallId, dialect: DialectConfig, session: &AgentSession, now: Instant) -> CallBridge {
    let call = CallContext {
        call_id: call.to_string(),
        trunk_id: "test".to_owned(),
        from: "test".to_owned(),
        to: "test".to_owned(),
        system_prompt: session.system_prompt.clone(),
        metadata: BTreeMap::new(),
        sip_headers: BTreeMap::new(),
    };
    let config = BridgeConfig {
        negotiated: Negotiated::proposed(AudioCodec::Pcmu),
        // Nothing is sent to a caller.
        stream: StreamStart { ssrc: Ssrc(0), sequence: SequenceNumber(0), timestamp: RtpTimestamp(0) },
        rtcp: RtcpSeed { cname: CanonicalName::from_random([0; 12]), intervals: 0 },
        dialect: Dialect::new(dialect),
        call,
        limits: BridgeLimits::default(),
        barge_in: BargeIn::AgentDecides,
        has_tool_endpoint: false,
    };
    CallBridge::new(config, now)
}

struct Conversation<'a> {
    link: AgentLink,
    bridge: &'a mut CallBridge,
}

impl Conversation<'_> {
    async fn greeting(&mut self, began: Instant) -> Result<AgentGreeting, ProbeError> {
        let lost = |lost: LinkLost| ProbeError(lost.to_string());
        if self.bridge.is_agent_ready() {
            let first = tokio::time::timeout(MESSAGE_TIMEOUT, self.next_frame()).await;
            return Ok(match first {
                Ok(frame) => AgentGreeting::Message(message(&frame.map_err(lost)?)),
                Err(_elapsed) => AgentGreeting::Silence,
            });
        }
        let ready = tokio::time::timeout(READY_TIMEOUT, self.handshake());
        let seconds = READY_TIMEOUT.as_secs();
        ready.await.map_err(|_| {
            ProbeError(format!("the agent opened its socket, but was not ready within {seconds} s"))
        })??;
        Ok(AgentGreeting::Ready(began.elapsed()))
    }

    /// Reads until the provider has accepted the session.
    async fn handshake(&mut self) -> Result<(), ProbeError> {
        while !self.bridge.is_agent_ready() {
            let now = Instant::now();
            match self.next_frame().await.map_err(|lost| ProbeError(lost.to_string()))? {
                ReceivedFrame::Text(text) => {
                    self.bridge.handle_agent_message(dialect::AgentMessage::Text(&text), now);
                }
                ReceivedFrame::Binary(bytes) => {
                    self.bridge.handle_agent_message(dialect::AgentMessage::Binary(&bytes), now);
                }
            }
            while let Some(output) = self.bridge.poll_output() {
                match output {
                    Output::HangUp { detail, .. } => {
                        let text = detail.unwrap_or_else(|| "the agent ended the session".to_owned());
                        return Err(ProbeError(text));
                    }
                    Output::SendRtp { .. }
                    | Output::SendRtcp { .. }
                    | Output::AgentReady
                    | Output::ToolCall(_)
                    | Output::ToolCallCancelled(_)
                    | Output::ProviderError(_)
                    | Output::Transfer { .. } => {}
                }
            }
        }
        Ok(())
    }

    /// Writes what the bridge says until the agent says something.
    async fn next_frame(&mut self) -> Result<ReceivedFrame, LinkLost> {
        poll_fn(|cx| match self.link.poll_write(self.bridge, cx) {
            Poll::Ready(Err(lost)) => Poll::Ready(Err(lost)),
            Poll::Ready(Ok(())) | Poll::Pending => self.link.poll_read(cx),
        })
        .await
    }

    /// Ends the session as a call does, and waits until the agent closes its socket.
    async fn say_goodbye(&mut self) {
        self.bridge.handle_stop(stop_reason(DisconnectReason::ApiHangup), Instant::now());
        while self.next_frame().await.is_ok() {}
    }
}

fn message(frame: &ReceivedFrame) -> AgentMessage {
    match frame {
        ReceivedFrame::Text(text) => AgentMessage::Text(text.chars().take(MAX_CHARACTERS).collect()),
        ReceivedFrame::Binary(bytes) => AgentMessage::Audio { bytes: bytes.len() },
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::secret::SecretText;
    use telepath_core::trunk::{AgentProtocol, AgentUrl, HeaderName};
    use telepath_egress::AllowList;
    use tokio::net::TcpListener;
    use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

    use futures_util::{SinkExt as _, StreamExt as _};
    use telepath_media::dialect::SUBPROTOCOL;
    use tokio_tungstenite::tungstenite::Message;

    use super::*;
    use crate::echo_agent::EchoAgent;

    fn target(url: &str) -> AgentTarget {
        AgentTarget::Custom {
            url: AgentUrl::try_from(url.to_owned()).unwrap(),
            protocol: AgentProtocol::TelepathV1,
            headers: vec![(
                HeaderName::try_from("Authorization".to_owned()).unwrap(),
                SecretText::new("Bearer abc".to_owned()),
            )],
        }
    }

    fn probe(port: u16) -> SocketProbe {
        let egress = Egress::new(AllowList::default().and_service("127.0.0.1", port));
        SocketProbe::new(egress, ProviderUrls::default())
    }

    #[expect(clippy::unnecessary_wraps, clippy::result_large_err, reason = "the signature of the library")]
    fn accept(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        assert_eq!(request.headers()["authorization"], "Bearer abc");
        response.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
        Ok(response)
    }

    /// An agent that answers the start of a call with one message.
    async fn agent(answer: Message) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_hdr_async(stream, accept).await.unwrap();
            let mut heard = Vec::new();
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message {
                    heard.push(text.to_string());
                    if heard.len() == 1 {
                        socket.send(answer.clone()).await.unwrap();
                    }
                }
            }
            heard
        });
        (port, task)
    }

    #[tokio::test]
    async fn the_first_message_of_an_agent_is_reported_and_the_test_ends_like_a_call() {
        let (port, task) =
            agent(Message::Text(format!("{{\"type\":\"ready\"}}{}", "é".repeat(600)).into())).await;
        let answer = probe(port)
            .probe(&target(&format!("ws://127.0.0.1:{port}/")), &AgentSession::default())
            .await
            .unwrap();
        assert!(answer.opened_in < CONNECT_TIMEOUT);
        let AgentGreeting::Message(AgentMessage::Text(text)) = answer.greeting else { panic!("{answer:?}") };
        assert!(text.starts_with("{\"type\":\"ready\"}é") && text.chars().count() == MAX_CHARACTERS);
        let heard = task.await.unwrap();
        assert!(
            heard[0].contains("\"type\":\"start\"") && heard[1].contains("\"type\":\"stop\""),
            "{heard:?}"
        );
    }

    #[tokio::test]
    async fn an_agent_that_speaks_first_is_heard() {
        let (port, _task) = agent(Message::Binary(vec![0; 320].into())).await;
        let answer = probe(port)
            .probe(&target(&format!("ws://127.0.0.1:{port}/")), &AgentSession::default())
            .await
            .unwrap();
        assert_eq!(answer.greeting, AgentGreeting::Message(AgentMessage::Audio { bytes: 320 }));
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_waits_for_its_caller_passes() {
        let echo = EchoAgent::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let answer =
            probe(echo.addr().port()).probe(&target(&echo.url()), &AgentSession::default()).await.unwrap();
        assert_eq!(answer.greeting, AgentGreeting::Silence);
    }

    #[tokio::test]
    async fn an_agent_that_must_not_be_reached_is_not_called() {
        let probe = SocketProbe::new(Egress::new(AllowList::default()), ProviderUrls::default());
        let error = probe
            .probe(&target("ws://127.0.0.1:9/"), &AgentSession::default())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("could not be reached") && !error.contains("abc"), "{error}");
    }

    #[tokio::test]
    async fn the_number_of_tests_at_once_is_bounded() {
        let probe = SocketProbe::new(Egress::new(AllowList::default()), ProviderUrls::default());
        let _all = probe.permits.try_acquire_many(MAX_TESTS.try_into().unwrap()).unwrap();
        let error = probe
            .probe(&target("ws://127.0.0.1:9/"), &AgentSession::default())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("try again"), "{error}");
    }
}
