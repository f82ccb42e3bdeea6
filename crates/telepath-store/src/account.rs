//! Accounts in the database. The first one is created at the first start, others through local administration.

pub(crate) mod table;

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};
use telepath_core::account::{Account, AccountPatch, Actor, DEFAULT_MAX_RATE_LIMIT, NewAccount};
use telepath_core::audit::{AuditAction, AuditEntry, ChainHash, KeyedAuditId, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::id::AccountId;
use telepath_core::limit::RateLimit;
use telepath_core::page::{Page, PageRequest};
use telepath_core::secret::KeyMode;
use telepath_core::storage_limit::{StorageLimit, StorageLimits};
use telepath_core::validation::Invalid;

use crate::audit::diff::diff;
use crate::error::StoreError;
use crate::sql::{Connection, ListQuery, Order, Row, binds, corrupt};
use crate::storage_limit::lock_creation;
use crate::store::Store;
use crate::{audit, event, key_clock};

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
        let account =
            self.account_from(NewAccount { name: name.to_owned(), mode, max_rate_limit }, origin)?;
        let entry = self.creation_entry(&account, origin)?;
        self.backend.write(move |db| Box::pin(first_or_insert(db, account, entry))).await
    }

    /// An account: from memory after its first use.
    pub async fn account(&self, id: AccountId) -> Result<Option<Arc<Account>>, StoreError> {
        let start = match self.accounts.get(id) {
            // Without a lease, this process may have missed a change.
            Ok(account) if self.cluster.lease().holds() => return Ok(Some(account)),
            Ok(_) => None,
            Err(start) => Some(start),
        };
        let sql = format!("SELECT {COLUMNS} FROM accounts WHERE id = $1");
        let row = self.backend.read().await?.fetch_optional(sql, binds![id.to_string()]).await?;
        let Some(account) = row.as_ref().map(account_of).transpose()?.map(Arc::new) else { return Ok(None) };
        if let Some(start) = start {
            self.accounts.learn(&account, start);
        }
        Ok(Some(account))
    }
}

/// Why an account was not created or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountChangeError {
    /// The keys of the account rule the change out.
    #[error("the change does not fit the keys of the account: {0}")]
    Invalid(Invalid),
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Creates an account; only local administration may.
    pub async fn create_account(
        &self,
        new: NewAccount,
        origin: Origin,
    ) -> Result<Account, AccountChangeError> {
        require_local(origin)?;
        let account = self.account_from(new, origin)?;
        let entry = self.creation_entry(&account, origin)?;
        self.backend.write(move |db| Box::pin(create(db, account, entry))).await
    }

    /// The accounts, the oldest first.
    pub async fn list_accounts(&self, page: PageRequest) -> Result<Page<Account>, StoreError> {
        let order = Order::by_creation("id", "created_at", true);
        let source = "FROM accounts WHERE created_at IS NOT NULL";
        let list = ListQuery { columns: COLUMNS, source, filters: vec![], order };
        list.page(&mut self.backend.read().await?, page).await?.try_map(|row| account_of(&row))
    }

    /// Changes an account; `None` if it does not exist. Only local administration changes its mode and its highest limit.
    /// Runs to completion even if the caller is cancelled, and returns when no server has the old state in memory.
    pub async fn update_account(
        &self,
        account: AccountId,
        patch: AccountPatch,
        origin: Origin,
    ) -> Result<Option<Account>, AccountChangeError> {
        if patch.mode.is_some() || patch.max_rate_limit.is_some() {
            require_local(origin)?;
        }
        let audit_id = self.new_audit_id(origin.at)?;
        let (accounts, barrier) = (self.accounts.clone(), self.cluster.replication_barrier());
        let task = self.backend.spawn_key_change(move |backend| async move {
            let result: Result<_, AccountChangeError> = backend
                .write(move |db| {
                    Box::pin(async move {
                        let changed = update(db, account, patch, origin, audit_id).await?;
                        Ok((changed, key_clock::stamp_account(db, account).await?))
                    })
                })
                .await;
            let committed = Instant::now();
            // Also after an error: the change may be committed.
            accounts.forget(&[account]);
            let (changed, version) = result?;
            barrier.wait(&backend, version, committed).await;
            Ok(changed)
        });
        task.await.unwrap_or(Err(StoreError::Broken.into()))
    }

    fn account_from(&self, new: NewAccount, origin: Origin) -> Result<Account, StoreError> {
        Ok(Account {
            id: self.new_id(origin.at)?,
            name: new.name,
            mode: new.mode,
            max_rate_limit: new.max_rate_limit,
            revoke_keys_seen_in_clear: false,
            max_key_lifetime_days: None,
            keys_must_expire: false,
            created_at: origin.at,
        })
    }

    fn creation_entry(&self, account: &Account, origin: Origin) -> Result<AuditEntry, StoreError> {
        Ok(AuditEntry {
            id: self.new_audit_id(origin.at)?,
            account_id: account.id,
            origin,
            action: AuditAction::AccountCreated,
            target: account.id.to_string(),
            before: json!({}),
            after: json!({
                "name": account.name,
                "mode": account.mode.name(),
                "max_rate_limit_per_minute": account.max_rate_limit.get(),
            }),
        })
    }
}

