//! Throughput and delay of webhooks: the server delivers to a sink in this process, over TLS on this machine.

mod sink;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use telepath_core::audit::Origin;
use telepath_core::clock::{Clock as _, SystemClock};
use telepath_core::id::{AccountId, WebhookId};
use telepath_core::secret::{KeyMode, SecretText};
use telepath_core::webhook::{MAX_IN_FLIGHT, WebhookDraft};
use telepath_store::{Database, Store};

use crate::Effort;
use crate::database::TemporaryDatabase;
use crate::process::resident_mib;
use crate::server::{Server, Settings};
use crate::table::{Table, progress};
use sink::Sink;
use telepath_benches::keys;

/// Concurrent events.
const AT_ONCE: usize = 128;
/// Endpoints in the fairness measurement.
const ENDPOINTS: usize = 100;
/// The setting for a database outside the data folder.
const DATABASE_URL: &str = "TELEPATH_DATABASE_URL";
/// The longest wait.
const PATIENCE: Duration = Duration::from_mins(10);

pub(crate) async fn measure(table: &mut Table, effort: Effort, scratch: &Path) -> anyhow::Result<()> {
    let (burst, waiting, rounds) = match effort {
        Effort::Quick => (1_000, 10_000, 5),
        Effort::Full => (10_000, 100_000, 30),
    };
    throughput(table, scratch, burst).await?;
    match std::env::var("TELEPATH_TEST_POSTGRES_URL") {
        Ok(server) => throughput_on_postgres(table, scratch, burst, &server).await?,
        Err(_) => progress("PostgreSQL is left out: TELEPATH_TEST_POSTGRES_URL is not set"),
    }
    let alone = fairness(scratch, rounds, false).await?;
    let beside = fairness(scratch, rounds, true).await?;
    table.row("webhooks: commit to receipt p50, 100 endpoints", alone.p50());
    table.row("webhooks: commit to receipt p99, 100 endpoints", alone.p99());
    table.row("webhooks: the same p50, 1 of 100 never answers", beside.p50());
    table.row("webhooks: the same p99, 1 of 100 never answers", beside.p99());
    table.row_with_goal(
        "webhooks: p99 of the others moved by one that never answers",
        format!("{:+.1} %", (beside.p99.as_secs_f64() / alone.p99.as_secs_f64() - 1.0) * 100.0),
        "< 10 %",
    );
    memory(table, scratch, waiting).await
}

/// A data folder with an open store while no server runs on it.
struct Folder {
    store: Arc<Store>,
    account: AccountId,
}

impl Folder {
    async fn open(data: &Path) -> anyhow::Result<Self> {
        Server::start(data).await?.stop().await?;
        Self::of(keys::open(data).await?).await
    }

    /// With a database outside the folder.
    async fn open_on(data: &Path, url: &str) -> anyhow::Result<Self> {
        let database = Database::Postgres { url: SecretText::new(url.to_owned()) };
        Store::migrate(&database).await?;
        Server::start_with(data, &vec![(DATABASE_URL, url.to_owned())]).await?.stop().await?;
        Self::of(keys::open_database(data, database).await?).await
    }

    async fn of(store: Arc<Store>) -> anyhow::Result<Self> {
        let account = store.ensure_account("Bench", KeyMode::Live, origin()).await?.id;
        Ok(Self { store, account })
    }

    async fn webhook(&self, url: String, in_flight: u32) -> anyhow::Result<WebhookId> {
        let draft =
            WebhookDraft { url: Some(url), max_in_flight: Some(in_flight), ..WebhookDraft::default() };
        Ok(self.store.create_webhook(self.account, draft.check()?, origin()).await?.webhook.id)
    }

    async fn events(&self, webhook: WebhookId, count: usize) -> anyhow::Result<()> {
        let cause = |_| async { self.store.test_webhook(self.account, webhook, origin()).await.map(drop) };
        Ok(stream::iter(0..count).map(cause).buffer_unordered(AT_ONCE).try_collect().await?)
    }
}

fn origin() -> Origin {
    Origin::local(SystemClock.now())
}

async fn throughput(table: &mut Table, scratch: &Path, count: usize) -> anyhow::Result<()> {
    let data = scratch.join("webhook-rate");
    let folder = Folder::open(&data).await?;
    let rate = rate(scratch, &data, folder, count, &Settings::new()).await?;
    table.row("webhooks: deliveries per second to one endpoint, SQLite, sink on the same cores", rate);
    Ok(())
}

async fn throughput_on_postgres(
    table: &mut Table,
    scratch: &Path,
    count: usize,
    server: &str,
) -> anyhow::Result<()> {
    let database = TemporaryDatabase::make(server).await?;
    let (data, url) = (scratch.join("webhook-rate-postgres"), database.url()?);
    let folder = Folder::open_on(&data, &url).await?;
    let rate = rate(scratch, &data, folder, count, &vec![(DATABASE_URL, url)]).await?;
    table.row("webhooks: the same, PostgreSQL, all on the same cores", rate);
    Ok(())
}

