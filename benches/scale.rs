//! Start time, memory and look-up time with many keys.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use telepath_core::secret::{HashedKey, PlainKey};
use telepath_store::Store;

use crate::Effort;
use crate::process::resident_mib;
use crate::server::Server;
use crate::table::{Table, progress};
use telepath_benches::keys;

/// Look-ups timed together.
const LOOKUPS: usize = 1_000_000;
/// The most distinct keys that are looked up, spread over the table.
const ASKED: usize = 200_000;

pub(crate) async fn measure(table: &mut Table, effort: Effort, scratch: &Path) -> anyhow::Result<()> {
    let sizes: &[(usize, &str)] = match effort {
        Effort::Quick => &[(1_000, "1,000"), (100_000, "100,000")],
        Effort::Full => &[(1_000, "1,000"), (100_000, "100,000"), (1_000_000, "1,000,000")],
    };
    let data = scratch.join("scale");
    Server::start(&data).await?.stop().await?;
    let mut asked: Vec<HashedKey> = Vec::new();
    for (size, name) in sizes {
        progress(&format!("making keys until there are {name}"));
        let store = keys::open(&data).await?;
        let started = Instant::now();
        let before = store.keys().len();
        let secrets = keys::fill(&store, *size).await?;
        let made = u32::try_from(store.keys().len() - before)?;
        let rate = f64::from(made) / started.elapsed().as_secs_f64();
        // Every n-th key, so that the look-ups cover the whole table.
        let step = (secrets.len() / (ASKED / 2)).max(1);
        for secret in secrets.iter().step_by(step) {
            asked.push(store.vault().hash_key(&PlainKey::parse(secret.expose().as_bytes())?));
        }
        let lookup = lookup(&store, &asked)?;
        store.close().await;
        drop(store);
        let server = Server::start(&data).await?;
        let resident = resident_mib(server.process()?)?;
        let (start_goal, memory_goal) = if *size >= 1_000_000 { ("≤ 5 s", "≤ 400 MB") } else { ("", "") };
        table.row_with_goal(
            format!("{name} keys: start of the server"),
            format!("{:.2} s", server.start_time.as_secs_f64()),
            start_goal,
        );
        table.row_with_goal(format!("{name} keys: resident memory"), format!("{resident} MiB"), memory_goal);
        table.row(format!("{name} keys: look-up"), format!("{} ns", lookup.as_nanos()));
        table.row(format!("{name} keys: creations per second, durable, 256 at once"), format!("{rate:.0}"));
        server.stop().await?;
    }
    Ok(())
}

/// The mean time of a successful look-up, in an order that caches cannot predict.
fn lookup(store: &Store, hashes: &[HashedKey]) -> anyhow::Result<Duration> {
    let mut place = 0;
    let started = Instant::now();
    for _ in 0..LOOKUPS {
        // A step that is coprime to the number of hashes visits all of them.
        place = (place + 7919) % hashes.len();
        black_box(store.keys().find(&hashes[place])).context("every key is found")?;
    }
    Ok(started.elapsed() / u32::try_from(LOOKUPS)?)
}
