//! Load from sipp: 1000 calls with digest and audio. A new call begins when an earlier one has ended, and one that is refused
//! with 503 is placed again, so a busy machine makes the test slower and not fail.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use telepath_media::g711;
use tokio::process::Command;

use super::{CallFixture, sine};
use crate::support::Outcome;
use crate::support::output::log_file;
use crate::support::waiting::until;

const CALLS: u64 = 1000;
/// New calls per second at most.
const PER_SECOND: u64 = 50;
/// Calls at once.
const AT_ONCE: u64 = 64;
/// After this many seconds sipp gives up.
const TIMEOUT: u64 = 1_800;
/// File descriptors of a process that do not belong to calls.
const OTHER_FILES: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_1000_digest_calls_with_audio_are_answered_and_released() -> Outcome {
    let fixture = CallFixture::start().await?;
    let before = fixture.server.open_files()?;
    let folder = prepare(&fixture)?;
    run(&fixture, &folder, Sipp { target: fixture.server.addresses.sip, transport: "u1", calls: CALLS })
        .await?;

    fixture.server.until_metric("telepath_calls_live", 0.0).await?;
    let list = until("every call is recorded as disconnected", || async {
        let list = fixture.client.get("/v1/calls?status=disconnected&limit=1", &fixture.key).await?;
        // While the last records are being written, a busy server may have no connection to the database to spare.
        if list.status == 503 {
            return Ok(None);
        }
        let list = list.expect(200)?;
        Ok((list["pagination"]["total"] == CALLS).then_some(list))
    })
    .await?;
    assert_eq!(list["pagination"]["total"], CALLS);
    for status in ["connected", "failed"] {
        assert_eq!(fixture.calls(&format!("status={status}")).await?["pagination"]["total"], 0, "{status}");
    }
    ensure_audio_and_normal_disconnect(&fixture).await?;
    // Each call had an RTP socket and a WebSocket.
    until("all sockets of the calls are closed", || async {
        Ok((fixture.server.open_files()? <= before + OTHER_FILES).then_some(()))
    })
    .await?;
    Ok(())
}

/// A run of sipp.
pub(super) struct Sipp {
    pub(super) target: SocketAddr,
    /// As the option `-t` of sipp names it.
    pub(super) transport: &'static str,
    pub(super) calls: u64,
}

/// The folder in which sipp runs, with the audio that it plays.
pub(super) fn prepare(fixture: &CallFixture) -> anyhow::Result<PathBuf> {
    let folder = fixture.server.home().beside("sipp");
    std::fs::create_dir_all(&folder)?;
    let tone = sine(std::time::Duration::from_secs(1));
    let encoded: Vec<u8> = tone.iter().map(|sample| g711::mu_encode(*sample)).collect();
    std::fs::write(folder.join("audio.ul"), encoded)?;
    Ok(folder)
}

/// Places the calls and waits until all of them have succeeded.
pub(super) async fn run(fixture: &CallFixture, folder: &Path, run: Sipp) -> anyhow::Result<()> {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp/digest_call.xml");
    let (path, log) = log_file("sipp");
    let mut sipp = Command::new("sipp");
    sipp.current_dir(folder)
        .arg(run.target.to_string())
        .args(["-t", run.transport, "-max_socket", "500"])
        .arg("-sf")
        .arg(scenario)
        .args(["-s", &fixture.trunk.username, "-au", &fixture.trunk.username, "-ap", &fixture.trunk.password])
        .args(["-r", &PER_SECOND.to_string(), "-m", &run.calls.to_string(), "-l", &AT_ONCE.to_string()])
        .args(["-i", "127.0.0.1", "-mi", "127.0.0.1"])
        .args(["-rtp_threadtasks", "100", "-nostdin", "-timeout", &TIMEOUT.to_string(), "-timeout_error"])
        .arg("-trace_err")
        .args(["-error_file", "errors.log"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true);
    let status = sipp.status().await.context("could not run sipp; install the package sip-tester")?;
    let errors = std::fs::read_to_string(folder.join("errors.log")).unwrap_or_default();
    let first: String = errors.lines().take(40).collect::<Vec<_>>().join("\n");
    ensure!(status.code() == Some(0), "sipp ended with {status}; see {}\n{first}", path.display());
    Ok(())
}

async fn ensure_audio_and_normal_disconnect(fixture: &CallFixture) -> anyhow::Result<()> {
    for page in 0..CALLS / 100 {
        let list = fixture.calls(&format!("limit=100&offset={}", page * 100)).await?;
        let calls = list["calls"].as_array().context("calls")?;
        ensure!(calls.len() == 100, "page {page} has {} calls", calls.len());
        for call in calls {
            ensure!(call["disconnect_reason"] == "normal_disconnect", "{call}");
        }
        // The counts are only in the details of a call.
        let id = calls[0]["id"].as_str().context("id")?;
        let details = fixture.record(id).await?;
        let counts = &details["metrics"]["counts"];
        let received = counts["rtp_received"].as_u64().unwrap_or(0);
        let sent = counts["rtp_sent"].as_u64().unwrap_or(0);
        // How many fit into the length of a call depends on how busy the machine is.
        ensure!(received > 0 && sent > 0, "{received} packets received, {sent} sent: {details}");
    }
    Ok(())
}
