//! Pausing and resuming a key. Like a revocation, a pause is effective before the call returns.

use serde_json::json;
use telepath_core::audit::{AuditAction, AuditEntry, KeyedAuditId, Origin};
use telepath_core::event::{EventPayload, KeyPaused, KeyResumed};
use telepath_core::id::{AccountId, EventId, KeyId};
use telepath_core::key::KeyRecord;

use super::change::read_back;
use super::commit::Changed;
use super::{KeyChangeError, authority};
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;
use crate::{audit, event};

#[derive(Clone)]
struct Pause {
    account: AccountId,
    id: KeyId,
    origin: Origin,
    audit_id: KeyedAuditId,
    event_id: EventId,
}

impl Store {
    /// Pauses a key. Once this returns, no request is admitted with the key. Pausing it again returns the key unchanged.
    pub async fn pause_key(
        &self,
        account: AccountId,
        id: KeyId,
        origin: Origin,
    ) -> Result<KeyRecord, KeyChangeError> {
        let pause = self.prepare_pause(account, id, origin).await?;
        self.change_key(id, move |db| Box::pin(pause_key(db, pause))).await
    }

    /// Resumes a paused key. The caller needs every right of the key, because this grants them again.
    pub async fn resume_key(
        &self,
        account: AccountId,
        id: KeyId,
        origin: Origin,
    ) -> Result<KeyRecord, KeyChangeError> {
        let pause = self.prepare_pause(account, id, origin).await?;
        self.change_key(id, move |db| Box::pin(resume_key(db, pause))).await
    }

    async fn prepare_pause(
        &self,
        account: AccountId,
        id: KeyId,
        origin: Origin,
    ) -> Result<Pause, KeyChangeError> {
        // The response includes the counters.
        self.sync_usage().await;
        let (audit_id, event_id) = (self.new_audit_id(origin.at)?, self.new_id(origin.at)?);
        Ok(Pause { account, id, origin, audit_id, event_id })
    }
}

async fn pause_key(db: &mut Connection, pause: Pause) -> Result<Changed, KeyChangeError> {
    let (old, authority) = authority::lock_key(db, pause.account, pause.id, pause.origin).await?;
    authority.check_can_stop(&old)?;
    if old.revocation.is_some() {
        return Err(KeyChangeError::Revoked);
    }
    if old.paused_at.is_none() {
        let sql = "UPDATE keys SET paused_at = $3, version = version + 1 WHERE id = $1 AND account_id = $2";
        let values = binds![pause.id.to_string(), pause.account.to_string(), pause.origin.at];
        db.execute(sql, values).await?;
        let paused = KeyPaused { key_id: old.id, name: old.name, actor: pause.origin.actor };
        pause.record(db, AuditAction::KeyPaused, paused.into()).await?;
    }
    Ok(read_back(db, pause.account, pause.id).await?)
}

async fn resume_key(db: &mut Connection, pause: Pause) -> Result<Changed, KeyChangeError> {
    let (old, authority) = authority::lock_key(db, pause.account, pause.id, pause.origin).await?;
    authority.check_can_change(&old)?;
    if old.revocation.is_some() {
        return Err(KeyChangeError::Revoked);
    }
    if old.paused_at.is_some() {
        let sql = "UPDATE keys SET paused_at = NULL, version = version + 1 WHERE id = $1 AND account_id = $2";
        db.execute(sql, binds![pause.id.to_string(), pause.account.to_string()]).await?;
        let resumed = KeyResumed { key_id: old.id, name: old.name, actor: pause.origin.actor };
        pause.record(db, AuditAction::KeyResumed, resumed.into()).await?;
    }
    Ok(read_back(db, pause.account, pause.id).await?)
}

impl Pause {
    /// Writes the audit entry and the event.
    async fn record(
        &self,
        db: &mut Connection,
        action: AuditAction,
        payload: EventPayload,
    ) -> Result<(), StoreError> {
        let entry = AuditEntry {
            id: self.audit_id.clone(),
            account_id: self.account,
            origin: self.origin,
            action,
            target: self.id.to_string(),
            before: json!({}),
            after: json!({}),
        };
        audit::write(db, &entry).await?;
        event::write(db, self.account, self.event_id, payload, self.origin.at).await
    }
}
