//! The dashboard in a real browser, against the real program. Each scenario is a script for Playwright beside this file; it runs
//! with JavaScript on and off. Without the browser or Playwright, the scenarios are left out.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use telepath_gateway::echo_agent::EchoAgent;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::support::cli::program;
use crate::support::output::note_secret;
use crate::support::waiting::soon;
use crate::support::{Home, Outcome, Server};

/// The browser and the Node packages, if they are installed; otherwise prints why the scenarios are left out.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was skipped")]
fn installed() -> Option<(PathBuf, PathBuf)> {
    let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
    let browser = named("TELEPATH_TEST_BROWSER").or_else(|| {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).map(|folder| folder.join("chromium")).find(|path| path.exists())
    });
    let found = browser.zip(named("TELEPATH_TEST_BROWSER_MODULES"));
    if found.is_none() {
        eprintln!(
            "left out: chromium, or the Node packages playwright-core, axe-core and oidc-provider, are not installed"
        );
    }
    found
}

/// Runs a scenario against a server. Its input is passed on standard input, so that no argument holds a secret.
async fn play(server: &Server, script: &str, mut input: Value) -> Outcome {
    let Some((browser, modules)) = installed() else { return Ok(()) };
    input["base"] = json!(format!("https://localhost:{}", server.addresses.api.port()));
    input["browser"] = json!(browser);
    input["modules"] = json!(modules);
    if let Some(folder) = std::env::var_os("TELEPATH_TEST_BROWSER_SCREENSHOTS") {
        input["screenshots"] = json!(PathBuf::from(folder));
    }
    input["matrix"] =
        json!(std::env::var("TELEPATH_TEST_BROWSER_MATRIX").is_ok_and(|wanted| wanted == "full"));
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("browser");
    let mut node = Command::new("node");
    node.arg(folder.join(script)).kill_on_drop(true);
    let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("the script reads its standard input")?;
    stdin.write_all(input.to_string().as_bytes()).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    let text = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&text));
    Ok(())
}

/// A password that only this run uses, so that the search for secrets finds it wherever it was written.
fn password() -> String {
    let password = format!("seven grey herons {}", crate::support::output::unique());
    note_secret(&password);
    password
}

async fn set_up_and_sign_in(java_script: bool) -> Outcome {
    let server = Server::start().await?;
    let setup = server.setup.clone().context("a server without users prints a link")?;
    let input = json!({ "setup": setup, "password": password(), "javaScript": java_script });
    play(&server, "sign_in.mjs", input).await?;
    let again = soon("the link", server.home().run(&["users", "list", "--json"])).await??;
    let users = again.expect_success()?.json()?;
    if installed().is_some() {
        ensure!(users[0]["email"] == "ada@example.com" && users[0]["role"] == "owner", "{users}");
    }
    Ok(())
}

#[tokio::test]
async fn an_owner_sets_the_server_up_and_signs_in_with_java_script() -> Outcome {
    set_up_and_sign_in(true).await
}

#[tokio::test]
async fn an_owner_sets_the_server_up_and_signs_in_without_java_script() -> Outcome {
    set_up_and_sign_in(false).await
}

async fn create_rotate_and_revoke(java_script: bool) -> Outcome {
    let server = Server::start().await?;
    let setup = server.setup.clone().context("a server without users prints a link")?;
    play(&server, "keys.mjs", json!({ "setup": setup, "password": password(), "javaScript": java_script }))
        .await
}

#[tokio::test]
async fn a_key_is_created_used_rotated_and_revoked_with_java_script() -> Outcome {
    create_rotate_and_revoke(true).await
}

#[tokio::test]
async fn a_key_is_created_used_rotated_and_revoked_without_java_script() -> Outcome {
    create_rotate_and_revoke(false).await
}

async fn invite_and_manage(java_script: bool) -> Outcome {
    let server = Server::start().await?;
    let setup = server.setup.clone().context("a server without users prints a link")?;
    play(&server, "team.mjs", json!({ "setup": setup, "password": password(), "javaScript": java_script }))
        .await
}

#[tokio::test]
async fn a_member_is_invited_locked_out_and_let_in_with_java_script() -> Outcome {
    invite_and_manage(true).await
}

#[tokio::test]
async fn a_member_is_invited_locked_out_and_let_in_without_java_script() -> Outcome {
    invite_and_manage(false).await
}

/// A provider in a process of its own. Dropping it ends the process.
struct Provider {
    _process: tokio::process::Child,
    input: tokio::process::ChildStdin,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    port: u16,
}

