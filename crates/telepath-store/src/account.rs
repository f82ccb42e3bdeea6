//! Accounts in the database. There is one until more are asked for; it is made at the first start.

use serde_json::{Map, Value, json};
use telepath_core::account::{Account, AccountPatch, DEFAULT_MAX_RATE_LIMIT};
use telepath_core::audit::{AuditAction, AuditEntry, ChainHash, Origin};
use telepath_core::id::{AccountId, AuditId};
use telepath_core::limit::RateLimit;
use telepath_core::secret::KeyMode;

use crate::audit::diff::diff;
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds, corrupt};
use crate::store::Store;
use crate::{audit, event};

impl Store {
    /// The first account; made, with this name and mode, when there is none.
    pub async fn ensure_account(
        &self,
        name: &str,
        mode: KeyMode,
        origin: Origin,
    ) -> Result<Account, StoreError> {
        let max_rate_limit =
            RateLimit::per_minute(DEFAULT_MAX_RATE_LIMIT).ok_or_else(|| corrupt("the default limit"))?;
        let account = Account {
            id: self.new_id(origin.at)?,
            name: name.to_owned(),
            mode,
            max_rate_limit,
            revoke_keys_seen_in_clear: false,
            created_at: origin.at,
        };
        let entry = AuditEntry {
            id: self.new_id(origin.at)?,
            account_id: account.id,
            origin,
            action: AuditAction::AccountCreated,
            target: account.id.to_string(),
            before: json!({}),
            after: json!({ "name": account.name, "mode": mode.name() }),
        };
        self.backend.write(move |db| Box::pin(first_or_insert(db, account, entry))).await
    }

    /// An account.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM accounts WHERE id = $1");
        let row = self.backend.read().await?.fetch_optional(sql, binds![id.to_string()]).await?;
        row.as_ref().map(account_of).transpose()
    }
}

impl Store {
    /// Changes an account; `None` when there is no such account.
    pub async fn update_account(
        &self,
        account: AccountId,
        patch: AccountPatch,
        origin: Origin,
    ) -> Result<Option<Account>, StoreError> {
        let audit_id = self.new_id(origin.at)?;
        self.backend.write(move |db| Box::pin(update(db, account, patch, origin, audit_id))).await
    }
}

async fn update(
    db: &mut Connection,
    id: AccountId,
    patch: AccountPatch,
    origin: Origin,
    audit_id: AuditId,
) -> Result<Option<Account>, StoreError> {
    let held = "SELECT id, name, mode, max_rate_limit, revoke_keys_seen_in_clear, created_at \
                FROM accounts WHERE id = $1";
    let Some(row) = db.fetch_locked(held, binds![id.to_string()]).await? else { return Ok(None) };
    let old = account_of(&row)?;
    let new = Account {
        name: patch.name.unwrap_or_else(|| old.name.clone()),
        revoke_keys_seen_in_clear: patch.revoke_keys_seen_in_clear.unwrap_or(old.revoke_keys_seen_in_clear),
        ..old.clone()
    };
    let (before, after) = diff(&audit_fields(&old), &audit_fields(&new));
    if after.is_empty() {
        return Ok(Some(old));
    }
    db.execute(
        "UPDATE accounts SET name = $2, revoke_keys_seen_in_clear = $3 WHERE id = $1",
        binds![id.to_string(), new.name.as_str(), i64::from(new.revoke_keys_seen_in_clear)],
    )
    .await?;
    let entry = AuditEntry {
        id: audit_id,
        account_id: id,
        origin,
        action: AuditAction::AccountUpdated,
        target: id.to_string(),
        before: Value::Object(before),
        after: Value::Object(after),
    };
    audit::write(db, &entry).await?;
    Ok(Some(new))
}

/// What a patch can change, as the audit trail shows it.
fn audit_fields(account: &Account) -> Map<String, Value> {
    event::fields(json!({
        "name": account.name,
        "revoke_keys_seen_in_clear": account.revoke_keys_seen_in_clear,
    }))
}

async fn first_or_insert(
    db: &mut Connection,
    account: Account,
    entry: AuditEntry,
) -> Result<Account, StoreError> {
    // Held so that two servers that start at once do not both make the first account.
    db.fetch_locked("SELECT value FROM settings WHERE name = 'sealing_key_id'", vec![]).await?;
    let first = format!("SELECT {COLUMNS} FROM accounts ORDER BY created_at, id LIMIT 1");
    if let Some(row) = db.fetch_optional(first, vec![]).await? {
        return account_of(&row);
    }
    db.execute(
        "INSERT INTO accounts (id, name, mode, max_rate_limit, audit_position, audit_hash, created_at) \
         VALUES ($1, $2, $3, $4, 0, $5, $6)",
        binds![
            account.id.to_string(),
            account.name.as_str(),
            account.mode.name(),
            account.max_rate_limit.get(),
            &ChainHash::GENESIS.0[..],
            account.created_at,
        ],
    )
    .await?;
    audit::write(db, &entry).await?;
    Ok(account)
}

const COLUMNS: &str = "id, name, mode, max_rate_limit, revoke_keys_seen_in_clear, created_at";

fn account_of(row: &Row) -> Result<Account, StoreError> {
    Ok(Account {
        id: row.parse("id")?,
        name: row.text("name")?,
        mode: row.named("mode", KeyMode::from_name)?,
        max_rate_limit: RateLimit::per_minute(row.number("max_rate_limit")?)
            .ok_or_else(|| corrupt("max_rate_limit"))?,
        revoke_keys_seen_in_clear: row.integer("revoke_keys_seen_in_clear")? != 0,
        created_at: row.time("created_at")?,
    })
}
