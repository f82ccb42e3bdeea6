//! A carrier's load, made by sipp: a thousand calls with digest and audio, fifty more in every second.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use telepath_media::g711;
use tokio::process::Command;

use super::{Exchange, tone_of};
use crate::support::Outcome;
use crate::support::output::log_file;
use crate::support::waiting::until;

const CALLS: u64 = 1000;
const PER_SECOND: u64 = 50;
/// What a process has open beside what its calls have.
const OTHER_FILES: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_a_thousand_digest_calls_with_audio_are_answered_and_cleared() -> Outcome {
    let exchange = Exchange::start().await?;
    let before = exchange.server.open_files()?;
    let folder = exchange.server.home().beside("sipp");
    std::fs::create_dir_all(&folder)?;
    let tone = tone_of(std::time::Duration::from_secs(1));
    std::fs::write(
        folder.join("audio.ul"),
        tone.iter().map(|sample| g711::mu_encode(*sample)).collect::<Vec<u8>>(),
    )?;
    run_sipp(&exchange, &folder).await?;

    exchange.server.until_metric("telepath_calls_live", 0.0).await?;
    let list = until("every call is kept as over", || async {
        let list = exchange.calls("status=disconnected&limit=1").await?;
        Ok((list["pagination"]["total"] == CALLS).then_some(list))
    })
    .await?;
    assert_eq!(list["pagination"]["total"], CALLS);
    for status in ["connected", "failed"] {
        assert_eq!(exchange.calls(&format!("status={status}")).await?["pagination"]["total"], 0, "{status}");
    }
    every_call_had_audio_and_a_normal_end(&exchange).await?;
    // Each call had a media socket and a WebSocket; ports rest for some seconds before they are closed for good.
    until("no port is left over", || async {
        Ok((exchange.server.open_files()? <= before + OTHER_FILES).then_some(()))
    })
    .await?;
    Ok(())
}

async fn run_sipp(exchange: &Exchange, folder: &Path) -> anyhow::Result<()> {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp/digest_call.xml");
    let (path, log) = log_file("sipp");
    let mut sipp = Command::new("sipp");
    sipp.current_dir(folder)
        .arg(exchange.server.addresses.sip.to_string())
        .arg("-sf")
        .arg(scenario)
        .args([
            "-s",
            &exchange.trunk.username,
            "-au",
            &exchange.trunk.username,
            "-ap",
            &exchange.trunk.password,
        ])
        .args(["-r", &PER_SECOND.to_string(), "-m", &CALLS.to_string(), "-l", "1000"])
        .args(["-i", "127.0.0.1", "-mi", "127.0.0.1"])
        .args(["-rtp_threadtasks", "100", "-nostdin", "-timeout", "180", "-timeout_error", "-trace_err"])
        .args(["-error_file", "errors.log"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true);
    let status = sipp.status().await.context("sipp does not run; it is in the package sip-tester")?;
    let errors = std::fs::read_to_string(folder.join("errors.log")).unwrap_or_default();
    let first: String = errors.lines().take(40).collect::<Vec<_>>().join("\n");
    ensure!(status.code() == Some(0), "sipp ended with {status}; see {}\n{first}", path.display());
    Ok(())
}

async fn every_call_had_audio_and_a_normal_end(exchange: &Exchange) -> anyhow::Result<()> {
    for page in 0..CALLS / 100 {
        let list = exchange.calls(&format!("limit=100&offset={}", page * 100)).await?;
        let calls = list["calls"].as_array().context("calls")?;
        ensure!(calls.len() == 100, "page {page} has {} calls", calls.len());
        for call in calls {
            ensure!(call["disconnect_reason"] == "normal_disconnect", "{call}");
        }
        // The counts stand in the details.
        let id = calls[0]["id"].as_str().context("id")?;
        let details = exchange.record(id).await?;
        let counts = &details["metrics"]["counts"];
        let received = counts["rtp_received"].as_u64().unwrap_or(0);
        let sent = counts["rtp_sent"].as_u64().unwrap_or(0);
        ensure!(received >= 40 && sent >= 30, "{received} packets received, {sent} sent: {details}");
    }
    Ok(())
}
