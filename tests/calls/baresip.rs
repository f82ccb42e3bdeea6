//! Calls from baresip, which has an implementation of SRTP and RTCP of its own.

use std::fmt::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use hyper::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{CallFixture, sine};
use crate::support::http::Call;
use crate::support::output::log_file;
use crate::support::waiting::until;
use crate::support::{Home, Outcome};

/// How long baresip runs, in seconds: long enough for reports both ways, which take up to eight seconds.
const SECONDS: u64 = 20;
/// What baresip puts into its key parameters and our answers.
const KEY: &str = "inline:";

/// One call of baresip.
struct BaresipCall {
    /// The user name of its trunk.
    username: &'static str,
    /// `srtp` in the settings of the trunk.
    srtp: &'static str,
    /// `mediaenc` of its account: what it offers.
    offers: &'static str,
    rtcp_mux: bool,
}

const CALLS: [BaresipCall; 4] = [
    BaresipCall { username: "clear-01", srtp: "preferred", offers: "", rtcp_mux: false },
    BaresipCall { username: "best-effort-01", srtp: "preferred", offers: "srtp", rtcp_mux: false },
    BaresipCall { username: "savp-01", srtp: "required", offers: "srtp-mand", rtcp_mux: true },
    BaresipCall { username: "savpf-01", srtp: "required", offers: "srtp-mandf", rtcp_mux: false },
];

impl BaresipCall {
    /// Creates the trunk, runs baresip until it hangs up, and returns the record of its call.
    async fn place(&self, fixture: &CallFixture) -> anyhow::Result<Value> {
        let draft = json!({
            "name": self.username, "ai_provider": "custom", "sip_username": self.username,
            "sip_password": "long-password-0", "custom_endpoint": fixture.agent.url(), "srtp": self.srtp
        });
        let trunk = fixture.client.post("/v1/trunks", &fixture.key, &draft).await?.expect(201)?;
        ensure!(trunk["srtp"] == self.srtp, "{trunk}");
        let id = trunk["id"].as_str().context("id")?;
        self.run(fixture).await?;
        let call = until("the call of baresip is recorded", || async {
            let list = fixture.calls(&format!("trunk_id={id}")).await?;
            Ok(list["calls"][0]["id"].as_str().map(str::to_owned))
        })
        .await?;
        fixture.record(&call).await
    }

    async fn run(&self, fixture: &CallFixture) -> anyhow::Result<()> {
        let folder = fixture.server.home().beside(self.username);
        std::fs::create_dir_all(&folder)?;
        let tone = sine(std::time::Duration::from_secs(SECONDS));
        std::fs::write(folder.join("tone.wav"), wave(&tone)?)?;
        let sip = fixture.server.addresses.sip;
        let uri = format!("sip:{}@{sip}", self.username);
        let mut account =
            format!("<{uri};transport=udp>;auth_user={};auth_pass=long-password-0;regint=0", self.username);
        if !self.offers.is_empty() {
            write!(account, ";mediaenc={}", self.offers)?;
        }
        std::fs::write(folder.join("accounts"), account + "\n")?;
        let mut config = String::new();
        for line in [
            "sip_listen 127.0.0.1:0",
            "module_path /usr/lib/baresip/modules",
            "audio_source aufile,tone.wav",
            "audio_player aufile,heard.wav",
            "ausrc_srate 8000",
            "auplay_srate 8000",
            "module g711.so",
            "module aufile.so",
            "module srtp.so",
            "module_app account.so",
            "module_app menu.so",
            if self.rtcp_mux { "rtcp_mux yes" } else { "rtcp_mux no" },
        ] {
            writeln!(config, "{line}")?;
        }
        std::fs::write(folder.join("config"), config)?;
        let (path, log) = log_file(self.username);
        let mut baresip = Command::new("baresip");
        baresip
            .current_dir(&folder)
            .args(["-f", ".", "-n", "127.0.0.1", "-t", &SECONDS.to_string(), "-e", &format!("/dial {uri}")])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let status =
            baresip.status().await.context("could not run baresip; install the package baresip-core")?;
        ensure!(status.success(), "baresip ended with {status}; see {}", path.display());
        Ok(())
    }
}

