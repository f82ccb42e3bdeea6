//! The transactions that change keys.

use std::num::NonZeroU32;

use serde_json::{Map, Value, json};
use telepath_core::audit::{AuditAction, AuditEntry, KeyedAuditId, Origin};
use telepath_core::event::{KeyCreated, KeyRevoked};
use telepath_core::id::{AccountId, EventId, KeyId, SecretId};
use telepath_core::key::{KeyPatch, KeyPolicy, KeyRecord, NewKey, Rights, SecretRecord};
use telepath_core::limit::quota::Quotas;
use telepath_core::secret::{HashedKey, KeyMask};
use telepath_core::storage_limit::StorageLimits;
use telepath_core::validation::Invalid;

use super::commit::Changed;
use super::{KeyChangeError, authority, row};
use crate::account::check_key_expiry;
use crate::audit::diff::diff;
use crate::error::StoreError;
use crate::key_table::load::snapshot;
use crate::key_table::snapshot::{Snapshot, SnapshotSecret};
use crate::sql::{Connection, binds, corrupt, to_json};
use crate::storage_limit::{Counted, make_room, require_room};
use crate::trunk::require_trunks;
use crate::{audit, event};

#[derive(Clone)]
pub(super) struct Creation {
    pub(super) id: KeyId,
    pub(super) account: AccountId,
    pub(super) secret_id: SecretId,
    pub(super) hash: HashedKey,
    pub(super) mask: KeyMask,
    pub(super) new: NewKey,
    pub(super) storage_limits: StorageLimits,
    pub(super) origin: Origin,
    pub(super) audit_id: KeyedAuditId,
    pub(super) event_id: EventId,
}

pub(super) async fn create(
    db: &mut Connection,
    Creation { id, account, secret_id, hash, mask, new, storage_limits, origin, audit_id, event_id }: Creation,
) -> Result<Changed, KeyChangeError> {
    let authority = authority::lock(db, account, origin).await?;
    authority.check_can_grant(&Rights::from(&new)).map_err(KeyChangeError::Beyond)?;
    require_room(db, account, storage_limits, Counted::Keys).await?;
    check_key_expiry(db, account, new.expires_at, origin.at).await?.map_err(KeyChangeError::Beyond)?;
    require_trunks(db, account, new.trunks.ids()).await?.map_err(KeyChangeError::Beyond)?;
    db.execute(
        "INSERT INTO keys (id, account_id, name, preset, scopes, rate_limit, allowed_ips, not_before, expires_at, \
         created_at, created_by, description, metadata, trunk_ids, quota_per_day, quota_per_month, \
         request_count, error_count, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0, 0, 1)",
        binds![
            id.to_string(),
            account.to_string(),
            new.name.as_str(),
            new.preset.name(),
            new.scopes.to_string(),
            new.rate_limit.get(),
            new.allowed_ips.to_string(),
            new.not_before,
            new.expires_at,
            origin.at,
            origin.actor.to_string(),
            new.description.as_deref(),
            to_json(&new.metadata)?,
            new.trunks.to_string(),
            new.quotas.per_day.map(NonZeroU32::get),
            new.quotas.per_month.map(NonZeroU32::get),
        ],
    )
    .await?;
    db.execute(
        "INSERT INTO key_secrets (id, key_id, hash, mask, created_at) VALUES ($1, $2, $3, $4, $5)",
        binds![secret_id.to_string(), id.to_string(), &hash.as_bytes()[..], mask.as_str(), origin.at],
    )
    .await?;
    let after = json!({
        "name": new.name,
        "description": new.description,
        "metadata": new.metadata,
        "preset": new.preset.name(),
        "scopes": new.scopes.to_string(),
        "trunk_ids": new.trunks.to_string(),
        "rate_limit_per_minute": new.rate_limit.get(),
        "quotas": quota_fields(new.quotas),
        "allowed_ips": new.allowed_ips.to_string(),
        "not_before": new.not_before,
        "expires_at": new.expires_at,
    });
    let entry = AuditEntry {
        id: audit_id,
        account_id: account,
        origin,
        action: AuditAction::KeyCreated,
        target: id.to_string(),
        before: json!({}),
        after,
    };
    audit::write(db, &entry).await?;
    let created = KeyCreated { key_id: id, name: new.name.clone(), actor: origin.actor };
    event::write(db, account, event_id, created.into(), origin.at).await?;
    let secret =
        SecretRecord { id: secret_id, mask, created_at: origin.at, expires_at: None, last_use: None };
    Ok(created_key(id, account, secret, hash, new, origin))
}

