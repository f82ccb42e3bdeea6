//! Faults on the links of three servers: fixed scenarios and random schedules.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::is_possible;
use super::schedule::{Rng, Schedule, run};
use super::test_cluster::{NODES, TestCluster};
use crate::support::Outcome;
use crate::support::http::Call;
use crate::support::proxy::LinkState;

/// Schedules per ordinary run.
const SCHEDULES: u64 = 10;
/// How long a server may keep admitting requests without the database.
const LEASE: Duration = Duration::from_millis(500);
/// Consecutive refusals that count as lasting.
const MANY: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_a_key_is_effective_on_every_server() -> Outcome {
    if !is_possible() {
        return Ok(());
    }
    let cluster = TestCluster::start().await?;
    for creator in 0..NODES {
        let key = cluster.create_key(creator, "visible everywhere", 1000).await?;
        for node in 0..NODES {
            ensure!(
                cluster.decided_status(node, &key).await? == 200,
                "server {node} does not know a key of {creator}"
            );
        }
        let revoker = (creator + 1) % NODES;
        cluster.revoke_successfully(revoker, &key.id).await?;
        for node in 0..NODES {
            ensure!(
                cluster.decided_status(node, &key).await? == 401,
                "server {node} admits what {revoker} revoked"
            );
        }
        // Revoking again on another server succeeds and changes nothing.
        cluster.revoke_successfully(creator, &key.id).await?;
    }
    cluster.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_share_one_window() -> Outcome {
    const LIMIT: usize = 40;
    if !is_possible() {
        return Ok(());
    }
    let cluster = TestCluster::start().await?;
    let key = cluster.create_key(0, "counted once", LIMIT as u64).await?;
    let mut windows = std::collections::BTreeMap::<u64, (usize, usize)>::new();
    for turn in 0..LIMIT * 2 {
        let answer = cluster.send(turn % NODES, Call::get("/v1/whoami").key(&key.secret)).await?;
        let window = windows.entry(answer.rate()?.reset).or_default();
        window.0 += 1;
        window.1 += usize::from(answer.status == 200);
        ensure!(answer.rate()?.remaining == (LIMIT - window.1) as u64, "the headers report the shared count");
    }
    for (reset, (asked, admitted)) in &windows {
        ensure!(*admitted == LIMIT.min(*asked), "in the window that ends at {reset}: {windows:?}");
    }
    cluster.stop().await
}

/// Cuts one link of the last server: it must refuse requests after `within` at the latest, and admit them again when the
/// link is restored.
async fn refuses_while_cut(cut: impl Fn(&TestCluster, LinkState), within: Duration) -> Outcome {
    if !is_possible() {
        return Ok(());
    }
    let cluster = TestCluster::start().await?;
    let key = cluster.create_key(0, "cut off", 50_000).await?;
    let last = NODES - 1;
    for state in [LinkState::Cut, LinkState::Stalled] {
        let mut connection = cluster.connect(last).await?;
        cut(&cluster, state);
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
        ensure!(cluster.decided_status(0, &key).await? == 200, "the other servers keep admitting requests");
        cluster.heal().await?;
    }
    cluster.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_the_database_refuses_once_its_lease_expires() -> Outcome {
    refuses_while_cut(|cluster, state| cluster.nodes[NODES - 1].database.set(state), LEASE).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_the_shared_limiter_refuses_at_once() -> Outcome {
    refuses_while_cut(|cluster, state| cluster.nodes[NODES - 1].windows.set(state), Duration::ZERO).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_completes_while_a_server_is_cut_off_or_killed() -> Outcome {
    if !is_possible() {
        return Ok(());
    }
    let mut cluster = TestCluster::start().await?;
    let key = cluster.create_key(0, "revoked without the third", 1000).await?;
    cluster.nodes[2].database.set(LinkState::Stalled);
    cluster.revoke_successfully(0, &key.id).await?;
    ensure!(
        cluster.status(2, &key).await? != 200,
        "the third server has not read the revocation and must refuse"
    );
    cluster.heal().await?;
    ensure!(
        cluster.decided_status(2, &key).await? == 401,
        "with its link restored, the third server has read the revocation"
    );
    let next = cluster.create_key(0, "revoked after a kill", 1000).await?;
    let third = cluster.nodes.pop().context("a third server")?;
    third.server.kill().await?;
    cluster.revoke_successfully(1, &next.id).await?;
    ensure!(cluster.decided_status(0, &next).await? == 401);
    cluster.stop().await
}

fn number(name: &str) -> anyhow::Result<Option<u64>> {
    std::env::var(name).ok().map(|text| text.parse().with_context(|| name.to_owned())).transpose()
}

#[expect(clippy::print_stderr, reason = "a long run reports its progress and the seeds of violations")]
fn report(line: &str) {
    eprintln!("{line}");
}

/// The median and the 99th percentile, as text.
fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| {
        let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(place).copied().unwrap_or_default().as_millis()
    };
    format!("p50 {} ms p99 {} ms", at(50), at(99))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_fault_schedules_keep_the_invariants() -> Outcome {
    if !is_possible() {
        return Ok(());
    }
    let count = number("TELEPATH_TEST_FAULT_SCHEDULES")?.unwrap_or(SCHEDULES);
    let first = match number("TELEPATH_TEST_FAULT_SEED")? {
        Some(seed) => seed,
        None => Rng(std::process::id().into()).next() >> 16,
    };
    let cluster = TestCluster::start().await?;
    let (mut took, mut intact, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    let (mut requests, mut admitted) = (0, 0);
    for seed in first..first + count {
        let schedule = Schedule::of(seed);
        let run = run(&cluster, &schedule, &format!("schedule {seed}"))
            .await
            .with_context(|| format!("seed {seed}: {schedule:?}"))?;
        took.push(run.revoked_in);
        if run.at_an_intact_server {
            intact.push(run.revoked_in);
        }
        requests += run.history.requests.len();
        admitted += run.history.admitted();
        for violation in run.history.violations() {
            report(&format!("VIOLATION with seed {seed}: {violation}\n  {schedule:?}"));
            broken.push(seed);
        }
        let done = seed - first + 1;
        if done % 25 == 0 || done == count {
            report(&format!(
                "{done} of {count} schedules from seed {first}: {requests} requests, {admitted} admitted, {} violations; \
                 revocation {}, at servers with an intact link {}",
                broken.len(),
                percentiles(took.clone()),
                percentiles(intact.clone()),
            ));
        }
    }
    ensure!(admitted > 0 && admitted < requests, "some requests must be admitted and some refused");
    broken.dedup();
    ensure!(broken.is_empty(), "invariants were violated with the seeds {broken:?}");
    cluster.stop().await
}

#[tokio::test]
async fn the_test_proxy_holds_and_cuts_connections() -> Outcome {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let proxy = crate::support::proxy::Proxy::to(&listener.local_addr()?.to_string()).await?;
    let mut near = tokio::net::TcpStream::connect(proxy.address).await?;
    let (mut far, _) = listener.accept().await?;
    proxy.set(LinkState::Stalled);
    near.write_all(b"held").await?;
    let mut buffer = [0; 4];
    let early = tokio::time::timeout(Duration::from_millis(50), far.read_exact(&mut buffer)).await;
    ensure!(early.is_err(), "held data must not arrive");
    proxy.set(LinkState::Open);
    far.read_exact(&mut buffer).await?;
    ensure!(&buffer == b"held");
    proxy.set(LinkState::Cut);
    ensure!(far.read(&mut buffer).await? == 0, "the connection must be closed");
    Ok(())
}
