//! Three servers on one PostgreSQL and one Redis, each reaching them over links of its own.

use std::path::Path;

use anyhow::{Context as _, ensure};
use hyper::Method;
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::database::Database;
use crate::support::http::{Answer, Call, Connection};
use crate::support::output::unique;
use crate::support::proxy::{Proxy, Weather};
use crate::support::server::Home;
use crate::support::waiting::until;
use crate::support::{CreatedKey, Server};

/// How many servers.
pub(crate) const NODES: usize = 3;

/// A server and its links.
pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) database: Proxy,
    pub(crate) windows: Proxy,
}

pub(crate) struct Trio {
    pub(crate) nodes: Vec<Node>,
    /// May do everything.
    pub(crate) admin: CreatedKey,
    _database: Database,
}

/// Where the shared windows are; its name is in the environment for these tests alone.
pub(crate) fn redis() -> anyhow::Result<String> {
    let url = std::env::var("TELEPATH_TEST_REDIS_URL").context("TELEPATH_TEST_REDIS_URL names a Redis")?;
    let place = url.strip_prefix("redis://").context("a redis:// URL")?;
    Ok(place.split('/').next().unwrap_or(place).to_owned())
}

/// The same database by another address.
fn through(url: &str, proxy: &Proxy) -> anyhow::Result<String> {
    let (user, place) = url.rsplit_once('@').context("a database URL with a user")?;
    let (_, name) = place.split_once('/').context("a database URL with a database")?;
    Ok(format!("{user}@{}/{name}", proxy.address))
}

/// `host:port` of a database URL.
fn place_of(url: &str) -> anyhow::Result<&str> {
    let (_, place) = url.rsplit_once('@').context("a database URL with a user")?;
    Ok(place.split('/').next().unwrap_or(place))
}

/// The settings of a server that counts with the others.
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

impl Trio {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let database = Database::postgres();
        let url = database.url().context("a database URL")?;
        let prefix = format!("telepath-test-{}:", unique());
        let mut nodes: Vec<Node> = Vec::new();
        let mut admin = None;
        for number in 0..NODES {
            let to_database = Proxy::to(place_of(&url)?).await?;
            let to_windows = Proxy::to(&redis()?).await?;
            let mut settings = shared(&to_windows.address.to_string(), &prefix, &format!("node-{number}"));
            settings.extend(nodes.first().map(|first| master_key(&first.server.data())));
            let home = Home::on(Database::Elsewhere { url: through(&url, &to_database)? }, settings);
            if admin.is_none() {
                // Makes the master key that the others are given.
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

    /// Makes a key at one of the servers, which must be able to.
    pub(crate) async fn make_key(&self, node: usize, name: &str, limit: u64) -> anyhow::Result<CreatedKey> {
        let draft = json!({
            "name": name, "preset": "custom", "scopes": ["trunks:read"], "rate_limit_per_minute": limit,
        });
        let answer = until("a key is made", || async {
            let call = Call::new(Method::POST, "/v1/keys").key(&self.admin.secret).json(&draft);
            Ok(Some(self.send(node, call).await?).filter(is_an_answer))
        });
        CreatedKey::from_json(&answer.await?.expect(201)?)
    }

    /// Asks for a revocation once.
    pub(crate) async fn revoke(&self, node: usize, key: &str) -> anyhow::Result<Answer> {
        let path = format!("/v1/keys/{key}/revoke");
        self.send(node, Call::new(Method::POST, &path).key(&self.admin.secret).json(&json!({}))).await
    }

    /// Revokes at a server that must be able to.
    pub(crate) async fn revoked(&self, node: usize, key: &str) -> anyhow::Result<()> {
        let answer = until("a key is revoked", || async {
            Ok(Some(self.revoke(node, key).await?).filter(is_an_answer))
        });
        answer.await?.expect(200).map(drop)
    }

    /// What a server says to a key at this moment.
    pub(crate) async fn status(&self, node: usize, key: &CreatedKey) -> anyhow::Result<u16> {
        Ok(self.send(node, Call::get("/v1/whoami").key(&key.secret)).await?.status)
    }

    /// What a server that can judge a key says to it.
    pub(crate) async fn judgement(&self, node: usize, key: &CreatedKey) -> anyhow::Result<u16> {
        until("a key is judged", || async {
            Ok(Some(self.status(node, key).await?).filter(|status| *status != 503))
        })
        .await
    }

    /// Heals all links and waits until every server admits again and can change something.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        for node in &self.nodes {
            node.database.set(Weather::Clear);
            node.windows.set(Weather::Clear);
        }
        for node in 0..self.nodes.len() {
            until(&format!("server {node} works again"), || async {
                let admits = self.status(node, &self.admin).await? == 200;
                let list = self.send(node, Call::get("/v1/keys?limit=1").key(&self.admin.secret)).await?;
                Ok((admits && list.status == 200).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Ends all of them in order.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            ensure!(node.server.stop().await?.success(), "a server did not stop in order");
        }
        Ok(())
    }
}

/// On a machine that is busy with other things a server may for a moment be without its lease or its windows, and says so.
fn is_an_answer(answer: &Answer) -> bool {
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
