//! Presets edited by accounts.

use serde_json::{Map, Value, json};
use telepath_core::audit::{AuditAction, AuditEntry, KeyedAuditId, Origin};
use telepath_core::id::AccountId;
use telepath_core::key::{Escalation, Preset, PresetPatch, PresetTerms, Presets};
use telepath_core::limit::RateLimit;

use crate::audit::diff::diff;
use crate::error::StoreError;
use crate::key::KeyChangeError;
use crate::key::authority;
use crate::sql::{Connection, binds, corrupt};
use crate::store::Store;
use crate::{audit, event};

/// A change of a preset.
struct Edit {
    account: AccountId,
    preset: Preset,
    origin: Origin,
    audit_id: KeyedAuditId,
}

impl Store {
    /// The presets of an account.
    pub async fn presets(&self, account: AccountId) -> Result<Presets, StoreError> {
        read(&mut self.backend.read().await?, account).await
    }

    /// Edits a preset. The caller needs the rights that the preset grants before and after. Existing keys are
    /// unchanged.
    pub async fn update_preset(
        &self,
        account: AccountId,
        preset: Preset,
        patch: PresetPatch,
        origin: Origin,
    ) -> Result<PresetTerms, KeyChangeError> {
        let edit = Edit { account, preset, origin, audit_id: self.new_audit_id(origin.at)? };
        self.backend.write(move |db| Box::pin(update(db, edit, patch))).await
    }

    /// Restores the built-in preset. It may grant more than the edited one, so the caller needs its rights.
    pub async fn reset_preset(
        &self,
        account: AccountId,
        preset: Preset,
        origin: Origin,
    ) -> Result<(), KeyChangeError> {
        let edit = Edit { account, preset, origin, audit_id: self.new_audit_id(origin.at)? };
        self.backend.write(move |db| Box::pin(reset(db, edit))).await
    }
}

async fn read(db: &mut Connection, account: AccountId) -> Result<Presets, StoreError> {
    let sql = "SELECT name, scopes, rate_limit FROM key_presets WHERE account_id = $1";
    let mut edited = Vec::new();
    for row in db.fetch_all(sql, binds![account.to_string()]).await? {
        let terms = PresetTerms {
            scopes: row.parse("scopes")?,
            rate_limit: RateLimit::per_minute(row.number("rate_limit")?)
                .ok_or_else(|| corrupt("rate_limit"))?,
            modified: true,
        };
        edited.push((row.named("name", Preset::from_name)?, terms));
    }
    Ok(Presets::edited(edited))
}

async fn update(db: &mut Connection, edit: Edit, patch: PresetPatch) -> Result<PresetTerms, KeyChangeError> {
    let authority = authority::lock(db, edit.account, edit.origin).await?;
    lock_account(db, edit.account).await?;
    let old = read(db, edit.account).await?.get(edit.preset);
    let new = patch.apply(old);
    authority.check_can_edit_preset(old.scopes)?;
    authority.check_can_offer(new).map_err(KeyChangeError::Beyond)?;
    let (before, after) = diff(&audit_fields(old), &audit_fields(new));
    if after.is_empty() {
        return Ok(old);
    }
    db.execute(
        "INSERT INTO key_presets (account_id, name, scopes, rate_limit, updated_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (account_id, name) DO UPDATE SET scopes = $3, rate_limit = $4, updated_at = $5",
        binds![
            edit.account.to_string(),
            edit.preset.name(),
            new.scopes.to_string(),
            new.rate_limit.get(),
            edit.origin.at,
        ],
    )
    .await?;
    write_audit(db, edit, AuditAction::PresetUpdated, before, after).await?;
    Ok(new)
}

async fn reset(db: &mut Connection, edit: Edit) -> Result<(), KeyChangeError> {
    let authority = authority::lock(db, edit.account, edit.origin).await?;
    lock_account(db, edit.account).await?;
    let old = read(db, edit.account).await?.get(edit.preset);
    let new = PresetTerms::built_in(edit.preset);
    authority.check_can_edit_preset(old.scopes)?;
    authority.check_can_offer(new).map_err(|_| Escalation::PresetExceeds(authority.bound()))?;
    if !old.modified {
        return Ok(());
    }
    db.execute(
        "DELETE FROM key_presets WHERE account_id = $1 AND name = $2",
        binds![edit.account.to_string(), edit.preset.name()],
    )
    .await?;
    let (before, after) = diff(&audit_fields(old), &audit_fields(new));
    Ok(write_audit(db, edit, AuditAction::PresetReset, before, after).await?)
}

/// Serializes edits of presets, so that their audit entries are in order.
async fn lock_account(db: &mut Connection, account: AccountId) -> Result<(), StoreError> {
    let sql = "SELECT id FROM accounts WHERE id = $1";
    db.fetch_locked(sql, binds![account.to_string()]).await.map(drop)
}

fn audit_fields(terms: PresetTerms) -> Map<String, Value> {
    event::fields(json!({
        "scopes": terms.scopes.to_string(),
        "rate_limit_per_minute": terms.rate_limit.get(),
    }))
}

async fn write_audit(
    db: &mut Connection,
    edit: Edit,
    action: AuditAction,
    before: Map<String, Value>,
    after: Map<String, Value>,
) -> Result<(), StoreError> {
    let entry = AuditEntry {
        id: edit.audit_id,
        account_id: edit.account,
        origin: edit.origin,
        action,
        target: edit.preset.name().to_owned(),
        before: Value::Object(before),
        after: Value::Object(after),
    };
    audit::write(db, &entry).await
}
