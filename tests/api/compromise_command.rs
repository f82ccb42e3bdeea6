//! `telepath compromise` on a real server, remotely and on the data folder, including a step that fails.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::support::output::{note_keys_in, note_secret};
use crate::support::waiting::until;
use crate::support::{CreatedKey, Finished, Outcome, Remote, Server};

const PROVIDER_KEY: &str = "sk-provider-0123456789abcdefghwxyz";
const STEPS: [&str; 5] = ["revoke", "rotate_all", "audit_calls", "old_secrets", "provider_credentials"];

/// A server with a leaked key that was used, an unaffected client, and a trunk.
struct Scene {
    server: Server,
    victim: CreatedKey,
    app: CreatedKey,
}

impl Scene {
    async fn set() -> anyhow::Result<Self> {
        let server = Server::start().await?;
        let options = ["--name", "victim", "--preset", "custom", "--scopes", "keys:write,trunks:write"];
        let victim = server.create_key(&options).await?;
        let app =
            server.create_key(&["--name", "app", "--preset", "custom", "--scopes", "calls:read"]).await?;
        let client = server.client()?;
        client.get("/v1/whoami", &app.secret).await?.expect(200)?;
        note_secret(PROVIDER_KEY);
        let trunk = json!({"name": "Support", "ai_provider": "openai", "sip_username": "support-01",
            "openai_api_key": PROVIDER_KEY});
        client.post("/v1/trunks", &victim.secret, &trunk).await?.expect(201)?;
        client.get("/v1/calls", &victim.secret).await?.error(403)?;
        let scene = Self { server, victim, app };
        scene.until_logged().await?;
        Ok(scene)
    }

    /// The log is written twice a second.
    async fn until_logged(&self) -> Outcome {
        let words = ["requests", "list", "--key", self.victim.id.as_str(), "--json"];
        until("what the key did stands in the log", || async {
            let found = self.server.home().run(&words).await?.expect_success()?.json()?;
            Ok((found.as_array().map(Vec::len) == Some(2)).then_some(()))
        })
        .await
    }

    async fn is_admitted(&self, secret: &str) -> anyhow::Result<bool> {
        Ok(self.server.client()?.get("/v1/whoami", secret).await?.status == 200)
    }

    /// Uses a dead secret and waits until that stands in the log.
    async fn use_the_dead(&self) -> Outcome {
        assert!(!self.is_admitted(&self.victim.secret).await?);
        let words = ["requests", "list", "--status", "401", "--json"];
        until("the refusal stands in the log", || async {
            let found = self.server.home().run(&words).await?.expect_success()?.json()?;
            Ok(found.as_array().is_some_and(|found| !found.is_empty()).then_some(()))
        })
        .await
    }
}

