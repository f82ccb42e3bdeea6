//! Webhooks of the real program: deliveries, verification by other implementations, and no loss after kill -9.

mod commands;
mod crash;
mod deliveries;
mod others;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::support::output::note_secret;
use crate::support::sink::Sink;
use crate::support::{Client, Home, Server};

/// A server with an endpoint that it is allowed to reach.
struct Post {
    server: Server,
    client: Client,
    /// An API key with every scope.
    key: String,
    sink: Sink,
}

impl Post {
    async fn start() -> anyhow::Result<Self> {
        let home = Home::new();
        let sink = Sink::start(&home.beside("")).await?;
        let home = home.with_env("SSL_CERT_FILE", &sink.authority.to_string_lossy());
        let home = beside_others(home, sink.port);
        let server = home.start_with(&["--egress-allow", &format!("127.0.0.1:{}", sink.port)]).await?;
        let (client, key) = (server.client()?, server.admin_key().await?.secret);
        Ok(Self { server, client, key, sink })
    }

    /// Creates a webhook for the sink.
    async fn webhook(&self, mut draft: Value) -> anyhow::Result<Value> {
        draft["url"] = json!(self.sink.url());
        let made = self.client.post("/v1/webhooks", &self.key, &draft).await?.expect(201)?;
        made["secret"].as_str().into_iter().for_each(note_secret);
        Ok(made)
    }

    /// Causes an event by creating a key. Returns the key's id.
    async fn event(&self) -> anyhow::Result<String> {
        let draft = json!({"name": "An event", "preset": "testing"});
        let made = self.client.post("/v1/keys", &self.key, &draft).await?.expect(201)?;
        id_of(&made)
    }

    async fn post(&self, path: &str, body: &Value, status: u16) -> anyhow::Result<Value> {
        self.client.post(path, &self.key, body).await?.expect(status)
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.client.get(path, &self.key).await?.expect(200)
    }
}

/// On PostgreSQL, another server may join: the shared rate limit windows are then required.
fn beside_others(home: Home, port: u16) -> Home {
    match std::env::var("TELEPATH_TEST_REDIS_URL") {
        Ok(redis) if !home.is_embedded() => home
            .with_env("TELEPATH_CLUSTER_REDIS_URL", &redis)
            .with_env("TELEPATH_CLUSTER_REDIS_PREFIX", &format!("webhooks-{port}:")),
        Ok(_) | Err(_) => home,
    }
}

fn id_of(made: &Value) -> anyhow::Result<String> {
    made["id"].as_str().map(str::to_owned).with_context(|| format!("no id in {made}"))
}
