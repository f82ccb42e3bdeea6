//! How calls end that nobody on the line ended, and what becomes of their records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::entropy::{Entropy, EntropyError, SystemEntropy};
use telepath_core::ports::LiveCalls as _;
use telepath_sip::message::StatusCode;
use tokio::time::Instant;

use super::world::{World, echo, within};
use crate::caller::{EndedBy, Line};
use crate::dice::DRAWN;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

async fn live_call(world: &World) -> Line {
    let mut line = Line::dial(world.caller()).await.unwrap();
    assert!(within(line.until_answered(soon())).await.unwrap().is_some());
    line
}

async fn ended_by_callee(line: &mut Line) {
    assert_eq!(within(line.converse(Duration::from_secs(20))).await.unwrap(), EndedBy::Callee);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_ends_one_call_or_all_of_a_trunk() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    let mut line = live_call(&world).await;
    let start = world.control.until_started().await;
    assert_eq!(world.handle.counts().await.calls, 1);
    assert!(world.handle.hang_up(start.id, DisconnectReason::ApiHangup));
    ended_by_callee(&mut line).await;
    assert_eq!(world.control.until_ends(1).await[0].reason, DisconnectReason::ApiHangup);
    world.until_idle().await;
    assert!(!world.handle.hang_up(start.id, DisconnectReason::ApiHangup), "it is not live any more");

    let (mut one, mut two) = (live_call(&world).await, live_call(&world).await);
    assert_eq!(world.handle.hang_up_trunk(start.trunk_id, DisconnectReason::TrunkDeleted), 2);
    tokio::join!(ended_by_callee(&mut one), ended_by_callee(&mut two));
    let ends = world.control.until_ends(3).await;
    assert!(ends[1..].iter().all(|end| end.reason == DisconnectReason::TrunkDeleted));
    world.until_idle().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_live_calls_and_refuses_new_ones() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    let mut line = live_call(&world).await;
    let (control, handle) = (world.control.clone(), world.handle.clone());
    assert!(handle.is_serving());
    let (report, ()) =
        tokio::join!(within(world.gateway.shutdown(Duration::from_secs(10))), ended_by_callee(&mut line));
    assert_eq!(report.tasks_left, 0);
    assert!(!handle.is_serving());
    within(handle.until_stopped()).await;
    let ends = control.ends();
    assert_eq!(ends.len(), 1, "written before the shutdown returned");
    assert_eq!(
        (ends[0].status, ends[0].reason),
        (CallStatus::Disconnected, DisconnectReason::ServerShutdown)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_lasts_too_long_or_falls_silent_is_ended() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    world.control.change(|found| found.trunk.settings.max_call_seconds = Some(0));
    let mut line = live_call(&world).await;
    ended_by_callee(&mut line).await;
    assert_eq!(world.control.until_ends(1).await[0].reason, DisconnectReason::MaxDuration);
    world.stop().await;

    let world =
        World::start_with(&echo.url(), |options| options.media_inactivity = Duration::from_millis(100)).await;
    let mut line = live_call(&world).await;
    ended_by_callee(&mut line).await;
    assert_eq!(world.control.until_ends(1).await[0].reason, DisconnectReason::NetworkError);
    world.until_idle().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_storage_refuses_is_tried_again_and_written_once() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    *world.control.end_failures.lock().unwrap() = 2;
    assert_eq!(world.call().await.status, StatusCode::OK);
    assert_eq!(world.control.until_ends(1).await.len(), 1);
    world.until_idle().await;
    world.stop().await;
}

/// Works for everything but the one draw that a call's own task makes: there it panics once.
struct TrappedEntropy {
    system: SystemEntropy,
    sprung: AtomicBool,
}

impl Entropy for TrappedEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        assert!(buffer.len() != DRAWN || self.sprung.swap(true, Ordering::SeqCst), "the trap");
        self.system.fill(buffer)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_one_call_is_recorded_and_touches_no_other() {
    let echo = echo().await;
    let entropy = TrappedEntropy { system: SystemEntropy::default(), sprung: AtomicBool::new(false) };
    let world = World::start_from(&echo.url(), Arc::new(entropy), |_| {}).await;
    let broken = world.call().await;
    assert_eq!(broken.status, StatusCode::TEMPORARILY_UNAVAILABLE);
    let ends = world.control.until_ends(1).await;
    assert_eq!((ends[0].status, ends[0].reason), (CallStatus::Failed, DisconnectReason::Unknown));
    world.until_idle().await;
    assert_eq!(world.call().await.status, StatusCode::OK);
    world.until_idle().await;
    world.stop().await;
}
