//! SIGTERM: `/readyz` fails, running requests are finished, and the exit status is 0.

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::http::Call;
use crate::support::waiting::{soon, until};
use crate::support::{Outcome, Server};

#[tokio::test]
async fn requests_in_flight_are_answered_during_shutdown() -> Outcome {
    let mut server = Server::start().await?;
    let admin = server.admin_key().await?.secret;
    let client = server.client()?;
    assert_eq!(client.send(Call::get("/readyz")).await?.status, 200);

    let body = r#"{"name": "late", "preset": "testing"}"#;
    let (first, rest) = body.split_at(10);
    let head = format!(
        "POST /v1/keys HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {admin}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{first}",
        body.len()
    );
    let mut slow = client.tls().await?;
    slow.write_all(head.as_bytes()).await?;
    slow.flush().await?;
    // This response proves that the other request's head was read: the server accepts connections in order.
    client.send(Call::get("/livez")).await?;
    server.signal("TERM").await?;
    // Either /readyz fails or connections are refused; a probe treats both alike.
    until("the server is no longer ready", || async {
        let answer = client.send(Call::get("/readyz")).await;
        Ok(answer.map_or(true, |answer| answer.status == 503).then_some(()))
    })
    .await?;
    slow.write_all(rest.as_bytes()).await?;
    let mut answer = Vec::new();
    soon("the late answer", slow.read_to_end(&mut answer)).await??;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    crate::support::output::note_keys_in(&answer);
    assert!(answer.starts_with("HTTP/1.1 201 "), "{}", answer.lines().next().unwrap_or_default());
    let status = server.ended().await?;
    assert_eq!(status.code(), Some(0), "{status}");

    let server = server.kill_and_restart().await?;
    let key =
        answer.split("\"secret\":\"").nth(1).and_then(|rest| rest.split('"').next()).context("the secret")?;
    assert_eq!(server.client()?.get("/v1/whoami", key).await?.status, 200);
    Ok(())
}

/// A key's window that is used up stays used up when the server is restarted with SIGTERM.
#[tokio::test]
async fn a_stop_with_sigterm_keeps_the_counts_of_rate_windows() -> Outcome {
    let mut server = Server::start().await?;
    let key =
        server.create_key(&["--name", "few", "--preset", "testing", "--rate-limit", "20"]).await?.secret;
    let mut before = server.client()?.send(Call::get("/v1/whoami").key(&key)).await?.rate()?;
    for _ in 0..7 {
        before = server.client()?.send(Call::get("/v1/whoami").key(&key)).await?.rate()?;
    }
    let status = server.stop().await?;
    assert_eq!(status.code(), Some(0), "{status}");
    let server = server.kill_and_restart().await?;
    let after = server.client()?.send(Call::get("/v1/whoami").key(&key)).await?.rate()?;
    // If the window ended in between, there is nothing to keep.
    if after.reset == before.reset {
        assert_eq!(after.remaining, before.remaining - 1, "{before:?} {after:?}");
    } else {
        assert!(after.reset > before.reset, "{before:?} {after:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_idle_server_stops_at_once_and_removes_its_socket() -> Outcome {
    let mut server = Server::start().await?;
    let socket_before = files_that_are_sockets(&server.data());
    assert_eq!(socket_before.len(), 1, "the socket for the command line");
    let _idle = server.client()?.connect().await?;
    let status = server.stop().await?;
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(files_that_are_sockets(&server.data()).is_empty());
    Ok(())
}

fn files_that_are_sockets(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    use std::os::unix::fs::FileTypeExt as _;
    let files = crate::support::server::files_below(folder);
    files
        .into_iter()
        .filter(|path| path.metadata().is_ok_and(|about| about.file_type().is_socket()))
        .collect()
}
