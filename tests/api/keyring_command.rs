//! `telepath keyring …` without a running server, with other keys than those of the database, and with unusable files of keys.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::support::output::note_secret;
use crate::support::{Finished, Home, Outcome, cli};

async fn json(home: &Home, words: &[&str]) -> anyhow::Result<Value> {
    home.run(&[&["keyring"], words, &["--json"]].concat()).await?.expect_success()?.json()
}

fn file(home: &Home) -> PathBuf {
    home.data().join("master.key")
}

/// The text of the file of keys, which must not be found anywhere after the tests.
fn keys(home: &Home) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(file(home))?;
    text.lines().for_each(note_secret);
    Ok(text.lines().map(str::to_owned).collect())
}

fn ensure_refused(finished: &Finished, code: i32, text: &str) -> Outcome {
    ensure!(
        finished.code == Some(code) && finished.stderr.contains(text),
        "{:?}: {}",
        finished.code,
        finished.stderr
    );
    Ok(())
}

/// The id of the active key.
fn active(keyring: &Value) -> anyhow::Result<String> {
    let keys = keyring["keys"].as_array().context("keys")?;
    let active = keys.iter().find(|key| key["active"] == true).context("an active key")?;
    active["id"].as_str().map(str::to_owned).context("an id")
}

#[tokio::test]
async fn an_interrupted_rotation_is_continued_by_the_next_command() -> Outcome {
    let home = Home::new();
    let key = home.create_key(&["--name", "first", "--preset", "testing"]).await?;
    let first = active(&json(&home, &["status"]).await?)?;
    let begun = json(&home, &["rotate", "--no-wait"]).await?;
    ensure!(begun["keyring"]["resealing"] == true && begun["added"][0] != first.as_str(), "{begun}");
    let refused = home.run(&["keyring", "prune"]).await?;
    ensure_refused(&refused, 5, "are still being sealed")?;
    let done = home.run(&["keyring", "rotate"]).await?.expect_success()?;
    let second = active(&json(&home, &["status"]).await?)?;
    ensure!(begun["added"][0] == second.as_str(), "the same rotation");
    ensure!(
        done.stdout.contains(&format!("Everything is sealed with the master key {second}.")),
        "{}",
        done.stdout
    );
    ensure!(
        done.stdout.contains(&first) && done.stdout.contains("telepath keyring prune"),
        "{}",
        done.stdout
    );
    ensure!(keys(&home)?.len() == 2 && !done.stderr.contains("Added"));
    ensure!(fs::metadata(file(&home))?.permissions().mode() & 0o777 == 0o600);
    let text = home.run(&["keyring", "status"]).await?.expect_success()?.stdout;
    ensure!(text.lines().count() >= 4 && text.contains("Everything is sealed"), "{text}");
    let pruned = home.run(&["keyring", "prune"]).await?.expect_success()?;
    ensure!(pruned.stdout.contains(&format!("Removed {first}")), "{}", pruned.stdout);
    let again = home.run(&["keyring", "prune"]).await?.expect_success()?;
    ensure!(again.stdout.contains("Nothing to remove"), "{}", again.stdout);
    ensure!(keys(&home)?.len() == 1);
    let server = home.start().await?;
    server.client()?.get("/v1/whoami", &key.secret).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_process_with_only_the_old_key_is_refused_and_says_which_key_is_missing() -> Outcome {
    let home = Home::new().with_env("TELEPATH_METRICS_LISTEN", "off");
    home.create_key(&["--name", "first", "--preset", "testing"]).await?;
    let old = keys(&home)?;
    let done = json(&home, &["rotate"]).await?;
    let both = fs::read_to_string(file(&home))?;
    keys(&home)?;
    fs::write(file(&home), format!("{}\n", old[0]))?;
    for words in [&["keyring", "status"][..], &["keys", "list"], &["serve", "--api-listen", "127.0.0.1:0"]] {
        let refused = home.run(words).await?;
        ensure_refused(&refused, 3, &format!("belongs to master key {}", active(&done["keyring"])?))?;
        ensure!(refused.stderr.contains("copy it from another server"), "{}", refused.stderr);
    }
    // The order of the keys does not matter for opening.
    let lines: Vec<&str> = both.lines().rev().collect();
    fs::write(file(&home), lines.join("\n"))?;
    ensure!(active(&json(&home, &["status"]).await?)? == active(&done["keyring"])?);
    // A backup from before is opened by the old key, which is still loaded.
    let back = json(&home, &["rotate", "--key", done["keyring"]["keys"][0]["id"].as_str().context("an id")?])
        .await?;
    ensure!(back["added"] == serde_json::json!([]) && back["keyring"]["resealing"] == false, "{back}");
    fs::write(file(&home), format!("{}\n", old[0]))?;
    home.run(&["audit", "verify"]).await?.expect_success()?;
    Ok(())
}

#[tokio::test]
async fn unusable_files_of_keys_and_configured_keys_are_explained() -> Outcome {
    let mut server = Home::new().start().await?;
    let good = keys(server.home())?;
    let path = file(server.home());
    fs::set_permissions(&path, Permissions::from_mode(0o640))?;
    ensure_refused(&server.home().run(&["keyring", "rotate"]).await?, 5, "chmod 600")?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    for wrong in ["", "not a key\n"] {
        fs::write(&path, wrong)?;
        ensure_refused(&server.home().run(&["keyring", "rotate"]).await?, 5, "a master key is 32 bytes")?;
    }
    fs::remove_file(&path)?;
    ensure_refused(&server.home().run(&["keyring", "add"]).await?, 5, "master key is missing")?;
    let elsewhere = server.home().beside("elsewhere.key");
    fs::write(&elsewhere, format!("{}\n", good[0]))?;
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o600))?;
    std::os::unix::fs::symlink(&elsewhere, &path)?;
    ensure_refused(&server.home().run(&["keyring", "rotate"]).await?, 5, "is a link")?;
    ensure_refused(
        &server.home().run(&["keyring", "rotate", "--key", "0123"]).await?,
        2,
        "16 hexadecimal digits",
    )?;
    let unknown = server.home().run(&["keyring", "rotate", "--key", "0123456789abcdef"]).await?;
    ensure_refused(&unknown, 5, "not loaded the master key 0123456789abcdef")?;
    ensure!(server.stop().await?.success());

    let (home, _) = server.kill().await?;
    for (setting, value, text) in [
        ("TELEPATH_MASTER_KEY", good[0].as_str(), "come from TELEPATH_MASTER_KEY"),
        ("TELEPATH_MASTER_KEY_FILE", &elsewhere.to_string_lossy(), "which the server only reads"),
    ] {
        let mut command = home.command(&["keyring", "rotate"]);
        command.env(setting, value);
        ensure_refused(&cli::finish(command, "keyring").await?, 5, text)?;
    }
    ensure!(fs::read_to_string(&elsewhere)?.lines().count() == 1, "nothing was written");
    Ok(())
}