/// Deliveries per second of a backlog that is due when the server starts.
async fn rate(
    scratch: &Path,
    data: &Path,
    folder: Folder,
    count: usize,
    settings: &Settings,
) -> anyhow::Result<String> {
    let sink = Sink::start(scratch).await?;
    let webhook = folder.webhook(sink.url("/good"), MAX_IN_FLIGHT).await?;
    progress(&format!("causing {count} events"));
    folder.events(webhook, count).await?;
    folder.store.close().await;
    let server = Server::start_for(data, &sink.address(), &sink.authority, settings).await?;
    let started = Instant::now();
    sink.until(count, PATIENCE).await?;
    let rate = f64::from(u32::try_from(count)?) / started.elapsed().as_secs_f64();
    server.stop().await?;
    Ok(format!("{rate:.0}"))
}

/// The distribution of delivery times.
struct Delays {
    p50: Duration,
    p99: Duration,
}

impl Delays {
    fn of(mut all: Vec<Duration>) -> anyhow::Result<Self> {
        ensure!(all.len() >= 100, "only {} deliveries were measured", all.len());
        all.sort_unstable();
        Ok(Self { p50: all[all.len() / 2], p99: all[all.len() * 99 / 100] })
    }

    fn p50(&self) -> String {
        format!("{:.1} ms", self.p50.as_secs_f64() * 1000.0)
    }

    fn p99(&self) -> String {
        format!("{:.1} ms", self.p99.as_secs_f64() * 1000.0)
    }
}

/// Sends events to a hundred endpoints in turn, one of which never responds if `dead`; returns the times from the
/// response to the change until receipt, for the other endpoints.
async fn fairness(scratch: &Path, rounds: usize, dead: bool) -> anyhow::Result<Delays> {
    let (data, sink) = (scratch.join(format!("webhook-fair-{dead}")), Sink::start(scratch).await?);
    let folder = Folder::open(&data).await?;
    let mut webhooks = Vec::new();
    for number in 0..ENDPOINTS {
        let path = if dead && number == 0 { "/mute".to_owned() } else { format!("/{number}") };
        webhooks.push(folder.webhook(sink.url(&path), 10).await?);
    }
    if dead {
        // It has a backlog from the start.
        folder.events(webhooks[0], 1_000).await?;
    }
    folder.store.close().await;
    let server = Server::start_for(&data, &sink.address(), &sink.authority, &Settings::new()).await?;
    let mut committed: HashMap<String, Instant> = HashMap::new();
    let expected = rounds * (ENDPOINTS - 1);
    let client = telepath_benches::admin::Admin::of(&data);
    for round in 0..rounds {
        let caused: Vec<_> = stream::iter(&webhooks[1..])
            .map(|webhook| client.test_webhook(*webhook))
            .buffer_unordered(20)
            .try_collect()
            .await
            .with_context(|| format!("round {round}"))?;
        committed.extend(caused);
    }
    sink.until_of("/mute", expected, PATIENCE).await?;
    let delays = sink
        .receipts()
        .into_iter()
        .filter_map(|(event, at)| Some(at.saturating_duration_since(*committed.get(&event)?)))
        .collect();
    server.stop().await?;
    Delays::of(delays)
}

/// Memory with many deliveries waiting for an endpoint that responds one byte at a time, forever.
async fn memory(table: &mut Table, scratch: &Path, count: usize) -> anyhow::Result<()> {
    let (data, sink) = (scratch.join("webhook-memory"), Sink::start(scratch).await?);
    let folder = Folder::open(&data).await?;
    let webhook = folder.webhook(sink.url("/drip"), MAX_IN_FLIGHT).await?;
    folder.store.close().await;
    let server = Server::start_for(&data, &sink.address(), &sink.authority, &Settings::new()).await?;
    let before = resident_mib(server.process()?)?;
    server.stop().await?;
    let folder = Folder { store: keys::open(&data).await?, account: folder.account };
    progress(&format!("causing {count} events"));
    folder.events(webhook, count).await?;
    folder.store.close().await;
    let server = Server::start_for(&data, &sink.address(), &sink.authority, &Settings::new()).await?;
    sink.until(MAX_IN_FLIGHT as usize, PATIENCE).await?;
    let mut most = 0;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        most = most.max(resident_mib(server.process()?)?);
    }
    table.row(
        format!("webhooks: memory, nothing waiting / {count} waiting for an endpoint that answers a byte at a time"),
        format!("{before} / {most} MiB"),
    );
    server.stop().await
}
