//! What an agent can do, well and badly.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::ports::AgentNews;
use telepath_core::secret::SecretText;
use telepath_core::trunk::{AgentTarget, HeaderName};
use telepath_media::rtp::{Datagram, PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use telepath_sip::message::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::world::{Puppet, Said, World, loopback, mute, nowhere, within};
use crate::caller::{EndedBy, Line, LineEvent, place_call};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// The next text frame of this type.
pub(super) async fn text_of(socket: &mut WebSocketStream<TcpStream>, kind: &str) -> String {
    let wanted = format!("\"type\":\"{kind}\"");
    let found = async {
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Text(text) if text.contains(&wanted) => return text.to_string(),
                _ => {}
            }
        }
    };
    within(found).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_is_told_of_the_call_and_hears_its_end() {
    let mut puppet = Puppet::start().await;
    let world = World::start(&puppet.url).await;
    world.control.change(|found| found.trunk.settings.system_prompt = Some("Be kind.".to_owned()));
    let mut line = Line::dial(world.caller()).await.unwrap();
    let (answered, mut socket) = tokio::join!(within(line.until_answered(soon())), puppet.connection());
    assert!(answered.unwrap().is_some());
    let start = text_of(&mut socket, "start").await;
    let id = world.control.until_started().await.id;
    assert!(
        start.contains(&id.to_string()) && start.contains("Be kind.") && start.contains("PCMU"),
        "{start}"
    );
    line.hang_up();
    assert!(within(line.until_ended(soon())).await.unwrap());
    assert!(text_of(&mut socket, "stop").await.contains("normal_disconnect"));
    drop(socket);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_the_caller_presses_reach_the_agent() {
    let mut puppet = Puppet::start().await;
    let world = World::start(&puppet.url).await;
    let mut options = world.caller();
    options.play.clear();
    let mut line = Line::dial(options).await.unwrap();
    let (answered, mut socket) = tokio::join!(within(line.until_answered(soon())), puppet.connection());
    assert!(answered.unwrap().is_some());
    let to = line.peer_media().unwrap();
    for (number, (event, end)) in (0_u16..).zip([(5, false), (5, true), (5, true), (11, false), (11, true)]) {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::TELEPHONE_EVENT,
            sequence: SequenceNumber(number),
            timestamp: RtpTimestamp(1_000 * u32::from(event)),
            ssrc: Ssrc(77),
        };
        let payload = [event, if end { 0x8a } else { 0x0a }, 0, 160];
        line.rtp().send_to(Datagram::new(header, &payload).as_bytes(), to).await.unwrap();
    }
    assert!(text_of(&mut socket, "dtmf").await.contains("\"digit\":\"5\""));
    assert!(text_of(&mut socket, "dtmf").await.contains("\"digit\":\"#\""));
    line.hang_up();
    assert!(within(line.until_ended(soon())).await.unwrap());
    drop(socket);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_answered_honestly_and_a_hangup_ends_the_call() {
    let mut puppet = Puppet::start().await;
    let world = World::start(&puppet.url).await;
    let mut line = Line::dial(world.caller()).await.unwrap();
    let (answered, mut socket) = tokio::join!(within(line.until_answered(soon())), puppet.connection());
    assert!(answered.unwrap().is_some());
    socket.send(Message::text(r#"{"type":"transfer","to":"tel:+15550100999"}"#)).await.unwrap();
    assert!(text_of(&mut socket, "error").await.contains("transfer_not_supported"));
    socket.send(Message::text(r#"{"type":"hangup"}"#)).await.unwrap();
    assert_eq!(within(line.converse(Duration::from_secs(20))).await.unwrap(), EndedBy::Callee);
    assert!(text_of(&mut socket, "stop").await.contains("agent_hangup"));
    drop(socket);
    let ends = world.control.until_ends(1).await;
    assert_eq!((ends[0].status, ends[0].reason), (CallStatus::Disconnected, DisconnectReason::AgentHangup));
    world.until_idle().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_be_reached_is_480_and_recorded() {
    let world = World::start(&nowhere().await).await;
    let outcome = world.call().await;
    assert_eq!((outcome.status, outcome.rang), (StatusCode::TEMPORARILY_UNAVAILABLE, true));
    let ends = world.control.until_ends(1).await;
    assert_eq!((ends[0].status, ends[0].reason), (CallStatus::Failed, DisconnectReason::ConnectionFailed));
    assert!(ends[0].answer_time.is_none());
    assert!(
        ends[0].reason_text.as_ref().unwrap().contains("no connection could be made"),
        "{:?}",
        ends[0].reason_text
    );
    assert!(ends[0].sip_trace.contains("SIP/2.0 480"), "{}", ends[0].sip_trace);
    assert_eq!(world.control.said().len(), 1, "it never started");
    world.until_idle().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_agent_does_not_keep_the_caller_ringing_beyond_the_answer_delay() {
    let (_listener, url) = mute().await;
    let world = World::start_with(&url, |options| {
        options.answer_delay = Duration::from_millis(50);
        options.agent_connect_timeout = Duration::from_millis(200);
    })
    .await;
    let mut options = world.caller();
    options.listen = Duration::from_secs(20);
    let outcome = within(place_call(options)).await.unwrap();
    assert_eq!((outcome.status, outcome.ended_by), (StatusCode::OK, Some(EndedBy::Callee)));
    let ends = world.control.until_ends(1).await;
    assert_eq!((ends[0].status, ends[0].reason), (CallStatus::Failed, DisconnectReason::ConnectionFailed));
    world.until_idle().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_agent_drops_is_ended_with_that_reason() {
    let mut puppet = Puppet::start().await;
    let world = World::start(&puppet.url).await;
    let mut line = Line::dial(world.caller()).await.unwrap();
    let (answered, socket) = tokio::join!(within(line.until_answered(soon())), puppet.connection());
    assert!(answered.unwrap().is_some());
    drop(socket);
    assert_eq!(within(line.converse(Duration::from_secs(20))).await.unwrap(), EndedBy::Callee);
    let ends = world.control.until_ends(1).await;
    assert_eq!(
        (ends[0].status, ends[0].reason),
        (CallStatus::Disconnected, DisconnectReason::AiProviderError)
    );
    assert!(ends[0].reason_text.is_some());
    let said = world.control.said();
    assert!(
        said.iter()
            .any(|said| matches!(said, Said::Agent(id, AgentNews::Disconnected { .. }) if *id == ends[0].id))
    );
    world.until_idle().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_gives_up_while_it_rings_is_recorded_as_no_answer() {
    let (_listener, url) = mute().await;
    let world = World::start_with(&url, |options| {
        options.answer_delay = Duration::from_hours(1);
        options.agent_connect_timeout = Duration::from_hours(1);
    })
    .await;
    let mut line = Line::dial(world.caller()).await.unwrap();
    let ringing = async { while line.step(soon()).await.unwrap() != Some(LineEvent::Ringing) {} };
    within(ringing).await;
    line.hang_up();
    assert!(within(line.until_ended(soon())).await.unwrap());
    assert_eq!(line.into_outcome(None).status, StatusCode::REQUEST_TERMINATED);
    let ends = world.control.until_ends(1).await;
    assert_eq!((ends[0].status, ends[0].reason), (CallStatus::Failed, DisconnectReason::NoAnswer));
    assert!(ends[0].sip_trace.contains("SIP/2.0 487"), "{}", ends[0].sip_trace);
    world.until_idle().await;
    world.stop().await;
}

/// Takes one connection, answers its handshake with this, and gives what was asked.
async fn answer_handshake(listener: TcpListener, answer: &'static str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        asked.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(asked).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handshake_carries_the_trunks_headers_and_its_refusal_is_told_without_them() {
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    let world = World::start(&format!("ws://{}/agent?key=hidden", listener.local_addr().unwrap())).await;
    world.control.change(|found| match &mut found.agent {
        AgentTarget::Custom { headers, .. } => headers.push((
            HeaderName::try_from("Authorization".to_owned()).unwrap(),
            SecretText::new("Bearer hidden".to_owned()),
        )),
        AgentTarget::OpenAi { .. } | AgentTarget::ElevenLabs { .. } => unreachable!(),
    });
    let (asked, outcome) = tokio::join!(
        within(answer_handshake(listener, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")),
        world.call()
    );
    assert_eq!(outcome.status, StatusCode::TEMPORARILY_UNAVAILABLE);
    let end = &world.control.until_ends(1).await[0];
    let asked = asked.to_ascii_lowercase();
    for line in
        ["get /agent?key=hidden ", "authorization: bearer hidden", "sec-websocket-protocol: telepath.v1"]
    {
        assert!(asked.contains(line), "{line} is not in {asked}");
    }
    assert!(asked.contains(&format!("x-telepath-call-id: {}", end.id)), "{asked}");
    let text = end.reason_text.as_ref().unwrap();
    assert!(text.contains("HTTP 403") && !format!("{end:?}").contains("hidden"), "{end:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_speak_the_dialect_is_no_agent() {
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    let world = World::start(&format!("ws://{}/", listener.local_addr().unwrap())).await;
    // It accepts every subprotocol by naming none, as a plain WebSocket server does.
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _refused = tokio_tungstenite::accept_async(stream).await;
    });
    assert_eq!(world.call().await.status, StatusCode::TEMPORARILY_UNAVAILABLE);
    let ends = world.control.until_ends(1).await;
    assert!(ends[0].reason_text.as_ref().unwrap().contains("telepath.v1"), "{:?}", ends[0].reason_text);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_read_loses_audio_that_is_counted() {
    let mut puppet = Puppet::start().await;
    let world =
        World::start_with(&puppet.url, |options| options.agent_queue = Duration::from_millis(100)).await;
    let mut options = world.caller();
    options.play.clear();
    let mut line = Line::dial(options).await.unwrap();
    let (answered, socket) = tokio::join!(within(line.until_answered(soon())), puppet.connection());
    assert!(answered.unwrap().is_some());
    let to = line.peer_media().unwrap();
    // Ten minutes of audio at once: more than kernel buffers and queue hold together, and than the agent ever takes.
    for number in 0..30_000_u16 {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::PCMU,
            sequence: SequenceNumber(number),
            timestamp: RtpTimestamp(160 * u32::from(number)),
            ssrc: Ssrc(77),
        };
        line.rtp().send_to(Datagram::new(header, &[0x55; 160]).as_bytes(), to).await.unwrap();
        if number % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    line.hang_up();
    assert!(within(line.until_ended(soon())).await.unwrap());
    let ends = world.control.until_ends(1).await;
    assert!(ends[0].metrics.counts.agent_frames_dropped > 0, "{:?}", ends[0].metrics.counts);
    drop(socket);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_on_this_machine_is_reached_only_when_the_configuration_names_it() {
    let (listener, url) = mute().await;
    let world = World::start_with(&url, |options| options.egress = telepath_egress::Egress::default()).await;
    assert_eq!(world.call().await.status, StatusCode::TEMPORARILY_UNAVAILABLE);
    let ends = world.control.until_ends(1).await;
    let text = ends[0].reason_text.as_ref().unwrap();
    assert!(text.contains("egress.allow") && !text.contains("127.0.0.1"), "{text}");
    let nobody = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
    assert!(nobody.is_err(), "nothing was sent to it");
    world.stop().await;
}
