//! Rows that an earlier schema wrote, after the newest migrations.

use std::sync::Arc;

use telepath_core::alert::{AlertFilter, AlertRule, AlertSubject, AlertSubjectKind, NewAlert};
use telepath_core::id::{AccountId, Id as _, KeyId, UserId, WebhookId};
use telepath_core::key::{Preset, PresetTerms};
use telepath_core::page::PageRequest;
use telepath_core::scope::Scope;

use super::{Fixture, NOON, limit, on, select};
use crate::alert::raise::raise;
use crate::migrate::{MIGRATIONS, migrate_postgres, migrate_sqlite};
use crate::postgres::PostgresBackend;
use crate::sql::{Connection, binds};
use crate::{Database, Store, StoreError, sqlite};

/// The last migration before alerts had subjects of any kind and before there were scopes for the account.
const BEFORE: i64 = 6;

fn account() -> AccountId {
    AccountId::from_bytes([1; 16])
}

fn key() -> KeyId {
    KeyId::from_bytes([2; 16])
}

fn webhook() -> WebhookId {
    WebhookId::from_bytes([3; 16])
}

/// Creates the database at the schema before, with rows written by plain SQL.
async fn fill(fixture: &Fixture) {
    let known: Vec<_> = MIGRATIONS.iter().copied().filter(|step| step.version <= BEFORE).collect();
    match &fixture.database {
        Database::Sqlite { path } => {
            std::fs::File::create(path).unwrap();
            let mut db = sqlite::connect(path).await.unwrap();
            migrate_sqlite(&mut db, path, &known, NOON).await.unwrap();
            insert(&mut db).await;
        }
        Database::Postgres { url } => {
            let postgres = PostgresBackend::open(url).await.unwrap();
            migrate_postgres(&postgres, &known, NOON).await.unwrap();
            insert(&mut postgres.connection().await.unwrap()).await;
            postgres.close().await;
        }
    }
}

async fn insert(db: &mut Connection) {
    let (account, key, webhook) = (account().to_string(), key().to_string(), webhook().to_string());
    let genesis: &[u8] = &[0; 32];
    let rows = [
        (
            "INSERT INTO accounts (id, name, mode, max_rate_limit, audit_position, audit_hash, created_at) \
             VALUES ($1, 'Old', 'live', 60000, 0, $2, 1)",
            binds![account.as_str(), genesis],
        ),
        (
            "INSERT INTO keys (id, account_id, name, preset, scopes, rate_limit, allowed_ips, created_at, created_by, \
             request_count, error_count, version) \
             VALUES ($1, $2, 'Old', 'production', 'trunks:write audit:read', 600, '', 1, 'local', 0, 0, 1)",
            binds![key.as_str(), account.as_str()],
        ),
        (
            "INSERT INTO key_secrets (id, key_id, hash, mask, created_at) VALUES ($1, $2, $3, 'sk_live_AbC…wxyz', 1)",
            binds![telepath_core::id::SecretId::from_bytes([4; 16]).to_string(), key.as_str(), genesis],
        ),
        (
            "INSERT INTO key_presets (account_id, name, scopes, rate_limit, updated_at) \
             VALUES ($1, 'production', 'calls:read keys:read', 7, 1)",
            binds![account.as_str()],
        ),
        (
            "INSERT INTO alerts (id, account_id, key_id, rule, severity, message, figures, raised_at) \
             VALUES ('alr_00000000000000000000000001', $1, $2, 'unused', 'info', 'm', '{}', 1)",
            binds![account.as_str(), key.as_str()],
        ),
        (
            "INSERT INTO alerts (id, account_id, webhook_id, rule, severity, message, figures, raised_at) \
             VALUES ('alr_00000000000000000000000002', $1, $2, 'webhook_failing', 'warning', 'm', '{}', 2)",
            binds![account.as_str(), webhook.as_str()],
        ),
        (
            "INSERT INTO alert_cooldowns (key_id, rule, occasion, raised_at) VALUES ($1, 'unused', '', $2)",
            binds![key.as_str(), NOON],
        ),
        (
            "INSERT INTO alert_mails (alert_id, attempts, due_at) VALUES ('alr_00000000000000000000000001', 0, 1)",
            vec![],
        ),
    ];
    for (sql, values) in rows {
        db.execute(sql, values).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_an_earlier_schema_keep_their_meaning_on_sqlite() {
    let fixture = Fixture::sqlite();
    fill(&fixture).await;
    on(fixture, rows_keep_their_meaning).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_an_earlier_schema_keep_their_meaning_on_postgres() {
    let Some(fixture) = Fixture::postgres().await else { return };
    fill(&fixture).await;
    on(fixture, rows_keep_their_meaning).await;
}

async fn rows_keep_their_meaning(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let found = store.get_key(account(), key()).await.unwrap().unwrap();
    assert_eq!(found.scopes.to_string(), "trunks:write audit:read", "a new scope is never added to a key");
    let edited = PresetTerms {
        scopes: [Scope::CallsRead, Scope::KeysRead].into_iter().collect(),
        rate_limit: limit(7),
        modified: true,
    };
    assert_eq!(
        store.presets(account()).await.unwrap().get(Preset::Production),
        edited,
        "nor to the editor of a preset"
    );

    let list =
        async |filter| store.list_alerts(account(), filter, PageRequest::default()).await.unwrap().items;
    let all = list(AlertFilter::default()).await;
    let subjects: Vec<_> = all.iter().map(|alert| (alert.subject, alert.name.as_str())).collect();
    assert_eq!(subjects, [(webhook().into(), "deleted"), (key().into(), "Old")]);
    let of_webhooks = AlertFilter { subject_kind: Some(AlertSubjectKind::Webhook), ..AlertFilter::default() };
    assert_eq!(list(of_webhooks).await.len(), 1);
    let mails = store.claim_mails().await.unwrap();
    assert_eq!((mails.len(), mails[0].mask.as_str()), (1, "sk_live_AbC…wxyz"));

    assert!(!raise_again(&store, key().into()).await, "the cooldown of the earlier alert is still running");
    let user = UserId::from_bytes([5; 16]);
    assert!(raise_again(&store, user.into()).await, "alerts can have any subject");
    assert!(!raise_again(&store, user.into()).await, "and every subject has its own cooldown");
    let of_user = AlertFilter { subject: Some(user.into()), ..AlertFilter::default() };
    assert_eq!(list(of_user).await[0].subject.kind(), AlertSubjectKind::User);
    assert!(
        select(&store, "SELECT id FROM outbox_events", vec![]).await.is_empty(),
        "only keys have an event"
    );
    store.close().await;
}

async fn raise_again(store: &Store, subject: AlertSubject) -> bool {
    let alert = NewAlert::new(AlertRule::Unused, subject, "m".to_owned(), serde_json::json!({}));
    let (writer, now) = (store.alert_writer(), store.now());
    let raised: Result<bool, StoreError> = store
        .backend
        .write(move |db| Box::pin(async move { raise(db, account(), alert, &writer, now).await }))
        .await;
    raised.unwrap()
}