/// The key as the new rows describe it, without reading them again.
fn created_key(
    id: KeyId,
    account_id: AccountId,
    secret: SecretRecord,
    hash: HashedKey,
    new: NewKey,
    origin: Origin,
) -> Changed {
    let policy = KeyPolicy {
        scopes: new.scopes,
        trunks: new.trunks.clone(),
        rate_limit: new.rate_limit,
        quotas: new.quotas,
        allowed_ips: (!new.allowed_ips.is_empty()).then(|| Box::new(new.allowed_ips.clone())),
        not_before: new.not_before,
        expires_at: new.expires_at,
        paused: false,
        revoked: false,
    };
    let secrets = vec![SnapshotSecret { hash, end: None }];
    let (name, preset) = (new.name.as_str().into(), new.preset);
    let snapshot = Snapshot { id, account: account_id, name, preset, policy, version: 1, secrets };
    let record = KeyRecord {
        id,
        account_id,
        name: new.name,
        description: new.description,
        metadata: new.metadata,
        paused_at: None,
        preset: new.preset,
        scopes: new.scopes,
        trunks: new.trunks,
        rate_limit: new.rate_limit,
        quotas: new.quotas,
        allowed_ips: new.allowed_ips,
        expires_at: new.expires_at,
        not_before: new.not_before,
        created_at: origin.at,
        created_by: origin.actor,
        last_use: None,
        request_count: 0,
        error_count: 0,
        revocation: None,
        secrets: vec![secret],
    };
    Changed { key: record, snapshot }
}

#[derive(Clone)]
pub(super) struct Update {
    pub(super) account: AccountId,
    pub(super) id: KeyId,
    pub(super) patch: KeyPatch,
    pub(super) origin: Origin,
    pub(super) audit_id: KeyedAuditId,
}

pub(super) async fn update(
    db: &mut Connection,
    Update { account, id, patch, origin, audit_id }: Update,
) -> Result<Changed, KeyChangeError> {
    let (old, authority) = authority::lock_key(db, account, id, origin).await?;
    let changes_expiry = patch.expires_at.is_given();
    let new = patched(&old, patch);
    authority.check_can_change(&old)?;
    authority.check_can_grant(&Rights::from(&new)).map_err(KeyChangeError::Beyond)?;
    if old.revocation.is_some() {
        return Err(KeyChangeError::Revoked);
    }
    if let (Some(start), Some(end)) = (new.not_before, new.expires_at)
        && start >= end
    {
        return Err(KeyChangeError::Beyond(Invalid::one("not_before", "must be before expires_at")));
    }
    if new.trunks != old.trunks {
        require_trunks(db, account, new.trunks.ids()).await?.map_err(KeyChangeError::Beyond)?;
    }
    if changes_expiry {
        check_key_expiry(db, account, new.expires_at, origin.at).await?.map_err(KeyChangeError::Beyond)?;
    }
    let (before, after) = diff(&audit_fields(&old), &audit_fields(&new));
    if after.is_empty() {
        return Ok(read_back(db, account, id).await?);
    }
    db.execute(
        "UPDATE keys SET name = $3, scopes = $4, rate_limit = $5, allowed_ips = $6, expires_at = $7, \
         not_before = $8, description = $9, metadata = $10, trunk_ids = $11, quota_per_day = $12, \
         quota_per_month = $13, version = version + 1 \
         WHERE id = $1 AND account_id = $2",
        binds![
            id.to_string(),
            account.to_string(),
            new.name.as_str(),
            new.scopes.to_string(),
            new.rate_limit.get(),
            new.allowed_ips.to_string(),
            new.expires_at,
            new.not_before,
            new.description.as_deref(),
            to_json(&new.metadata)?,
            new.trunks.to_string(),
            new.quotas.per_day.map(NonZeroU32::get),
            new.quotas.per_month.map(NonZeroU32::get),
        ],
    )
    .await?;
    let entry = AuditEntry {
        id: audit_id,
        account_id: account,
        origin,
        action: AuditAction::KeyUpdated,
        target: id.to_string(),
        before: Value::Object(before),
        after: Value::Object(after),
    };
    audit::write(db, &entry).await?;
    Ok(read_back(db, account, id).await?)
}

