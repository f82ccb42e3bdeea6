//! Faults on the links of three servers, planned and drawn.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::is_possible;
use super::schedule::{Rng, Schedule, run};
use super::trio::{NODES, Trio};
use crate::support::Outcome;
use crate::support::http::Call;
use crate::support::proxy::Weather;

/// Schedules of an ordinary run.
const SCHEDULES: u64 = 10;
/// How long a server may go on without the database.
const LEASE: Duration = Duration::from_millis(500);
/// How many answers make a refusal a lasting one.
const MANY: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_at_one_server_is_a_change_at_all() -> Outcome {
    if !is_possible() {
        return Ok(());
    }
    let trio = Trio::start().await?;
    for maker in 0..NODES {
        let key = trio.make_key(maker, "seen everywhere", 1000).await?;
        for node in 0..NODES {
            ensure!(trio.judgement(node, &key).await? == 200, "server {node} does not know a key of {maker}");
        }
        let revoker = (maker + 1) % NODES;
        trio.revoked(revoker, &key.id).await?;
        for node in 0..NODES {
            ensure!(trio.judgement(node, &key).await? == 401, "server {node} admits what {revoker} revoked");
        }
        // Again, elsewhere: nothing to do, and still true.
        trio.revoked(maker, &key.id).await?;
    }
    trio.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_count_one_window() -> Outcome {
    const LIMIT: usize = 40;
    if !is_possible() {
        return Ok(());
    }
    let trio = Trio::start().await?;
    let key = trio.make_key(0, "counted once", LIMIT as u64).await?;
    let mut windows = std::collections::BTreeMap::<u64, (usize, usize)>::new();
    for turn in 0..LIMIT * 2 {
        let answer = trio.send(turn % NODES, Call::get("/v1/whoami").key(&key.secret)).await?;
        let window = windows.entry(answer.rate()?.reset).or_default();
        window.0 += 1;
        window.1 += usize::from(answer.status == 200);
        ensure!(answer.rate()?.remaining == (LIMIT - window.1) as u64, "the headers tell the shared count");
    }
    for (reset, (asked, admitted)) in &windows {
        ensure!(*admitted == LIMIT.min(*asked), "in the window that ends at {reset}: {windows:?}");
    }
    trio.stop().await
}

/// Cuts one link of the last server and sees that it refuses from `within` on, and admits again when healed.
async fn refuses_while_cut(cut: impl Fn(&Trio, Weather), within: Duration) -> Outcome {
    if !is_possible() {
        return Ok(());
    }
    let trio = Trio::start().await?;
    let key = trio.make_key(0, "cut off", 50_000).await?;
    let last = NODES - 1;
    for weather in [Weather::Cut, Weather::Held] {
        let mut connection = trio.connect(last).await?;
        cut(&trio, weather);
        let since = Instant::now();
        let mut refused = 0;
        while refused < MANY {
            let sent = Instant::now();
            let answer = connection.send(Call::get("/v1/whoami").key(&key.secret)).await?;
            if sent > since + within {
                let code = answer.error(503)?;
                ensure!(code == "UNAVAILABLE", "{code}");
                ensure!(answer.header("retry-after").is_some(), "no Retry-After");
                refused += 1;
            }
        }
        ensure!(trio.judgement(0, &key).await? == 200, "the others go on");
        trio.heal().await?;
    }
    trio.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_the_database_refuses_when_its_lease_is_over() -> Outcome {
    refuses_while_cut(|trio, weather| trio.nodes[NODES - 1].database.set(weather), LEASE).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_the_shared_windows_refuses_at_once() -> Outcome {
    refuses_while_cut(|trio, weather| trio.nodes[NODES - 1].windows.set(weather), Duration::ZERO).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_answered_although_a_server_is_cut_off_or_killed() -> Outcome {
    if !is_possible() {
        return Ok(());
    }
    let mut trio = Trio::start().await?;
    let key = trio.make_key(0, "revoked without the third", 1000).await?;
    trio.nodes[2].database.set(Weather::Held);
    trio.revoked(0, &key.id).await?;
    ensure!(trio.status(2, &key).await? != 200, "the third does not know of the revocation and must refuse");
    trio.heal().await?;
    ensure!(trio.judgement(2, &key).await? == 401, "healed, it knows");
    let next = trio.make_key(0, "revoked after a kill", 1000).await?;
    let third = trio.nodes.pop().context("a third server")?;
    third.server.kill().await?;
    trio.revoked(1, &next.id).await?;
    ensure!(trio.judgement(0, &next).await? == 401);
    trio.stop().await
}

fn number(name: &str) -> anyhow::Result<Option<u64>> {
    std::env::var(name).ok().map(|text| text.parse().with_context(|| name.to_owned())).transpose()
}

#[expect(
    clippy::print_stderr,
    reason = "a long run says how far it is, and which seed repeats what it found"
)]
fn say(line: &str) {
    eprintln!("{line}");
}

/// The middle and the 99th percentile, in words.
fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| {
        let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(place).copied().unwrap_or_default().as_millis()
    };
    format!("p50 {} ms p99 {} ms", at(50), at(99))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_drawn_schedule_of_faults_breaks_a_law() -> Outcome {
    if !is_possible() {
        return Ok(());
    }
    let count = number("TELEPATH_TEST_FAULT_SCHEDULES")?.unwrap_or(SCHEDULES);
    let first = match number("TELEPATH_TEST_FAULT_SEED")? {
        Some(seed) => seed,
        None => Rng(std::process::id().into()).next() >> 16,
    };
    let trio = Trio::start().await?;
    let (mut took, mut sound, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    let (mut requests, mut admitted) = (0, 0);
    for seed in first..first + count {
        let schedule = Schedule::of(seed);
        let run = run(&trio, &schedule, &format!("schedule {seed}"))
            .await
            .with_context(|| format!("seed {seed}: {schedule:?}"))?;
        took.push(run.revoked_in);
        if run.at_a_sound_server {
            sound.push(run.revoked_in);
        }
        requests += run.history.requests.len();
        admitted += run.history.admitted();
        for violation in run.history.violations() {
            say(&format!("VIOLATION with seed {seed}: {violation}\n  {schedule:?}"));
            broken.push(seed);
        }
        let done = seed - first + 1;
        if done % 25 == 0 || done == count {
            say(&format!(
                "{done} of {count} schedules from seed {first}: {requests} requests, {admitted} admitted, {} violations; \
                 revocation {}, at servers whose own link was sound {}",
                broken.len(),
                percentiles(took.clone()),
                percentiles(sound.clone()),
            ));
        }
    }
    ensure!(admitted > 0 && admitted < requests, "the schedules admit some and refuse some");
    broken.dedup();
    ensure!(broken.is_empty(), "laws were broken with the seeds {broken:?}");
    trio.stop().await
}

#[tokio::test]
async fn a_proxy_holds_and_cuts_what_goes_through_it() -> Outcome {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let proxy = crate::support::proxy::Proxy::to(&listener.local_addr()?.to_string()).await?;
    let mut near = tokio::net::TcpStream::connect(proxy.address).await?;
    let (mut far, _) = listener.accept().await?;
    proxy.set(Weather::Held);
    near.write_all(b"held").await?;
    let mut buffer = [0; 4];
    let early = tokio::time::timeout(Duration::from_millis(50), far.read_exact(&mut buffer)).await;
    ensure!(early.is_err(), "nothing goes through");
    proxy.set(Weather::Clear);
    far.read_exact(&mut buffer).await?;
    ensure!(&buffer == b"held");
    proxy.set(Weather::Cut);
    ensure!(far.read(&mut buffer).await? == 0, "the connection is closed");
    Ok(())
}
