//! Responses to requests whose body is not read reach every client. curl before 8.0, which Debian 12 has, reports a stream that
//! is reset after the response as an error.

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::support::server::Home;
use crate::support::{Outcome, Server};

/// Transfers of one run of curl, and runs for each kind of refusal.
const TRANSFERS: usize = 4;
const RUNS: usize = 25;

/// Sends the same request several times with the curl of the system, and returns the statuses it saw.
async fn curl(server: &Server, version: &str, path: &str, options: &[&str]) -> anyhow::Result<Vec<String>> {
    let url = format!("https://{}{path}", server.addresses.api);
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail-early", version, "--write-out", "\n%{http_code}\n"]);
    command.arg("--cacert").arg(server.authority()).args(options).args(vec![url; TRANSFERS]);
    let output = command.stdin(Stdio::null()).output().await.context("curl is not installed")?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{path} {options:?}: {} {errors}", output.status);
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().filter(|line| line.len() == 3).map(str::to_owned).collect())
}

#[tokio::test]
async fn curl_receives_every_response_that_is_sent_before_the_request_body_is_read() -> Outcome {
    let home = Home::new().with_env("TELEPATH_LIMITS_ADDRESS_REQUESTS_PER_MINUTE", "1000000");
    let server = home.start().await?;
    let key = server.admin_key().await?;
    let reader =
        server.create_key(&["--name", "reader", "--preset", "testing", "--rate-limit", "60000"]).await?;
    let slow = server.create_key(&["--name", "slow", "--preset", "testing", "--rate-limit", "1"]).await?;
    let file = |name: &str, length: usize| -> anyhow::Result<String> {
        let path = server.home().beside(name);
        std::fs::write(&path, format!("{{\"name\": \"{}\"}}", "x".repeat(length)))?;
        Ok(format!("@{}", path.display()))
    };
    let (small, large, too_large) = (file("small", 10)?, file("large", 60_000)?, file("too_large", 700_000)?);
    let bearer = |secret: &str| format!("Authorization: Bearer {secret}");
    let (key, reader, slow) = (bearer(&key.secret), bearer(&reader.secret), bearer(&slow.secret));
    let (json, form) = ("Content-Type: application/json", "Content-Type: text/plain");
    for (path, headers, body, status) in [
        ("/v1/keys", [&*key, form], &small, "415"),
        ("/v1/keys", [&key, form], &large, "415"),
        ("/v1/nothing", [&key, json], &small, "404"),
        ("/v1/nothing", [&key, json], &large, "404"),
        ("/v1/keys", ["Authorization: Bearer sk_live_nonsense", json], &large, "401"),
        ("/v1/trunks", [&reader, json], &large, "403"),
        ("/v1/trunks", [&slow, json], &large, "429"),
        ("/v1/keys", [&key, json], &too_large, "413"),
    ] {
        let options = ["-H", headers[0], "-H", headers[1], "--data-binary", body];
        if status == "429" {
            // Uses up the limit of one request.
            curl(&server, "--http2", path, &options).await?;
        }
        for _ in 0..RUNS {
            let seen = curl(&server, "--http2", path, &options).await?;
            ensure!(seen == vec![status; TRANSFERS], "{path} {body}: {seen:?} instead of {status}");
        }
        let seen = curl(&server, "--http1.1", path, &options).await?;
        ensure!(seen == vec![status; TRANSFERS], "{path} {body} over HTTP/1.1: {seen:?} instead of {status}");
    }
    Ok(())
}
