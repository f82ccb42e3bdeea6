//! Tests an agent: opens its socket as for a call, says what a call would say, and waits for the first answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use telepath_core::entropy::{Entropy, SystemEntropy, random_bytes};
use telepath_core::id::{CallId, Id as _};
use telepath_core::ports::{AgentAnswer, AgentMessage, AgentProbe, PortFuture, ProbeError};
use telepath_core::trunk::AgentTarget;
use telepath_egress::Egress;
use telepath_media::codec::AudioCodec;
use telepath_media::dialect::{AgentFrame, CallContext, Dialect, DialectOutput, SUBPROTOCOL, ToAgent};
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Message;

use super::{AgentEndpoint, AgentSocket, connect};
use crate::disconnect_reason::stop_reason;

/// Until the socket is open; longer than calls wait, so that a slow agent is seen with its time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Until the first message. An agent that waits for its caller sends none.
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
    permits: Semaphore,
}

impl SocketProbe {
    pub fn new(egress: Egress) -> Self {
        Self { egress, permits: Semaphore::new(MAX_TESTS) }
    }

    async fn run(&self, target: &AgentTarget) -> Result<AgentAnswer, ProbeError> {
        let endpoint = AgentEndpoint::of(target).map_err(|text| ProbeError(text.to_owned()))?;
        let busy = || ProbeError("other agents are being tested; try again in a few seconds".to_owned());
        let _permit = self.permits.try_acquire().map_err(|_| busy())?;
        let bytes = random_bytes(&SystemEntropy::default() as &dyn Entropy);
        let call = CallId::from_bytes(bytes.map_err(|error| ProbeError(error.to_string()))?);
        let began = Instant::now();
        let opened = connect(&endpoint, call, Some(SUBPROTOCOL), &self.egress, CONNECT_TIMEOUT).await;
        let mut socket = opened.map_err(|error| ProbeError(error.to_string()))?;
        let opened_in = began.elapsed();
        let exchange = tokio::time::timeout(MESSAGE_TIMEOUT, first_message(&mut socket, call));
        let first = exchange.await.unwrap_or(Ok(None))?;
        // The result is known; how the agent closes says nothing about calls.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, say_goodbye(&mut socket)).await;
        Ok(AgentAnswer { opened_in, first })
    }
}

impl AgentProbe for SocketProbe {
    fn probe<'a>(&'a self, target: &'a AgentTarget) -> PortFuture<'a, Result<AgentAnswer, ProbeError>> {
        Box::pin(self.run(target))
    }
}

fn broken(error: &tokio_tungstenite::tungstenite::Error) -> ProbeError {
    ProbeError(format!("the connection to the agent broke: {error}"))
}

fn message(frame: AgentFrame) -> Message {
    match frame {
        AgentFrame::Text(text) => Message::Text(text.into()),
        AgentFrame::Binary(bytes) => Message::Binary(bytes.into()),
    }
}

async fn first_message(socket: &mut AgentSocket, call: CallId) -> Result<Option<AgentMessage>, ProbeError> {
    let call = CallContext {
        call_id: call.to_string(),
        trunk_id: "test".to_owned(),
        from: "test".to_owned(),
        to: "test".to_owned(),
        system_prompt: None,
        metadata: BTreeMap::new(),
        sip_headers: BTreeMap::new(),
    };
    let start = ToAgent::Start { call: &call, codec: AudioCodec::Pcmu };
    say(socket, &start).await.map_err(|error| broken(&error))?;
    while let Some(received) = socket.next().await {
        match received.map_err(|error| broken(&error))? {
            Message::Text(text) => {
                return Ok(Some(AgentMessage::Text(text.chars().take(MAX_CHARACTERS).collect())));
            }
            Message::Binary(bytes) => return Ok(Some(AgentMessage::Audio { bytes: bytes.len() })),
            Message::Close(_) => return Err(ProbeError("the agent closed the connection".to_owned())),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
    Err(ProbeError("the agent closed the connection".to_owned()))
}

async fn say_goodbye(socket: &mut AgentSocket) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let reason = stop_reason(telepath_core::call::DisconnectReason::ApiHangup);
    say(socket, &ToAgent::Stop(reason)).await?;
    socket.close(None).await
}

async fn say(
    socket: &mut AgentSocket,
    event: &ToAgent<'_>,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let mut output = DialectOutput::default();
    Dialect::telepath_v1().encode(event, Instant::now(), &mut output);
    let frames: Vec<AgentFrame> = output.take_frames().collect();
    for frame in frames {
        socket.send(message(frame)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use telepath_core::secret::SecretText;
    use telepath_core::trunk::{AgentProtocol, AgentUrl, HeaderName};
    use telepath_egress::AllowList;
    use tokio::net::TcpListener;
    use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

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
        SocketProbe::new(Egress::new(AllowList::default().and_service("127.0.0.1", port)))
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
        let answer = probe(port).probe(&target(&format!("ws://127.0.0.1:{port}/"))).await.unwrap();
        assert!(answer.opened_in < CONNECT_TIMEOUT);
        let Some(AgentMessage::Text(text)) = answer.first else { panic!("{answer:?}") };
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
        let answer = probe(port).probe(&target(&format!("ws://127.0.0.1:{port}/"))).await.unwrap();
        assert_eq!(answer.first, Some(AgentMessage::Audio { bytes: 320 }));
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_waits_for_its_caller_passes() {
        let echo = EchoAgent::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let answer = probe(echo.addr().port()).probe(&target(&echo.url())).await.unwrap();
        assert_eq!(answer.first, None);
    }

    #[tokio::test]
    async fn an_agent_that_must_not_be_reached_or_has_no_dialect_is_not_called() {
        let probe = SocketProbe::new(Egress::new(AllowList::default()));
        let error = probe.probe(&target("ws://127.0.0.1:9/")).await.unwrap_err().to_string();
        assert!(error.contains("could not be reached") && !error.contains("abc"), "{error}");
        let openai = AgentTarget::OpenAi { api_key: SecretText::new("sk-never-shown".to_owned()) };
        let error = probe.probe(&openai).await.unwrap_err().to_string();
        assert!(error.contains("cannot connect to OpenAI") && !error.contains("sk-never"), "{error}");
    }

    #[tokio::test]
    async fn the_number_of_tests_at_once_is_bounded() {
        let probe = SocketProbe::new(Egress::new(AllowList::default()));
        let _all = probe.permits.try_acquire_many(MAX_TESTS.try_into().unwrap()).unwrap();
        let error = probe.probe(&target("ws://127.0.0.1:9/")).await.unwrap_err().to_string();
        assert!(error.contains("try again"), "{error}");
    }

    #[test]
    fn providers_without_a_dialect_are_those_that_take_no_calls() {
        let secret = || SecretText::new("x".to_owned());
        let targets = [
            (telepath_core::trunk::AiProvider::OpenAi, AgentTarget::OpenAi { api_key: secret() }),
            (
                telepath_core::trunk::AiProvider::ElevenLabs,
                AgentTarget::ElevenLabs { api_key: secret(), agent_id: "a".to_owned() },
            ),
            (telepath_core::trunk::AiProvider::Custom, target("wss://agent.example/")),
        ];
        for (provider, target) in &targets {
            assert_eq!(AgentEndpoint::of(target).is_ok(), provider.takes_calls(), "{provider}");
        }
    }
}