fn steps(led: &Finished) -> anyhow::Result<Vec<Value>> {
    Ok(led.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

#[tokio::test]
async fn compromise_runs_remotely_and_continues_with_its_new_secret() -> Outcome {
    let scene = Scene::set().await?;
    let remote = Remote::of(&scene.server).await?;
    let led = remote.run(&["compromise", &scene.victim.id, "--yes", "--json"]).await?.expect_success()?;
    let steps = steps(&led)?;
    assert_eq!(steps.len(), STEPS.len());
    for (place, (step, name)) in steps.iter().zip(STEPS).enumerate() {
        let told = (&step["step"], &step["name"], &step["outcome"]);
        assert_eq!(told, (&json!(place + 1), &json!(name), &json!("done")), "{step}");
    }
    let key = &steps[0]["key"];
    assert_eq!((&key["status"], &key["revoke_reason"]), (&json!("revoked"), &json!("compromised")));

    let rotated = steps[1]["keys"].as_array().context("keys")?;
    let new: Vec<CreatedKey> = rotated.iter().map(CreatedKey::from_json).collect::<Result<_, _>>()?;
    assert!(new.iter().any(|key| key.id == remote.key.id) && new.iter().any(|key| key.id == scene.app.id));
    assert_eq!(new.len(), 2, "not the revoked one");
    for old in [&scene.victim, &scene.app, &remote.key] {
        assert!(!scene.is_admitted(&old.secret).await?);
        assert!(!led.stderr.contains(&old.secret));
    }
    for new in &new {
        assert!(scene.is_admitted(&new.secret).await? && !led.stderr.contains(&new.secret));
    }

    let statuses: Vec<&Value> = steps[2]["requests"]
        .as_array()
        .context("requests")?
        .iter()
        .map(|request| &request["status"])
        .collect();
    assert_eq!(statuses, [&json!(403), &json!(201)]);
    assert_eq!(steps[2]["addresses"][0]["address"], "127.0.0.1", "{}", steps[2]);
    assert_eq!(steps[2]["addresses"][0]["requests"], 2, "{}", steps[2]);
    assert_eq!(steps[2]["audit_events"][0]["action"], "trunk.created", "{}", steps[2]);
    let old = steps[3]["old_secrets"].as_array().context("old secrets")?;
    assert!(old.iter().any(|old| old["key_id"] == scene.app.id.as_str()), "{}", steps[3]);
    assert!(old.iter().all(|old| old["secret"]["status"] == "ended"), "{}", steps[3]);
    let held = &steps[4]["credentials"][0];
    assert_eq!((&held["credential"], &held["last4"]), (&json!("openai_api_key"), &json!("wxyz")), "{held}");
    Ok(())
}

#[tokio::test]
async fn compromise_prints_five_steps_and_finds_old_secrets_in_use() -> Outcome {
    let scene = Scene::set().await?;
    let words =
        ["compromise", scene.victim.id.as_str(), "--yes", "--grace", "1h", "--reason", "left in a log"];
    let first = scene.server.home().run(&words).await?.expect_success()?;
    for number in 1..=5 {
        assert!(first.stderr.contains(&format!("Step {number} of 5: ")), "{}", first.stderr);
    }
    assert!(first.stdout.contains(&format!("Revoked {}", scene.victim.id)), "{}", first.stdout);
    assert!(
        first.stdout.contains("POST /v1/trunks") && first.stdout.contains("trunk.created"),
        "{}",
        first.stdout
    );
    assert!(first.stdout.contains("openai_api_key  …wxyz") && !first.stdout.contains(PROVIDER_KEY));
    let app = scene.app.secret.as_str();
    assert!(scene.is_admitted(app).await? && !scene.is_admitted(&scene.victim.secret).await?);

    scene.use_the_dead().await?;
    // Running it again is safe, and shows which clients still use old secrets.
    let second = scene.server.home().run(&words).await?.expect_success()?;
    let lines: Vec<&str> = second.stdout.lines().collect();
    let row = |start: &str, head: &str| {
        let head = lines.iter().position(|line| line.starts_with(head));
        head.and_then(|head| lines[head + 1..].iter().find(|line| line.starts_with(start)))
    };
    let old = row(&scene.app.id, "KEY ").with_context(|| second.stdout.clone())?;
    assert!(old.contains("app") && old.contains("127.0.0.1"), "{old}");
    let refused = row(&scene.victim.id, "REJECTED KEY").with_context(|| second.stdout.clone())?;
    assert!(refused.contains("127.0.0.1"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_failed_step_does_not_stop_the_others() -> Outcome {
    let scene = Scene::set().await?;
    let options =
        ["--name", "narrow", "--preset", "custom", "--scopes", "keys:write,trunks:write,calls:read"];
    let narrow = Remote::with_key(&scene.server, scene.server.create_key(&options).await?);
    let led = narrow.run(&["compromise", &scene.victim.id, "--yes", "--json"]).await?;
    note_keys_in(&led.stdout);
    assert_eq!(led.code, Some(5), "{}", led.stderr);
    assert!(led.stderr.contains("lacks usage:read, audit:read"), "{}", led.stderr);
    assert!(led.stderr.contains("step 3 failed: "), "{}", led.stderr);
    let steps = steps(&led)?;
    let outcomes: Vec<_> = steps.iter().map(|step| step["outcome"].as_str().unwrap_or_default()).collect();
    assert_eq!(outcomes, ["done", "done", "failed", "failed", "done"]);
    assert!(
        steps[2]["error"].as_str().is_some_and(|error| error.contains("INSUFFICIENT_SCOPE")),
        "{}",
        steps[2]
    );
    assert_eq!(steps[4]["credentials"][0]["last4"], "wxyz", "{}", steps[4]);
    assert!(!scene.is_admitted(&scene.victim.secret).await? && !scene.is_admitted(&scene.app.secret).await?);
    Ok(())
}
