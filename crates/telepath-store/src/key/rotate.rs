//! The transactions that rotate keys and end secrets.

use std::collections::HashMap;

use serde_json::{Value, json};
use telepath_core::audit::{AuditAction, AuditEntry, KeyedAuditId, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::event::KeyRotated;
use telepath_core::id::{AccountId, EventId, KeyId, SecretId};
use telepath_core::idempotency::MAX_STORED_BODY;
use telepath_core::key::{
    GraceSeconds, KeyRecord, KeyStatus, MAX_ROTATED_TOGETHER, RotateAll, Rotation, SecretStatus,
    TooManySecrets,
};
use telepath_core::secret::{HashedKey, KeyMask, KeyMode, PlainKey};
use telepath_core::storage_limit::{StorageLimit, StorageLimits};

use super::change::read_back;
use super::commit::{Changed, TouchedKeys};
use super::{KeyChangeError, RotateAllError, authority, row};
use crate::account::check_key_expiry;
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::key_table::load::snapshots;
use crate::sql::{Connection, binds};
use crate::usage::totals::forget_secret;
use crate::{audit, event, idempotency};

/// What one rotation writes; prepared before its transaction.
#[derive(Clone)]
pub(super) struct Rotate {
    secret_id: SecretId,
    hash: HashedKey,
    mask: KeyMask,
    audit_id: KeyedAuditId,
    event_id: EventId,
    grace: GraceSeconds,
    origin: Origin,
}

impl Rotate {
    /// Generates the ids and the secret of one rotation.
    pub(super) fn make(
        context: &StoreContext,
        mode: KeyMode,
        storage_limits: &StorageLimits,
        grace: GraceSeconds,
        origin: Origin,
    ) -> Result<(Self, PlainKey), StoreError> {
        let secret = PlainKey::generate(mode, &*context.entropy)?;
        let rotate = Self {
            secret_id: context.new_id(origin.at)?,
            hash: context.vault.hash_key(&secret),
            mask: secret.mask(),
            audit_id: KeyedAuditId {
                trail_limit: Some(storage_limits.reached(StorageLimit::AuditBytes)),
                ..context.new_audit_id(origin.at)?
            },
            event_id: context.new_id(origin.at)?,
            grace,
            origin,
        };
        Ok((rotate, secret))
    }
}

pub(super) async fn rotate(
    db: &mut Connection,
    account: AccountId,
    id: KeyId,
    rotate: Rotate,
) -> Result<Changed, KeyChangeError> {
    let (old, authority) = authority::lock_key(db, account, id, rotate.origin).await?;
    authority.check_can_change(&old)?;
    match old.status(rotate.origin.at) {
        KeyStatus::Scheduled | KeyStatus::Active | KeyStatus::Paused | KeyStatus::Expiring => {}
        KeyStatus::Expired => return Err(KeyChangeError::Expired),
        KeyStatus::Revoked => return Err(KeyChangeError::Revoked),
    }
    check_key_expiry(db, account, old.expires_at, rotate.origin.at).await?.map_err(KeyChangeError::Beyond)?;
    let plan = Rotation::plan(&old.secrets, rotate.grace, rotate.origin.at)
        .map_err(|TooManySecrets| KeyChangeError::TooManySecrets)?;
    write(db, &old, plan, rotate).await?;
    Ok(read_back(db, account, id).await?)
}

async fn write(
    db: &mut Connection,
    key: &KeyRecord,
    plan: Rotation,
    Rotate { secret_id, hash, mask, audit_id, event_id, grace, origin }: Rotate,
) -> Result<(), StoreError> {
    let id = key.id.to_string();
    for end in plan.ends {
        db.execute(
            "UPDATE key_secrets SET expires_at = $2, ended_at = $3, grace_from = $4 WHERE id = $1",
            binds![end.id.to_string(), end.at, end.at_once.then_some(end.at), origin.at],
        )
        .await?;
    }
    for forgotten in plan.forgets {
        forget_secret(db, &id, &forgotten.to_string()).await?;
        db.execute("DELETE FROM key_secrets WHERE id = $1", binds![forgotten.to_string()]).await?;
    }
    db.execute(
        "INSERT INTO key_secrets (id, key_id, hash, mask, created_at) VALUES ($1, $2, $3, $4, $5)",
        binds![secret_id.to_string(), id.as_str(), &hash.as_bytes()[..], mask.as_str(), origin.at],
    )
    .await?;
    db.execute("UPDATE keys SET version = version + 1 WHERE id = $1", binds![id.as_str()]).await?;
    let was = key.secrets.iter().find(|secret| secret.status(origin.at) == SecretStatus::Current);
    let entry = AuditEntry {
        id: audit_id,
        account_id: key.account_id,
        origin,
        action: AuditAction::KeyRotated,
        target: id,
        before: json!({ "secret": was.map(|secret| secret.id) }),
        after: json!({ "secret": secret_id, "grace_seconds": grace.get() }),
    };
    audit::write(db, &entry).await?;
    let rotated = KeyRotated { key_id: key.id, name: key.name.clone(), actor: origin.actor };
    event::write(db, key.account_id, event_id, rotated.into(), origin.at).await
}

/// What a key counts, in bytes, in the stored response to a request that rotates it with others.
const ROTATED_KEY: usize = 4096;

/// Rotates the usable keys of an account that are asked for. Each key is added to `touched` before anything about it is written, so
/// that all of them are in doubt if the outcome of the commit is unknown.
pub(super) async fn rotate_all(
    db: &mut Connection,
    account: AccountId,
    RotateAll { grace, secrets_before }: RotateAll,
    mode: KeyMode,
    origin: Origin,
    (context, storage_limits): (StoreContext, StorageLimits),
    touched: TouchedKeys,
) -> Result<Vec<(Changed, PlainKey)>, RotateAllError> {
    let keys = lock_usable(db, account, secrets_before, origin).await?;
    let response = keys.len().saturating_mul(ROTATED_KEY).min(MAX_STORED_BODY);
    idempotency::reserve(db, account, origin, storage_limits, response).await?;
    let authority = authority::lock_member(db, account, origin).await?;
    let beyond = |key: &&KeyRecord| authority.check_can_change(key).is_err();
    let ids = |keys: &mut dyn Iterator<Item = &KeyRecord>| keys.map(|key| key.id).collect::<Vec<_>>();
    let stronger = ids(&mut keys.iter().filter(beyond));
    if !stronger.is_empty() {
        return Err(RotateAllError::Beyond { keys: stronger, bound: authority.bound() });
    }
    let plan = |key: &KeyRecord| Rotation::plan(&key.secrets, grace, origin.at);
    let full = ids(&mut keys.iter().filter(|key| plan(key).is_err()));
    if !full.is_empty() {
        return Err(RotateAllError::TooManySecrets(full));
    }
    let mut secrets = HashMap::new();
    for key in &keys {
        let Ok(plan) = plan(key) else { continue };
        let (rotate, secret) = Rotate::make(&context, mode, &storage_limits, grace, origin)?;
        touched.note(key.id);
        write(db, key, plan, rotate).await?;
        secrets.insert(key.id, secret);
    }
    gather(db, account, origin, secrets).await
}

const USABLE: &str = "FROM keys WHERE account_id = $1 AND revoked_at IS NULL \
                      AND (expires_at IS NULL OR expires_at > $2)";

/// Keys whose current secret was created before `$3`; the current secret has no expiry.
const OLDER: &str = "AND ($3 IS NULL OR EXISTS (SELECT 1 FROM key_secrets s \
                     WHERE s.key_id = keys.id AND s.expires_at IS NULL AND s.created_at < $3))";

/// The usable keys of the account that are asked for, locked until the transaction ends.
async fn lock_usable(
    db: &mut Connection,
    account: AccountId,
    secrets_before: Option<Timestamp>,
    origin: Origin,
) -> Result<Vec<KeyRecord>, RotateAllError> {
    let values = binds![account.to_string(), origin.at, secrets_before];
    let sql = format!("SELECT count(*) AS count {USABLE} {OLDER}");
    let count: usize = db.fetch_one(sql, values.clone()).await?.number("count")?;
    if count > MAX_ROTATED_TOGETHER {
        return Err(RotateAllError::TooManyKeys);
    }
    // Locks are always taken in the order of ids.
    db.lock_all(format!("SELECT id {USABLE} {OLDER} ORDER BY id"), values.clone()).await?;
    let sql = format!("SELECT {} {USABLE} {OLDER} ORDER BY id", row::COLUMNS);
    Ok(row::keys(db, sql, values).await?)
}

/// The keys as the transaction leaves them, each with its new secret.
async fn gather(
    db: &mut Connection,
    account: AccountId,
    origin: Origin,
    mut secrets: HashMap<KeyId, PlainKey>,
) -> Result<Vec<(Changed, PlainKey)>, RotateAllError> {
    let mut rotated = Vec::with_capacity(secrets.len());
    if secrets.is_empty() {
        return Ok(rotated);
    }
    let mut snapshots = snapshots(db, account).await?;
    let sql = format!("SELECT {} {USABLE} ORDER BY created_at DESC, id DESC", row::COLUMNS);
    for key in row::keys(db, sql, binds![account.to_string(), origin.at]).await? {
        let id = key.id;
        if let (Some(secret), Some(snapshot)) = (secrets.remove(&id), snapshots.remove(&id)) {
            rotated.push((Changed { key, snapshot }, secret));
        }
    }
    Ok(rotated)
}

/// A request to end a secret.
#[derive(Clone)]
pub(super) struct EndSecret {
    pub(super) account: AccountId,
    pub(super) id: KeyId,
    pub(super) secret: SecretId,
    pub(super) origin: Origin,
    pub(super) audit_id: KeyedAuditId,
}

pub(super) async fn end_secret(
    db: &mut Connection,
    EndSecret { account, id, secret, origin, audit_id }: EndSecret,
) -> Result<Changed, KeyChangeError> {
    let (old, authority) = authority::lock_key(db, account, id, origin).await?;
    authority.check_can_stop(&old)?;
    let found = old.secrets.iter().find(|known| known.id == secret).ok_or(KeyChangeError::SecretNotFound)?;
    match found.status(origin.at) {
        SecretStatus::Current => return Err(KeyChangeError::CurrentSecret),
        SecretStatus::Ended => return Ok(read_back(db, account, id).await?),
        SecretStatus::Grace => {}
    }
    db.execute(
        "UPDATE key_secrets SET expires_at = $2, ended_at = $2 WHERE id = $1",
        binds![secret.to_string(), origin.at],
    )
    .await?;
    db.execute("UPDATE keys SET version = version + 1 WHERE id = $1", binds![id.to_string()]).await?;
    let entry = AuditEntry {
        id: audit_id,
        account_id: account,
        origin,
        action: AuditAction::KeySecretEnded,
        target: id.to_string(),
        before: json!({ "secret": secret, "expires_at": found.expires_at }),
        after: json!({ "secret": secret, "expires_at": Value::from(origin.at.to_string()) }),
    };
    audit::write(db, &entry).await?;
    Ok(read_back(db, account, id).await?)
}
