//! Three servers on one PostgreSQL and one Redis, each with its own proxies to them.

use std::path::Path;

use anyhow::{Context as _, ensure};
use hyper::Method;
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::database::Database;
use crate::support::http::{Answer, Call, Connection};
use crate::support::output::unique;
use crate::support::proxy::{LinkState, Proxy};
use crate::support::server::Home;
use crate::support::waiting::until;
use crate::support::{CreatedKey, Server};

/// The number of servers.
pub(crate) const NODES: usize = 3;

/// A server and its proxies.
pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) database: Proxy,
    pub(crate) windows: Proxy,
}

pub(crate) struct TestCluster {
    pub(crate) nodes: Vec<Node>,
    /// A key with every scope that the tests need.
    pub(crate) admin: CreatedKey,
    _database: Database,
}

/// `host:port` of the Redis in `TELEPATH_TEST_REDIS_URL`.
pub(crate) fn redis() -> anyhow::Result<String> {
    let url = std::env::var("TELEPATH_TEST_REDIS_URL").context("TELEPATH_TEST_REDIS_URL names a Redis")?;
    let authority = url.strip_prefix("redis://").context("a redis:// URL")?;
    Ok(authority.split('/').next().unwrap_or(authority).to_owned())
}

/// The database URL with the proxy's address.
fn through(url: &str, proxy: &Proxy) -> anyhow::Result<String> {
    let (user, authority) = url.rsplit_once('@').context("a database URL with a user")?;
    let (_, name) = authority.split_once('/').context("a database URL with a database")?;
    Ok(format!("{user}@{}/{name}", proxy.address))
}

/// `host:port` of a database URL.
fn host_and_port(url: &str) -> anyhow::Result<&str> {
    let (_, authority) = url.rsplit_once('@').context("a database URL with a user")?;
    Ok(authority.split('/').next().unwrap_or(authority))
}

/// The settings of a server that uses the shared limiter.
pub(crate) fn shared(redis: &str, prefix: &str, name: &str) -> Vec<(&'static str, String)> {
    vec![
        ("TELEPATH_CLUSTER_REDIS_URL", format!("redis://{redis}")),
        ("TELEPATH_CLUSTER_REDIS_PREFIX", prefix.to_owned()),
        ("TELEPATH_CLUSTER_NODE_NAME", name.to_owned()),
    ]
}

pub(crate) fn master_key(path: &Path) -> (&'static str, String) {
    ("TELEPATH_MASTER_KEY_FILE", path.join("master.key").to_string_lossy().into_owned())
}

impl TestCluster {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let database = Database::postgres();
        let url = database.url().context("a database URL")?;
        let prefix = format!("telepath-test-{}:", unique());
        let mut nodes: Vec<Node> = Vec::new();
        let mut admin = None;
        for number in 0..NODES {
            let to_database = Proxy::to(host_and_port(&url)?).await?;
            let to_windows = Proxy::to(&redis()?).await?;
            let mut settings = shared(&to_windows.address.to_string(), &prefix, &format!("node-{number}"));
            settings.extend(nodes.first().map(|first| master_key(&first.server.data())));
            let home = Home::on(Database::Elsewhere { url: through(&url, &to_database)? }, settings);
            if admin.is_none() {
                // Also migrates the database and creates the master key for the other servers.
                admin = Some(home.create_key(&ADMIN).await?);
            }
            let server = home.start().await?;
            nodes.push(Node { server, database: to_database, windows: to_windows });
        }
        Ok(Self { nodes, admin: admin.context("an admin key")?, _database: database })
    }

    pub(crate) async fn connect(&self, node: usize) -> anyhow::Result<Connection> {
        let address = self.nodes[node].server.addresses.insecure_http.context("plain HTTP")?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Connection::over(stream).await
    }

    pub(crate) async fn send(&self, node: usize, call: Call<'_>) -> anyhow::Result<Answer> {
        self.connect(node).await?.send(call).await
    }

    /// Creates a key on a server, retrying while it responds 503.
    pub(crate) async fn create_key(&self, node: usize, name: &str, limit: u64) -> anyhow::Result<CreatedKey> {
        let draft = json!({
            "name": name, "preset": "custom", "scopes": ["trunks:read"], "rate_limit_per_minute": limit,
        });
        let answer = until("a key is created", || async {
            let call = Call::new(Method::POST, "/v1/keys").key(&self.admin.secret).json(&draft);
            Ok(Some(self.send(node, call).await?).filter(is_decided))
        });
        CreatedKey::from_json(&answer.await?.expect(201)?)
    }

    /// Sends one revocation.
    pub(crate) async fn revoke(&self, node: usize, key: &str) -> anyhow::Result<Answer> {
        let path = format!("/v1/keys/{key}/revoke");
        self.send(node, Call::new(Method::POST, &path).key(&self.admin.secret).json(&json!({}))).await
    }

    /// Revokes a key on a server, retrying while it responds 503.
    pub(crate) async fn revoke_successfully(&self, node: usize, key: &str) -> anyhow::Result<()> {
        let answer = until("a key is revoked", || async {
            Ok(Some(self.revoke(node, key).await?).filter(is_decided))
        });
        answer.await?.expect(200).map(drop)
    }

    /// The status of one request with a key.
    pub(crate) async fn status(&self, node: usize, key: &CreatedKey) -> anyhow::Result<u16> {
        Ok(self.send(node, Call::get("/v1/whoami").key(&key.secret)).await?.status)
    }

    /// The status of a request with a key, retrying while the server responds 503.
    pub(crate) async fn decided_status(&self, node: usize, key: &CreatedKey) -> anyhow::Result<u16> {
        until("the server decides about a key", || async {
            Ok(Some(self.status(node, key).await?).filter(|status| *status != 503))
        })
        .await
    }

    /// Restores all links and waits until every server admits and reads again.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        for node in &self.nodes {
            node.database.set(LinkState::Open);
            node.windows.set(LinkState::Open);
        }
        for node in 0..self.nodes.len() {
            until(&format!("server {node} has recovered"), || async {
                let admits = self.status(node, &self.admin).await? == 200;
                let list = self.send(node, Call::get("/v1/keys?limit=1").key(&self.admin.secret)).await?;
                Ok((admits && list.status == 200).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Stops all servers.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            ensure!(node.server.stop().await?.success(), "a server did not stop cleanly");
        }
        Ok(())
    }
}

/// On a busy machine a server may briefly be without its lease or the shared limiter and respond 503.
fn is_decided(answer: &Answer) -> bool {
    answer.status != 503
}

const ADMIN: [&str; 8] = [
    "--name",
    "admin",
    "--preset",
    "custom",
    "--scopes",
    "trunks:write,calls:write,keys:write",
    "--rate-limit",
    "60000",
];
