//! Fills a database with API keys through the store, so that the benchmark uses the same rows as a server.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use telepath_core::account::Account;
use telepath_core::audit::Origin;
use telepath_core::clock::{Clock as _, SystemClock};
use telepath_core::entropy::SystemEntropy;
use telepath_core::key::{Authority, KeyDraft, Presets};
use telepath_core::secret::{KeyMode, SecretText};
use telepath_core::storage_limit::StorageLimits;
use telepath_core::vault::{MasterKey, Vault};
use telepath_store::{Database, Store, StoreContext, StoreOptions};

/// Concurrent changes; the store's writer commits many of them together.
const AT_ONCE: usize = 256;
/// The highest limit of an account, so that no window fills up during a measurement.
const LIMIT: u32 = 60_000;

/// Opens the `SQLite` database of a data folder as the server does, with the folder's master key.
pub async fn open(data: &Path) -> anyhow::Result<Arc<Store>> {
    open_with(data, &master_key(data).await?).await
}

/// Opens a database outside the data folder.
pub async fn open_database(data: &Path, database: Database) -> anyhow::Result<Arc<Store>> {
    open_on(database, &master_key(data).await?).await
}

async fn master_key(data: &Path) -> anyhow::Result<MasterKey> {
    let text =
        tokio::fs::read_to_string(data.join("master.key")).await.context("the master key of the folder")?;
    Ok(MasterKey::parse(text.trim())?)
}

/// Opens the `SQLite` database of a folder with this master key.
pub async fn open_with(data: &Path, master: &MasterKey) -> anyhow::Result<Arc<Store>> {
    open_on(Database::Sqlite { path: data.join("telepath.db") }, master).await
}

async fn open_on(database: Database, master: &MasterKey) -> anyhow::Result<Arc<Store>> {
    let context = StoreContext {
        vault: Arc::new(Vault::new(master)?),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
    };
    let storage_limits = StorageLimits { keys: u32::MAX, ..StorageLimits::default() };
    Ok(Store::open(StoreOptions { storage_limits, ..StoreOptions::new(database) }, context).await?)
}

/// Creates keys until the table has `wanted`; returns the secrets of the new ones.
pub async fn fill(store: &Store, wanted: usize) -> anyhow::Result<Vec<SecretText>> {
    let account = store.ensure_account("Bench", KeyMode::Live, origin()).await?;
    let missing = wanted.saturating_sub(store.keys().len());
    let secrets = stream::iter(0..missing)
        .map(|number| create(store, &account, number))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    ensure!(store.keys().len() >= wanted, "the table holds {} keys", store.keys().len());
    Ok(secrets)
}

async fn create(store: &Store, account: &Account, number: usize) -> anyhow::Result<SecretText> {
    let draft = KeyDraft {
        name: Some(format!("bench {number}")),
        preset: Some("production".to_owned()),
        rate_limit_per_minute: Some(LIMIT),
        ..KeyDraft::default()
    };
    let new = draft.check(account, &Presets::default(), &Authority::Unbounded, SystemClock.now())?;
    Ok(store.create_key(account.id, new, origin()).await?.secret.reveal())
}

fn origin() -> Origin {
    Origin::local(SystemClock.now())
}
