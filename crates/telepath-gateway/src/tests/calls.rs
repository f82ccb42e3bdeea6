//! Successful calls.

use std::time::Duration;

use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::ports::AgentEvent;
use telepath_core::trunk::Codec;
use telepath_media::codec::AudioCodec;
use telepath_sip::message::StatusCode;
use tokio::time::Instant;

use super::fixture::{ControlReport, PASSWORD, TestGateway, echo, tone_frames, within};
use crate::caller::{EndedBy, TestCall, TestCallEvent};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_digest_gets_its_echo_and_is_recorded() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut call = TestCall::dial(gateway.caller()).await.unwrap();
    assert!(within(call.until_answered(deadline)).await.unwrap().is_some());
    // Wait for the whole tone, because a busy machine may be slow.
    // Of its 3200 samples 2880 are not zero, so more than 2800 are in the recording only when all packets are.
    while call.recording().iter().filter(|&&sample| sample != 0).count() < 2_800 {
        assert_ne!(within(call.step(deadline)).await.unwrap(), Some(TestCallEvent::Ended));
    }
    call.hang_up();
    assert!(within(call.until_ended(deadline)).await.unwrap());
    let outcome = call.into_outcome(Some(EndedBy::Caller));
    assert_eq!((outcome.status, outcome.rang), (StatusCode::OK, true));
    // The tone lasts 400 ms.
    assert!(tone_frames(&outcome.recording) >= 30, "the tone did not come back");
    // Silence is sent before and after the tone.
    assert_eq!(outcome.packets_sent, 20);
    assert!(outcome.packets_received >= 20, "{}", outcome.packets_received);

    let ends = gateway.control.wait_for_ends(1).await;
    let reports = gateway.control.reports();
    assert!(
        matches!(
            reports.as_slice(),
            [
                ControlReport::Started(_),
                ControlReport::Agent(_, AgentEvent::Connected),
                ControlReport::Agent(
                    _,
                    AgentEvent::Disconnected { reason: "call_ended", error_message: None }
                ),
                ControlReport::Ended(_),
            ]
        ),
        "{reports:?}"
    );
    let [end] = ends.as_slice() else { panic!("{ends:?}") };
    assert_eq!((end.status, end.reason), (CallStatus::Disconnected, DisconnectReason::NormalDisconnect));
    assert!(end.answer_time >= Some(end.start_time) && Some(end.end_time) >= end.answer_time);
    assert_eq!(end.metrics.counts.rtp_received, 20);
    // Packets that crossed the BYE were not received.
    assert!(end.metrics.counts.rtp_sent >= outcome.packets_received);
    assert!(end.metrics.gateway_processing_us.is_some(), "gateway processing is measured");
    for word in ["INVITE sip:", "SIP/2.0 180", "SIP/2.0 200", "ACK sip:", "BYE sip:", "[redacted]"] {
        assert!(end.sip_trace.contains(word), "{word} is missing in the trace:\n{}", end.sip_trace);
    }
    assert!(!end.sip_trace.contains(PASSWORD) && !end.sip_trace.contains("response="), "{}", end.sip_trace);
    gateway.wait_until_idle().await;
    gateway.stop().await;
    within(echo.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_that_prefers_g722_gets_a_wideband_call_with_its_echo() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    gateway.control.change_trunk(|lookup| lookup.trunk.settings.codecs = vec![Codec::G722, Codec::Pcmu]);
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut call = TestCall::dial(gateway.caller()).await.unwrap();
    assert!(within(call.until_answered(deadline)).await.unwrap().is_some());
    // The tone lasts 400 ms. Its ends are not counted, because the codec and the filters smooth them.
    while tone_frames(call.recording()) < 30 {
        assert_ne!(within(call.step(deadline)).await.unwrap(), Some(TestCallEvent::Ended));
    }
    call.hang_up();
    assert!(within(call.until_ended(deadline)).await.unwrap());
    let outcome = call.into_outcome(Some(EndedBy::Caller));
    assert_eq!((outcome.status, outcome.codec), (StatusCode::OK, Some(AudioCodec::G722)));
    assert_eq!(outcome.echo.distinct, 0, "echoes of a lossy codec cannot be recognized by their bytes");
    let ends = gateway.control.wait_for_ends(1).await;
    assert_eq!(ends[0].metrics.codec_used, Some(Codec::G722));
    assert!(ends[0].sip_trace.contains("a=rtpmap:9 G722/8000"), "{}", ends[0].sip_trace);
    gateway.stop().await;
    within(echo.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_resources_are_left_after_200_calls() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    for _ in 0..200 {
        let mut options = gateway.caller();
        options.play.clear();
        options.listen = Duration::ZERO;
        assert_eq!(within(crate::caller::place_call(options)).await.unwrap().status, StatusCode::OK);
    }
    let ends = gateway.control.wait_for_ends(200).await;
    assert!(ends.iter().all(|end| end.reason == DisconnectReason::NormalDisconnect));
    gateway.wait_until_idle().await;
    assert_eq!(gateway.control.ends().len(), 200, "each call has one record");
    gateway.stop().await;
}
