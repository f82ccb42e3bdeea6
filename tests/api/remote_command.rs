//! Commands on a remote server: over HTTPS, with a key from the environment or an env file, trusting only the given CA.

use anyhow::Context as _;

use crate::support::cli::{command, finish};
use crate::support::output::note_secret;
use crate::support::server::Home;
use crate::support::{CreatedKey, Outcome, Remote, Server};

#[tokio::test]
async fn a_key_is_managed_remotely_from_creation_to_revocation() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let options = ["keys", "create", "--name", "app", "--preset", "testing"];
    let made = CreatedKey::from_json(&remote.json(&options).await?)?;
    let id = made.id.as_str();
    let changed =
        remote.json(&["keys", "update", id, "--rate-limit", "42", "--allow-ip", "127.0.0.0/8"]).await?;
    assert_eq!((&changed["rate_limit_per_minute"], &changed["name"]), (&42.into(), &"app".into()));

    let rotated = CreatedKey::from_json(&remote.json(&["keys", "rotate", id, "--grace", "1h"]).await?)?;
    assert!(remote.is_admitted(&made.secret).await? && remote.is_admitted(&rotated.secret).await?);
    let shown = remote.json(&["keys", "show", id]).await?;
    assert_eq!(
        (&shown["secrets"][0]["status"], &shown["secrets"][1]["status"]),
        (&"current".into(), &"grace".into())
    );
    let old = shown["secrets"][1]["id"].as_str().context("the old secret has an id")?;
    let ended = remote.run(&["keys", "end-secret", id, old]).await?.expect_success()?;
    assert!(ended.stdout.contains("ended"), "{}", ended.stdout);
    assert!(!remote.is_admitted(&made.secret).await? && remote.is_admitted(&rotated.secret).await?);

    let last = remote.run(&["keys", "rotate", id, "--grace", "0s"]).await?.expect_success()?;
    assert!(last.stdout.contains("the old secret no longer works"), "{}", last.stdout);
    assert!(!remote.is_admitted(&rotated.secret).await?);
    let listed = remote.run(&["keys", "list"]).await?.expect_success()?;
    assert!(listed.stdout.contains(id) && listed.stdout.contains("ERRORS"), "{}", listed.stdout);
    let revoked = remote.json(&["keys", "revoke", id, "--reason", "over"]).await?;
    assert_eq!((&revoked["status"], &revoked["revoke_reason"]), (&"revoked".into(), &"over".into()));
    Ok(())
}

#[tokio::test]
async fn rotate_all_without_grace_requires_confirmation_and_includes_the_caller() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let refused = remote.run(&["keys", "rotate-all", "--grace", "0s"]).await?;
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("--yes") && remote.is_admitted(&remote.key.secret).await?);
    let rotated = remote.json(&["keys", "rotate-all", "--grace", "0s", "--yes"]).await?;
    let keys = rotated["keys"].as_array().context("keys")?;
    assert_eq!((keys.len(), &rotated["grace_seconds"]), (1, &0.into()));
    let secret = keys[0]["secret"].as_str().context("a secret")?;
    note_secret(secret);
    assert!(!remote.is_admitted(&remote.key.secret).await? && remote.is_admitted(secret).await?);
    let late = remote.run(&["keys", "list"]).await?;
    assert_eq!(late.code, Some(5), "{}", late.stderr);
    assert!(late.stderr.contains("INVALID_API_KEY"), "{}", late.stderr);
    Ok(())
}

#[tokio::test]
async fn a_preset_is_updated_used_and_reset() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let words = ["keys", "presets", "set", "testing", "--scopes", "calls:read", "--rate-limit", "7"];
    assert_eq!(remote.json(&words).await?["modified"], true);
    let made = remote.json(&["keys", "create", "--name", "small", "--preset", "testing"]).await?;
    note_secret(made["secret"].as_str().context("a secret")?);
    assert_eq!(
        (&made["rate_limit_per_minute"], &made["scopes"]),
        (&7.into(), &serde_json::json!(["calls:read"]))
    );
    let back = remote.json(&["keys", "presets", "reset", "testing"]).await?;
    assert_eq!((&back["modified"], &back["rate_limit_per_minute"]), (&false.into(), &600.into()));
    let listed = remote.run(&["keys", "presets", "list"]).await?.expect_success()?;
    assert!(listed.stdout.contains("monitoring"), "{}", listed.stdout);
    Ok(())
}