/// A WAVE file of 16-bit samples at 8 kHz.
fn wave(samples: &[i16]) -> anyhow::Result<Vec<u8>> {
    let length = u32::try_from(samples.len() * 2)?;
    let mut out = b"RIFF".to_vec();
    out.extend((36 + length).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    out.extend(8_000_u32.to_le_bytes());
    out.extend(16_000_u32.to_le_bytes());
    out.extend(b"\x02\0\x10\0data");
    out.extend(length.to_le_bytes());
    out.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    Ok(out)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baresip_calls_with_srtp_in_every_form_of_offer_and_both_sides_report_by_rtcp() -> Outcome {
    // This version of baresip gives up at a challenge with an algorithm that it does not know.
    let home = Home::new().with_env("TELEPATH_SIP_DIGEST_ALGORITHMS", "md5");
    let fixture = CallFixture::start_in(home, &[], &[]).await?;
    let [clear, best_effort, savp, savpf] = &CALLS;
    let records = tokio::try_join!(
        clear.place(&fixture),
        best_effort.place(&fixture),
        savp.place(&fixture),
        savpf.place(&fixture)
    )?;
    for (call, record) in CALLS.iter().zip([records.0, records.1, records.2, records.3]) {
        let metrics = &record["metrics"];
        let counts = &metrics["counts"];
        let expected = if call.offers.is_empty() { Value::Null } else { json!("AES_CM_128_HMAC_SHA1_80") };
        assert_eq!(metrics["srtp_suite"], expected, "{}: {record}", call.username);
        assert_eq!(record["status"], "disconnected", "{record}");
        assert!(counts["rtp_received"].as_u64().is_some_and(|count| count > 100), "{record}");
        // The packets with which baresip opens paths through NAT are in clear; all others are authenticated.
        assert!(counts["rtp_unauthenticated"].as_u64().is_some_and(|count| count < 5), "{record}");
        assert_eq!(counts["rtp_malformed"], 0, "{record}");
        // Our audio is decrypted by baresip, or it would not report on it.
        assert_eq!(metrics["carrier_lag_source"], "rtcp", "{}: {record}", call.username);
        assert!(metrics["rtt_ms"].as_f64().is_some_and(|ms| ms < 1_000.0), "{record}");
        assert!(metrics["remote_jitter_ms"].is_f64(), "{record}");
        // Both sides decrypted the tone, or it would not be heard as speech of the caller and of the echo.
        let speakers: Vec<_> =
            record["turns"].as_array().into_iter().flatten().map(|turn| &turn["speaker"]).collect();
        assert!(speakers.contains(&&json!("caller")) && speakers.contains(&&json!("agent")), "{record}");
        let trace = record["sip_trace"].as_str().context("sip_trace")?;
        let lines: Vec<&str> = trace.lines().filter(|line| line.contains(KEY)).collect();
        assert_eq!(lines.is_empty(), call.offers.is_empty(), "{trace}");
        assert!(lines.iter().all(|line| line.ends_with("inline:[redacted]")), "{trace}");
        assert_eq!(trace.matches("a=rtcp-mux").count() >= 2, call.rtcp_mux, "{trace}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_that_requires_srtp_refuses_a_call_in_clear_with_488_and_its_own_rule() -> Outcome {
    let fixture = CallFixture::start().await?;
    let path = format!("/v1/trunks/{}", fixture.trunk.id);
    let change = Call::new(Method::PATCH, &path).key(&fixture.key).json(&json!({"srtp": "required"}));
    let trunk = fixture.client.send(change).await?.expect(200)?;
    assert_eq!(trunk["srtp"], "required");
    let outcome =
        telepath_gateway::caller::place_call(fixture.call(std::time::Duration::from_secs(1))?).await?;
    assert_eq!(outcome.status.code(), 488);
    let id = until("the refused call is recorded", || async {
        let list = fixture.calls("status=failed").await?;
        Ok(list["calls"][0]["id"].as_str().map(str::to_owned))
    });
    let record = fixture.record(&id.await?).await?;
    assert_eq!(
        (&record["sip"]["rule"], &record["sip"]["status"]),
        (&json!("srtp_required"), &json!(488)),
        "{record}"
    );
    assert!(record["sip_trace"].as_str().is_some_and(|trace| trace.contains("Warning: 302 ")), "{record}");
    Ok(())
}