#[derive(Clone)]
pub(crate) struct Revoke {
    pub(crate) account: AccountId,
    pub(crate) id: KeyId,
    pub(crate) reason: Option<String>,
    pub(crate) origin: Origin,
    pub(crate) audit_id: KeyedAuditId,
    pub(crate) event_id: EventId,
}

pub(crate) async fn revoke(
    db: &mut Connection,
    Revoke { account, id, reason, origin, audit_id, event_id }: Revoke,
) -> Result<Changed, KeyChangeError> {
    let (old, authority) = authority::lock_key(db, account, id, origin).await?;
    authority.check_can_stop(&old)?;
    if old.revocation.is_some() {
        return Ok(read_back(db, account, id).await?);
    }
    db.execute(
        "UPDATE keys SET revoked_at = $3, revoked_by = $4, revoke_reason = $5, version = version + 1 \
         WHERE id = $1 AND account_id = $2",
        binds![id.to_string(), account.to_string(), origin.at, origin.actor.to_string(), reason.as_deref(),],
    )
    .await?;
    make_room(db, account, Counted::Keys).await?;
    let entry = AuditEntry {
        id: audit_id,
        account_id: account,
        origin,
        action: AuditAction::KeyRevoked,
        target: id.to_string(),
        before: json!({}),
        after: json!({ "reason": reason }),
    };
    audit::write(db, &entry).await?;
    let revoked = KeyRevoked { key_id: id, name: old.name, actor: origin.actor };
    event::write(db, account, event_id, revoked.into(), origin.at).await?;
    Ok(read_back(db, account, id).await?)
}

pub(super) async fn read_back(
    db: &mut Connection,
    account: AccountId,
    id: KeyId,
) -> Result<Changed, StoreError> {
    let key = row::key(db, account, id).await?.ok_or_else(|| corrupt("keys.id"))?;
    let snapshot = snapshot(db, &id.to_string()).await?.ok_or_else(|| corrupt("key_secrets.key_id"))?;
    Ok(Changed { key, snapshot })
}

fn patched(old: &KeyRecord, patch: KeyPatch) -> KeyRecord {
    let mut new = old.clone();
    if let Some(name) = patch.name {
        new.name = name;
    }
    new.description = patch.description.apply(new.description);
    if let Some(metadata) = patch.metadata {
        new.metadata = metadata;
    }
    if let Some(scopes) = patch.scopes {
        new.scopes = scopes;
    }
    if let Some(trunks) = patch.trunks {
        new.trunks = trunks;
    }
    if let Some(limit) = patch.rate_limit {
        new.rate_limit = limit;
    }
    new.quotas = patch.quotas.apply(new.quotas);
    if let Some(networks) = patch.allowed_ips {
        new.allowed_ips = networks;
    }
    new.expires_at = patch.expires_at.apply(new.expires_at);
    new.not_before = patch.not_before.apply(new.not_before);
    new
}

fn quota_fields(quotas: Quotas) -> Value {
    json!({ "per_day": quotas.per_day, "per_month": quotas.per_month })
}

/// The fields that a patch can change, for the audit trail.
fn audit_fields(key: &KeyRecord) -> Map<String, Value> {
    event::fields(json!({
        "name": key.name,
        "description": key.description,
        "metadata": key.metadata,
        "scopes": key.scopes.to_string(),
        "trunk_ids": key.trunks.to_string(),
        "rate_limit_per_minute": key.rate_limit.get(),
        "quotas": quota_fields(key.quotas),
        "allowed_ips": key.allowed_ips.to_string(),
        "expires_at": key.expires_at,
        "not_before": key.not_before,
    }))
}
