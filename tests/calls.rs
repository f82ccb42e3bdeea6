//! Real telephone calls: SIP over UDP with digest, RTP, an agent over WebSocket, and the record that is left.

mod commands;
mod endings;
mod hostile;
mod records;
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

/// A server with an agent that echoes and a trunk that leads to it.
struct Exchange {
    server: Server,
    client: Client,
    /// An API key that may do everything.
    key: String,
    trunk: Trunk,
    _agent: EchoAgent,
}

/// Where to call.
pub(crate) struct Trunk {
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) uri: String,
}

/// A trunk to a custom agent.
pub(crate) async fn make_trunk(
    client: &Client,
    key: &str,
    username: &str,
    agent: &str,
) -> anyhow::Result<Trunk> {
    let draft = json!({
        "name": username, "ai_provider": "custom", "sip_username": username, "custom_endpoint": agent,
        "max_concurrent_calls": 1000
    });
    let made = client.post("/v1/trunks", key, &draft).await?.expect(201)?;
    let text = |member: &str| {
        made[member].as_str().map(str::to_owned).with_context(|| format!("no {member}: {made}"))
    };
    Ok(Trunk {
        id: text("id")?,
        username: text("sip_username")?,
        password: text("sip_password")?,
        uri: text("sip_endpoint")?,
    })
}

impl Exchange {
    async fn start() -> anyhow::Result<Self> {
        Self::start_reaching(&[]).await
    }

    /// The same with leave to reach these agents of this machine too.
    async fn start_reaching(others: &[&str]) -> anyhow::Result<Self> {
        let agent = EchoAgent::start("127.0.0.1:0".parse()?).await?;
        let allow = [&[agent.addr().to_string().as_str()], others].concat().join(",");
        let server = Home::new().start_with(&["--egress-allow", &allow]).await?;
        let client = server.client()?;
        let key = server.admin_key().await?.secret;
        let trunk = make_trunk(&client, &key, "support-01", &agent.url()).await?;
        Ok(Self { server, client, key, trunk, _agent: agent })
    }

    /// A call to the trunk that plays a tone for so long.
    fn call(&self, tone: Duration) -> anyhow::Result<CallerOptions> {
        let mut options = CallerOptions::new(&self.trunk.uri)?;
        options.credentials =
            Some((self.trunk.username.clone(), SecretText::new(self.trunk.password.clone())));
        options.play = tone_of(tone);
        options.listen = Duration::from_millis(200);
        Ok(options)
    }

    /// Places a call that goes on until somebody ends it, and gives its id once it is live.
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

    /// A list of calls.
    async fn calls(&self, query: &str) -> anyhow::Result<Value> {
        self.client.get(&format!("/v1/calls?{query}"), &self.key).await?.expect(200)
    }

    /// The record of a call once it is over.
    async fn record(&self, id: &str) -> anyhow::Result<Value> {
        record(&self.client, &self.key, id).await
    }
}

/// The record of a call once it is over; it is written a moment after the caller has heard of the end.
async fn record(client: &Client, key: &str, id: &str) -> anyhow::Result<Value> {
    let path = format!("/v1/calls/{id}");
    until("the call is over", || async {
        let call = client.get(&path, key).await?.expect(200)?;
        Ok((call["status"] != "connected").then_some(call))
    })
    .await
}

/// A sine of 440 Hz at a quarter of full scale, 8 kHz. Its period divides no frame evenly, so every packet differs.
fn tone_of(length: Duration) -> Vec<i16> {
    let samples = telepath_media::media_clock::samples_in(length);
    (0..samples)
        .map(|at| {
            // Half a minute of whole periods is exact in a double.
            let phase = f64::from(u32::try_from(at % 240_000).unwrap_or(0)) * 441.7 / 8000.0;
            #[expect(clippy::cast_possible_truncation, reason = "within 16 bits by its amplitude")]
            let sample = ((phase * std::f64::consts::TAU).sin() * 8000.0) as i16;
            sample
        })
        .collect()
}

/// What the caller saw must be an answered call whose audio came back.
fn heard_the_echo(outcome: &CallOutcome) -> anyhow::Result<()> {
    ensure!(outcome.answered(), "refused with {:?} {:?}", outcome.status, outcome.reason_phrase);
    ensure!(outcome.packets_received > 0, "nothing was heard");
    ensure!(outcome.echo.matched * 10 >= outcome.echo.distinct * 9, "not heard back: {:?}", outcome.echo);
    Ok(())
}
