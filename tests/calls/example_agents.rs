//! The agents in `examples/`, unchanged, in calls from the built-in caller and from sipp.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use telepath_core::secret::SecretText;
use telepath_gateway::caller::{CallerOptions, EndedBy, place_call};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::commands::read_until;
use super::{CallFixture, Trunk, create_trunk, ensure_echo, sine};
use crate::support::Outcome;
use crate::support::http::Call;
use crate::support::installed::installed;
use crate::support::output::{Folder, log_file};
use crate::support::waiting::soon;

/// A running example.
struct ExampleAgent {
    output: Lines<BufReader<ChildStdout>>,
    address: String,
    _process: Child,
}

impl ExampleAgent {
    /// Runs an example on a free port.
    async fn start(mut command: Command) -> anyhow::Result<Self> {
        let (_, log) = log_file("example-agent");
        let mut process = command
            .arg("0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let mut output = BufReader::new(process.stdout.take().context("standard output")?).lines();
        let line = read_until(&mut output, "listening on port").await?.pop().context("a line")?;
        let port: u16 = line.split_whitespace().last().context("a port")?.parse()?;
        Ok(Self { output, address: format!("127.0.0.1:{port}"), _process: process })
    }

    /// Waits for a line.
    async fn until(&mut self, text: &str) -> Outcome {
        read_until(&mut self.output, text).await.map(drop)
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn silence(length: Duration) -> Vec<i16> {
    vec![0; sine(length).len()]
}

/// The caller speaks and hears it repeated, then the API ends the call; a second caller presses `#`, and the agent ends it.
async fn converse(mut agent: ExampleAgent) -> Outcome {
    let fixture = CallFixture::start_with_agents(&[&agent.address]).await?;
    let url = format!("ws://{}/", agent.address);
    let trunk = create_trunk(&fixture.client, &fixture.key, "example-01", &url).await?;

    let mut options = CallerOptions::new(&trunk.uri)?;
    options.credentials = Some((trunk.username.clone(), SecretText::new(trunk.password.clone())));
    options.play = [silence(Duration::from_secs(1)), sine(Duration::from_secs(1))].concat();
    // The detector hears the end of speech in the silence after it.
    options.play.extend(silence(Duration::from_mins(2)));
    let caller = tokio::spawn(place_call(options));
    agent.until("greeting").await?;
    agent.until("played: reply").await?;
    let live = fixture.calls("status=connected").await?;
    let id = live["calls"][0]["id"].as_str().context("a live call")?.to_owned();
    let path = format!("/v1/calls/{id}/hangup");
    let hang_up = Call::new(hyper::Method::POST, &path).key(&fixture.key);
    assert_eq!(fixture.client.send(hang_up).await?.status, 202);
    agent.until("ended: api_hangup").await?;
    let outcome = soon("the end of the call", caller).await???;
    assert_eq!(outcome.ended_by, Some(EndedBy::Callee));
    ensure_echo(&outcome)?;

    press_hash(&fixture, &trunk).await?;
    agent.until("goodbye").await?;
    agent.until("ended: agent_hangup").await?;
    Ok(())
}

/// A call in which the caller presses `#` and waits for the BYE.
async fn press_hash(fixture: &CallFixture, trunk: &Trunk) -> Outcome {
    let (path, log) = log_file("sipp-hash");
    let mut sipp = Command::new("sipp");
    sipp.arg(fixture.server.addresses.sip.to_string())
        .arg("-sf")
        .arg(repository().join("tests/sipp/press_hash.xml"))
        .args(["-s", &trunk.username, "-au", &trunk.username, "-ap", &trunk.password])
        .args(["-i", "127.0.0.1", "-m", "1", "-nostdin", "-timeout", "60", "-timeout_error"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true);
    let status = sipp.status().await.context("could not run sipp; install the package sip-tester")?;
    ensure!(status.success(), "sipp ended with {status}; see {}", path.display());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_example_greets_repeats_and_hangs_up_on_hash() -> Outcome {
    let Some(python) = installed("TELEPATH_TEST_PYTHON_WEBSOCKETS", "python3 with websockets") else {
        return Ok(());
    };
    let mut command = Command::new(python);
    command.arg(repository().join("examples/agent.py"));
    converse(ExampleAgent::start(command).await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_typescript_example_is_well_typed_greets_repeats_and_hangs_up_on_hash() -> Outcome {
    let Some(modules) = installed("TELEPATH_TEST_AGENT_MODULES", "node with ws and typescript") else {
        return Ok(());
    };
    // Packages are looked up beside the program.
    let folder = Folder::new();
    std::os::unix::fs::symlink(&modules, folder.path().join("node_modules"))?;
    std::fs::write(folder.path().join("package.json"), r#"{"type": "module"}"#)?;
    std::fs::copy(repository().join("examples/agent.ts"), folder.path().join("agent.ts"))?;
    let mut compiler = Command::new("node");
    compiler
        .current_dir(folder.path())
        .arg("node_modules/typescript/bin/tsc")
        .args(["--strict", "--module", "nodenext", "--target", "es2022", "--types", "node", "agent.ts"]);
    let output = soon("the compilation", compiler.kill_on_drop(true).output()).await??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let mut command = Command::new("node");
    command.arg(folder.path().join("agent.js"));
    converse(ExampleAgent::start(command).await?).await
}

#[test]
fn the_guide_shows_the_python_example() -> Outcome {
    let guide = std::fs::read_to_string(repository().join("docs/how-to/connect-an-agent.md"))?;
    let example = std::fs::read_to_string(repository().join("examples/agent.py"))?;
    ensure!(
        guide.contains(&format!("```python\n{example}```\n")),
        "docs/how-to/connect-an-agent.md shows another program"
    );
    Ok(())
}
