//! What an agent can do, well and badly.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::ports::AgentNews;
use telepath_media::rtp::{Datagram, PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use telepath_sip::message::StatusCode;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::world::{Puppet, Said, World, mute, nowhere, within};
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
        ends[0].reason_text.as_ref().unwrap().contains("could not be connected to"),
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
