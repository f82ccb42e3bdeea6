//! What a flood leaves behind: the server returns its memory to the system.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;

use crate::support::waiting::until;
use crate::support::{Outcome, Server};

/// Connections of the flood, fewer than the files that a process may usually open.
const CONNECTIONS: u16 = 600;
/// Connections from one address.
const PER_ADDRESS: u16 = 50;
/// The memory by which a flood must grow the process for the test to mean anything, in KiB.
const GROWTH: u64 = 8 * 1024;

/// Resident memory in KiB.
fn resident(server: &Server) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process()?))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).context("a size")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_of_a_flood_is_returned_to_the_system() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let before = resident(&server)?;
    let mut open = Vec::new();
    for number in 0..CONNECTIONS {
        let [high, low] = (number / PER_ADDRESS).to_be_bytes();
        let mut stream = client.tls_from(Ipv4Addr::new(127, 20, high, low + 1)).await?;
        // Requests whose head never ends stay in memory.
        stream.write_all(b"GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nFiller: ").await?;
        stream.write_all(&[b'a'; 4096]).await?;
        stream.flush().await?;
        open.push(stream);
    }
    let peak = until("the flood takes memory", || async {
        let now = resident(&server)?;
        Ok((now > before + GROWTH).then_some(now))
    })
    .await?;
    drop(open);
    until("most of the memory is returned", || async {
        Ok((resident(&server)? < before + (peak - before) / 2).then_some(()))
    })
    .await
}
