//! A random schedule of faults, generated from a seed, and its run: two keys send requests to all servers while links are
//! slowed, held and cut, and one of the keys is revoked meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::history::{History, Request, Revocation};
use super::test_cluster::{NODES, TestCluster};
use crate::support::CreatedKey;
use crate::support::http::{Answer, Call, Connection};
use crate::support::proxy::LinkState;
use crate::support::waiting::{pass, until};

/// Connections per key and server.
const CONNECTIONS: usize = 2;
/// The interval between two requests of a connection.
const PACE: Duration = Duration::from_millis(8);
/// How long requests continue after the revocation was answered.
const AFTERWARDS: Duration = Duration::from_millis(300);
/// The key that is revoked, with a limit that is never reached.
const REVOKED: (usize, u64) = (0, 55_555);
/// The key that reaches its limit.
const LIMITED: usize = 1;

/// `SplitMix64`: reproducible, and random enough for schedules.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn node(&mut self) -> usize {
        usize::try_from(self.below(NODES as u64)).unwrap_or(0)
    }

    fn millis(&mut self, least: u64, end: u64) -> Duration {
        Duration::from_millis(least + self.below(end - least))
    }
}

#[derive(Debug, Clone, Copy)]
enum Link {
    Database,
    Windows,
}

#[derive(Debug, Clone, Copy)]
struct Fault {
    node: usize,
    link: Link,
    state: LinkState,
    at: Duration,
    lasts: Duration,
}

#[derive(Debug)]
pub(crate) struct Schedule {
    faults: Vec<Fault>,
    revoke_at: Duration,
    revoker: usize,
    limit: u64,
}

impl Schedule {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let faults = (0..=rng.below(4)).map(|_| fault(&mut rng)).collect();
        Self { faults, revoke_at: rng.millis(100, 500), revoker: rng.node(), limit: 10 + rng.below(400) }
    }
}

fn fault(rng: &mut Rng) -> Fault {
    Fault {
        node: rng.node(),
        link: if rng.below(3) == 0 { Link::Windows } else { Link::Database },
        state: match rng.below(3) {
            0 => LinkState::Delayed(rng.millis(5, 400)),
            1 => LinkState::Stalled,
            _ => LinkState::Cut,
        },
        at: rng.millis(0, 500),
        lasts: rng.millis(50, 700),
    }
}

/// The result of a schedule.
pub(crate) struct Run {
    pub(crate) history: History,
    /// How long the successful revocation took.
    pub(crate) revoked_in: Duration,
    /// Whether the link between that server and the database was intact throughout.
    pub(crate) at_an_intact_server: bool,
}

pub(crate) async fn run(cluster: &TestCluster, schedule: &Schedule, name: &str) -> anyhow::Result<Run> {
    let revoked = cluster.create_key(schedule.revoker, name, REVOKED.1).await?;
    let limited = cluster.create_key(schedule.revoker, name, schedule.limit).await?;
    let history = Arc::new(Mutex::new(History::default()));
    lock(&history).limits.extend([REVOKED, (LIMITED, schedule.limit)]);
    let (stop, stopped) = watch::channel(false);
    let mut traffic = Vec::new();
    for node in 0..NODES {
        for (number, key, limit) in [(REVOKED.0, &revoked, REVOKED.1), (LIMITED, &limited, schedule.limit)] {
            for _ in 0..CONNECTIONS {
                let sender = Sender { number, node, secret: key.secret.clone(), limit };
                let connection = cluster.connect(node).await?;
                traffic.push(tokio::spawn(sender.work(connection, Arc::clone(&history), stopped.clone())));
            }
        }
    }
    let (revoked_in, ()) =
        tokio::join!(revoke(cluster, schedule, &revoked, &history), change_weather(cluster, schedule));
    let revoked_in = revoked_in?;
    pass(AFTERWARDS).await;
    stop.send(true).context("the senders are running")?;
    for task in traffic {
        task.await??;
    }
    cluster.heal().await?;
    let history = std::mem::take(&mut *lock(&history));
    let answered_by = history.revocations.last().map(|revocation| revocation.node);
    let hit = |fault: &Fault| Some(fault.node) == answered_by && matches!(fault.link, Link::Database);
    Ok(Run { revoked_in, at_an_intact_server: !schedule.faults.iter().any(hit), history })
}

/// Injects and removes every fault at its time.
async fn change_weather(cluster: &TestCluster, schedule: &Schedule) {
    let mut changes: Vec<(Duration, Fault, LinkState)> = schedule
        .faults
        .iter()
        .flat_map(|fault| {
            [(fault.at, *fault, fault.state), (fault.at + fault.lasts, *fault, LinkState::Open)]
        })
        .collect();
    changes.sort_by_key(|(at, ..)| *at);
    let mut passed = Duration::ZERO;
    for (at, fault, state) in changes {
        pass(at.saturating_sub(passed)).await;
        passed = at;
        let node = &cluster.nodes[fault.node];
        match fault.link {
            Link::Database => node.database.set(state),
            Link::Windows => node.windows.set(state),
        }
    }
}

fn lock(history: &Mutex<History>) -> std::sync::MutexGuard<'_, History> {
    history.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Revokes on the schedule's server and, if that fails, on the others in turn.
async fn revoke(
    cluster: &TestCluster,
    schedule: &Schedule,
    key: &CreatedKey,
    history: &Mutex<History>,
) -> anyhow::Result<Duration> {
    pass(schedule.revoke_at).await;
    let turn = Mutex::new(schedule.revoker);
    until("the key is revoked", || async {
        let node = {
            let mut turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let next = (*turn + 1) % NODES;
            std::mem::replace(&mut *turn, next)
        };
        let asked = Instant::now();
        let answer = cluster.revoke(node, &key.id).await?;
        let answered = Instant::now();
        if answer.status != 200 {
            return Ok(None);
        }
        lock(history).revocations.push(Revocation { key: REVOKED.0, node, answered });
        Ok(Some(answered - asked))
    })
    .await
}

/// One connection's requests.
struct Sender {
    number: usize,
    node: usize,
    secret: String,
    limit: u64,
}

impl Sender {
    async fn work(
        self,
        mut connection: Connection,
        history: Arc<Mutex<History>>,
        stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*stopped.borrow() {
            pace.tick().await;
            let sent = Instant::now();
            let answer = connection.send(Call::get("/v1/whoami").key(&self.secret)).await?;
            let request = self.request(sent, &answer)?;
            lock(&history).requests.push(request);
        }
        Ok(())
    }

    /// The response to an admitted request has the key's window; to a refused one, the address's.
    fn request(&self, sent: Instant, answer: &Answer) -> anyhow::Result<Request> {
        let rate = answer.rate()?;
        let admitted = rate.limit == self.limit && answer.status != 429;
        Ok(Request { key: self.number, node: self.node, sent, admitted, reset: rate.reset })
    }
}
