//! Requests to a running server over its administration socket, which needs no key and has no rate limit.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use telepath_core::id::WebhookId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// A client of the administration socket.
#[derive(Debug, Clone)]
pub struct Admin(PathBuf);

impl Admin {
    /// Connects to the socket in a data folder.
    pub fn of(data: &Path) -> Self {
        Self(data.join("admin.sock"))
    }

    /// Sends a test event to an endpoint; returns its id and the time of the response.
    pub async fn test_webhook(&self, webhook: WebhookId) -> anyhow::Result<(String, Instant)> {
        let mut stream = UnixStream::connect(&self.0).await?;
        let head = format!(
            "POST /v1/webhooks/{webhook}/test HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let answered = Instant::now();
        ensure!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").context("a body")?;
        let delivery: Value = serde_json::from_str(body)?;
        Ok((delivery["event_id"].as_str().context("the event's id")?.to_owned(), answered))
    }
}