/// Refuses everybody but local administration and the server itself.
const fn require_local(origin: Origin) -> Result<(), StoreError> {
    match origin.actor {
        Actor::Local { .. } | Actor::System => Ok(()),
        Actor::Key(_) | Actor::User(_) => Err(StoreError::Forbidden),
    }
}

/// The settings row is locked, so that concurrent requests cannot exceed the limit together.
async fn create(
    db: &mut Connection,
    account: Account,
    entry: AuditEntry,
) -> Result<Account, AccountChangeError> {
    lock_creation(db).await?;
    let total = db.fetch_one("SELECT count(*) AS total FROM accounts", vec![]).await?.number("total")?;
    StorageLimits::default().check(StorageLimit::Accounts, total).map_err(StoreError::from)?;
    insert(db, &account, &entry).await?;
    Ok(account)
}

async fn update(
    db: &mut Connection,
    id: AccountId,
    patch: AccountPatch,
    origin: Origin,
    audit_id: KeyedAuditId,
) -> Result<Option<Account>, AccountChangeError> {
    let locked = "SELECT id, name, mode, max_rate_limit, revoke_keys_seen_in_clear, max_key_lifetime_days, \
                  keys_must_expire, created_at FROM accounts WHERE id = $1";
    let Some(row) = db.fetch_locked(locked, binds![id.to_string()]).await? else { return Ok(None) };
    let old = account_of(&row)?;
    let new = Account {
        name: patch.name.unwrap_or_else(|| old.name.clone()),
        revoke_keys_seen_in_clear: patch.revoke_keys_seen_in_clear.unwrap_or(old.revoke_keys_seen_in_clear),
        max_key_lifetime_days: patch.max_key_lifetime_days.apply(old.max_key_lifetime_days),
        keys_must_expire: patch.keys_must_expire.unwrap_or(old.keys_must_expire),
        mode: patch.mode.unwrap_or(old.mode),
        max_rate_limit: patch.max_rate_limit.unwrap_or(old.max_rate_limit),
        ..old.clone()
    };
    let (before, after) = diff(&audit_fields(&old), &audit_fields(&new));
    if after.is_empty() {
        return Ok(Some(old));
    }
    check_keys(db, &old, &new).await?;
    db.execute(
        "UPDATE accounts SET name = $2, revoke_keys_seen_in_clear = $3, max_key_lifetime_days = $4, \
         keys_must_expire = $5, mode = $6, max_rate_limit = $7 WHERE id = $1",
        binds![
            id.to_string(),
            new.name.as_str(),
            i64::from(new.revoke_keys_seen_in_clear),
            new.max_key_lifetime_days,
            i64::from(new.keys_must_expire),
            new.mode.name(),
            new.max_rate_limit.get(),
        ],
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

/// Refuses a mode that existing secrets contradict, and a maximum below the limit of an existing key.
async fn check_keys(db: &mut Connection, old: &Account, new: &Account) -> Result<(), AccountChangeError> {
    let sql = "SELECT count(*) AS total, CAST(COALESCE(max(rate_limit), 0) AS BIGINT) AS highest FROM keys \
               WHERE account_id = $1 AND revoked_at IS NULL";
    let row = db.fetch_one(sql, binds![old.id.to_string()]).await?;
    let (total, highest): (u32, u32) = (row.number("total")?, row.number("highest")?);
    let mut problems = Invalid::default();
    if new.mode != old.mode && total > 0 {
        problems.wrong("mode", "can change only while the account has no key that is not revoked");
    }
    if new.max_rate_limit < old.max_rate_limit && new.max_rate_limit.get() < highest {
        problems
            .wrong("max_rate_limit_per_minute", format!("must be at least {highest}, the limit of a key"));
    }
    if problems.is_empty() { Ok(()) } else { Err(AccountChangeError::Invalid(problems)) }
}

/// Checks the expiry of a key against the policies of its account, as they are in the transaction of the change.
pub(crate) async fn check_key_expiry(
    db: &mut Connection,
    account: AccountId,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Result<(), Invalid>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM accounts WHERE id = $1");
    let row = db.fetch_one(sql, binds![account.to_string()]).await?;
    Ok(account_of(&row)?.check_expiry(expires_at, now))
}

/// What a patch can change, as the audit trail shows it.
fn audit_fields(account: &Account) -> Map<String, Value> {
    event::fields(json!({
        "name": account.name,
        "mode": account.mode.name(),
        "max_rate_limit_per_minute": account.max_rate_limit.get(),
        "revoke_keys_seen_in_clear": account.revoke_keys_seen_in_clear,
        "max_key_lifetime_days": account.max_key_lifetime_days,
        "keys_must_expire": account.keys_must_expire,
    }))
}

async fn first_or_insert(
    db: &mut Connection,
    account: Account,
    entry: AuditEntry,
) -> Result<Account, StoreError> {
    lock_creation(db).await?;
    let first = format!("SELECT {COLUMNS} FROM accounts ORDER BY created_at, id LIMIT 1");
    if let Some(row) = db.fetch_optional(first, vec![]).await? {
        return account_of(&row);
    }
    insert(db, &account, &entry).await?;
    Ok(account)
}

async fn insert(db: &mut Connection, account: &Account, entry: &AuditEntry) -> Result<(), StoreError> {
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
    audit::open_chain(db, account.id, &entry.id.key).await?;
    audit::write(db, entry).await
}

const COLUMNS: &str = "id, name, mode, max_rate_limit, revoke_keys_seen_in_clear, max_key_lifetime_days, \
     keys_must_expire, created_at";

fn days(value: i64) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| corrupt("max_key_lifetime_days"))
}

fn account_of(row: &Row) -> Result<Account, StoreError> {
    Ok(Account {
        id: row.parse("id")?,
        name: row.text("name")?,
        mode: row.named("mode", KeyMode::from_name)?,
        max_rate_limit: RateLimit::per_minute(row.number("max_rate_limit")?)
            .ok_or_else(|| corrupt("max_rate_limit"))?,
        revoke_keys_seen_in_clear: row.integer("revoke_keys_seen_in_clear")? != 0,
        max_key_lifetime_days: row.maybe_integer("max_key_lifetime_days")?.map(days).transpose()?,
        keys_must_expire: row.integer("keys_must_expire")? != 0,
        created_at: row.time("created_at")?,
    })
}
