//! Runs commands of the program. Their standard output may contain a secret, so it is kept only in memory; their standard
//! error goes to a log.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::Command;

use super::output::{log_file, note_keys_in, note_secret};
use super::waiting::soon;

/// The program under test: `TELEPATH_BIN`, or the one in `target/debug`.
pub(crate) fn program() -> PathBuf {
    let path = std::env::var_os("TELEPATH_BIN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/telepath"),
        PathBuf::from,
    );
    assert!(path.exists(), "{} is not there; run cargo build first", path.display());
    path
}

/// The program without `TELEPATH_*` variables of this process.
pub(crate) fn command() -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TELEPATH_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A finished command.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn expect_success(self) -> anyhow::Result<Self> {
        ensure!(self.code == Some(0), "exit {:?}: {}{}", self.code, self.stdout, self.stderr);
        Ok(self)
    }

    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(self.stdout.trim()).with_context(|| format!("not JSON: {}", self.stdout))
    }
}

/// Waits for a command to end and collects its output.
pub(crate) async fn finish(mut command: Command, what: &str) -> anyhow::Result<Finished> {
    let output = soon(what, command.stdout(Stdio::piped()).stderr(Stdio::piped()).output()).await??;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    note_keys_in(&stdout);
    let (_, mut log) = log_file(what);
    log.write_all(&output.stderr)?;
    Ok(Finished { code: output.status.code(), stdout, stderr })
}

/// An API key, as `keys create` printed it.
#[derive(Clone)]
pub(crate) struct CreatedKey {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl CreatedKey {
    pub(crate) fn from_json(answer: &Value) -> anyhow::Result<Self> {
        let text = |member: &str| {
            answer[member].as_str().map(str::to_owned).with_context(|| format!("no {member} in the answer"))
        };
        let key = Self { id: text("id")?, secret: text("secret")? };
        note_secret(&key.secret);
        Ok(key)
    }
}