#[tokio::test]
async fn an_env_file_is_read_only_when_it_is_named() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let place = server.home().beside("elsewhere");
    std::fs::create_dir(&place)?;
    let text = format!(
        "# a comment\nexport TELEPATH_API_URL={}\nTELEPATH_API_KEY='{}'\nTELEPATH_CA_FILE={}\n",
        remote.url(),
        remote.key.secret,
        server.authority().display()
    );
    std::fs::write(place.join(".env"), text)?;
    let run = async |words: &[&str]| {
        let mut command = command();
        command.args(words).current_dir(&place);
        finish(command, "env-file").await
    };
    let named = run(&["keys", "list", "--env-file", ".env"]).await?.expect_success()?;
    assert!(named.stdout.contains(&remote.key.id), "{}", named.stdout);
    assert!(named.stderr.contains("chmod 600"), "everybody can read the file: {}", named.stderr);
    let unnamed = run(&["keys", "list"]).await?;
    // No file that this test leaves may contain a secret.
    std::fs::remove_file(place.join(".env"))?;
    assert_eq!(unnamed.code, Some(3), "{}", unnamed.stdout);
    assert!(unnamed.stderr.contains("there is no data folder"), "{}", unnamed.stderr);
    Ok(())
}

#[tokio::test]
async fn remote_errors_have_distinct_exit_codes() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let data = server.data();
    let data = data.to_str().context("a path in UTF-8")?;
    let two = remote.run(&["keys", "list", "--data-dir", data, "--api-url", &remote.url()]).await?;
    assert_eq!(two.code, Some(2), "{}", two.stderr);
    let folder = remote.run(&["keys", "list", "--data-dir", data]).await?;
    assert_eq!(folder.code, Some(0), "a flag wins over the environment: {}", folder.stderr);

    let mut plain = remote.command(&["keys", "list", "--api-url", "http://localhost:1"]);
    assert_eq!(finish(plain, "plain").await?.code, Some(3));
    plain = remote.command(&["keys", "list", "--api-url", "http://voice.example:1", "--insecure-http"]);
    assert_eq!(finish(plain, "plain").await?.code, Some(3));

    let mut stranger = remote.command(&["keys", "list"]);
    stranger.env_remove("TELEPATH_CA_FILE");
    let stranger = finish(stranger, "stranger").await?;
    assert!(stranger.code == Some(1) || stranger.code == Some(3), "{:?} {}", stranger.code, stranger.stderr);

    let mut keyless = remote.command(&["keys", "list"]);
    keyless.env_remove("TELEPATH_API_KEY");
    let keyless = finish(keyless, "keyless").await?;
    assert_eq!(keyless.code, Some(3));
    assert!(keyless.stderr.contains("TELEPATH_API_KEY is not set"), "{}", keyless.stderr);

    let mut wrong = remote.command(&["keys", "list"]);
    wrong.env("TELEPATH_API_KEY", "sk_live_0000000000000000000000000000000000000000000abcdef");
    assert_eq!(finish(wrong, "wrong").await?.code, Some(5));
    Ok(())
}

#[tokio::test]
async fn plain_http_requires_a_flag_and_logs_never_show_the_key() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let url = format!("http://{}", server.addresses.insecure_http.context("plain HTTP is served")?);
    let words = ["keys", "list", "--api-url", &url, "--insecure-http", "--log-level", "trace"];
    let listed = remote.run(&words).await?.expect_success()?;
    assert!(listed.stderr.contains("/v1/keys") && listed.stderr.contains("status=200"), "{}", listed.stderr);
    let tail = remote.key.secret.get(8..).context("a whole key")?;
    assert!(!listed.stderr.contains(tail) && !listed.stdout.contains(tail));
    Ok(())
}

#[tokio::test]
async fn an_unreachable_server_has_its_own_exit_code() -> Outcome {
    let home = Home::new();
    let mut server = home.start().await?;
    let key = server.admin_key().await?;
    let port = server.addresses.api.port();
    let authority = server.home().beside("ca.pem");
    std::fs::copy(server.authority(), &authority)?;
    server.stop().await?;
    let mut gone = command();
    gone.args(["keys", "list", "--api-url", &format!("https://localhost:{port}")]);
    gone.env("TELEPATH_API_KEY", &key.secret).env("TELEPATH_CA_FILE", &authority);
    let gone = finish(gone, "gone").await?;
    assert_eq!(gone.code, Some(6), "{}", gone.stderr);
    assert!(gone.stderr.contains("cannot connect to localhost"), "{}", gone.stderr);
    Ok(())
}

#[tokio::test]
async fn compromise_requires_another_key_and_confirmation() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let victim = server.create_key(&["--name", "victim", "--preset", "testing"]).await?;
    let unasked = remote.run(&["compromise", &victim.id]).await?;
    assert_eq!(unasked.code, Some(2), "{}", unasked.stderr);
    let own = remote.run(&["compromise", &remote.key.id, "--yes"]).await?;
    assert_eq!(own.code, Some(2), "{}", own.stderr);
    assert!(own.stderr.contains("this command uses the key itself"), "{}", own.stderr);
    assert!(remote.is_admitted(&victim.secret).await? && remote.is_admitted(&remote.key.secret).await?);
    Ok(())
}
