//! Calls that the server ends: by the API, by a deleted trunk, by shutdown or by a crash.

use std::time::Duration;

use hyper::Method;
use telepath_gateway::caller::{EndedBy, place_call};

use super::{CallFixture, record};
use crate::support::Outcome;
use crate::support::http::Call;
use crate::support::waiting::soon;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_hangs_up_a_live_call() -> Outcome {
    let fixture = CallFixture::start().await?;
    let (id, caller) = fixture.live_call().await?;
    let path = format!("/v1/calls/{id}/hangup");
    let answer = fixture.client.send(Call::new(Method::POST, &path).key(&fixture.key)).await?;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let outcome = soon("the end of the call", caller).await???;
    assert_eq!(outcome.ended_by, Some(EndedBy::Callee));
    let call = fixture.record(&id).await?;
    assert_eq!((&call["status"], &call["disconnect_reason"]), (&"disconnected".into(), &"api_hangup".into()));
    let again = fixture.client.send(Call::new(Method::POST, &path).key(&fixture.key)).await?;
    assert_eq!(again.error(409)?, "CALL_NOT_LIVE");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_trunk_ends_its_calls_and_keeps_their_records() -> Outcome {
    let fixture = CallFixture::start().await?;
    let (id, caller) = fixture.live_call().await?;
    let path = format!("/v1/trunks/{}", fixture.trunk.id);
    assert_eq!(fixture.client.delete(&path, &fixture.key).await?.status, 204);
    let outcome = soon("the end of the call", caller).await???;
    assert_eq!(outcome.ended_by, Some(EndedBy::Callee));
    let call = fixture.record(&id).await?;
    assert_eq!(call["disconnect_reason"], "trunk_deleted", "{call}");
    let refused = place_call(fixture.call(Duration::from_millis(100))?).await?;
    assert!(!refused.answered());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inactive_trunk_refuses_calls() -> Outcome {
    let fixture = CallFixture::start().await?;
    let path = format!("/v1/trunks/{}", fixture.trunk.id);
    let patch =
        Call::new(Method::PATCH, &path).key(&fixture.key).json(&serde_json::json!({"status": "inactive"}));
    fixture.client.send(patch).await?.expect(200)?;
    let refused = place_call(fixture.call(Duration::from_millis(100))?).await?;
    assert!(!refused.answered());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_interrupted_by_kill_9_is_recorded_with_reason_unknown() -> Outcome {
    let fixture = CallFixture::start().await?;
    let (id, caller) = fixture.live_call().await?;
    let CallFixture { server, key, .. } = fixture;
    let server = server.kill_and_restart().await?;
    let call = record(&server.client()?, &key, &id).await?;
    assert_eq!(
        (&call["status"], &call["disconnect_reason"]),
        (&"disconnected".into(), &"unknown".into()),
        "{call}"
    );
    // The killed server sends no BYE, so the caller is not awaited.
    caller.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_shutdown_hangs_up_live_calls() -> Outcome {
    let fixture = CallFixture::start().await?;
    let (id, caller) = fixture.live_call().await?;
    let CallFixture { mut server, key, .. } = fixture;
    let status = server.stop().await?;
    assert_eq!(status.code(), Some(0), "{status}");
    let outcome = soon("the end of the call", caller).await???;
    assert_eq!(outcome.ended_by, Some(EndedBy::Callee));
    let server = server.kill_and_restart().await?;
    let call = record(&server.client()?, &key, &id).await?;
    assert_eq!(call["disconnect_reason"], "server_shutdown", "{call}");
    Ok(())
}
