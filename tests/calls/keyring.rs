//! The master key is replaced while a server carries calls, admits keys and delivers webhooks.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use telepath_core::secret::SecretText;
use telepath_core::webhook::signature::{SigningSecret, header};
use telepath_gateway::caller::place_call;

use super::{CallFixture, Trunk, ensure_echo, sine};
use crate::support::output::{Folder, note_secret};
use crate::support::sink::{Arrival, Sink};
use crate::support::{Client, Outcome, Server, cli};

const TRUNKS: usize = 40;

/// A trunk whose agent gets a credential, which must be opened for each call.
async fn trunk_with_credential(fixture: &CallFixture, agent: &str) -> anyhow::Result<Trunk> {
    let draft = json!({
        "name": "sealed", "ai_provider": "custom", "sip_username": "sealed-01", "custom_endpoint": agent,
        "custom_headers": {"Authorization": "Bearer a-token-of-the-agent"},
    });
    let created = fixture.client.post("/v1/trunks", &fixture.key, &draft).await?.expect(201)?;
    let text = |member: &str| created[member].as_str().map(str::to_owned).context("a member of the trunk");
    Ok(Trunk {
        id: text("id")?,
        username: text("sip_username")?,
        password: text("sip_password")?,
        uri: text("sip_endpoint")?,
    })
}

async fn call(trunk: &Trunk, uri: &str) -> Outcome {
    let mut options = telepath_gateway::caller::CallerOptions::new(uri)?;
    options.credentials = Some((trunk.username.clone(), SecretText::new(trunk.password.clone())));
    options.play = sine(Duration::from_millis(600));
    options.listen = Duration::from_millis(200);
    ensure_echo(&place_call(options).await?)
}

async fn webhook(client: &Client, key: &str, sink: &Sink) -> anyhow::Result<String> {
    let draft = json!({
        "url": sink.url(), "events": ["key.created"], "headers": {"x-own": "a-header-of-ours"},
        "ca_pem": std::fs::read_to_string(&sink.authority)?,
    });
    let made = client.post("/v1/webhooks", key, &draft).await?.expect(201)?;
    let secret = made["secret"].as_str().context("a signing secret")?.to_owned();
    note_secret(&secret);
    Ok(secret)
}

/// Checks the signature and the header of a delivery.
fn ensure_authentic(arrival: &Arrival, secret: &str) -> Outcome {
    let secrets = [SigningSecret::parse(&SecretText::new(secret.to_owned()))?];
    let at = arrival.header("webhook-timestamp").parse()?;
    let expected = header(&secrets, arrival.header("webhook-id"), at, arrival.body.as_bytes());
    ensure!(Some(arrival.header("webhook-signature")) == expected.as_deref(), "another signature");
    ensure!(arrival.header("x-own") == "a-header-of-ours", "{:?}", arrival.headers);
    Ok(())
}

async fn event(client: &Client, key: &str) -> Outcome {
    let draft = json!({"name": "An event", "preset": "testing"});
    client.post("/v1/keys", key, &draft).await?.expect(201).map(drop)
}

fn keys_in_file(server: &Server) -> anyhow::Result<usize> {
    let text = std::fs::read_to_string(server.data().join("master.key"))?;
    text.lines().for_each(note_secret);
    Ok(text.lines().count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_during_a_rotation_and_afterwards_with_the_new_key_alone() -> Outcome {
    let folder = Folder::new();
    let sink = Sink::start(folder.path()).await?;
    let fixture = CallFixture::start_with_agents(&[&format!("127.0.0.1:{}", sink.port)]).await?;
    let secret = webhook(&fixture.client, &fixture.key, &sink).await?;
    let agent = fixture.agent.url();
    let sealed = trunk_with_credential(&fixture, &agent).await?;
    for number in 0..TRUNKS {
        super::create_trunk(&fixture.client, &fixture.key, &format!("many-{number}"), &agent).await?;
    }
    let (live, caller) = fixture.live_call().await?;
    keys_in_file(&fixture.server)?;

    let rotation = fixture.server.home().command(&["keyring", "rotate", "--json"]);
    let rotation = tokio::spawn(cli::finish(rotation, "keyring"));
    let mut rounds = 0;
    while !rotation.is_finished() || rounds == 0 {
        fixture.client.get("/v1/whoami", &fixture.key).await?.expect(200)?;
        event(&fixture.client, &fixture.key).await?;
        call(&sealed, &sealed.uri).await.context("a call during the rotation")?;
        rounds += 1;
    }
    let done = rotation.await??.expect_success()?.json()?;
    let (keyring, added) = (&done["keyring"], &done["added"][0]);
    ensure!(keyring["resealing"] == false && keyring["unreadable"] == 0, "{done}");
    let left = keyring["left"].as_array().context("the kinds")?;
    ensure!(left.len() == 5 && left.iter().all(|left| left["secrets"] == 0), "{done}");
    let keys = keyring["keys"].as_array().context("the keys")?;
    ensure!(keys.len() == 2 && keys[1]["id"] == *added && keys[1]["active"] == true, "{done}");
    ensure!(keys[0]["sealed"] == 0 && keys[1]["sealed"].as_u64() > Some(TRUNKS as u64), "{done}");
    ensure!(keys_in_file(&fixture.server)? == 2);
    for arrival in sink.until(rounds).await? {
        ensure_authentic(&arrival, &secret)?;
    }
    let hangup = format!("/v1/calls/{live}/hangup");
    fixture.client.post(&hangup, &fixture.key, &json!({})).await?.expect(202)?;
    ensure!(crate::support::waiting::soon("the end of the call", caller).await???.answered());

    let pruned: Value =
        fixture.server.home().run(&["keyring", "prune", "--json"]).await?.expect_success()?.json()?;
    ensure!(pruned["removed"] == json!([keys[0]["id"]]), "{pruned}");
    ensure!(keys_in_file(&fixture.server)? == 1);

    // The agent lives until the end.
    let CallFixture { server, key, agent: _living, .. } = fixture;
    let server = server.kill_and_restart().await?;
    let client = server.client()?;
    client.get("/v1/whoami", &key).await?.expect(200)?;
    call(&sealed, &format!("sip:{}@{}", sealed.username, server.addresses.sip)).await?;
    event(&client, &key).await?;
    for arrival in sink.until(rounds + 1).await? {
        ensure_authentic(&arrival, &secret)?;
    }
    server.home().run(&["audit", "verify", "--json"]).await?.expect_success()?;
    let trail =
        server.home().run(&["audit", "list", "--target", added.as_str().context("an id")?, "--json"]).await?;
    let trail = trail.expect_success()?.json()?;
    let actions: Vec<_> =
        trail.as_array().context("an array")?.iter().map(|entry| &entry["action"]).collect();
    ensure!(actions == ["master_key.rotated", "master_key.activated", "master_key.added"], "{trail}");
    Ok(())
}