impl Provider {
    async fn start(
        modules: &Path,
        certificate: &rcgen::Certificate,
        key: &rcgen::KeyPair,
    ) -> anyhow::Result<Self> {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("browser/provider.mjs");
        let mut node = Command::new("node");
        node.arg(script).kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = node.spawn()?;
        let mut input = process.stdin.take().context("it reads")?;
        let output = process.stdout.take().context("it writes")?;
        let mut lines = BufReader::new(output).lines();
        let given =
            json!({ "modules": modules, "certificate": certificate.pem(), "key": key.serialize_pem() });
        input.write_all(format!("{given}\n").as_bytes()).await?;
        let port = soon("the port", lines.next_line()).await??.context("the provider listens")?.parse()?;
        Ok(Self { _process: process, input, lines, port })
    }

    /// Tells it where browsers come back to.
    async fn serve(&mut self, redirect: &str, secret: &str) -> Outcome {
        let given = json!({ "redirect": redirect, "secret": secret });
        self.input.write_all(format!("{given}\n").as_bytes()).await?;
        ensure!(soon("the provider", self.lines.next_line()).await??.as_deref() == Some("ready"));
        Ok(())
    }
}

async fn sign_in_at_a_provider(java_script: bool) -> Outcome {
    let Some((_, modules)) = installed() else { return Ok(()) };
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    let mut provider = Provider::start(&modules, &certificate, &key).await?;
    let secret = format!("client secret {}", crate::support::output::unique());
    note_secret(&secret);
    let (port, home) = (provider.port, Home::new());
    let authority = home.beside("login-ca.pem");
    std::fs::write(&authority, certificate.pem())?;
    let home = home
        .with_env("TELEPATH_OIDC_ISSUER", &format!("https://localhost:{port}"))
        .with_env("TELEPATH_OIDC_CLIENT_ID", "telepath")
        .with_env("TELEPATH_OIDC_CLIENT_SECRET", &secret)
        .with_env("TELEPATH_OIDC_NAME", "Example login")
        .with_env("TELEPATH_OIDC_SCOPES", "openid email profile groups")
        .with_env("TELEPATH_OIDC_ROLES", "voice=admin,staff=viewer")
        .with_env("TELEPATH_OIDC_CA_FILE", &authority.to_string_lossy())
        .with_env("TELEPATH_EGRESS_ALLOW", &format!("localhost:{port}"));
    let server = home.start().await?;
    let redirect = format!("https://localhost:{}/login/oidc/callback", server.addresses.api.port());
    provider.serve(&redirect, &secret).await?;
    play(&server, "oidc.mjs", json!({ "javaScript": java_script })).await?;
    let users = server.home().run(&["users", "list", "--json"]).await?.expect_success()?.json()?;
    ensure!(users[0]["email"] == "grace@example.com" && users[0]["role"] == "admin", "{users}");
    Ok(())
}

#[tokio::test]
async fn a_user_signs_in_and_confirms_at_an_openid_connect_provider() -> Outcome {
    sign_in_at_a_provider(true).await
}

#[tokio::test]
async fn a_user_signs_in_at_an_openid_connect_provider_without_java_script() -> Outcome {
    sign_in_at_a_provider(false).await
}

async fn look_at_the_logs(java_script: bool) -> Outcome {
    let server = Server::start().await?;
    let setup = server.setup.clone().context("a server without users prints a link")?;
    let key = server.create_key(&["--name", "ci-smoke-tests", "--preset", "testing"]).await?;
    let dead = server.create_key(&["--name", "old-worker", "--preset", "testing"]).await?;
    server.home().run(&["keys", "revoke", &dead.id]).await?.expect_success()?;
    let input = json!({
        "setup": setup, "password": password(), "javaScript": java_script, "key": key.secret, "dead": dead.secret,
    });
    play(&server, "logs.mjs", input).await
}

#[tokio::test]
async fn requests_alerts_and_the_audit_trail_are_found_with_java_script() -> Outcome {
    look_at_the_logs(true).await
}

#[tokio::test]
async fn requests_alerts_and_the_audit_trail_are_found_without_java_script() -> Outcome {
    look_at_the_logs(false).await
}

async fn add_and_test_an_endpoint(java_script: bool) -> Outcome {
    let server = Server::start().await?;
    let setup = server.setup.clone().context("a server without users prints a link")?;
    play(
        &server,
        "webhooks.mjs",
        json!({ "setup": setup, "password": password(), "javaScript": java_script }),
    )
    .await
}

#[tokio::test]
async fn an_endpoint_is_added_tested_and_deleted_with_java_script() -> Outcome {
    add_and_test_an_endpoint(true).await
}

