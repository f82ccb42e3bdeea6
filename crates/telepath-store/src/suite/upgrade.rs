//! Databases that commit b9599bc wrote, kept in `tests/fixtures/b9599bc`: every kind of row outlives the migrations that
//! came since, with its exact values, and what was sealed still opens.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use telepath_core::account::Account;
use telepath_core::alert::AlertFilter;
use telepath_core::call::CallFilter;
use telepath_core::clock::{ManualClock, Timestamp};
use telepath_core::digest_hash::DigestHashes;
use telepath_core::id::AccountId;
use telepath_core::key::KeyFilter;
use telepath_core::page::PageRequest;
use telepath_core::secret::{HashedKey, PlainKey, SecretText};
use telepath_core::trunk::AgentTarget;
use telepath_core::vault::{MasterKey, Vault};
use telepath_core::webhook::DisabledReason;

use super::trunks::by_username;
use super::{Fixture, admit, execute, new_key, on, reading, select};
use crate::postgres::PostgresBackend;
use crate::sql::Connection;
use crate::webhook::secret::signing_secrets;
use crate::{Admission, AuditVerdict, Database, Store, sqlite};

const ADDRESS: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// The tables of b9599bc, whatever the present schema makes of them.
const TABLES: &[&str] = &[
    "accounts",
    "alert_cooldowns",
    "alert_mails",
    "alerts",
    "audit_events",
    "calls",
    "idempotency_keys",
    "key_clock",
    "key_presets",
    "key_secrets",
    "key_watches",
    "keys",
    "nodes",
    "outbox_events",
    "outbox_subjects",
    "request_payloads",
    "request_segments",
    "schema_migrations",
    "settings",
    "trunk_credentials",
    "trunks",
    "usage_addresses",
    "usage_buckets",
    "users",
    "webhook_attempts",
    "webhook_deliveries",
    "webhook_secrets",
    "webhooks",
];

fn fixture_folder(database: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/b9599bc").join(database)
}

fn expected(database: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture_folder(database).join("expected.json")).unwrap()).unwrap()
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}"))
}

fn time(value: &Value, member: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text(value, member)).unwrap()
}

/// A fixture whose clock stands where the fixture's stood, with its master key.
fn at_the_fixture(mut fixture: Fixture, database: &str) -> Fixture {
    let key = std::fs::read_to_string(fixture_folder(database).join("master.key")).unwrap();
    fixture.clock = Arc::new(ManualClock::at(time(&expected(database), "at").plus(Duration::from_secs(1))));
    fixture.context.clock = fixture.clock.clone();
    fixture.context.vault = Arc::new(Vault::new(&MasterKey::parse(&key).unwrap()).unwrap());
    fixture
}

