//! The behavior of the store, as one suite that runs on SQLite and, if `TELEPATH_TEST_POSTGRES_URL` is set, on
//! PostgreSQL. Each test has its own database and removes it afterwards.

mod accounts;
mod admission;
mod alert_mails;
mod alerts;
mod audit_chain;
mod authorities;
mod call_orders;
mod call_statistics;
mod calls;
mod clock_steps;
mod cluster;
mod deliveries;
mod delivery_figures;
mod erasures;
mod failover;
mod files;
mod follow;
mod grace_periods;
mod hangups;
mod idempotency;
mod identities;
mod installations;
mod key_details;
mod key_quotas;
mod key_safety;
mod key_usage;
mod keyring;
mod keys;
mod leak_guides;
mod leaks;
mod leases;
mod migrated;
mod overviews;
mod pages;
mod reachability;
mod requests;
mod retention;
mod retention_times;
mod roles;
mod rotation;
mod sequence_numbers;
mod server;
mod sign_ins;
mod storage_limits;
mod storage_stats;
mod stored_bytes;
mod subscriptions;
mod team;
mod trail;
mod transactions;
mod trunk_access;
mod trunk_numbers;
mod trunks;
mod upgrade;
mod usage;
mod users;
mod watches;
mod webhooks;
mod windows;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use telepath_core::account::{Account, Actor};
use telepath_core::address::NetworkList;
use telepath_core::audit::Origin;
use telepath_core::clock::{Clock as _, ClockReading, ManualClock, Timestamp};
use telepath_core::entropy::SystemEntropy;
use telepath_core::id::{AccountId, KeyId};
use telepath_core::key::{NewKey, Preset};
use telepath_core::limit::RateLimit;
use telepath_core::request::{Answered, RequestCaller, RequestFacts, RequestMethod, SecretMark};
use telepath_core::secret::{HashedKey, KeyMode, SecretText};
use telepath_core::vault::{MasterKey, Vault};

use crate::cluster::ProcessRole;
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::key::CreatedKey;
use crate::key_table::{Admission, KeyHandle};
use crate::options::{Database, StoreOptions};
use crate::sql::{Row, Text, Value};
use crate::store::Store;

const NOON: Timestamp = Timestamp::from_unix_seconds(1_800_014_400);

/// A database that a test can open repeatedly, with a manual clock.
pub(crate) struct Fixture {
    pub(crate) database: Database,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) context: StoreContext,
    place: Place,
}

enum Place {
    Folder(PathBuf),
    Schema { url: String, name: String },
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

fn unique_name() -> String {
    format!("telepath_store_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn new_vault() -> Arc<Vault> {
    Arc::new(Vault::new(&MasterKey::generate(&SystemEntropy::default()).unwrap()).unwrap())
}

impl Fixture {
    fn new(database: Database, place: Place) -> Self {
        let clock = Arc::new(ManualClock::at(NOON));
        let context = StoreContext {
            vault: new_vault(),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy::default()),
        };
        Self { database, clock, context, place }
    }

    pub(crate) fn sqlite() -> Self {
        let folder = std::env::temp_dir().join(unique_name());
        std::fs::create_dir_all(&folder).unwrap();
        Self::new(Database::Sqlite { path: folder.join("telepath.db") }, Place::Folder(folder))
    }

    /// `None` if no PostgreSQL server is configured.
    pub(crate) async fn postgres() -> Option<Self> {
        let url = std::env::var("TELEPATH_TEST_POSTGRES_URL").ok()?;
        let name = unique_name();
        run_on_server(&url, format!("CREATE SCHEMA {name}")).await;
        let joint = if url.contains('?') { '&' } else { '?' };
        let own = SecretText::new(format!("{url}{joint}options[search_path]={name}"));
        Some(Self::new(Database::Postgres { url: own }, Place::Schema { url, name }))
    }

    pub(crate) async fn open(&self) -> Arc<Store> {
        self.try_open().await.unwrap()
    }

    /// Opens the same database again, as a command does while a server runs.
    pub(crate) async fn open_admin(&self) -> Arc<Store> {
        self.open_with(|options| options.role = ProcessRole::Admin).await
    }

    /// Opens the database with non-default options.
    pub(crate) async fn open_with(&self, change: impl FnOnce(&mut StoreOptions)) -> Arc<Store> {
        let mut options = StoreOptions::new(self.database.clone());
        change(&mut options);
        Store::open(options, self.context.clone()).await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<Arc<Store>, StoreError> {
        Store::open(StoreOptions::new(self.database.clone()), self.context.clone()).await
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin::local(self.clock.now())
    }

    pub(crate) async fn account(&self, store: &Store) -> Account {
        store.ensure_account("Example", KeyMode::Live, self.origin()).await.unwrap()
    }

    /// A second account, inserted directly.
    pub(crate) async fn other_account(&self, store: &Store) -> AccountId {
        let id: AccountId = store.new_id(self.clock.now()).unwrap();
        let values = crate::sql::binds![id.to_string(), vec![0; 32].as_slice()];
        let sql = "INSERT INTO accounts \
                   (id, name, mode, max_rate_limit, audit_position, audit_hash, created_at) \
                   VALUES ($1, 'Other', 'live', 1000, 0, $2, 9000000000000)";
        execute(store, sql, values).await;
        let key = store.vault().audit_chain().clone();
        let opened: Result<(), StoreError> = store
            .backend
            .write(move |db| Box::pin(async move { crate::audit::open_chain(db, id, &key).await }))
            .await;
        opened.unwrap();
        id
    }

    pub(crate) async fn key(
        &self,
        store: &Store,
        account: AccountId,
        new: NewKey,
    ) -> (CreatedKey, HashedKey) {
        let created = store.create_key(account, new, self.origin()).await.unwrap();
        let hash = store.vault().hash_key(&created.secret);
        (created, hash)
    }

    /// The origin of a change requested with a key.
    pub(crate) fn by(&self, key: &CreatedKey) -> Origin {
        Origin { actor: Actor::Key(key.record.id), ..self.origin() }
    }

    pub(crate) async fn remove(self) {
        match self.place {
            Place::Folder(folder) => std::fs::remove_dir_all(folder).unwrap(),
            Place::Schema { url, name } => {
                // A statement that its store gave up may still run on the server, and would deadlock with the deletion.
                let given_up = format!(
                    "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
                     JOIN pg_namespace n ON n.oid = c.relnamespace \
                     WHERE n.nspname = '{name}' AND l.pid <> pg_backend_pid()"
                );
                run_on_server(&url, given_up).await;
                run_on_server(&url, format!("DROP SCHEMA {name} CASCADE")).await;
            }
        }
    }
}

async fn run_on_server(url: &str, sql: String) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Runs a test and removes the database even if the test fails.
async fn on<F, T>(fixture: Fixture, test: F)
where
    F: FnOnce(Arc<Fixture>) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    if let Database::Postgres { .. } = fixture.database {
        Store::migrate(&fixture.database).await.unwrap();
    }
    let fixture = Arc::new(fixture);
    let outcome = tokio::spawn(test(Arc::clone(&fixture))).await;
    if let Some(fixture) = Arc::into_inner(fixture) {
        fixture.remove().await;
    }
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}

/// Generates a test of each function for each database.
macro_rules! behaviour {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::suite::on(crate::suite::Fixture::sqlite(), super::$name).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(fixture) = crate::suite::Fixture::postgres().await {
                    crate::suite::on(fixture, super::$name).await;
                }
            })+
        }
    };
}
pub(crate) use behaviour;

