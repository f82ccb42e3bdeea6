//! `telepath alerts …` on alerts that a real server raised.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::support::waiting::until;
use crate::support::{Outcome, Remote, Server};

/// Waits for `count` alerts raised by using revoked keys.
async fn raised(remote: &Remote<'_>, count: usize) -> anyhow::Result<Vec<Value>> {
    until(&format!("{count} alerts are there"), || async {
        let alerts = remote.json(&["alerts", "list", "--rule", "dead_key_used"]).await?;
        let alerts = alerts.as_array().context("an array")?;
        Ok((alerts.len() == count).then(|| alerts.clone()))
    })
    .await
}

#[tokio::test]
async fn alerts_are_listed_and_acknowledged_locally_and_remotely() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let mut keys = Vec::new();
    for name in ["till", "door"] {
        let key = server.create_key(&["--name", name, "--preset", "testing"]).await?;
        remote.json(&["keys", "revoke", &key.id]).await?;
        assert!(!remote.is_admitted(&key.secret).await?);
        keys.push(key);
    }
    let alerts = raised(&remote, 2).await?;
    let ids: Vec<&str> = alerts.iter().filter_map(|alert| alert["id"].as_str()).collect();
    assert_eq!(alerts[0]["figures"]["state"], "revoked", "{}", alerts[0]);

    let words = ["alerts", "list", "--status", "open", "--key", keys[0].id.as_str()];
    let (far, near) = (remote.run(&words).await?, server.home().run(&words).await?);
    for listed in [far.expect_success()?, near.expect_success()?] {
        let lines: Vec<&str> = listed.stdout.lines().collect();
        assert_eq!(lines.len(), 2, "{}", listed.stdout);
        let column = |name: &str| lines[0].find(name).with_context(|| format!("no {name} in {}", lines[0]));
        assert!(lines[1][column("STATE")?..].starts_with("open "), "{}", listed.stdout);
        assert!(lines[1][column("SUBJECT")?..].starts_with("till "), "{}", listed.stdout);
        assert!(lines[1][column("ALERT")?..].starts_with("dead_key_used: "), "{}", listed.stdout);
    }
    let cut = remote.run(&["alerts", "list", "--limit", "1"]).await?.expect_success()?;
    assert!(cut.stderr.contains("Showing 1 of 2. Use --limit to see more."), "{}", cut.stderr);

    let first = remote.run(&["alerts", "ack", ids[0]]).await?.expect_success()?;
    assert_eq!(first.stdout, format!("Acknowledged {} (dead_key_used).\n", ids[0]));
    let words = ["alerts", "ack", ids[0], ids[1], "--json"];
    let both = server.home().run(&words).await?.expect_success()?.json()?;
    let by: Vec<&Value> =
        both.as_array().context("an array")?.iter().map(|a| &a["acknowledged_by"]).collect();
    assert_eq!(by[0], &json!(remote.key.id), "the first acknowledgement is kept");
    assert!(by[1].as_str().is_some_and(|actor| actor.starts_with("local:")), "{by:?}");
    let open = server.home().run(&["alerts", "list", "--status", "open"]).await?.expect_success()?;
    assert_eq!(open.stdout, "No alerts.\n");
    let seen = remote.json(&["alerts", "list", "--status", "acknowledged"]).await?;
    assert_eq!(seen.as_array().map(Vec::len), Some(2), "{seen}");
    Ok(())
}

#[tokio::test]
async fn unknown_alerts_and_states_are_rejected() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let unknown = remote.run(&["alerts", "ack", "alr_00000000000000000000000001"]).await?;
    assert_eq!(unknown.code, Some(5), "{}", unknown.stderr);
    let state = server.home().run(&["alerts", "list", "--status", "asleep"]).await?;
    assert_eq!(state.code, Some(2), "{}", state.stderr);
    assert!(state.stderr.contains("[possible values: open, acknowledged]"), "{}", state.stderr);
    Ok(())
}
