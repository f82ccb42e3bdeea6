//! `telepath users …`, with a running server and without one. Users cannot be managed over the network.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::support::output::note_secret;
use crate::support::{Home, Outcome, Server};

async fn run(home: &Home, words: &[&str]) -> anyhow::Result<Value> {
    home.run(&[&["users"], words, &["--json"]].concat()).await?.expect_success()?.json()
}

/// The password code, which must not be found anywhere after the tests.
fn code(made: &Value) -> anyhow::Result<String> {
    let code = made["password_code"].as_str().with_context(|| format!("no code in {made}"))?;
    note_secret(code);
    Ok(code.to_owned())
}

async fn everything(home: &Home) -> Outcome {
    let owner = run(home, &["add", "Owner@Example.com", "--role", "owner", "--name", "The Owner"]).await?;
    let viewer = run(home, &["add", "viewer@example.com", "--role", "viewer"]).await?;
    ensure!(code(&owner)? != code(&viewer)?, "codes are unique");
    ensure!(viewer["name"] == "viewer" && viewer["status"] == "invited", "{viewer}");
    let listed = run(home, &["list"]).await?;
    let shown: Vec<_> = listed.as_array().context("an array")?.iter().map(|user| &user["email"]).collect();
    ensure!(shown == ["Owner@Example.com", "viewer@example.com"], "{listed}");
    ensure!(!listed.to_string().contains("code"), "a code is shown once: {listed}");

    let disabled = run(home, &["disable", "VIEWER@example.com"]).await?;
    ensure!(disabled["status"] == "disabled" && disabled["id"] == viewer["id"], "{disabled}");
    let refused = home.run(&["users", "reset-password", "viewer@example.com"]).await?;
    ensure!(refused.code == Some(5) && refused.stderr.contains("is disabled"), "{}", refused.stderr);
    let id = viewer["id"].as_str().context("an id")?;
    ensure!(run(home, &["enable", id]).await?["status"] == "invited");
    let reset = run(home, &["reset-password", id]).await?;
    ensure!(code(&reset)? != code(&viewer)?, "a new code");

    let refused = home.run(&["users", "remove-second-factor", id]).await?;
    ensure!(refused.code == Some(5) && refused.stderr.contains("has no second factor"), "{}", refused.stderr);

    let promoted = run(home, &["roles", id, "--set", "admin"]).await?;
    ensure!(promoted["role"] == "admin", "{promoted}");
    let refused = home.run(&["users", "roles", "owner@example.com", "--set", "viewer"]).await?;
    ensure!(refused.code == Some(5) && refused.stderr.contains("last owner"), "{}", refused.stderr);
    ensure!(run(home, &["roles", id, "--remove"]).await? == Value::Null);
    let gone = home.run(&["users", "disable", id]).await?;
    ensure!(gone.code == Some(5) && gone.stderr.contains("no such user"), "{}", gone.stderr);

    let trail = home.run(&["audit", "list", "--json"]).await?.expect_success()?.json()?;
    let actions: Vec<_> =
        trail.as_array().context("an array")?.iter().map(|entry| &entry["action"]).collect();
    let wanted =
        ["user.removed", "user.role_changed", "user.password_link_created", "user.enabled", "user.disabled"];
    ensure!(actions[..wanted.len()] == wanted, "{actions:?}");
    Ok(())
}

#[tokio::test]
async fn users_are_managed_through_a_running_server() -> Outcome {
    let server = Server::start().await?;
    everything(server.home()).await
}

#[tokio::test]
async fn users_are_managed_without_a_server() -> Outcome {
    let home = Home::new();
    // Prepares the database.
    home.create_key(&["--name", "first", "--preset", "testing"]).await?;
    everything(&home).await
}

#[tokio::test]
async fn mistakes_are_explained_and_roles_are_described() -> Outcome {
    let home = Home::new();
    home.create_key(&["--name", "first", "--preset", "testing"]).await?;
    for (words, expected) in [
        (&["users", "add", "ada", "--role", "owner"][..], "email must be an email address"),
        (&["users", "disable", "nobody@example.com"], "no such user"),
        (&["users", "disable", "nobody"], "or a user's id"),
    ] {
        let refused = home.run(words).await?;
        ensure!(
            refused.code == Some(5) && refused.stderr.contains(expected),
            "{words:?}: {}",
            refused.stderr
        );
    }
    let unknown = home.run(&["users", "add", "ada@example.com", "--role", "king"]).await?;
    let values = "[possible values: viewer, developer, admin, owner]";
    ensure!(unknown.code == Some(2) && unknown.stderr.contains(values), "{}", unknown.stderr);
    run(&home, &["add", "ada@example.com", "--role", "owner"]).await.and_then(|made| code(&made))?;
    let again = home.run(&["users", "add", "ADA@example.com", "--role", "viewer"]).await?;
    ensure!(again.stderr.contains("belongs to another user"), "{}", again.stderr);
    let nothing = home.run(&["users", "roles", "ada@example.com"]).await?;
    ensure!(nothing.code == Some(2) && nothing.stderr.contains("--set"), "{}", nothing.stderr);
    let roles = run(&home, &["roles"]).await?;
    ensure!(roles[3]["role"] == "owner" && roles[0]["scopes"][0] == "trunks:read", "{roles}");
    let text = home.run(&["users", "roles"]).await?.expect_success()?.stdout;
    ensure!(text.lines().count() == 5, "{text}");
    Ok(())
}

#[tokio::test]
async fn users_and_accounts_are_not_found_over_the_network() -> Outcome {
    let server = Server::start().await?;
    let (client, key) = (server.client()?, server.admin_key().await?.secret);
    client.get("/local/users", &key).await?.expect(404)?;
    client.get("/local/accounts", &key).await?.expect(404)?;
    let draft = json!({ "email": "eve@example.com", "role": "owner" });
    client.post("/local/users", &key, &draft).await?.expect(404)?;
    let listed = run(server.home(), &["list"]).await?;
    ensure!(listed == json!([]), "{listed}");
    Ok(())
}

#[tokio::test]
async fn users_of_another_account_are_managed_with_the_account_flag() -> Outcome {
    let server = Server::start().await?;
    let home = server.home();
    let created =
        home.run(&["accounts", "create", "--name", "Acme", "--json"]).await?.expect_success()?.json()?;
    let account = created["id"].as_str().context("an id")?;
    run(home, &["add", "ada@example.com", "--role", "owner", "--account", account])
        .await
        .and_then(|made| code(&made))?;
    let listed = run(home, &["list", "--account", account]).await?;
    ensure!(listed[0]["email"] == "ada@example.com", "{listed}");
    ensure!(run(home, &["list"]).await? == json!([]), "the default is the first account");
    let unknown = home.run(&["users", "list", "--account", "acct_00000000000000000000000000"]).await?;
    ensure!(unknown.code == Some(5) && unknown.stderr.contains("acct_"), "{}", unknown.stderr);
    Ok(())
}