/// A reading of a clock that nobody has set.
pub(crate) fn reading(at: Timestamp) -> ClockReading {
    ClockReading::in_step(at)
}

/// The decision about a request. A busy machine may lose its lease on PostgreSQL for a moment, which decides nothing.
pub(crate) fn admit(
    store: &Store,
    handle: &KeyHandle,
    hash: &HashedKey,
    address: IpAddr,
    now: ClockReading,
) -> Admission {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        match store.keys().admit(handle, hash, address, now) {
            Admission::NoLease if Instant::now() < deadline => std::thread::yield_now(),
            decided => return decided,
        }
    }
}

pub(crate) fn limit(requests: u32) -> RateLimit {
    RateLimit::per_minute(requests).unwrap()
}

pub(crate) fn new_key(name: &str) -> NewKey {
    NewKey {
        name: name.to_owned(),
        description: None,
        metadata: std::collections::BTreeMap::new(),
        preset: Preset::Production,
        scopes: Preset::Production.scopes(),
        trunks: telepath_core::reach::TrunkAccess::ALL,
        rate_limit: limit(6000),
        quotas: telepath_core::limit::quota::Quotas::default(),
        allowed_ips: NetworkList::default(),
        expires_at: None,
        not_before: None,
    }
}

pub(crate) async fn execute(store: &Store, sql: &'static str, values: Vec<Value>) -> u64 {
    store.backend.execute(sql, values).await.unwrap()
}

pub(crate) async fn select(store: &Store, sql: impl Into<Text>, values: Vec<Value>) -> Vec<Row> {
    store.backend.read().await.unwrap().fetch_all(sql, values).await.unwrap()
}

/// A request that was admitted and answered with 200, as the API records it.
pub(crate) fn answered(store: &Store, account: AccountId, key: KeyId, hash: &HashedKey) -> Answered<'static> {
    Answered {
        account,
        id: store.new_id(store.now()).unwrap(),
        facts: RequestFacts {
            at: store.now(),
            caller: RequestCaller::Key { key, secret: SecretMark::of(hash) },
            method: RequestMethod::Get,
            status: 200,
            address: "192.0.2.7".parse().unwrap(),
            duration_us: 100,
            admitted: true,
        },
        route: None,
        error: None,
        user_agent: b"suite",
        path: Some("/v1/suite"),
    }
}

/// The webhook bodies of a subject's events.
pub(crate) async fn events_of(store: &Store, subject: &str) -> Vec<serde_json::Value> {
    let sql = "SELECT payload FROM outbox_events WHERE subject = $1 ORDER BY sequence";
    let rows = select(store, sql, crate::sql::binds![subject]).await;
    rows.iter().map(|row| row.json("payload").unwrap()).collect()
}
