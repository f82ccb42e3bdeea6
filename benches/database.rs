//! A temporary database on the PostgreSQL of the tests.

use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database that is dropped with the value.
pub(crate) struct TemporaryDatabase {
    server: String,
    name: String,
}

impl TemporaryDatabase {
    pub(crate) async fn make(server: &str) -> anyhow::Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("telepath_bench_{}_{number}", std::process::id());
        let made = Command::new("createdb")
            .arg(format!("--maintenance-db={server}"))
            .arg(&name)
            .stdin(Stdio::null())
            .status()
            .await
            .context("createdb comes with the clients of PostgreSQL")?;
        ensure!(made.success(), "the database could not be made");
        Ok(Self { server: server.to_owned(), name })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> anyhow::Result<String> {
        let (base, _) = self.server.rsplit_once('/').context("a URL with a database")?;
        Ok(format!("{base}/{}", self.name))
    }
}

impl Drop for TemporaryDatabase {
    fn drop(&mut self) {
        // If this fails, a database remains whose name says what it was for.
        let _ = std::process::Command::new("dropdb")
            .args(["--if-exists", "--force"])
            .arg(format!("--maintenance-db={}", self.server))
            .arg(&self.name)
            .status();
    }
}