#[tokio::test]
async fn an_endpoint_is_added_tested_and_deleted_without_java_script() -> Outcome {
    add_and_test_an_endpoint(false).await
}

async fn create_and_call_a_connection(java_script: bool) -> Outcome {
    let agent = EchoAgent::start("127.0.0.1:0".parse()?).await?;
    let allow = agent.addr().to_string();
    let server = Home::new().start_with(&["--egress-allow", &allow]).await?;
    let setup = server.setup.clone().context("a server without users prints a link")?;
    let play_file = server.home().beside("hello.wav");
    let samples: Vec<i16> = (0..8_000).map(|at| if at / 9 % 2 == 0 { 6_000 } else { -6_000 }).collect();
    std::fs::write(&play_file, telepath_media::wav::write(&samples))?;
    let input = json!({
        "setup": setup, "password": password(), "javaScript": java_script, "agent": agent.url(),
        "telepath": program(), "play": play_file,
    });
    play(&server, "voice.mjs", input).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_created_called_and_deleted_with_java_script() -> Outcome {
    create_and_call_a_connection(true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_created_called_and_deleted_without_java_script() -> Outcome {
    create_and_call_a_connection(false).await
}

#[tokio::test]
async fn the_main_flows_need_no_mouse() -> Outcome {
    let server = Server::start().await?;
    let setup = server.setup.clone().context("a server without users prints a link")?;
    play(&server, "keyboard.mjs", json!({ "setup": setup, "password": password() })).await
}

async fn change_keys(java_script: bool) -> Outcome {
    let server = Server::start().await?;
    let setup = server.setup.clone().context("a server without users prints a link")?;
    let key = server.create_key(&["--name", "nightly-export", "--preset", "testing"]).await?;
    let input = json!({ "setup": setup, "password": password(), "javaScript": java_script, "key": key.id });
    play(&server, "key_changes.mjs", input).await
}

#[tokio::test]
async fn a_key_is_edited_and_presets_and_key_safety_are_shown_with_java_script() -> Outcome {
    change_keys(true).await
}

#[tokio::test]
async fn a_key_is_edited_and_presets_and_key_safety_are_shown_without_java_script() -> Outcome {
    change_keys(false).await
}

async fn respond_to_a_leak(java_script: bool) -> Outcome {
    let server = Server::start().await?;
    let setup = server.setup.clone().context("a server without users prints a link")?;
    play(&server, "leaks.mjs", json!({ "setup": setup, "password": password(), "javaScript": java_script }))
        .await
}

#[tokio::test]
async fn a_leaked_key_is_revoked_and_the_guide_followed_with_java_script() -> Outcome {
    respond_to_a_leak(true).await
}

#[tokio::test]
async fn a_leaked_key_is_revoked_and_the_guide_followed_without_java_script() -> Outcome {
    respond_to_a_leak(false).await
}

/// The server has a secret in every setting that it can start with here.
async fn look_at_the_server(java_script: bool) -> Outcome {
    let secrets: Vec<String> =
        ["smtp", "client"].map(|name| format!("{name}-{}", crate::support::output::unique())).into();
    for secret in &secrets {
        note_secret(secret);
    }
    let home = Home::new()
        .with_env("TELEPATH_SMTP_HOST", "mail.example.com")
        .with_env("TELEPATH_SMTP_USERNAME", "telepath")
        .with_env("TELEPATH_SMTP_PASSWORD", &secrets[0])
        .with_env("TELEPATH_SMTP_FROM", "telepath@example.com")
        .with_env("TELEPATH_SMTP_TO", "ops@example.com")
        .with_env("TELEPATH_OIDC_ISSUER", "https://login.example.com")
        .with_env("TELEPATH_OIDC_CLIENT_ID", "telepath")
        .with_env("TELEPATH_OIDC_CLIENT_SECRET", &secrets[1]);
    let server = home.start().await?;
    let setup = server.setup.clone().context("a server without users prints a link")?;
    let master_key = std::fs::read_to_string(server.home().data().join("master.key"))?;
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).chain([master_key.trim()]).collect();
    let input =
        json!({ "setup": setup, "password": password(), "javaScript": java_script, "secrets": secrets });
    play(&server, "system.mjs", input).await
}

#[tokio::test]
async fn the_server_and_the_account_are_shown_and_the_session_is_kept_with_java_script() -> Outcome {
    look_at_the_server(true).await
}

#[tokio::test]
async fn the_server_and_the_account_are_shown_without_java_script() -> Outcome {
    look_at_the_server(false).await
}
