//! The cost of each stage of the auth pipeline, over a table of 10,000 keys used in turn.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use telepath_benches::keys;
use telepath_benches::log::{ADDRESS, answered};
use telepath_core::clock::{Clock as _, SystemClock};
use telepath_core::entropy::SystemEntropy;
use telepath_core::secret::{HashedKey, PlainKey};
use telepath_core::vault::MasterKey;
use telepath_store::{KeyHandle, Store};

const KEYS: usize = 10_000;

fn main() -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("telepath-pipeline-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(async {
        let store = keys::open_with(&folder, &MasterKey::generate(&SystemEntropy::default())?).await?;
        let secrets = keys::fill(&store, KEYS).await?;
        let texts: Vec<Vec<u8>> = secrets.iter().map(|secret| secret.expose().as_bytes().to_vec()).collect();
        tokio::task::block_in_place(|| measure(&store, &texts))?;
        store.close().await;
        anyhow::Ok(())
    });
    std::fs::remove_dir_all(&folder)?;
    measured
}

/// Entries buffered before a write, and requests of one batch, which is preceded by a write: few enough to fit into
/// memory.
const NOTED: usize = 50_000;
const BATCH: u64 = 10_000;

/// Writes the buffered entries when there are many, outside of the measurement.
fn in_time(store: &Store) -> impl FnMut() {
    let mut noted = 0;
    move || {
        noted += 1;
        if noted % NOTED == 0 {
            // Entries that cannot be written stay in memory; the figures show it.
            let _ = tokio::runtime::Handle::current().block_on(store.flush_usage());
        }
    }
}

/// Cycles through a list.
fn in_turn<'a, T>(items: &'a [T]) -> impl FnMut() -> &'a T {
    let mut next = 0;
    move || {
        next = (next + 1) % items.len();
        &items[next]
    }
}

fn measure(store: &Store, texts: &[Vec<u8>]) -> anyhow::Result<()> {
    let plain: Vec<PlainKey> = texts.iter().map(|text| PlainKey::parse(text)).collect::<Result<_, _>>()?;
    let hashes: Vec<HashedKey> = plain.iter().map(|key| store.vault().hash_key(key)).collect();
    let found: Vec<(HashedKey, KeyHandle)> =
        hashes.iter().filter_map(|hash| Some((*hash, store.keys().find(hash)?))).collect();
    anyhow::ensure!(found.len() == texts.len(), "every key is found");

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("pipeline");
    let mut text = in_turn(texts);
    group.bench_function("parse", |bench| bench.iter(|| PlainKey::parse(black_box(text()))));
    let mut key = in_turn(&plain);
    group.bench_function("hmac", |bench| bench.iter(|| store.vault().hash_key(black_box(key()))));
    let mut hash = in_turn(&hashes);
    group.bench_function("find", |bench| bench.iter(|| store.keys().find(black_box(hash()))));
    let mut handle = in_turn(&found);
    let clock = SystemClock;
    group.bench_function("admit", |bench| {
        bench.iter_batched(
            || clock.read(),
            |now| {
                let (hash, handle) = handle();
                black_box(store.keys().admit(handle, hash, ADDRESS, now))
            },
            BatchSize::SmallInput,
        );
    });
    let mut handle = in_turn(&found);
    let mut write = in_time(store);
    group.bench_function("record", |bench| {
        bench.iter_batched(
            || {
                write();
                clock.now()
            },
            |now| {
                let (hash, handle) = handle();
                store.requests().record(&answered(hash, handle, now));
            },
            BatchSize::NumIterations(BATCH),
        );
    });
    let mut text = in_turn(texts);
    let mut write = in_time(store);
    group.bench_function("all", |bench| {
        bench.iter_batched(
            &mut write,
            |()| {
                let Ok(key) = PlainKey::parse(black_box(text())) else { return };
                let hash = store.vault().hash_key(&key);
                let Some(handle) = store.keys().find(&hash) else { return };
                let now = clock.read();
                black_box(store.keys().admit(&handle, &hash, ADDRESS, now));
                store.requests().record(&answered(&hash, &handle, now.wall));
            },
            BatchSize::NumIterations(BATCH),
        );
    });
    anyhow::ensure!(store.requests().stats().details_lost == 0, "every request was noted in full");
    group.finish();
    criterion.final_summary();
    Ok(())
}
