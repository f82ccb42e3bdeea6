//! `telepath audit …`: audit events, and detection of tampering in the database.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::support::waiting::until;
use crate::support::{Outcome, Remote, Server};

#[tokio::test]
async fn audit_events_name_actor_address_and_change_and_are_filtered() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let app = server.create_key(&["--name", "app", "--preset", "testing"]).await?;
    remote.json(&["keys", "update", &app.id, "--name", "renamed"]).await?;
    remote.json(&["keys", "revoke", &app.id]).await?;

    let of_app = ["audit", "list", "--target", app.id.as_str()];
    let entries = remote.json(&of_app).await?;
    let actions: Vec<_> = entries.as_array().context("an array")?.iter().map(|e| &e["action"]).collect();
    assert_eq!(actions, [&json!("key.revoked"), &json!("key.updated"), &json!("key.created")]);
    let renamed = &entries[1];
    assert_eq!((&renamed["actor"], &renamed["address"]), (&json!(remote.key.id), &json!("127.0.0.1")));
    assert_eq!((&renamed["before"]["name"], &renamed["after"]["name"]), (&json!("app"), &json!("renamed")));
    assert!(entries[2]["actor"].as_str().is_some_and(|actor| actor.starts_with("local:")), "{}", entries[2]);

    let words = [&of_app[..], &["--limit", "2", "--since", "1h"]].concat();
    let (far, near) = (remote.run(&words).await?, server.home().run(&words).await?);
    assert_eq!(far.stdout, near.stdout);
    assert!(far.stderr.contains("Showing 2 of 3. Use --limit to see more."), "{}", far.stderr);
    let lines: Vec<&str> = far.stdout.lines().collect();
    let column = |name: &str| lines[0].find(name).with_context(|| format!("no {name} in {}", lines[0]));
    let (action, by, from) = (column("ACTION")?, column("ACTOR")?, column("ADDRESS")?);
    for (line, name) in lines[1..].iter().zip(["key.revoked", "key.updated"]) {
        assert!(line[..action].trim_end().ends_with('Z') && line[action..].starts_with(name), "{line}");
        assert!(line[by..].starts_with(&remote.key.id) && &line[from..] == "127.0.0.1", "{line}");
    }

    let by_others = [&of_app[..], &["--actor", "local", "--action", "key.revoked"]].concat();
    assert_eq!(server.home().run(&by_others).await?.expect_success()?.stdout, "No audit events.\n");
    Ok(())
}

#[tokio::test]
async fn audit_verify_detects_tampering() -> Outcome {
    let mut server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    server.create_key(&["--name", "honest-name", "--preset", "testing"]).await?;
    let far = remote.run(&["audit", "verify"]).await?.expect_success()?;
    let near = server.home().run(&["audit", "verify"]).await?.expect_success()?;
    assert_eq!(far.stdout, near.stdout);
    let whole = remote.json(&["audit", "verify"]).await?;
    assert_eq!((&whole["intact"], &whole["broken_at"]), (&json!(true), &Value::Null));
    let entries = whole["entries"].as_u64().context("a number")?;
    assert!(far.stdout.contains(&format!("{entries} entries")), "{}", far.stdout);

    assert!(server.stop().await?.success());
    server.home().forge("honest-name", "forged-name")?;
    let plain = server.home().run(&["audit", "verify"]).await?;
    assert_eq!(plain.code, Some(1), "{}", plain.stdout);
    let place = format!("broken at entry {entries}; {} entries before it are intact", entries - 1);
    assert!(plain.stderr.contains(&place), "{}", plain.stderr);
    let machine = server.home().run(&["audit", "verify", "--json"]).await?;
    assert_eq!((machine.code, &machine.json()?["broken_at"]), (Some(1), &json!(entries)));
    Ok(())
}

#[tokio::test]
async fn audit_verify_expects_a_head_that_the_server_logged() -> Outcome {
    let server = Server::start().await?;
    let head = until("the head is logged", async || {
        let log = server.log_text()?;
        let line = log.lines().find(|line| line.contains("the head of the audit trail"));
        let word = line.and_then(|line| line.split_whitespace().find_map(|word| word.strip_prefix("head=")));
        Ok(word.map(str::to_owned))
    })
    .await?;
    server.create_key(&["--name", "later", "--preset", "testing"]).await?;
    let expected = ["audit", "verify", "--expect-head", head.as_str()];
    let found = server.home().run(&expected).await?.expect_success()?;
    assert!(found.stdout.contains("Its head is "), "{}", found.stdout);
    let other = Server::start().await?;
    let replaced = other.home().run(&expected).await?;
    assert_eq!(replaced.code, Some(1), "{}", replaced.stdout);
    assert!(replaced.stderr.contains("has another entry at the position"), "{}", replaced.stderr);
    let wrong = server.home().run(&["audit", "verify", "--expect-head", "28"]).await?;
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    Ok(())
}
