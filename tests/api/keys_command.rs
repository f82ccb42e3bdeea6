//! `telepath keys …` on a data folder, with and without a running server.

use anyhow::Context as _;
use serde_json::Value;

use crate::support::http::Call;
use crate::support::server::Home;
use crate::support::{Outcome, Server};

#[tokio::test]
async fn keys_created_without_a_server_work_after_it_starts() -> Outcome {
    let home = Home::new();
    let key = home.create_key(&["--name", "first", "--preset", "production"]).await?;
    let gone = home.create_key(&["--name", "second", "--preset", "testing"]).await?;
    home.run(&["keys", "revoke", &gone.id]).await?.expect_success()?;
    let server = home.start().await?;
    let client = server.client()?;
    let me = client.get("/v1/whoami", &key.secret).await?.expect(200)?;
    assert_eq!((me["id"].as_str(), me["name"].as_str()), (Some(key.id.as_str()), Some("first")), "{me}");
    assert_eq!(client.get("/v1/whoami", &gone.secret).await?.error(401)?, "INVALID_API_KEY");
    Ok(())
}

#[tokio::test]
async fn a_running_server_admits_a_key_as_soon_as_the_command_returns() -> Outcome {
    let server = Server::start().await?;
    let mut connection = server.client()?.connect().await?;
    for number in 0..5 {
        let name = format!("key {number}");
        let key = server.create_key(&["--name", &name, "--preset", "monitoring"]).await?;
        let call = || Call::get("/v1/whoami").key(&key.secret);
        assert_eq!(connection.send(call()).await?.status, 200, "{name}");
        server.home().run(&["keys", "revoke", &key.id]).await?.expect_success()?;
        assert_eq!(connection.send(call()).await?.error(401)?, "INVALID_API_KEY", "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn create_options_set_the_rights_of_the_key() -> Outcome {
    let server = Server::start().await?;
    let options = [
        "--name",
        "narrow",
        "--preset",
        "custom",
        "--scopes",
        "trunks:read,calls:read",
        "--rate-limit",
        "42",
        "--expires",
        "30d",
        "--allow-ip",
        "127.0.0.0/8",
        "--allow-ip",
        "192.0.2.0/24",
    ];
    let key = server.create_key(&options).await?;
    let me = server.client()?.get("/v1/whoami", &key.secret).await?.expect(200)?;
    assert_eq!(me["rate_limit_per_minute"], 42, "{me}");
    let scopes: Vec<&str> = me["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(scopes, ["trunks:read", "calls:read"], "{me}");
    assert!(me["expires_at"].is_string(), "{me}");
    Ok(())
}

#[tokio::test]
async fn keys_list_never_shows_secrets() -> Outcome {
    let home = Home::new();
    let key = home.create_key(&["--name", "listed", "--preset", "testing"]).await?;
    for words in [&["keys", "list"][..], &["keys", "list", "--json"]] {
        let shown = home.run(words).await?.expect_success()?;
        assert!(shown.stdout.contains(&key.id) && shown.stdout.contains("listed"), "{}", shown.stdout);
        assert!(!shown.stdout.contains(&key.secret));
    }
    Ok(())
}

#[tokio::test]
async fn errors_are_one_line_with_an_exit_code() -> Outcome {
    let home = Home::new();
    home.create_key(&["--name", "first", "--preset", "production"]).await?;
    for words in [
        &["keys", "create", "--name", "x", "--preset", "nonsense"][..],
        &["keys", "create", "--name", "x", "--preset", "custom", "--scopes", "trunks:erase"],
        &["keys", "create", "--name", "x", "--preset", "testing", "--allow-ip", "not-an-address"],
        &["keys", "create", "--name", "x", "--preset", "testing", "--expires", "yesterday"],
        &["keys", "revoke", "key_x"],
    ] {
        let refused = home.run(words).await?;
        assert!(refused.code.is_some_and(|code| code != 0), "{words:?}: {}", refused.stdout);
        assert!(
            !refused.stderr.trim().is_empty() && !refused.stderr.contains("panicked"),
            "{words:?}: {}",
            refused.stderr
        );
    }
    Ok(())
}

#[tokio::test]
async fn secrets_are_rotated_and_revoked_in_a_data_folder() -> Outcome {
    let server = Server::start().await?;
    let home = server.home();
    let admitted =
        async |secret: &str| anyhow::Ok(server.client()?.get("/v1/whoami", secret).await?.status == 200);
    let old = server.create_key(&["--name", "app", "--preset", "testing"]).await?;
    let turned = home.run(&["keys", "rotate", &old.id]).await?.expect_success()?.stdout;
    assert!(turned.contains("the old secret works until ") && turned.contains("Save it now"), "{turned}");
    let new = turned.lines().find_map(|line| line.trim().strip_prefix("secret ")).context("a secret")?.trim();
    assert!(admitted(&old.secret).await? && admitted(new).await?);

    let shown = home.run(&["keys", "show", &old.id, "--json"]).await?.expect_success()?.json()?;
    let secret = shown["secrets"][1]["id"].as_str().context("the old secret has an id")?;
    let ended = home.run(&["keys", "end-secret", &old.id, secret]).await?.expect_success()?.stdout;
    assert!(ended.starts_with(&format!("Revoked secret {secret}")), "{ended}");
    assert!(!admitted(&old.secret).await? && admitted(new).await?);

    let other = server.create_key(&["--name", "other", "--preset", "testing"]).await?;
    let all = home.run(&["keys", "rotate-all", "--grace", "2h"]).await?.expect_success()?.stdout;
    assert!(all.contains("2 keys rotated; the old secrets work for 2h."), "{all}");
    let made: Vec<(&str, &str)> = all
        .lines()
        .filter_map(|line| {
            let mut cells = line.split_whitespace();
            Some((cells.next()?, cells.next()?))
        })
        .filter(|(id, _)| id.starts_with("key_"))
        .collect();
    assert_eq!(made.len(), 2, "{all}");
    for (id, secret) in made {
        assert!([&old.id, &other.id].iter().any(|known| *known == id), "{all}");
        assert!(admitted(secret).await?);
    }
    assert!(admitted(new).await? && admitted(&other.secret).await?);
    let none = home.run(&["keys", "rotate-all", "--secrets-before", "1h"]).await?.expect_success()?.stdout;
    assert!(none.contains("0 keys rotated"), "every secret is younger: {none}");
    Ok(())
}
