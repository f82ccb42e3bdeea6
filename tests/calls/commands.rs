//! The commands `quickstart`, `agent echo` and `call`.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use telepath_media::wav;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::ChildStdout;

use super::{CallFixture, create_trunk, sine};
use crate::support::output::{log_file, note_keys_in};
use crate::support::server::Home;
use crate::support::waiting::soon;
use crate::support::{Outcome, cli};

#[tokio::test]
async fn quickstart_creates_a_demo_and_places_a_call() -> Outcome {
    let home = Home::new();
    let ports = ["--api-listen", "127.0.0.1:0", "--sip-listen", "127.0.0.1:0"];
    let words = [&["quickstart", "--once"], &ports[..]].concat();
    let mut command = cli::command();
    command.args(words).arg("--data-dir").arg(home.data());
    let finished = cli::finish(command, "quickstart").await?.expect_success()?;
    for word in ["sk_live_", "/v1/calls/call_", "gateway_processing", "telepath serve --data-dir"] {
        assert!(finished.stdout.contains(word), "{word} is missing in {}", finished.stdout);
    }
    assert!(!finished.stdout.contains("curl"), "no server runs any more: {}", finished.stdout);
    assert!(home.data().join("tls/ca.pem").exists());

    // The key also works for a server that is started on the same data folder.
    let key = finished.stdout.split("sk_live_").nth(1).and_then(|rest| rest.get(..49)).context("the key")?;
    if home.is_embedded() {
        let server = home.start().await?;
        let trunks = server.client()?.get("/v1/trunks", &format!("sk_live_{key}")).await?.expect(200)?;
        assert_eq!(trunks["pagination"]["total"], 1, "{trunks}");
        assert_eq!(trunks["trunks"][0]["status"], "inactive", "its agent has ended: {trunks}");
        let me = server.client()?.get("/v1/whoami", &format!("sk_live_{key}")).await?.expect(200)?;
        assert!(me["expires_at"].is_string(), "no permanent key is left behind: {me}");
    }
    Ok(())
}

/// Reads standard output up to the line that contains a text.
pub(super) async fn read_until(
    lines: &mut Lines<BufReader<ChildStdout>>,
    text: &str,
) -> anyhow::Result<Vec<String>> {
    let mut read = Vec::new();
    loop {
        let line = soon("the next line", lines.next_line()).await??;
        let line = line.with_context(|| format!("{text:?} was not printed: {read:?}"))?;
        note_keys_in(&line);
        read.push(line);
        if read.last().is_some_and(|line| line.contains(text)) {
            return Ok(read);
        }
    }
}

#[tokio::test]
async fn a_second_quickstart_replaces_the_key_and_says_which_server_is_still_running() -> Outcome {
    let home = Home::new();
    if !home.is_embedded() {
        return Ok(());
    }
    let quickstart = |more: &[&str]| {
        let ports = ["--api-listen", "127.0.0.1:0", "--sip-listen", "127.0.0.1:0"];
        let mut command = cli::command();
        command.args([&["quickstart"], more, &ports[..]].concat()).arg("--data-dir").arg(home.data());
        command
    };
    cli::finish(quickstart(&["--once"]), "quickstart").await?.expect_success()?;
    let (_, log) = log_file("quickstart-running");
    let mut running = quickstart(&[]).stdout(Stdio::piped()).stderr(log).spawn()?;
    let process = running.id().context("its process")?;
    let mut lines = BufReader::new(running.stdout.take().context("standard output")?).lines();
    let shown = read_until(&mut lines, "curl").await?.join("\n");
    assert!(shown.contains(&format!("keeps running as process {process}")), "{shown}");
    // A third one cannot use the folder, and says who does.
    let refused = cli::finish(quickstart(&["--once"]), "quickstart").await?;
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains(&format!("process {process}")), "{}", refused.stderr);
    let mut list = cli::command();
    list.args(["keys", "list", "--json"]).arg("--data-dir").arg(home.data());
    let keys = cli::finish(list, "keys").await?.expect_success()?.json()?;
    let keys = keys.as_array().context("a list of keys")?;
    assert_eq!(keys.len(), 2, "one of each run: {keys:?}");
    assert!(keys.iter().all(|key| key["expires_at"].is_string()), "none is permanent: {keys:?}");
    let live = keys.iter().filter(|key| key["status"] != "revoked").count();
    assert_eq!(live, 1, "the second run has replaced the key: {keys:?}");
    running.kill().await?;
    Ok(())
}

#[tokio::test]
async fn agent_echo_and_call_work_as_commands() -> Outcome {
    let (_, log) = log_file("agent-echo");
    let mut agent = cli::command()
        .args(["agent", "echo", "--listen", "127.0.0.1:0", "--json"])
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()?;
    let mut lines = BufReader::new(agent.stdout.take().context("standard output")?).lines();
    let line = soon("the agent", lines.next_line()).await??.context("the agent prints its URL")?;
    let started: serde_json::Value = serde_json::from_str(&line)?;
    let url = started["url"].as_str().with_context(|| format!("a url in {line}"))?;
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let fixture = CallFixture::start_with_agents(&[address]).await?;
    let trunk = create_trunk(&fixture.client, &fixture.key, "by-command", url).await?;

    let (play, record) =
        (fixture.server.home().beside("play.wav"), fixture.server.home().beside("record.wav"));
    std::fs::write(&play, wav::write(&sine(Duration::from_secs(1))))?;
    let mut command = cli::command();
    command.args(["call", &trunk.uri, "--username", &trunk.username, "--password", &trunk.password]);
    command.arg("--json").arg("--play").arg(&play).arg("--record").arg(&record);
    let finished = cli::finish(command, "call").await?.expect_success()?;
    assert!(!finished.stdout.contains(&trunk.password) && !finished.stderr.contains(&trunk.password));
    let recorded = wav::read(&std::fs::read(&record)?)?;
    let peak = recorded.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    assert!(recorded.len() > 6000 && peak > 4000, "{} samples with a peak of {peak}", recorded.len());
    agent.kill().await?;
    Ok(())
}
