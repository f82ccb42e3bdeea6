//! A flood of INVITEs without credentials from many loopback addresses, while calls are live and others are set up. Callers
//! and flood run in this process; the server and the echo agent are processes of their own.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use telepath_gateway::caller::{CallOutcome, CallerOptions, LoadOptions, place_call, place_load};

use crate::Effort;
use crate::calls::{RATE, make_trunk, noise, start_agent};
use crate::process::resident_kib;
use crate::server::Server;
use crate::table::{Table, progress};

/// INVITEs per second.
const FLOOD_RATE: u64 = 20_000;
/// Source addresses, each with a socket of its own.
const SOURCES: u16 = 512;
/// Calls that are live during the flood.
const LIVE_CALLS: usize = 50;
/// Calls that are set up during the flood, one after the other.
const NEW_CALLS: u32 = 10;
/// The time between two bursts of the flood.
const BURST: Duration = Duration::from_millis(1);

pub(crate) async fn measure(table: &mut Table, effort: Effort, scratch: &Path) -> anyhow::Result<()> {
    progress("a flood of INVITEs");
    let seconds = match effort {
        Effort::Quick => 10,
        Effort::Full => 30,
    };
    let (agent, url) = start_agent().await?;
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let server = Server::start_reaching(&scratch.join("sip-flood"), address).await?;
    let (uri, credentials) = make_trunk(&server.data, &url).await?;
    let mut call = CallerOptions::new(&uri)?;
    call.credentials = Some(credentials);
    call.listen = Duration::from_millis(200);
    let target = call.target.host_port().socket_addr().context("the SIP address of the server")?;

    let ramp = Duration::from_secs(1);
    let mut live = call.clone();
    live.play = noise((seconds + 4) * RATE);
    let live = tokio::spawn(place_load(LoadOptions { call: live, calls: LIVE_CALLS, duration: ramp, ramp }));
    tokio::time::sleep(ramp * 2).await;
    let before = resident_kib(server.process()?)?;
    let flood = tokio::task::spawn_blocking(move || send_flood(target, Duration::from_secs(seconds)));
    let setups = set_up_calls(&call, Duration::from_secs(seconds) / (NEW_CALLS + 1)).await?;
    let sent = flood.await??;
    let grown = resident_kib(server.process()?)?.saturating_sub(before);
    let report = live.await?;
    ensure!(
        report.answered == LIVE_CALLS as u64,
        "{} of {LIVE_CALLS} live calls were answered: {:?}",
        report.answered,
        report.first_error
    );

    let late = report.late_echoes + report.packets_sent.saturating_sub(report.echoes);
    let share = |count: u64| u32::try_from(count).map(f64::from);
    let percent = share(late)? / share(report.packets_sent.max(1))? * 100.0;
    table.row_with_goal("INVITE flood: sent", format!("{} per second", sent / seconds), "20,000 per second");
    table.row_with_goal(
        format!("INVITE flood: frames of {LIVE_CALLS} live calls lost or more than 20 ms late"),
        format!("{percent:.3} %"),
        "≤ 0.1 %",
    );
    let slowest = setups
        .iter()
        .flatten()
        .max()
        .map_or_else(|| "-".to_owned(), |time| format!("{} ms", time.as_millis()));
    let in_time = setups.iter().flatten().filter(|time| **time < Duration::from_secs(2)).count();
    table.row_with_goal(
        "INVITE flood: new calls answered within 2 s",
        format!("{in_time} of {NEW_CALLS}"),
        "10 of 10",
    );
    table.row("INVITE flood: slowest set-up", slowest);
    table.row_with_goal("INVITE flood: memory grows by", format!("{grown} KiB"), "< 65,536 KiB");
    drop(agent);
    server.stop().await
}

/// Places one call after the other; `None` for a call that was not answered.
async fn set_up_calls(call: &CallerOptions, interval: Duration) -> anyhow::Result<Vec<Option<Duration>>> {
    let mut setups = Vec::new();
    let started = Instant::now();
    for number in 1..=NEW_CALLS {
        tokio::time::sleep_until((started + interval * number).into()).await;
        let outcome = place_call(call.clone()).await;
        let answered = outcome.ok().filter(CallOutcome::answered);
        setups.push(answered.map(|outcome| outcome.answered_after));
    }
    Ok(setups)
}

/// Sends INVITEs without credentials at a steady rate; returns their number.
#[expect(clippy::disallowed_methods, reason = "a thread of its own sends at a steady rate")]
fn send_flood(target: SocketAddr, length: Duration) -> anyhow::Result<u64> {
    let mut sockets = Vec::new();
    for source in 0..SOURCES {
        let [high, low] = source.to_be_bytes();
        let address = Ipv4Addr::new(127, 10 + high, low, 1);
        let socket = UdpSocket::bind((address, 0)).with_context(|| format!("cannot bind {address}"))?;
        socket.set_nonblocking(true)?;
        sockets.push((socket.local_addr()?, socket));
    }
    let started = Instant::now();
    let mut sent = 0_u64;
    let mut failed = 0_u64;
    while started.elapsed() < length {
        let due = u64::try_from(started.elapsed().as_micros())? * FLOOD_RATE / 1_000_000;
        while sent + failed < due {
            let number = sent + failed;
            let (source, socket) = &sockets[usize::try_from(number)? % sockets.len()];
            match socket.send_to(invite(*source, target, number).as_bytes(), target) {
                Ok(_) => sent += 1,
                // The kernel's queue is full.
                Err(_) => failed += 1,
            }
        }
        std::thread::sleep(BURST);
    }
    Ok(sent)
}

fn invite(source: SocketAddr, target: SocketAddr, number: u64) -> String {
    format!(
        "INVITE sip:{number}@{target} SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:flood@{source}>;tag={number}\r\nTo: <sip:{number}@{target}>\r\nCall-ID: {number}@{source}\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:flood@{source}>\r\nContent-Length: 0\r\n\r\n"
    )
}
