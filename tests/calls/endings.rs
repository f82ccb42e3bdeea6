//! Every way in which a live call is ended from our side, planned or not.

use std::time::Duration;

use hyper::Method;
use telepath_gateway::caller::{EndedBy, place_call};

use super::{Exchange, record};
use crate::support::Outcome;
use crate::support::http::Call;
use crate::support::waiting::soon;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_hangs_up_a_live_call() -> Outcome {
    let exchange = Exchange::start().await?;
    let (id, caller) = exchange.live_call().await?;
    let path = format!("/v1/calls/{id}/hangup");
    let answer = exchange.client.send(Call::new(Method::POST, &path).key(&exchange.key)).await?;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let outcome = soon("the end of the call", caller).await???;
    assert_eq!(outcome.ended_by, Some(EndedBy::Callee));
    let call = exchange.record(&id).await?;
    assert_eq!((&call["status"], &call["disconnect_reason"]), (&"disconnected".into(), &"api_hangup".into()));
    let again = exchange.client.send(Call::new(Method::POST, &path).key(&exchange.key)).await?;
    assert_eq!(again.error(409)?, "CALL_NOT_LIVE");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_trunk_ends_its_calls_and_keeps_their_history() -> Outcome {
    let exchange = Exchange::start().await?;
    let (id, caller) = exchange.live_call().await?;
    let path = format!("/v1/trunks/{}", exchange.trunk.id);
    assert_eq!(exchange.client.delete(&path, &exchange.key).await?.status, 204);
    let outcome = soon("the end of the call", caller).await???;
    assert_eq!(outcome.ended_by, Some(EndedBy::Callee));
    let call = exchange.record(&id).await?;
    assert_eq!(call["disconnect_reason"], "trunk_deleted", "{call}");
    let refused = place_call(exchange.call(Duration::from_millis(100))?).await?;
    assert!(!refused.answered());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inactive_trunk_takes_no_calls() -> Outcome {
    let exchange = Exchange::start().await?;
    let path = format!("/v1/trunks/{}", exchange.trunk.id);
    let patch =
        Call::new(Method::PATCH, &path).key(&exchange.key).json(&serde_json::json!({"status": "inactive"}));
    exchange.client.send(patch).await?.expect(200)?;
    let refused = place_call(exchange.call(Duration::from_millis(100))?).await?;
    assert!(!refused.answered());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_live_when_the_server_was_killed_is_closed_as_unknown() -> Outcome {
    let exchange = Exchange::start().await?;
    let (id, caller) = exchange.live_call().await?;
    let Exchange { server, key, .. } = exchange;
    let server = server.kill_and_restart().await?;
    let call = record(&server.client()?, &key, &id).await?;
    assert_eq!(
        (&call["status"], &call["disconnect_reason"]),
        (&"disconnected".into(), &"unknown".into()),
        "{call}"
    );
    // The caller has lost its peer; it is not waited for.
    caller.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_live_calls_properly() -> Outcome {
    let exchange = Exchange::start().await?;
    let (id, caller) = exchange.live_call().await?;
    let Exchange { mut server, key, .. } = exchange;
    let status = server.stop().await?;
    assert_eq!(status.code(), Some(0), "{status}");
    let outcome = soon("the end of the call", caller).await???;
    assert_eq!(outcome.ended_by, Some(EndedBy::Callee));
    let server = server.kill_and_restart().await?;
    let call = record(&server.client()?, &key, &id).await?;
    assert_eq!(call["disconnect_reason"], "server_shutdown", "{call}");
    Ok(())
}
