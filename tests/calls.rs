//! Calls from end to end: SIP over UDP, TCP and TLS with digest, RTP, an agent over WebSocket, and the call record.

mod baresip;
mod call_end;
mod commands;
mod example_agents;
mod hostile;
mod keyring;
mod other_server;
mod records;
mod sip_transports;
mod sipp;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use telepath_core::secret::SecretText;
use telepath_gateway::caller::{CallOutcome, CallerOptions, place_call};
use telepath_gateway::echo_agent::EchoAgent;
use tokio::task::JoinHandle;

use crate::support::waiting::until;
use crate::support::{Client, Home, Server};

/// A server with an echo agent and a trunk to it.
struct CallFixture {
    server: Server,
    client: Client,
    /// An API key with all scopes.
    key: String,
    trunk: Trunk,
    agent: EchoAgent,
}

/// A trunk to call.
pub(crate) struct Trunk {
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) uri: String,
}

/// Creates a trunk to a custom agent.
pub(crate) async fn create_trunk(
    client: &Client,
    key: &str,
    username: &str,
    agent: &str,
) -> anyhow::Result<Trunk> {
    let draft = json!({
        "name": username, "ai_provider": "custom", "sip_username": username, "custom_endpoint": agent,
        "max_concurrent_calls": 1000
    });
    let created = client.post("/v1/trunks", key, &draft).await?.expect(201)?;
    let text = |member: &str| {
        created[member].as_str().map(str::to_owned).with_context(|| format!("no {member}: {created}"))
    };
    Ok(Trunk {
        id: text("id")?,
        username: text("sip_username")?,
        password: text("sip_password")?,
        uri: text("sip_endpoint")?,
    })
}

impl CallFixture {
    async fn start() -> anyhow::Result<Self> {
        Self::start_with_agents(&[]).await
    }

    /// Starts a server that is also allowed to reach these loopback agents.
    async fn start_with_agents(others: &[&str]) -> anyhow::Result<Self> {
        Self::start_with(others, &[]).await
    }

    /// Starts a server with these options too.
    async fn start_with(others: &[&str], options: &[&str]) -> anyhow::Result<Self> {
        Self::start_in(Home::new(), others, options).await
    }

    /// Starts a server in this home.
    async fn start_in(home: Home, others: &[&str], options: &[&str]) -> anyhow::Result<Self> {
        let agent = EchoAgent::start("127.0.0.1:0".parse()?).await?;
        let allow = [&[agent.addr().to_string().as_str()], others].concat().join(",");
        let options = [&["--egress-allow", &allow], options].concat();
        let server = home.start_with(&options).await?;
        let client = server.client()?;
        let key = server.admin_key().await?.secret;
        let trunk = create_trunk(&client, &key, "support-01", &agent.url()).await?;
        Ok(Self { server, client, key, trunk, agent })
    }

    /// Options of a call to the trunk that plays a tone of this length.
    fn call(&self, tone: Duration) -> anyhow::Result<CallerOptions> {
        let mut options = CallerOptions::new(&self.trunk.uri)?;
        options.credentials =
            Some((self.trunk.username.clone(), SecretText::new(self.trunk.password.clone())));
        options.play = sine(tone);
        options.listen = Duration::from_millis(200);
        Ok(options)
    }

    /// Places a call of two minutes and returns its id and its task once it is live.
    async fn live_call(&self) -> anyhow::Result<(String, JoinHandle<anyhow::Result<CallOutcome>>)> {
        let options = self.call(Duration::from_mins(2))?;
        let caller = tokio::spawn(async move { Ok(place_call(options).await?) });
        let id = until("the call is live", || async {
            let list = self.calls("status=connected").await?;
            Ok(list["calls"][0]["id"].as_str().map(str::to_owned))
        })
        .await?;
        Ok((id, caller))
    }

    /// Lists calls.
    async fn calls(&self, query: &str) -> anyhow::Result<Value> {
        self.client.get(&format!("/v1/calls?{query}"), &self.key).await?.expect(200)
    }

    /// Waits until the call is over and returns its record.
    async fn record(&self, id: &str) -> anyhow::Result<Value> {
        record(&self.client, &self.key, id).await
    }
}

/// Waits until the call is over and returns its record, which is written shortly after the caller's BYE is answered.
async fn record(client: &Client, key: &str, id: &str) -> anyhow::Result<Value> {
    let path = format!("/v1/calls/{id}");
    until("the call is over", || async {
        let call = client.get(&path, key).await?.expect(200)?;
        Ok((call["status"] != "connected").then_some(call))
    })
    .await
}

/// A sine of 441.7 Hz at a quarter of full scale. No frame holds a whole number of periods, so every packet differs.
pub(crate) fn sine(length: Duration) -> Vec<i16> {
    let samples = telepath_media::media_clock::samples_in(length);
    (0..samples)
        .map(|at| {
            // The sine has a whole number of periods in 30 s.
            let phase = f64::from(u32::try_from(at % 240_000).unwrap_or(0)) * 441.7 / 8000.0;
            #[expect(clippy::cast_possible_truncation, reason = "the amplitude is below i16::MAX")]
            let sample = ((phase * std::f64::consts::TAU).sin() * 8000.0) as i16;
            sample
        })
        .collect()
}

/// Checks that the call was answered and that its audio came back.
pub(crate) fn ensure_echo(outcome: &CallOutcome) -> anyhow::Result<()> {
    ensure!(outcome.answered(), "rejected with {:?} {:?}", outcome.status, outcome.reason_phrase);
    ensure!(outcome.packets_received > 0, "no packet was received");
    ensure!(
        outcome.echo.matched * 10 >= outcome.echo.distinct * 9,
        "the echo is incomplete: {:?}",
        outcome.echo
    );
    Ok(())
}
