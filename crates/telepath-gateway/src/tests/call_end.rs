//! Calls that the API, a limit, a shutdown or a failure ends, and the records of their ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::entropy::{Entropy, EntropyError, SystemEntropy};
use telepath_core::ports::LiveCalls as _;
use telepath_sip::message::StatusCode;
use tokio::time::Instant;

use super::fixture::{TestGateway, echo, within};
use crate::caller::{EndedBy, TestCall};
use crate::media_seeds::SEED_BYTES;

fn test_deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

async fn connected_call(gateway: &TestGateway) -> TestCall {
    let mut call = TestCall::dial(gateway.caller()).await.unwrap();
    assert!(within(call.until_answered(test_deadline())).await.unwrap().is_some());
    call
}

async fn expect_hang_up_by_callee(call: &mut TestCall) {
    assert_eq!(within(call.play_and_listen(Duration::from_secs(20))).await.unwrap(), EndedBy::Callee);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_hangs_up_one_call_or_all_calls_of_a_trunk() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    let mut call = connected_call(&gateway).await;
    let start = gateway.control.wait_for_start().await;
    assert_eq!(gateway.handle.counts().await.calls, 1);
    assert!(gateway.handle.hang_up(start.id, DisconnectReason::ApiHangup));
    expect_hang_up_by_callee(&mut call).await;
    assert_eq!(gateway.control.wait_for_ends(1).await[0].reason, DisconnectReason::ApiHangup);
    gateway.wait_until_idle().await;
    assert!(!gateway.handle.hang_up(start.id, DisconnectReason::ApiHangup), "the call is no longer live");

    let (mut one, mut two) = (connected_call(&gateway).await, connected_call(&gateway).await);
    assert_eq!(gateway.handle.hang_up_trunk(start.trunk_id, DisconnectReason::TrunkDeleted), 2);
    tokio::join!(expect_hang_up_by_callee(&mut one), expect_hang_up_by_callee(&mut two));
    let ends = gateway.control.wait_for_ends(3).await;
    assert!(ends[1..].iter().all(|end| end.reason == DisconnectReason::TrunkDeleted));
    gateway.wait_until_idle().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_hangs_up_live_calls_and_stops_serving() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    let mut call = connected_call(&gateway).await;
    let (control, handle) = (gateway.control.clone(), gateway.handle.clone());
    tokio::select! {
        biased;
        () = handle.until_stopped() => panic!("SIP is not served before the shutdown"),
        () = std::future::ready(()) => {}
    }
    let (report, ()) = tokio::join!(
        within(gateway.gateway.shutdown(Duration::from_secs(10))),
        expect_hang_up_by_callee(&mut call)
    );
    assert_eq!(report.tasks_left, 0);
    within(handle.until_stopped()).await;
    let ends = control.ends();
    assert_eq!(ends.len(), 1, "the record is written before the shutdown returns");
    assert_eq!(
        (ends[0].status, ends[0].reason),
        (CallStatus::Disconnected, DisconnectReason::ServerShutdown)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn max_duration_and_media_timeout_end_a_call() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    gateway.control.change_trunk(|lookup| lookup.trunk.settings.max_call_seconds = Some(0));
    let mut call = connected_call(&gateway).await;
    expect_hang_up_by_callee(&mut call).await;
    assert_eq!(gateway.control.wait_for_ends(1).await[0].reason, DisconnectReason::MaxDuration);
    gateway.stop().await;

    let gateway =
        TestGateway::start_with(&echo.url(), |options| options.media_inactivity = Duration::from_millis(100))
            .await;
    let mut call = connected_call(&gateway).await;
    expect_hang_up_by_callee(&mut call).await;
    assert_eq!(gateway.control.wait_for_ends(1).await[0].reason, DisconnectReason::NetworkError);
    gateway.wait_until_idle().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_record_write_is_retried_and_the_record_is_written_once() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    *gateway.control.end_failures.lock().unwrap() = 2;
    assert_eq!(gateway.call().await.status, StatusCode::OK);
    assert_eq!(gateway.control.wait_for_ends(1).await.len(), 1);
    gateway.wait_until_idle().await;
    gateway.stop().await;
}

/// Panics once, when the task of a call generates its media seeds.
struct PanickingEntropy {
    system: SystemEntropy,
    panicked: AtomicBool,
}

impl Entropy for PanickingEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        assert!(buffer.len() != SEED_BYTES || self.panicked.swap(true, Ordering::SeqCst), "intended panic");
        self.system.fill(buffer)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_one_call_is_recorded_and_does_not_affect_others() {
    let echo = echo().await;
    let entropy = PanickingEntropy { system: SystemEntropy::default(), panicked: AtomicBool::new(false) };
    let gateway = TestGateway::start_from(&echo.url(), Arc::new(entropy), |_| {}).await;
    let broken = gateway.call().await;
    assert_eq!(broken.status, StatusCode::TEMPORARILY_UNAVAILABLE);
    let ends = gateway.control.wait_for_ends(1).await;
    assert_eq!((ends[0].status, ends[0].reason), (CallStatus::Failed, DisconnectReason::Unknown));
    gateway.wait_until_idle().await;
    assert_eq!(gateway.call().await.status, StatusCode::OK);
    gateway.wait_until_idle().await;
    gateway.stop().await;
}
