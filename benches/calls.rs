//! The CPU time and echo delay of calls: SIP, gateway, WebSocket, the echo agent, and back. The echo agent is a separate
//! process and the callers run in this one; only the server's CPU time counts.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use telepath_core::secret::SecretText;
use telepath_gateway::caller::{CallerOptions, LoadOptions, place_load};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::Effort;
use crate::process::cpu_time;
use crate::server::{Server, program};
use crate::table::Table;

/// Concurrent calls of each run.
const SIZES: [usize; 3] = [1, 50, 200];
/// Samples per second.
pub(crate) const RATE: u64 = 8000;

pub(crate) async fn measure(table: &mut Table, effort: Effort, scratch: &Path) -> anyhow::Result<()> {
    let seconds = match effort {
        Effort::Quick => 5,
        Effort::Full => 20,
    };
    let (agent, url) = start_agent().await?;
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let server = Server::start_reaching(&scratch.join("calls"), address).await?;
    let (uri, credentials) = make_trunk(&server.data, &url).await?;
    for calls in SIZES {
        let mut call = CallerOptions::new(&uri)?;
        call.credentials = Some(credentials.clone());
        call.play = noise(seconds * RATE);
        call.listen = Duration::from_millis(200);
        // Calls start spread over a second, and each caller calls once.
        let ramp = Duration::from_secs(1);
        let load = LoadOptions { call, calls, duration: ramp, ramp };
        let before = cpu_time(server.process()?)?;
        let started = Instant::now();
        let report = place_load(load).await;
        let lasted = started.elapsed().min(Duration::from_secs(seconds) + Duration::from_millis(200));
        let used = cpu_time(server.process()?)?.since(before).whole();
        ensure!(
            report.answered == calls as u64 && report.rejected + report.failed == 0,
            "{} of {calls} calls were answered, {} rejected, {} failed: {:?}",
            report.answered,
            report.rejected,
            report.failed,
            report.first_error
        );
        let share = used.as_secs_f64() / lasted.as_secs_f64() / f64::from(u32::try_from(calls)?) * 100.0;
        let name = if calls == 1 { "1 call".to_owned() } else { format!("{calls} calls at once") };
        table.row_with_goal(format!("{name}: echo delay p50"), milliseconds(report.echo_p50), "≤ 2 ms");
        table.row(format!("{name}: echo delay p99, the worst call's"), milliseconds(report.echo_p99_worst));
        table.row(format!("{name}: CPU per call"), format!("{share:.2} % of a core"));
        table.row(
            format!("{name}: packets lost"),
            format!("{} of {}", report.packets_lost, report.packets_sent),
        );
    }
    drop(agent);
    server.stop().await
}

fn milliseconds(length: Option<Duration>) -> String {
    length.map_or_else(|| "-".to_owned(), |length| format!("{:.2} ms", length.as_secs_f64() * 1000.0))
}

/// Every frame differs from every other, so that each echo is recognized (xorshift64*).
pub(crate) fn noise(samples: u64) -> Vec<i16> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    (0..samples)
        .map(|_| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let [high, low, ..] = state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes();
            i16::from_be_bytes([high, low]) / 8
        })
        .collect()
}

pub(crate) async fn start_agent() -> anyhow::Result<(Child, String)> {
    let mut agent = Command::new(program()?)
        .args(["agent", "echo", "--listen", "127.0.0.1:0", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = agent.stdout.take().context("standard output")?;
    let line = BufReader::new(stdout).lines().next_line().await?.context("the echo agent ended")?;
    let said: Value = serde_json::from_str(&line)?;
    Ok((agent, said["url"].as_str().context("a url")?.to_owned()))
}

/// Creates a trunk to the agent; returns its SIP URI, username and password.
pub(crate) async fn make_trunk(data: &Path, agent: &str) -> anyhow::Result<(String, (String, SecretText))> {
    let output = Command::new(program()?)
        .args([
            "trunks",
            "create",
            "--name",
            "Bench",
            "--ai-provider",
            "custom",
            "--sip-username",
            "bench-01",
        ])
        .args(["--custom-endpoint", agent, "--json", "--data-dir"])
        .arg(data)
        .output()
        .await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trunk: Value = serde_json::from_slice(&output.stdout)?;
    let text =
        |member: &str| trunk[member].as_str().map(str::to_owned).with_context(|| format!("no {member}"));
    Ok((text("sip_endpoint")?, (text("sip_username")?, SecretText::new(text("sip_password")?))))
}