/// Asserts that every table of b9599bc has rows, and that the list of tables is complete.
async fn assert_every_table_has_rows(db: &mut Connection, empty: &[&str]) {
    let sql = if db.is_postgres() {
        "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY 1"
    } else {
        "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    };
    let rows = db.fetch_all(sql, vec![]).await.unwrap();
    let mut names: Vec<String> = rows.iter().map(|row| row.text("name").unwrap()).collect();
    names.sort();
    assert_eq!(names, TABLES);
    for table in TABLES {
        let row = db.fetch_one(format!("SELECT count(*) AS rows FROM {table}"), vec![]).await.unwrap();
        assert_eq!(row.integer("rows").unwrap() == 0, empty.contains(table), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_folder_of_b9599bc_keeps_everything_through_the_upgrade() {
    let fixture = at_the_fixture(Fixture::sqlite(), "sqlite");
    let Database::Sqlite { path } = fixture.database.clone() else { panic!("a file") };
    std::fs::copy(fixture_folder("sqlite").join("telepath.db"), &path).unwrap();
    let mut connection = sqlite::connect(&path).await.unwrap();
    assert_every_table_has_rows(&mut connection, &["nodes"]).await;
    drop(connection);
    on(fixture, |fixture| upgraded(fixture, "sqlite")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_database_of_b9599bc_keeps_everything_through_the_upgrade() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let fixture = at_the_fixture(fixture, "postgres");
    let Database::Postgres { url } = fixture.database.clone() else { panic!("a server") };
    load(url.expose()).await;
    let postgres = PostgresBackend::open(&url).await.unwrap();
    assert_every_table_has_rows(&mut postgres.connection().await.unwrap(), &[]).await;
    postgres.close().await;
    on(fixture, |fixture| upgraded(fixture, "postgres")).await;
}

/// Loads the dump into the schema of the URL instead of `public`.
async fn load(url: &str) {
    let dump = std::fs::read_to_string(fixture_folder("postgres").join("dump.txt")).unwrap();
    let sets_path = |line: &&str| !line.contains("pg_catalog.set_config('search_path'");
    let script: Vec<String> =
        dump.lines().filter(sets_path).map(|line| line.replace("public.", "")).collect();
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(script.join("\n"))).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn upgraded(fixture: Arc<Fixture>, database: &'static str) {
    let expected = expected(database);
    let store = fixture.open().await;
    let account = fixture.account(&store).await;
    assert_eq!(account.id.to_string(), text(&expected["account"], "id"));
    assert_eq!((account.name.as_str(), account.mode.name()), ("Default", "live"));
    assert_eq!(account.created_at, time(&expected["account"], "created_at"));
    keys_are_the_same(&store, &account, &expected).await;
    secrets_admit_as_before(&fixture, &store, &expected["secrets_without_prefix"]);
    trunks_open(&store, &expected).await;
    calls_and_alerts_are_listed(&store, &account, &expected).await;
    webhooks_sign(&fixture, &store, &account, &expected).await;
    users_have_moved(&store, &expected).await;
    old_entries_stay_verifiable(&fixture, &store, account.id).await;
    let copies = clear_copies_of_digests(&store, &expected).await;
    store.close().await;
    assert_eq!(copies, 0, "digest hashes in the clear");
    if let Database::Sqlite { path } = &fixture.database {
        let hashes = sip_hashes(&expected);
        let file = std::fs::read(path).unwrap();
        for hash in [&hashes.md5()[..], &hashes.sha256()[..]] {
            assert!(!file.windows(hash.len()).any(|part| part == hash), "the file still contains a hash");
        }
    }
}

fn sip_hashes(expected: &Value) -> DigestHashes {
    let sip = &expected["sip"];
    DigestHashes::of(text(sip, "username"), &SecretText::new(text(sip, "password").to_owned()))
}

/// Rows that still contain digest hashes as earlier versions stored them, or that contain the known ones unsealed.
async fn clear_copies_of_digests(store: &Store, expected: &Value) -> usize {
    let hashes = sip_hashes(expected);
    let sql = "SELECT sip_digest FROM trunks WHERE deleted_at IS NULL";
    let rows = select(store, sql, vec![]).await;
    assert!(!rows.is_empty());
    let contains = |sealed: &[u8]| sealed.windows(16).any(|part| part == hashes.md5());
    let clear = rows.iter().filter(|row| contains(&row.bytes("sip_digest").unwrap())).count();
    clear + select(store, "SELECT trunk_id FROM unsealed_sip_digests", vec![]).await.len()
}

async fn old_entries_stay_verifiable(fixture: &Fixture, store: &Store, account: AccountId) {
    let verify = async || store.verify_audit(account, None).await.unwrap();
    let before = verify().await;
    assert!(matches!(before.verdict, AuditVerdict::Intact { entries } if entries >= 28), "{before:?}");
    assert_eq!(before.keyed_after, before.head.position, "every entry is linked without a key");
    fixture.key(store, account, new_key("the first with a key")).await;
    let after = verify().await;
    let entries = before.head.position + 1;
    assert_eq!((after.verdict, after.keyed_after), (AuditVerdict::Intact { entries }, entries - 1));
    let tamper = "UPDATE audit_events SET target = target || '!' WHERE position = 2 AND account_id = $1";
    execute(store, tamper, crate::sql::binds![account.to_string()]).await;
    assert_eq!(verify().await.verdict, AuditVerdict::Broken { position: 2 });
}

async fn keys_are_the_same(store: &Store, account: &Account, expected: &Value) {
    let page = PageRequest::new(100, 0).unwrap();
    let listed = store.list_keys(account.id, KeyFilter::default(), page).await.unwrap();
    let wanted = expected["keys"].as_array().unwrap();
    assert_eq!(listed.count(), Some(wanted.len() as u64));
    for (key, wanted) in listed.items.iter().zip(wanted) {
        assert_eq!(key.id.to_string(), text(wanted, "id"));
        assert_eq!(key.name, text(wanted, "name"));
        assert_eq!(key.preset.name(), text(wanted, "preset"));
        assert_eq!(u64::from(key.rate_limit.get()), wanted["rate_limit_per_minute"].as_u64().unwrap());
        assert_eq!(key.created_at, time(wanted, "created_at"));
        assert_eq!(
            key.revocation.as_ref().and_then(|r| r.reason.as_deref()),
            wanted["revoke_reason"].as_str()
        );
    }
    let presets = store.presets(account.id).await.unwrap();
    let testing = presets.get(telepath_core::key::Preset::Testing);
    assert_eq!(testing.rate_limit.get(), 300, "the edited preset");
}

fn hash_of(store: &Store, secrets: &Value, name: &str) -> HashedKey {
    let key = format!("sk_live_{}", text(secrets, name));
    store.vault().hash_key(&PlainKey::parse(key.as_bytes()).unwrap())
}

fn secrets_admit_as_before(fixture: &Fixture, store: &Store, secrets: &Value) {
    use telepath_core::clock::Clock as _;
    for (name, admitted) in [
        ("operations", true),
        ("production", true),
        ("reports", true),
        ("rotated", true),
        ("in_grace", true),
        ("revoked", false),
        ("scheduled", false),
    ] {
        let hash = hash_of(store, secrets, name);
        let admission = store.keys().find(&hash).map_or(Admission::Unusable, |handle| {
            admit(store, &handle, &hash, ADDRESS, reading(fixture.clock.now()))
        });
        assert_eq!(matches!(admission, Admission::Admitted { .. }), admitted, "{name}");
    }
}

async fn trunks_open(store: &Store, expected: &Value) {
    let find = async |username: &str| by_username(store, username).await;
    let sip = &expected["sip"];
    let support = find(text(sip, "username")).await.unwrap();
    let password = SecretText::new(text(sip, "password").to_owned());
    assert!(
        support.digest == DigestHashes::of(text(sip, "username"), &password),
        "the SIP password is still valid"
    );
    let provider = find("provider-01").await.unwrap();
    assert_eq!(provider.trunk.id.to_string(), text(&expected["provider_key"], "trunk"));
    match provider.agent {
        AgentTarget::OpenAi { api_key } => {
            assert_eq!(api_key.expose(), text(&expected["provider_key"], "value"));
        }
        AgentTarget::ElevenLabs { .. }
        | AgentTarget::Deepgram { .. }
        | AgentTarget::Gemini { .. }
        | AgentTarget::Custom { .. } => panic!("another provider"),
    }
    match find(text(&expected["header"], "sip_username")).await.unwrap().agent {
        AgentTarget::Custom { headers, .. } => {
            assert_eq!(headers[0].0.as_str(), text(&expected["header"], "name"));
            assert_eq!(headers[0].1.expose(), text(&expected["header"], "value"));
        }
        AgentTarget::OpenAi { .. }
        | AgentTarget::ElevenLabs { .. }
        | AgentTarget::Deepgram { .. }
        | AgentTarget::Gemini { .. } => panic!("another provider"),
    }
    assert!(find("old-01").await.is_none(), "a deleted trunk stays deleted");
}

async fn calls_and_alerts_are_listed(store: &Store, account: &Account, expected: &Value) {
    let page = PageRequest::new(100, 0).unwrap();
    let calls = store.list_calls(account.id, CallFilter::default(), page.clone()).await.unwrap();
    let wanted = expected["calls"].as_array().unwrap();
    assert_eq!(calls.count(), Some(wanted.len() as u64));
    for (call, wanted) in calls.items.iter().zip(wanted) {
        assert_eq!(call.id.to_string(), text(wanted, "id"));
        assert_eq!(call.trunk_id.to_string(), text(wanted, "trunk_id"));
        assert_eq!(call.status.name(), text(wanted, "status"));
        assert_eq!(call.start_time, time(wanted, "start_time"));
    }
    let answered = wanted.iter().find(|call| call["status"] == "disconnected").unwrap();
    let id = text(answered, "id").parse().unwrap();
    let details = store.get_call(account.id, id).await.unwrap().unwrap();
    assert_eq!(details.turns.len(), expected["turns"].as_array().unwrap().len());
    assert!(details.sip_trace.contains("INVITE sip:support-01@"));
    let alerts = store.list_alerts(account.id, AlertFilter::default(), page).await.unwrap();
    let wanted = expected["alerts"].as_array().unwrap();
    assert_eq!(alerts.items.len(), wanted.len());
    for (alert, wanted) in alerts.items.iter().zip(wanted) {
        assert_eq!(alert.id.to_string(), text(wanted, "id"));
        assert_eq!(alert.rule.name(), text(wanted, "rule"));
        assert_eq!(alert.raised_at, time(wanted, "raised_at"));
        assert_eq!(alert.acknowledged.as_ref().map(|noted| noted.at), Some(time(wanted, "acknowledged_at")));
    }
}

async fn webhooks_sign(fixture: &Fixture, store: &Store, account: &Account, expected: &Value) {
    let page = PageRequest::new(100, 0).unwrap();
    let webhooks = store.list_webhooks(account.id, None, page).await.unwrap();
    let wanted = expected["webhooks"].as_array().unwrap();
    assert_eq!(webhooks.count(), Some(wanted.len() as u64));
    for (webhook, wanted) in webhooks.items.iter().zip(wanted) {
        assert_eq!(webhook.id.to_string(), text(wanted, "id"));
        assert_eq!(webhook.description.as_deref(), wanted["description"].as_str());
        assert_eq!(webhook.status.name(), text(wanted, "status"));
        assert_eq!(webhook.disabled_reason.map(DisabledReason::name), wanted["disabled_reason"].as_str());
    }
    for (id, secrets) in expected["webhook_secrets_without_prefix"].as_object().unwrap() {
        let mut db = store.backend.read().await.unwrap();
        let now = time(expected, "at");
        let found = signing_secrets(&mut db, id.parse().unwrap(), &fixture.context.vault, now).await.unwrap();
        let found: Vec<String> = found.iter().map(|secret| secret.to_text().expose().to_owned()).collect();
        let wanted: Vec<String> =
            secrets.as_array().unwrap().iter().map(|s| format!("whsec_{}", s.as_str().unwrap())).collect();
        assert_eq!(found, wanted, "the new secret and the one in its grace period");
    }
    for status in ["pending", "delivered", "exhausted", "held"] {
        let sql = "SELECT id FROM webhook_deliveries WHERE status = $1";
        assert!(!select(store, sql, crate::sql::binds![status]).await.is_empty(), "{status}");
    }
}

async fn users_have_moved(store: &Store, expected: &Value) {
    let rows = select(store, "SELECT id, email, name, disabled_at FROM users ORDER BY id", vec![]).await;
    let wanted = expected["users"].as_array().unwrap();
    assert_eq!(rows.len(), wanted.len());
    for (row, wanted) in rows.iter().zip(wanted) {
        for member in ["id", "email", "name"] {
            assert_eq!(row.text(member).unwrap(), text(wanted, member));
        }
        let disabled = row.maybe_integer("disabled_at").unwrap().is_some();
        assert_eq!(Some(disabled), wanted["disabled"].as_bool());
    }
}
