//! Agents of providers: the gateway calls mock servers that validate every frame with the types of the provider's own SDK.
//! They are written in Python; without it and the SDKs the tests are skipped, except in CI.

mod deepgram;
mod elevenlabs;
mod gemini;
mod openai;
mod twilio;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hyper::Method;
use serde_json::{Value, json};
use telepath_core::secret::SecretText;
use telepath_gateway::caller::{CallOutcome, CallerOptions, place_call};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::calls::sine;
use crate::support::http::Call;
use crate::support::waiting::{soon, until};
use crate::support::{Client, Home, Outcome, Server};

/// The settings of where providers are reached.
const BASE_URLS: [&str; 4] = [
    "TELEPATH_AGENTS_OPENAI_BASE_URL",
    "TELEPATH_AGENTS_ELEVENLABS_BASE_URL",
    "TELEPATH_AGENTS_DEEPGRAM_BASE_URL",
    "TELEPATH_AGENTS_GEMINI_BASE_URL",
];

/// Python with the SDKs, which `scripts/test` sets up.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was skipped")]
fn python() -> Option<PathBuf> {
    let variable = "TELEPATH_TEST_PYTHON_AGENTS";
    let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty());
    if path.is_none() {
        eprintln!(
            "left out: Python with the SDKs of the providers is not here; scripts/test names it in {variable}"
        );
    }
    path
}

/// A mock of a provider.
struct Mock {
    _process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Mock {
    /// Starts the provider for a scenario of this many connections; `None` without Python.
    async fn start(provider: &str, scenario: &str, connections: u32) -> anyhow::Result<Option<Self>> {
        let Some(python) = python() else { return Ok(None) };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("agents");
        let mut process = Command::new(python)
            .arg(folder.join("mock.py"))
            .args([provider, scenario, &connections.to_string()])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("standard output")?).lines();
        let port = soon("the mock starts", lines.next_line()).await??.context("the port")?.parse()?;
        Ok(Some(Self { _process: process, lines, port }))
    }

    /// What the next connection was; its frames must all be valid.
    async fn report(&mut self) -> anyhow::Result<Value> {
        let line =
            soon("the report of the mock", self.lines.next_line()).await??.context("the mock ended")?;
        let report: Value = serde_json::from_str(&line)?;
        ensure!(report["problems"] == json!([]), "invalid frames: {report}");
        Ok(report)
    }
}

/// A server whose providers are all the mock, with a trunk.
struct Agents {
    mock: Mock,
    server: Server,
    client: Client,
    key: String,
    trunk: Value,
}

impl Agents {
    /// Starts a scenario and a trunk with these members beside its names; `None` without Python.
    async fn start(
        provider: &str,
        scenario: &str,
        connections: u32,
        members: &Value,
    ) -> anyhow::Result<Option<Self>> {
        match Mock::start(provider, scenario, connections).await? {
            Some(mock) => Ok(Some(Self::with_mock(mock, members).await?)),
            None => Ok(None),
        }
    }

    /// Starts a scenario of one connection whose mock is the agent itself.
    async fn start_custom(agent: &str, scenario: &str, members: &Value) -> anyhow::Result<Option<Self>> {
        let Some(mock) = Mock::start(agent, scenario, 1).await? else { return Ok(None) };
        let mut members = members.clone();
        members["ai_provider"] = "custom".into();
        members["custom_endpoint"] = format!("ws://127.0.0.1:{}/media?x=1", mock.port).into();
        Ok(Some(Self::with_mock(mock, &members).await?))
    }

    async fn with_mock(mock: Mock, members: &Value) -> anyhow::Result<Self> {
        let url = format!("ws://127.0.0.1:{}", mock.port);
        let mut home = Home::new();
        for name in BASE_URLS {
            home = home.with_env(name, &url);
        }
        let home = home.with_env("TELEPATH_EGRESS_ALLOW", &format!("127.0.0.1:{}", mock.port));
        let server = home.start().await?;
        let client = server.client()?;
        let key = server.admin_key().await?.secret;
        let mut draft = json!({"name": "Agent", "sip_username": "agent-01"});
        let (Some(draft_members), Some(members)) = (draft.as_object_mut(), members.as_object()) else {
            anyhow::bail!("the members are not an object");
        };
        draft_members.extend(members.clone());
        let trunk = client.post("/v1/trunks", &key, &draft).await?.expect(201)?;
        Ok(Self { mock, server, client, key, trunk })
    }

    fn text(&self, member: &str) -> anyhow::Result<&str> {
        self.trunk[member].as_str().with_context(|| format!("no {member}"))
    }

    /// Places a call that plays a tone of this length.
    async fn call(&self, tone: Duration) -> anyhow::Result<CallOutcome> {
        let mut options = CallerOptions::new(self.text("sip_endpoint")?)?;
        let password = SecretText::new(self.text("sip_password")?.to_owned());
        options.credentials = Some((self.text("sip_username")?.to_owned(), password));
        options.play = sine(tone);
        options.listen = Duration::from_millis(500);
        Ok(place_call(options).await?)
    }

    /// The record of the latest call, once it is over.
    async fn record(&self) -> anyhow::Result<Value> {
        until("the call is on record", || async {
            let list = self.client.get("/v1/calls?limit=1", &self.key).await?.expect(200)?;
            let call = &list["calls"][0];
            let Some(id) = call["id"].as_str().filter(|_| call["status"] != "connected") else {
                return Ok(None);
            };
            Ok(Some(self.client.get(&format!("/v1/calls/{id}"), &self.key).await?.expect(200)?))
        })
        .await
    }

    /// Places a call in which the caller interrupts the agent: a part of its ten seconds of audio is not played.
    async fn check_interrupted_call(&mut self) -> Outcome {
        let outcome = self.call(Duration::from_secs(3)).await?;
        ensure!(outcome.answered(), "{:?}", outcome.status);
        self.mock.report().await?;
        let record = self.record().await?;
        let cleared = record["metrics"]["counts"]["playout_cleared_ms"].as_u64().context("cleared")?;
        assert!(cleared > 0 && cleared < 10_000, "{record}");
        Ok(())
    }

    /// Changes the trunk.
    async fn change(&self, members: &Value) -> anyhow::Result<Value> {
        let path = format!("/v1/trunks/{}", self.text("id")?);
        let call = Call::new(Method::PATCH, &path).key(&self.key);
        self.client.send(call.json(members)).await?.expect(200)
    }

    async fn trunk_now(&self) -> anyhow::Result<Value> {
        self.client.get(&format!("/v1/trunks/{}", self.text("id")?), &self.key).await?.expect(200)
    }
}
