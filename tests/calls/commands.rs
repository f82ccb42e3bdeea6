//! The commands that make calls possible without anything else: `quickstart`, `agent echo` and `call`.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use telepath_media::wav;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{Exchange, make_trunk, tone_of};
use crate::support::output::log_file;
use crate::support::server::Home;
use crate::support::waiting::soon;
use crate::support::{Outcome, cli};

#[tokio::test]
async fn quickstart_does_every_step_and_ends_well() -> Outcome {
    let home = Home::new();
    let ports = ["--api-listen", "127.0.0.1:0", "--sip-listen", "127.0.0.1:0"];
    let words = [&["quickstart", "--once"], &ports[..]].concat();
    let mut command = cli::command();
    command.args(words).arg("--data-dir").arg(home.data());
    let finished = cli::finish(command, "quickstart").await?.expect_success()?;
    for word in ["sk_live_", "curl", "/v1/calls/call_", "gateway_processing"] {
        assert!(finished.stdout.contains(word), "no {word} in {}", finished.stdout);
    }
    assert!(home.data().join("tls/ca.pem").exists());

    // What it has made works on: the key opens the API of a server on the same folder.
    let key = finished.stdout.split("sk_live_").nth(1).and_then(|rest| rest.get(..49)).context("the key")?;
    if home.is_embedded() {
        let server = home.start().await?;
        let trunks = server.client()?.get("/v1/trunks", &format!("sk_live_{key}")).await?.expect(200)?;
        assert_eq!(trunks["pagination"]["total"], 1, "{trunks}");
    }
    Ok(())
}

#[tokio::test]
async fn the_echo_agent_and_the_caller_are_commands_too() -> Outcome {
    let (_, log) = log_file("agent-echo");
    let mut agent = cli::command()
        .args(["agent", "echo", "--listen", "127.0.0.1:0", "--json"])
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()?;
    let mut lines = BufReader::new(agent.stdout.take().context("standard output")?).lines();
    let line = soon("the agent", lines.next_line()).await??.context("the agent says where it listens")?;
    let said: serde_json::Value = serde_json::from_str(&line)?;
    let url = said["url"].as_str().with_context(|| format!("a url in {line}"))?;
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let exchange = Exchange::start_reaching(&[address]).await?;
    let trunk = make_trunk(&exchange.client, &exchange.key, "by-command", url).await?;

    let (play, record) =
        (exchange.server.home().beside("play.wav"), exchange.server.home().beside("record.wav"));
    std::fs::write(&play, wav::write(&tone_of(Duration::from_secs(1))))?;
    let mut command = cli::command();
    command.args(["call", &trunk.uri, "--username", &trunk.username, "--password", &trunk.password]);
    command.arg("--json").arg("--play").arg(&play).arg("--record").arg(&record);
    let finished = cli::finish(command, "call").await?.expect_success()?;
    assert!(!finished.stdout.contains(&trunk.password) && !finished.stderr.contains(&trunk.password));
    let heard = wav::read(&std::fs::read(&record)?)?;
    let loudest = heard.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    assert!(heard.len() > 6000 && loudest > 4000, "{} samples, the loudest {loudest}", heard.len());
    agent.kill().await?;
    Ok(())
}
