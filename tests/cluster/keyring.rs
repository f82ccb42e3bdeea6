//! The master key of several servers: a key is activated only when all of them have loaded it.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::is_possible;
use super::test_cluster::{master_key, redis, shared};
use crate::support::Outcome;
use crate::support::database::Database;
use crate::support::output::{note_secret, unique};
use crate::support::server::Home;
use crate::support::waiting::until;

#[tokio::test]
async fn a_key_is_activated_when_every_server_has_loaded_it() -> Outcome {
    if !is_possible() {
        return Ok(());
    }
    let database = Database::postgres();
    let url = database.url().context("a database URL")?;
    let prefix = format!("telepath-test-{}:", unique());
    let redis = redis()?;
    let place = || Database::Elsewhere { url: url.clone() };
    let first = Home::on(place(), shared(&redis, &prefix, "first")).start().await?;
    let (_, shared_file) = master_key(&first.data());
    let copy = first.home().beside("copy.key");
    std::fs::copy(&shared_file, &copy)?;
    let settings =
        [shared(&redis, &prefix, "second"), vec![("TELEPATH_MASTER_KEY_FILE", copy.display().to_string())]];
    let second = Home::on(place(), settings.concat()).start().await?;
    let key = first.admin_key().await?.secret;
    let refused = first.home().run(&["keyring", "rotate"]).await?;
    ensure!(refused.code == Some(5), "{}", refused.stdout);
    ensure!(refused.stderr.contains("erver second has not loaded"), "{}", refused.stderr);
    let text = std::fs::read_to_string(&shared_file)?;
    text.lines().for_each(note_secret);
    ensure!(text.lines().count() == 2, "the key was added");

    std::fs::copy(&shared_file, &copy)?;
    let done: Value = until("the second server has loaded the key", || async {
        let rotated = first.home().run(&["keyring", "rotate", "--json"]).await?;
        if rotated.code == Some(5) { Ok(None) } else { rotated.expect_success()?.json().map(Some) }
    })
    .await?;
    let keyring = &done["keyring"];
    ensure!(done["added"] == json!([]) && keyring["resealing"] == false, "{done}");
    ensure!(keyring["servers"].as_array().is_some_and(|servers| servers.len() == 2), "{done}");
    for server in keyring["servers"].as_array().into_iter().flatten() {
        ensure!(server["active"] == keyring["keys"][1]["id"], "{done}");
    }
    let draft = json!({
        "name": "after", "ai_provider": "custom", "sip_username": "after-01", "custom_endpoint": "wss://agent.example/",
    });
    second.client()?.post("/v1/trunks", &key, &draft).await?.expect(201)?;
    let status = first.home().run(&["keyring", "status", "--json"]).await?.expect_success()?.json()?;
    ensure!(status["keys"][0]["sealed"] == 0, "the second server seals with the new key: {status}");
    first.home().run(&["keyring", "prune"]).await?.expect_success()?;
    let (_, only_new) = master_key(&first.data());
    std::fs::copy(&only_new, &copy)?;
    let second = second.kill_and_restart().await?;
    second.client()?.get("/v1/trunks", &key).await?.expect(200)?;
    Ok(())
}
