//! Accounts in the database. There is one until more are asked for; it is made at the first start.

use serde_json::json;
use telepath_core::account::{Account, DEFAULT_MAX_RATE_LIMIT};
use telepath_core::audit::{AuditAction, AuditEntry, ChainHash, Origin};
use telepath_core::id::AccountId;
use telepath_core::limit::RateLimit;
use telepath_core::secret::KeyMode;

use crate::error::StoreError;
use crate::sql::{Connection, Row, binds, corrupt};
use crate::{Store, audit};

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

async fn first_or_insert(
    db: &mut Connection,
    account: Account,
    entry: AuditEntry,
) -> Result<Account, StoreError> {
    // Held so that two servers that start at once do not both make the first account.
    db.fetch_held("SELECT value FROM settings WHERE name = 'sealing_key_id'", vec![]).await?;
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
