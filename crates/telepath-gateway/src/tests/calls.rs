//! Calls that go well.

use std::time::Duration;

use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::ports::AgentNews;
use telepath_sip::message::StatusCode;
use tokio::time::Instant;

use super::world::{PASSWORD, Said, World, echo, tone_heard, within};
use crate::caller::{EndedBy, Line, LineEvent};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_digest_hears_its_echo_and_is_recorded() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut line = Line::dial(world.caller()).await.unwrap();
    assert!(within(line.until_answered(deadline)).await.unwrap().is_some());
    // The whole tone is back, however long a busy machine takes for it.
    while line.packets_received() < 20 {
        assert_ne!(within(line.step(deadline)).await.unwrap(), Some(LineEvent::Ended));
    }
    line.hang_up();
    assert!(within(line.until_ended(deadline)).await.unwrap());
    let outcome = line.into_outcome(Some(EndedBy::Caller));
    assert_eq!((outcome.status, outcome.rang), (StatusCode::OK, true));
    // It lasts 400 ms.
    assert!(tone_heard(&outcome.recording) >= 30, "the tone is not heard");
    assert_eq!((outcome.packets_sent, outcome.packets_received), (20, 20));

    let ends = world.control.until_ends(1).await;
    let said = world.control.said();
    assert!(
        matches!(
            said.as_slice(),
            [
                Said::Started(_),
                Said::Agent(_, AgentNews::Connected),
                Said::Agent(_, AgentNews::Disconnected { reason: "call_ended", error_message: None }),
                Said::Ended(_),
            ]
        ),
        "{said:?}"
    );
    let [end] = ends.as_slice() else { panic!("{ends:?}") };
    assert_eq!((end.status, end.reason), (CallStatus::Disconnected, DisconnectReason::NormalDisconnect));
    assert!(end.answer_time >= Some(end.start_time) && Some(end.end_time) >= end.answer_time);
    assert_eq!(end.metrics.counts.rtp_received, 20);
    assert_eq!(end.metrics.counts.rtp_sent, outcome.packets_received);
    assert!(end.metrics.gateway_processing_us.is_some(), "measured");
    for word in ["INVITE sip:", "SIP/2.0 180", "SIP/2.0 200", "ACK sip:", "BYE sip:", "[redacted]"] {
        assert!(end.sip_trace.contains(word), "{word} is not in the trace:\n{}", end.sip_trace);
    }
    assert!(!end.sip_trace.contains(PASSWORD) && !end.sip_trace.contains("response="), "{}", end.sip_trace);
    world.until_idle().await;
    world.stop().await;
    within(echo.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_in_a_row_leave_nothing_behind() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    for _ in 0..200 {
        let mut options = world.caller();
        options.play.clear();
        options.listen = Duration::ZERO;
        assert_eq!(within(crate::caller::place_call(options)).await.unwrap().status, StatusCode::OK);
    }
    let ends = world.control.until_ends(200).await;
    assert!(ends.iter().all(|end| end.reason == DisconnectReason::NormalDisconnect));
    world.until_idle().await;
    assert_eq!(world.control.ends().len(), 200, "each is recorded once");
    world.stop().await;
}
