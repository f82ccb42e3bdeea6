//! Events to and from the agent, and agents that fail.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::ports::AgentEvent;
use telepath_core::secret::SecretText;
use telepath_core::trunk::{AgentTarget, HeaderName};
use telepath_media::rtp::{Datagram, PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use telepath_sip::message::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::fixture::{
    ControlReport, ScriptedAgent, TestGateway, closed_port_url, loopback, silent_listener, within,
};
use crate::caller::{EndedBy, TestCall, TestCallEvent, place_call};

fn test_deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Waits for the next event of this type.
pub(super) async fn wait_for_event(socket: &mut WebSocketStream<TcpStream>, kind: &str) -> String {
    let member = format!("\"type\":\"{kind}\"");
    let event = async {
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Text(text) if text.contains(&member) => return text.to_string(),
                _ => {}
            }
        }
    };
    within(event).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_gets_start_and_stop_events() {
    let mut agent = ScriptedAgent::start().await;
    let gateway = TestGateway::start(&agent.url).await;
    gateway.control.change_trunk(|lookup| lookup.trunk.settings.system_prompt = Some("Be kind.".to_owned()));
    let mut call = TestCall::dial(gateway.caller()).await.unwrap();
    let (answered, mut socket) =
        tokio::join!(within(call.until_answered(test_deadline())), agent.connection());
    assert!(answered.unwrap().is_some());
    let start = wait_for_event(&mut socket, "start").await;
    let id = gateway.control.wait_for_start().await.id;
    assert!(
        start.contains(&id.to_string()) && start.contains("Be kind.") && start.contains("PCMU"),
        "{start}"
    );
    call.hang_up();
    assert!(within(call.until_ended(test_deadline())).await.unwrap());
    assert!(wait_for_event(&mut socket, "stop").await.contains("normal_disconnect"));
    drop(socket);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telephone_events_reach_the_agent_as_dtmf() {
    let mut agent = ScriptedAgent::start().await;
    let gateway = TestGateway::start(&agent.url).await;
    let mut options = gateway.caller();
    options.play.clear();
    let mut call = TestCall::dial(options).await.unwrap();
    let (answered, mut socket) =
        tokio::join!(within(call.until_answered(test_deadline())), agent.connection());
    assert!(answered.unwrap().is_some());
    let to = call.peer_media().unwrap();
    for (number, (event, end)) in (0_u16..).zip([(5, false), (5, true), (5, true), (11, false), (11, true)]) {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::TELEPHONE_EVENT,
            sequence: SequenceNumber(number),
            timestamp: RtpTimestamp(1_000 * u32::from(event)),
            ssrc: Ssrc(77),
        };
        let payload = [event, if end { 0x8a } else { 0x0a }, 0, 160];
        call.rtp().send_to(Datagram::new(header, &payload).as_bytes(), to).await.unwrap();
    }
    assert!(wait_for_event(&mut socket, "dtmf").await.contains("\"digit\":\"5\""));
    assert!(wait_for_event(&mut socket, "dtmf").await.contains("\"digit\":\"#\""));
    call.hang_up();
    assert!(within(call.until_ended(test_deadline())).await.unwrap());
    drop(socket);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hangup_by_the_agent_ends_the_call() {
    let mut agent = ScriptedAgent::start().await;
    let gateway = TestGateway::start(&agent.url).await;
    let mut call = TestCall::dial(gateway.caller()).await.unwrap();
    let (answered, mut socket) =
        tokio::join!(within(call.until_answered(test_deadline())), agent.connection());
    assert!(answered.unwrap().is_some());
    socket.send(Message::text(r#"{"type":"hangup"}"#)).await.unwrap();
    assert_eq!(within(call.play_and_listen(Duration::from_secs(20))).await.unwrap(), EndedBy::Callee);
    assert!(wait_for_event(&mut socket, "stop").await.contains("agent_hangup"));
    drop(socket);
    let ends = gateway.control.wait_for_ends(1).await;
    assert_eq!((ends[0].status, ends[0].reason), (CallStatus::Disconnected, DisconnectReason::AgentHangup));
    gateway.wait_until_idle().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_agent_is_refused_with_480_and_recorded() {
    let gateway = TestGateway::start(&closed_port_url().await).await;
    let outcome = gateway.call().await;
    assert_eq!((outcome.status, outcome.rang), (StatusCode::TEMPORARILY_UNAVAILABLE, true));
    let ends = gateway.control.wait_for_ends(1).await;
    assert_eq!((ends[0].status, ends[0].reason), (CallStatus::Failed, DisconnectReason::ConnectionFailed));
    assert!(ends[0].answer_time.is_none());
    assert!(ends[0].reason_text.as_ref().unwrap().contains("could not connect"), "{:?}", ends[0].reason_text);
    assert!(ends[0].sip_trace.contains("SIP/2.0 480"), "{}", ends[0].sip_trace);
    assert_eq!(gateway.control.reports().len(), 1, "no start is recorded");
    gateway.wait_until_idle().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_call_is_answered_after_the_answer_delay_even_without_an_agent() {
    let (_listener, url) = silent_listener().await;
    let gateway = TestGateway::start_with(&url, |options| {
        options.answer_delay = Duration::from_millis(50);
        options.agent_connect_timeout = Duration::from_millis(200);
    })
    .await;
    let mut options = gateway.caller();
    options.listen = Duration::from_secs(20);
    let outcome = within(place_call(options)).await.unwrap();
    assert_eq!((outcome.status, outcome.ended_by), (StatusCode::OK, Some(EndedBy::Callee)));
    let ends = gateway.control.wait_for_ends(1).await;
    assert_eq!((ends[0].status, ends[0].reason), (CallStatus::Failed, DisconnectReason::ConnectionFailed));
    gateway.wait_until_idle().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_agent_connection_ends_the_call_with_ai_provider_error() {
    let mut agent = ScriptedAgent::start().await;
    let gateway = TestGateway::start(&agent.url).await;
    let mut call = TestCall::dial(gateway.caller()).await.unwrap();
    let (answered, socket) = tokio::join!(within(call.until_answered(test_deadline())), agent.connection());
    assert!(answered.unwrap().is_some());
    drop(socket);
    assert_eq!(within(call.play_and_listen(Duration::from_secs(20))).await.unwrap(), EndedBy::Callee);
    let ends = gateway.control.wait_for_ends(1).await;
    assert_eq!(
        (ends[0].status, ends[0].reason),
        (CallStatus::Disconnected, DisconnectReason::AiProviderError)
    );
    assert!(ends[0].reason_text.is_some());
    let reports = gateway.control.reports();
    assert!(
        reports.iter()
            .any(|report| matches!(report, ControlReport::Agent(id, AgentEvent::Disconnected { .. }) if *id == ends[0].id))
    );
    gateway.wait_until_idle().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_while_ringing_is_recorded_as_no_answer() {
    let (_listener, url) = silent_listener().await;
    let gateway = TestGateway::start_with(&url, |options| {
        options.answer_delay = Duration::from_hours(1);
        options.agent_connect_timeout = Duration::from_hours(1);
    })
    .await;
    let mut call = TestCall::dial(gateway.caller()).await.unwrap();
    let ringing =
        async { while call.step(test_deadline()).await.unwrap() != Some(TestCallEvent::Ringing) {} };
    within(ringing).await;
    call.hang_up();
    assert!(within(call.until_ended(test_deadline())).await.unwrap());
    assert_eq!(call.into_outcome(None).status, StatusCode::REQUEST_TERMINATED);
    let ends = gateway.control.wait_for_ends(1).await;
    assert_eq!((ends[0].status, ends[0].reason), (CallStatus::Failed, DisconnectReason::NoAnswer));
    assert!(ends[0].sip_trace.contains("SIP/2.0 487"), "{}", ends[0].sip_trace);
    gateway.wait_until_idle().await;
    gateway.stop().await;
}

/// Accepts one connection, sends this response to its handshake, and returns the request.
async fn respond_to_handshake(listener: TcpListener, response: &'static str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(response.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handshake_sends_custom_headers_and_its_error_text_omits_them() {
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    let gateway =
        TestGateway::start(&format!("ws://{}/agent?key=hidden", listener.local_addr().unwrap())).await;
    gateway.control.change_trunk(|lookup| match &mut lookup.agent {
        AgentTarget::Custom { headers, .. } => headers.push((
            HeaderName::try_from("Authorization".to_owned()).unwrap(),
            SecretText::new("Bearer hidden".to_owned()),
        )),
        AgentTarget::OpenAi { .. }
        | AgentTarget::ElevenLabs { .. }
        | AgentTarget::Deepgram { .. }
        | AgentTarget::Gemini { .. } => unreachable!(),
    });
    let (request, outcome) = tokio::join!(
        within(respond_to_handshake(listener, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")),
        gateway.call()
    );
    assert_eq!(outcome.status, StatusCode::TEMPORARILY_UNAVAILABLE);
    let end = &gateway.control.wait_for_ends(1).await[0];
    let request = request.to_ascii_lowercase();
    for line in
        ["get /agent?key=hidden ", "authorization: bearer hidden", "sec-websocket-protocol: telepath.v1"]
    {
        assert!(request.contains(line), "{line} is missing in {request}");
    }
    assert!(request.contains(&format!("x-telepath-call-id: {}", end.id)), "{request}");
    let text = end.reason_text.as_ref().unwrap();
    assert!(text.contains("HTTP 403") && !format!("{end:?}").contains("hidden"), "{end:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_the_subprotocol_is_refused_with_480() {
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    let gateway = TestGateway::start(&format!("ws://{}/", listener.local_addr().unwrap())).await;
    // A plain WebSocket server does not select a subprotocol.
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _client_gives_up = tokio_tungstenite::accept_async(stream).await;
    });
    assert_eq!(gateway.call().await.status, StatusCode::TEMPORARILY_UNAVAILABLE);
    let ends = gateway.control.wait_for_ends(1).await;
    assert!(ends[0].reason_text.as_ref().unwrap().contains("telepath.v1"), "{:?}", ends[0].reason_text);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_stalls_loses_the_oldest_audio_within_2_s_and_the_loss_is_counted() {
    let mut agent = ScriptedAgent::start().await;
    let gateway = TestGateway::start(&agent.url).await;
    let mut options = gateway.caller();
    options.play.clear();
    let mut call = TestCall::dial(options).await.unwrap();
    let (answered, mut socket) =
        tokio::join!(within(call.until_answered(test_deadline())), agent.connection());
    assert!(answered.unwrap().is_some());
    let to = call.peer_media().unwrap();
    // Ten minutes of audio at once, which is more than the kernel buffers and the queue can hold.
    for number in 0..30_000_u16 {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::PCMU,
            sequence: SequenceNumber(number),
            timestamp: RtpTimestamp(160 * u32::from(number)),
            ssrc: Ssrc(77),
        };
        call.rtp().send_to(Datagram::new(header, &[0x55; 160]).as_bytes(), to).await.unwrap();
        if number % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    call.hang_up();
    assert!(within(call.until_ended(test_deadline())).await.unwrap());
    // The agent reads again and gets what the kernels and the queue have kept.
    let mut samples = 0;
    while let Some(Ok(message)) = within(socket.next()).await {
        if let Message::Binary(audio) = message {
            samples += audio.len() / 2;
        }
    }
    assert!(samples > 0 && samples <= 2 * 8_000, "{samples} samples");
    let ends = gateway.control.wait_for_ends(1).await;
    let counts = &ends[0].metrics.counts;
    assert!(counts.rtp_received > 1_000, "{counts:?}");
    assert!(counts.agent_frames_dropped >= counts.rtp_received - 100, "{counts:?}");
    drop(socket);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loopback_agent_needs_an_egress_allow_entry() {
    let (listener, url) = silent_listener().await;
    let gateway =
        TestGateway::start_with(&url, |options| options.egress = telepath_egress::Egress::default()).await;
    assert_eq!(gateway.call().await.status, StatusCode::TEMPORARILY_UNAVAILABLE);
    let ends = gateway.control.wait_for_ends(1).await;
    let text = ends[0].reason_text.as_ref().unwrap();
    assert!(text.contains("egress.allow") && !text.contains("127.0.0.1"), "{text}");
    let nobody = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
    assert!(nobody.is_err(), "no connection was made");
    gateway.stop().await;
}
