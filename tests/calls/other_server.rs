//! Calls that are ended through another server than the one that carries them. Runs on PostgreSQL only, because SQLite
//! belongs to one server.

use anyhow::{Context as _, ensure};
use hyper::Method;
use telepath_gateway::caller::EndedBy;
use telepath_gateway::echo_agent::EchoAgent;

use super::{CallFixture, create_trunk, record};
use crate::cluster::test_cluster::{master_key, redis, shared};
use crate::support::database::Database;
use crate::support::http::Answer;
use crate::support::http::Call;
use crate::support::output::unique;
use crate::support::server::Home;
use crate::support::waiting::{soon, until};
use crate::support::{Client, Outcome, Server};

/// A server with a trunk, and another server on the same database and Redis.
async fn two_servers() -> anyhow::Result<(CallFixture, Server)> {
    let database = Database::postgres();
    let url = database.url().context("a database URL")?;
    let prefix = format!("telepath-test-{}:", unique());
    let agent = EchoAgent::start("127.0.0.1:0".parse()?).await?;
    let home = Home::on(Database::Elsewhere { url: url.clone() }, shared(&redis()?, &prefix, "carries"));
    let server = home.start_with(&["--egress-allow", &agent.addr().to_string()]).await?;
    let client = server.client()?;
    let key = server.admin_key().await?.secret;
    let trunk = create_trunk(&client, &key, "support-01", &agent.url()).await?;
    let settings = [shared(&redis()?, &prefix, "asks"), vec![master_key(&server.data())]].concat();
    let other = Home::on(Database::Elsewhere { url }, settings).start().await?;
    Ok((CallFixture { server, client, key, trunk, agent }, other))
}

/// Sends a request until the server has decided: on a busy machine it may be without its lease for a moment.
async fn decided(client: &Client, method: Method, path: &str, key: &str) -> anyhow::Result<Answer> {
    until("the server decides", || async {
        let answer = client.send(Call::new(method.clone(), path).key(key)).await?;
        Ok(Some(answer).filter(|answer| answer.status != 503))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_hung_up_through_another_server_and_ends_when_its_trunk_is_deleted_there() -> Outcome {
    if !Database::is_postgres_run() {
        return Ok(());
    }
    let (fixture, mut other) = two_servers().await?;
    let elsewhere = other.client()?;
    let hang_up = |id: &str| format!("/v1/calls/{id}/hangup");

    let (id, caller) = fixture.live_call().await?;
    let answer = decided(&elsewhere, Method::POST, &hang_up(&id), &fixture.key).await?;
    ensure!(answer.status == 202, "{}", answer.text());
    ensure!(soon("the end of the call", caller).await???.ended_by == Some(EndedBy::Callee));
    let call = record(&elsewhere, &fixture.key, &id).await?;
    ensure!(call["disconnect_reason"] == "api_hangup", "{call}");
    let again = decided(&elsewhere, Method::POST, &hang_up(&id), &fixture.key).await?;
    ensure!(again.error(409)? == "CALL_NOT_LIVE");

    let (id, caller) = fixture.live_call().await?;
    let path = format!("/v1/trunks/{}", fixture.trunk.id);
    let deleted = decided(&elsewhere, Method::DELETE, &path, &fixture.key).await?;
    ensure!(deleted.status == 204, "{}", deleted.text());
    ensure!(soon("the end of the call", caller).await???.ended_by == Some(EndedBy::Callee));
    let call = record(&elsewhere, &fixture.key, &id).await?;
    ensure!(call["disconnect_reason"] == "trunk_deleted", "{call}");
    ensure!(other.stop().await?.success());
    Ok(())
}
