//! The list of sealed columns against the schema: a column that is not in it would stay sealed by a removed key.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::keyring::columns::SEALED;
use crate::suite::{Fixture, behaviour, select};

behaviour! {
    every_binary_column_is_known_as_sealed_or_not,
}

/// Binary columns that are not sealed: hashes, parts of hashes, packed counters and responses of webhook endpoints.
const NOT_SEALED: &[&str] = &[
    "accounts.audit_anchor_hash",
    "accounts.audit_hash",
    "accounts.audit_tag",
    "audit_events.hash",
    "call_statistics.figures",
    "idempotency_keys.key_hash",
    "idempotency_keys.request_hash",
    "invitations.token_hash",
    "key_secrets.hash",
    "login_attempts.name_hash",
    "password_links.token_hash",
    "pending_revocations.hashes",
    "rate_windows.windows",
    "recovery_codes.code_hash",
    "request_payloads.payload",
    "sessions.token_hash",
    "unsealed_sip_digests.md5",
    "unsealed_sip_digests.sha256",
    "usage_addresses.secret",
    "usage_buckets.secret",
    "usage_programs.secret",
    "webhook_attempts.answer",
];

async fn every_binary_column_is_known_as_sealed_or_not(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let is_postgres = store.backend.read().await.unwrap().is_postgres();
    let sql = if is_postgres {
        "SELECT table_name || '.' || column_name AS name FROM information_schema.columns \
         WHERE table_schema = current_schema() AND data_type = 'bytea'"
    } else {
        "SELECT t.name || '.' || c.name AS name FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
         WHERE t.type = 'table' AND c.type = 'BLOB'"
    };
    let rows = select(&store, sql, vec![]).await;
    let found: BTreeSet<String> = rows.iter().map(|row| row.text("name").unwrap()).collect();
    let sealed = SEALED.iter().map(|column| format!("{}.{}", column.table, column.column));
    let known: BTreeSet<String> = sealed.chain(NOT_SEALED.iter().map(ToString::to_string)).collect();
    assert_eq!(found, known);
    store.close().await;
}
