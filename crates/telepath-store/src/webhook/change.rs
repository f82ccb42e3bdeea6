//! The transactions that change endpoints.

use std::time::Duration;

use serde_json::{Map, Value, json};
use telepath_core::account::Actor;
use telepath_core::audit::{AuditAction, AuditEntry, KeyedAuditId, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::event::{WebhookDisabled, WebhookTest};
use telepath_core::id::{AccountId, EventId, WebhookId};
use telepath_core::patch::Patch;
use telepath_core::reach::Reach;
use telepath_core::scope::ScopeSet;
use telepath_core::storage_limit::StorageLimits;
use telepath_core::vault::Sealed;
use telepath_core::webhook::delivery::id_of;
use telepath_core::webhook::{
    AdaptiveLimit, DisabledReason, Health, NewWebhook, Subscription, Webhook, WebhookPatch, WebhookStatus,
};

use super::secret::{SealedSecret, put};
use super::unwanted::cancel_unwanted;
use super::{WebhookChangeError, row};
use crate::audit::diff::diff;
use crate::delivery::row::{DeliveryRecord, record};
use crate::error::StoreError;
use crate::sql::{Connection, binds, corrupt};
use crate::storage_limit::{Counted, make_room, require_room};
use crate::trunk::require_trunks;
use crate::{audit, event};

pub(super) struct Creation {
    pub(super) id: WebhookId,
    pub(super) reach: Reach,
    pub(super) new: NewWebhook,
    pub(super) headers: Option<Sealed>,
    pub(super) sealed: SealedSecret,
    pub(super) storage_limits: StorageLimits,
    pub(super) origin: Origin,
    pub(super) audit_id: KeyedAuditId,
}

pub(super) async fn create(
    db: &mut Connection,
    Creation { id, reach, new, headers, sealed, storage_limits, origin, audit_id }: Creation,
) -> Result<Webhook, WebhookChangeError> {
    let account = reach.account;
    require_reach(&reach, &new.subscription)?;
    require_room(db, account, storage_limits, Counted::Webhooks).await?;
    require_trunks(db, account, &new.subscription.trunks).await??;
    let disabled = (new.status == WebhookStatus::Disabled).then_some(DisabledReason::Requested);
    db.execute(
        "INSERT INTO webhooks (id, account_id, url, description, events, trunk_ids, scheme, max_in_flight, status, \
         disabled_reason, failures, created_at, updated_at, headers, headers_at, ca_pem) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $11, $12, $13, $14)",
        binds![
            id.to_string(),
            account.to_string(),
            new.url.as_str(),
            new.description,
            new.subscription.events.to_string(),
            row::trunks_text(&new.subscription.trunks),
            new.scheme.name(),
            new.max_in_flight,
            new.status.name(),
            disabled.map(DisabledReason::name),
            origin.at,
            headers.as_ref().map(|headers| headers.as_bytes().to_vec()),
            headers.as_ref().map(|_| origin.at),
            new.ca_pem,
        ],
    )
    .await?;
    put(db, id, sealed, origin.at, origin.at).await?;
    let made = read_back(db, account, id, origin.at).await?;
    let mut after = masked(&made, audit_fields(&made));
    after.insert("signature".to_owned(), made.scheme.name().into());
    write_audit(db, audit_id, &made, origin, AuditAction::WebhookCreated, (Map::new(), after)).await?;
    Ok(made)
}

/// Refuses events that the caller does not reach.
fn require_reach(reach: &Reach, subscription: &Subscription) -> Result<(), WebhookChangeError> {
    if subscription.is_within(&reach.trunks) { Ok(()) } else { Err(WebhookChangeError::OutOfReach) }
}

pub(super) struct Update {
    pub(super) reach: Reach,
    pub(super) id: WebhookId,
    pub(super) patch: WebhookPatch,
    /// The headers of the patch.
    pub(super) headers: Patch<Sealed>,
    pub(super) scopes: ScopeSet,
    pub(super) origin: Origin,
    pub(super) audit_id: KeyedAuditId,
    pub(super) event_id: EventId,
}

pub(super) async fn update(
    db: &mut Connection,
    Update { reach, id, patch, headers, scopes, origin, audit_id, event_id }: Update,
) -> Result<Webhook, WebhookChangeError> {
    let account = reach.account;
    let old = lock(db, &reach, id, origin.at).await?;
    if let Some(trunks) = &patch.trunks {
        require_trunks(db, account, trunks).await??;
    }
    patch.check_headers(&old)?;
    let directs_events = patch.directs_events();
    let new = patch.apply(&old, origin.at);
    require_reach(&reach, &new.subscription)?;
    if directs_events && let Some(scope) = new.subscription.events.missing_scope(scopes) {
        return Err(WebhookChangeError::MissingScope(scope));
    }
    let changes = diff(&audit_fields(&old), &audit_fields(&new));
    if changes.1.is_empty() && !matches!(headers, Patch::Set(_)) {
        return Ok(old);
    }
    set_headers(db, id, headers, origin.at).await?;
    db.execute(
        "UPDATE webhooks SET url = $3, description = $4, events = $5, trunk_ids = $6, max_in_flight = $7, \
         updated_at = $8, ca_pem = $9 WHERE id = $1 AND account_id = $2",
        binds![
            id.to_string(),
            account.to_string(),
            new.url.as_str(),
            new.description.as_deref(),
            new.subscription.events.to_string(),
            row::trunks_text(&new.subscription.trunks),
            new.max_in_flight,
            origin.at,
            new.ca_pem.as_deref(),
        ],
    )
    .await?;
    set_state(db, id, new.status, new.disabled_reason).await?;
    set_health(db, id, new.health, new.limit).await?;
    if old.subscription != new.subscription {
        cancel_unwanted(db, id, &new.subscription, origin.at).await?;
    }
    let changes = (masked(&old, changes.0), masked(&new, changes.1));
    write_audit(db, audit_id, &new, origin, AuditAction::WebhookUpdated, changes).await?;
    if old.status == WebhookStatus::Active && new.status == WebhookStatus::Disabled {
        hold_pending(db, id, origin.at).await?;
        write_disabled_event(db, &new, event_id, DisabledReason::Requested, origin.at).await?;
    }
    read_back(db, account, id, origin.at).await
}

async fn set_headers(
    db: &mut Connection,
    id: WebhookId,
    headers: Patch<Sealed>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (sealed, at) = match headers {
        Patch::Keep => return Ok(()),
        Patch::Clear => (None, None),
        Patch::Set(sealed) => (Some(sealed.as_bytes().to_vec()), Some(now)),
    };
    let sql = "UPDATE webhooks SET headers = $2, headers_at = $3 WHERE id = $1";
    db.execute(sql, binds![id.to_string(), sealed, at]).await?;
    Ok(())
}

/// An automatic disabling of an endpoint.
pub(crate) struct AutoDisable {
    pub(crate) reason: DisabledReason,
    pub(crate) audit_id: KeyedAuditId,
    pub(crate) event_id: EventId,
    pub(crate) now: Timestamp,
}

/// Disables an endpoint that this transaction has locked. A disabled endpoint does not change.
pub(crate) async fn disable(
    db: &mut Connection,
    webhook: &Webhook,
    change: AutoDisable,
) -> Result<(), StoreError> {
    if webhook.status == WebhookStatus::Disabled {
        return Ok(());
    }
    set_state(db, webhook.id, WebhookStatus::Disabled, Some(change.reason)).await?;
    hold_pending(db, webhook.id, change.now).await?;
    let origin = Origin { actor: Actor::System, address: None, at: change.now, idempotency: None };
    let [before, after] =
        [("active", None), ("disabled", Some(change.reason.name()))].map(|(status, reason)| {
            Map::from_iter([
                ("status".to_owned(), Value::from(status)),
                ("disabled_reason".to_owned(), Value::from(reason)),
            ])
        });
    write_audit(db, change.audit_id, webhook, origin, AuditAction::WebhookDisabled, (before, after)).await?;
    write_disabled_event(db, webhook, change.event_id, change.reason, change.now).await
}

async fn write_disabled_event(
    db: &mut Connection,
    webhook: &Webhook,
    event_id: EventId,
    reason: DisabledReason,
    now: Timestamp,
) -> Result<(), StoreError> {
    let disabled = WebhookDisabled { webhook_id: webhook.id, reason };
    event::write(db, webhook.account_id, event_id, disabled.into(), now).await
}

/// Holds pending deliveries. Those in flight are finished.
async fn hold_pending(db: &mut Connection, id: WebhookId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE webhook_deliveries SET status = 'held', finished_at = $2 \
               WHERE webhook_id = $1 AND status = 'pending' AND lease IS NULL";
    db.execute(sql, binds![id.to_string(), now]).await?;
    Ok(())
}

async fn set_state(
    db: &mut Connection,
    id: WebhookId,
    status: WebhookStatus,
    reason: Option<DisabledReason>,
) -> Result<(), StoreError> {
    let sql = "UPDATE webhooks SET status = $2, disabled_reason = $3 WHERE id = $1";
    let values = binds![id.to_string(), status.name(), reason.map(DisabledReason::name)];
    db.execute(sql, values).await?;
    Ok(())
}

/// Writes the health and the limit of an endpoint that this transaction has locked.
pub(crate) async fn set_health(
    db: &mut Connection,
    id: WebhookId,
    health: Health,
    limit: AdaptiveLimit,
) -> Result<(), StoreError> {
    let sql = "UPDATE webhooks SET failing_since = $2, failures = $3, warned_at = $4, reduced_limit = $5, \
               overloads = $6, paused_until = $7, failed_at = $8 WHERE id = $1";
    let values = binds![
        id.to_string(),
        health.failing_since,
        health.failures,
        health.warned_at,
        limit.reduced,
        limit.overloads,
        limit.paused_until,
        health.failed_at,
    ];
    db.execute(sql, values).await?;
    Ok(())
}

pub(super) async fn delete(
    db: &mut Connection,
    reach: Reach,
    id: WebhookId,
    origin: Origin,
    audit_id: KeyedAuditId,
) -> Result<(), WebhookChangeError> {
    let account = reach.account;
    let old = lock(db, &reach, id, origin.at).await?;
    db.execute("DELETE FROM webhook_secrets WHERE webhook_id = $1", binds![id.to_string()]).await?;
    db.execute(
        "UPDATE webhooks SET status = 'disabled', deleted_at = $3, headers = NULL, headers_at = NULL WHERE id = $1 AND account_id = $2",
        binds![id.to_string(), account.to_string(), origin.at],
    )
    .await?;
    make_room(db, account, Counted::Webhooks).await?;
    write_audit(
        db,
        audit_id,
        &old,
        origin,
        AuditAction::WebhookDeleted,
        (masked(&old, audit_fields(&old)), Map::new()),
    )
    .await?;
    Ok(())
}

pub(super) struct SecretRotation {
    pub(super) reach: Reach,
    pub(super) id: WebhookId,
    pub(super) sealed: SealedSecret,
    pub(super) grace_seconds: u32,
    pub(super) origin: Origin,
    pub(super) audit_id: KeyedAuditId,
}

pub(super) async fn rotate(
    db: &mut Connection,
    SecretRotation { reach, id, sealed, grace_seconds, origin, audit_id }: SecretRotation,
) -> Result<Webhook, WebhookChangeError> {
    let webhook = lock(db, &reach, id, origin.at).await?;
    let grace_ends = origin.at.plus(Duration::from_secs(grace_seconds.into()));
    put(db, id, sealed, origin.at, grace_ends).await?;
    let after = Map::from_iter([("grace_seconds".to_owned(), grace_seconds.into())]);
    write_audit(db, audit_id, &webhook, origin, AuditAction::WebhookSecretRotated, (Map::new(), after))
        .await?;
    read_back(db, reach.account, id, origin.at).await
}

pub(super) struct Test {
    pub(super) reach: Reach,
    pub(super) id: WebhookId,
    pub(super) origin: Origin,
    pub(super) audit_id: KeyedAuditId,
    pub(super) event_id: EventId,
}

pub(super) async fn test(
    db: &mut Connection,
    Test { reach, id, origin, audit_id, event_id }: Test,
) -> Result<DeliveryRecord, WebhookChangeError> {
    let account = reach.account;
    let webhook = lock(db, &reach, id, origin.at).await?;
    if webhook.status == WebhookStatus::Disabled {
        return Err(WebhookChangeError::Disabled);
    }
    write_audit(db, audit_id, &webhook, origin, AuditAction::WebhookTested, (Map::new(), Map::new())).await?;
    let requested = WebhookTest { webhook_id: id, reason: "requested" };
    event::write(db, account, event_id, requested.into(), origin.at).await?;
    let made = record(db, &reach, id_of(event_id, id)).await?;
    Ok(made.ok_or_else(|| corrupt("webhook_deliveries.id"))?)
}

/// The endpoint, locked until the transaction ends. A transaction that changes an endpoint and its deliveries locks the
/// endpoint first; claims and results of attempts do the same, so that no two of them can deadlock.
pub(crate) async fn lock(
    db: &mut Connection,
    reach: &Reach,
    id: WebhookId,
    now: Timestamp,
) -> Result<Webhook, WebhookChangeError> {
    let sql = "SELECT id FROM webhooks WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL";
    let held = db.fetch_locked(sql, binds![id.to_string(), reach.account.to_string()]).await?;
    held.ok_or(WebhookChangeError::NotFound)?;
    row::webhook(db, reach, id, now).await?.ok_or(WebhookChangeError::NotFound)
}

async fn read_back(
    db: &mut Connection,
    account: AccountId,
    id: WebhookId,
    now: Timestamp,
) -> Result<Webhook, WebhookChangeError> {
    Ok(row::webhook(db, &account.into(), id, now).await?.ok_or_else(|| corrupt("webhooks.id"))?)
}

async fn write_audit(
    db: &mut Connection,
    id: KeyedAuditId,
    webhook: &Webhook,
    origin: Origin,
    action: AuditAction,
    (before, after): (Map<String, Value>, Map<String, Value>),
) -> Result<(), StoreError> {
    let entry = AuditEntry {
        id,
        account_id: webhook.account_id,
        origin,
        action,
        target: webhook.id.to_string(),
        before: Value::Object(before),
        after: Value::Object(after),
    };
    audit::write(db, &entry).await
}

/// The fields as the audit trail keeps them: only the origin of the URL, because the rest may contain a secret of the
/// receiver, and of certificates only whether there are any.
fn masked(webhook: &Webhook, mut audit_fields: Map<String, Value>) -> Map<String, Value> {
    if let Some(url) = audit_fields.get_mut("url") {
        *url = json!(webhook.url.masked());
    }
    if let Some(ca_pem) = audit_fields.get_mut("ca_pem") {
        *ca_pem = json!(if webhook.ca_pem.is_some() { "set" } else { "not set" });
    }
    audit_fields
}

/// The fields that a patch can change. Of headers, only when they were set.
fn audit_fields(webhook: &Webhook) -> Map<String, Value> {
    event::fields(json!({
        "url": webhook.url.as_str(),
        "description": webhook.description,
        "events": webhook.subscription.events.to_string(),
        "trunk_ids": row::trunks_text(&webhook.subscription.trunks),
        "headers": webhook.headers_at,
        "ca_pem": webhook.ca_pem,
        "max_in_flight": webhook.max_in_flight,
        "status": webhook.status.name(),
    }))
}
