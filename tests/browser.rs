//! The dashboard in a real browser, against the real program. Each scenario is a script for Playwright beside this file; it runs
//! with JavaScript on and off. Without the browser or Playwright, the scenarios are left out.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::output::note_secret;
use crate::support::waiting::soon;
use crate::support::{Outcome, Server};

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
        eprintln!("left out: chromium, or the Node packages playwright-core and axe-core, are not installed");
    }
    found
}

/// Runs a scenario against a server. Its input is passed on standard input, so that no argument holds a secret.
async fn play(server: &Server, script: &str, mut input: Value) -> Outcome {
    let Some((browser, modules)) = installed() else { return Ok(()) };
    input["base"] = json!(format!("https://localhost:{}", server.addresses.api.port()));
    input["browser"] = json!(browser);
    input["modules"] = json!(modules);
    if let Some(folder) = std::env::var_os("TELEPATH_TEST_SCREENSHOTS") {
        input["screenshots"] = json!(PathBuf::from(folder));
    }
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
