//! Calls over TCP and TLS: sipp on one connection and on one for each call, baresip, and `telepath call`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use telepath_media::wav;
use tokio::process::Command;

use super::sipp::{self, Sipp};
use super::{CallFixture, sine};
use crate::support::output::log_file;
use crate::support::waiting::until;
use crate::support::{Home, Outcome, cli};

/// Calls of each run of sipp.
const CALLS: u64 = 40;

const LISTEN: [&str; 4] = ["--sip-tcp-listen", "127.0.0.1:0", "--sip-tls-listen", "127.0.0.1:0"];

/// Waits until this many calls have ended as the caller wanted, and returns their list.
async fn disconnected(fixture: &CallFixture, count: u64) -> anyhow::Result<Value> {
    until("every call is recorded as disconnected", || async {
        let list = fixture.client.get("/v1/calls?status=disconnected&limit=1", &fixture.key).await?;
        if list.status == 503 {
            return Ok(None);
        }
        let list = list.expect(200)?;
        Ok((list["pagination"]["total"] == count).then_some(list))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_calls_over_one_tcp_connection_and_over_one_for_each_call() -> Outcome {
    let fixture = CallFixture::start_with(&[], &LISTEN).await?;
    let folder = sipp::prepare(&fixture)?;
    let target = fixture.server.addresses.sip_tcp.context("a TCP listener")?;
    for (transport, total) in [("t1", CALLS), ("tn", 2 * CALLS)] {
        sipp::run(&fixture, &folder, Sipp { target, transport, calls: CALLS }).await?;
        disconnected(&fixture, total).await?;
    }
    let accepted = fixture.server.metric("telepath_sip_connections_total").await?;
    ensure!(accepted.is_some_and(|accepted| accepted > 2.0), "{accepted:?} connections");
    // All of them have ended with sipp.
    fixture.server.until_metric("telepath_sip_connections_open", 0.0).await?;
    Ok(())
}

#[tokio::test]
async fn telepath_call_reaches_a_server_over_tls_that_it_can_verify() -> Outcome {
    let fixture = CallFixture::start_with(&[], &LISTEN).await?;
    let target = fixture.server.addresses.sip_tls.context("a TLS listener")?;
    let password = fixture.server.home().beside("password");
    std::fs::write(&password, &fixture.trunk.password)?;
    let call = |authority: Option<&Path>| {
        let mut command = cli::command();
        command
            .arg("call")
            .arg(format!("sip:{}@{target};transport=tls", fixture.trunk.username))
            .args(["--username", &fixture.trunk.username, "--json", "--listen", "100ms", "--password-file"])
            .arg(&password);
        if let Some(authority) = authority {
            command.arg("--ca-file").arg(authority);
        }
        cli::finish(command, "call")
    };
    let answered = call(Some(&fixture.server.authority())).await?.expect_success()?.json()?;
    assert_eq!(answered["status"], 200, "{answered}");
    ensure!(call(None).await?.expect_success().is_err(), "the system does not know the authority");
    std::fs::remove_file(&password)?;
    let list = disconnected(&fixture, 1).await?;
    let id = list["calls"][0]["id"].as_str().context("the call")?;
    let call = fixture.record(id).await?;
    let trace = call["sip_trace"].as_str().context("a trace")?;
    ensure!(trace.contains("SIP/2.0/TLS 127.0.0.1:"), "{trace}");
    Ok(())
}

#[tokio::test]
async fn baresip_calls_over_tls() -> Outcome {
    // This version of baresip gives up at a challenge with an algorithm that it does not know.
    let home = Home::new().with_env("TELEPATH_SIP_DIGEST_ALGORITHMS", "md5");
    let fixture = CallFixture::start_in(home, &[], &LISTEN).await?;
    let target = fixture.server.addresses.sip_tls.context("a TLS listener")?;
    let folder = fixture.server.home().beside("baresip");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("tone.wav"), wav::write(&sine(Duration::from_secs(2))))?;
    let config = format!(
        "module_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aufile.so\nmodule_app account.so\nmodule_app menu.so\n\
         net_interface 127.0.0.1\nsip_listen 127.0.0.1:0\nsip_cafile {}\naudio_source aufile,{}\naudio_player aufile,{}\naudio_srate 8000\n",
        fixture.server.authority().display(),
        folder.join("tone.wav").display(),
        folder.join("echo.wav").display(),
    );
    std::fs::write(folder.join("config"), config)?;
    let account = format!(
        "<sip:{user}@{target};transport=tls>;auth_user={user};auth_pass={password};regint=0;audio_codecs=PCMU\n",
        user = fixture.trunk.username,
        password = fixture.trunk.password,
    );
    std::fs::write(folder.join("accounts"), account)?;
    let (path, log) = log_file("baresip");
    let mut baresip = Command::new("baresip")
        .arg("-f")
        .arg(&folder)
        .args(["-s", "-t", "20", "-e"])
        // The account names the transport.
        .arg(format!("/dial sip:{}@{target}", fixture.trunk.username))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("could not run baresip; install the package baresip-core")?;
    let heard = until("baresip is heard", || async {
        let list = fixture.calls("status=connected").await?;
        let Some(id) = list["calls"][0]["id"].as_str() else { return Ok(None) };
        Ok(Some(id.to_owned()))
    });
    let id = heard.await.with_context(|| format!("see {}", path.display()))?;
    std::fs::remove_file(folder.join("accounts"))?;
    fixture.client.post(&format!("/v1/calls/{id}/hangup"), &fixture.key, &serde_json::json!({})).await?;
    let call = fixture.record(&id).await?;
    ensure!(call["answer_time"].is_string(), "{call}");
    baresip.kill().await?;
    let trace = call["sip_trace"].as_str().context("a trace")?;
    for text in ["SIP/2.0/TLS 127.0.0.1:", "User-Agent: baresip", "BYE sip:"] {
        ensure!(trace.contains(text), "{text} in {trace}");
    }
    Ok(())
}
