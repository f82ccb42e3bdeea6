//! Runs commands on a remote server: over HTTPS, with a key, trusting the server's CA.

use serde_json::Value;
use tokio::process::Command;

use super::cli::{CreatedKey, Finished, command, finish};
use super::server::Server;

/// Access to one server with one key.
pub(crate) struct Remote<'a> {
    pub(crate) server: &'a Server,
    pub(crate) key: CreatedKey,
}

impl<'a> Remote<'a> {
    /// With a key that has every scope.
    pub(crate) async fn of(server: &'a Server) -> anyhow::Result<Self> {
        Ok(Self { server, key: server.admin_key().await? })
    }

    /// With the given key.
    pub(crate) fn with_key(server: &'a Server, key: CreatedKey) -> Self {
        Self { server, key }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.server.addresses.api.port())
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = command();
        command.args(words).env("TELEPATH_API_URL", self.url());
        command.env("TELEPATH_API_KEY", &self.key.secret).env("TELEPATH_CA_FILE", self.server.authority());
        command
    }

    pub(crate) async fn run(&self, words: &[&str]) -> anyhow::Result<Finished> {
        finish(self.command(words), words.first().unwrap_or(&"command")).await
    }

    /// Runs a command with `--json`, which must succeed, and returns its output.
    pub(crate) async fn json(&self, words: &[&str]) -> anyhow::Result<Value> {
        self.run(&[words, &["--json"]].concat()).await?.expect_success()?.json()
    }

    pub(crate) async fn is_admitted(&self, secret: &str) -> anyhow::Result<bool> {
        Ok(self.server.client()?.get("/v1/whoami", secret).await?.status == 200)
    }
}
