//! The audit trail. An entry is written in the transaction of its change, at the next position of its account's
//! chain. The account's row holds the head of the chain, so truncation is detected too.

pub(crate) mod diff;

use telepath_core::account::Actor;
use telepath_core::audit::{
    AuditAction, AuditEntry, AuditFilter, AuditRecord, ChainHash, Origin, TRAIL_ORDER,
};
use telepath_core::id::{AccountId, AuditId};
use telepath_core::page::{Page, PageRequest};

use crate::error::StoreError;
use crate::idempotency;
use crate::sql::{Connection, ListQuery, Order, Row, SortBy, binds, corrupt, to_json};
use crate::store::Store;
use crate::user::authority;

/// The result of verifying an account's audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditVerdict {
    /// Every entry is unchanged.
    Intact {
        /// The number of entries.
        entries: u64,
    },
    /// An entry was changed, removed or added.
    Broken {
        /// The first position that does not match, counted from 1.
        position: u64,
    },
}

/// Appends an entry to its account's trail. Every change passes through here, so this is also where an attempt of an
/// idempotent request proves that it still holds its claim, and where the role of a user is read once more.
pub(crate) async fn write(db: &mut Connection, entry: &AuditEntry) -> Result<(), StoreError> {
    idempotency::mark(db, entry.origin, &entry.target).await?;
    if let Some(scope) = entry.action.scope() {
        authority::require_scope(db, entry.account_id, entry.origin, scope).await?;
    }
    let account = entry.account_id.to_string();
    let head = "SELECT audit_position, audit_hash FROM accounts WHERE id = $1";
    let head =
        db.fetch_locked(head, binds![account.as_str()]).await?.ok_or_else(|| corrupt("accounts.id"))?;
    let position = head.integer("audit_position")? + 1;
    let [before, after] = [to_json(&entry.before)?, to_json(&entry.after)?];
    let hash = entry.chain(ChainHash(head.array("audit_hash")?), &before, &after);
    db.execute(
        "INSERT INTO audit_events \
         (id, account_id, position, actor, address, at, action, target, before_json, after_json, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        binds![
            entry.id.to_string(),
            account.as_str(),
            position,
            entry.origin.actor.to_string(),
            entry.origin.address,
            entry.origin.at,
            entry.action.name(),
            entry.target.as_str(),
            before,
            after,
            &hash.0[..],
        ],
    )
    .await?;
    db.execute(
        "UPDATE accounts SET audit_position = $2, audit_hash = $3 WHERE id = $1",
        binds![account, position, &hash.0[..]],
    )
    .await?;
    Ok(())
}

/// Entries of a trail that are verified before the connection is given back.
const VERIFIED_AT_ONCE: i64 = 100;

impl Store {
    /// Entries of the account's trail, newest first.
    pub async fn list_audit(
        &self,
        account: AccountId,
        filter: AuditFilter,
        page: PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        const SOURCE: &str = "FROM audit_events WHERE account_id = $1 AND ($2 IS NULL OR actor = $2 OR ($2 = 'local' AND actor LIKE 'local:%')) \
             AND ($3 IS NULL OR action = $3) AND ($4 IS NULL OR target = $4) \
             AND ($5 IS NULL OR at >= $5) AND ($6 IS NULL OR at <= $6)";
        let filters = binds![
            account.to_string(),
            filter.actor.map(|actor| actor.to_string()),
            filter.action.map(AuditAction::name),
            filter.target,
            filter.start,
            filter.end,
        ];
        let mut db = self.backend.read().await?;
        let columns = "id, position, actor, address, at, action, target, before_json, after_json, hash";
        let by = SortBy { key: TRAIL_ORDER, expression: "position", nullable: false };
        let order = Order { id: "id", by: Some(by), ascending: false };
        let list = ListQuery { columns, source: SOURCE, filters, order };
        list.page(&mut db, page).await?.try_map(|row| record_of(&row))
    }

    /// Recomputes the hash chain of an account's trail and compares it with the stored hashes. One trail is verified at a
    /// time, and the connection is given back after each part, so that verification never takes all readers.
    pub async fn verify_audit(&self, account: AccountId) -> Result<AuditVerdict, StoreError> {
        // The semaphore is never closed.
        let _turn = self.audit_verification.acquire().await.map_err(|_| StoreError::Closed)?;
        let sql = "SELECT audit_position, audit_hash, \
                   (SELECT count(*) FROM audit_events WHERE account_id = $1) AS entries \
                   FROM accounts WHERE id = $1";
        let head = self.backend.read().await?.fetch_optional(sql, binds![account.to_string()]).await?;
        let mut check = ChainCheck::default();
        let Some(head) = head else { return Ok(check.verdict()) };
        // Entries are only ever added, so those up to this head stay the same while they are read.
        let (position, hash) = (head.integer("audit_position")?, head.bytes("audit_hash")?);
        while !check.broken && check.entries < position {
            let entries = check.entries;
            self.verify_part(account, &mut check, position).await?;
            check.broken |= check.entries == entries;
        }
        check.end(position, &hash);
        // An entry outside the chain, such as one after the head.
        check.broken |= head.integer("entries")? != position;
        Ok(check.verdict())
    }

    async fn verify_part(
        &self,
        account: AccountId,
        check: &mut ChainCheck,
        end: i64,
    ) -> Result<(), StoreError> {
        let sql = "SELECT id, position, actor, address, at, action, target, before_json, after_json, hash \
                   FROM audit_events WHERE account_id = $1 AND position > $2 AND position <= $3 \
                   ORDER BY position LIMIT $4";
        let part = binds![account.to_string(), check.entries, end, VERIFIED_AT_ONCE];
        let mut db = self.backend.read().await?;
        db.fetch_each(sql, part, |row| {
            check.follow(account, &row);
            Ok(())
        })
        .await
    }
}

fn record_of(row: &Row) -> Result<AuditRecord, StoreError> {
    Ok(AuditRecord {
        id: row.parse("id")?,
        position: row.number("position")?,
        origin: origin_of(row)?,
        action: row.named("action", AuditAction::from_name)?,
        target: row.text("target")?,
        before: row.json("before_json")?,
        after: row.json("after_json")?,
        hash: ChainHash(row.array("hash")?),
    })
}

fn origin_of(row: &Row) -> Result<Origin, StoreError> {
    Ok(Origin {
        actor: row.parse::<Actor>("actor")?,
        address: row.maybe_parse("address")?,
        at: row.time("at")?,
        idempotency: None,
    })
}

/// Follows a chain from its first entry.
struct ChainCheck {
    entries: i64,
    last: ChainHash,
    broken: bool,
}

impl Default for ChainCheck {
    fn default() -> Self {
        Self { entries: 0, last: ChainHash::GENESIS, broken: false }
    }
}

impl ChainCheck {
    fn follow(&mut self, account: AccountId, row: &Row) {
        if self.broken {
            return;
        }
        match link(account, row, self.last) {
            Ok((position, stored, computed)) if position == self.entries + 1 && stored == computed => {
                self.entries = position;
                self.last = computed;
            }
            // This program never writes a value that it cannot read.
            Ok(_) | Err(_) => self.broken = true,
        }
    }

    fn end(&mut self, position: i64, hash: &[u8]) {
        self.broken |= position != self.entries || hash != self.last.0;
    }

    fn verdict(&self) -> AuditVerdict {
        let entries = u64::try_from(self.entries).unwrap_or(0);
        if self.broken {
            AuditVerdict::Broken { position: entries + 1 }
        } else {
            AuditVerdict::Intact { entries }
        }
    }
}

fn link(
    account: AccountId,
    row: &Row,
    previous: ChainHash,
) -> Result<(i64, ChainHash, ChainHash), StoreError> {
    let entry = AuditEntry {
        id: row.parse::<AuditId>("id")?,
        account_id: account,
        origin: origin_of(row)?,
        action: row.named("action", AuditAction::from_name)?,
        target: row.text("target")?,
        before: serde_json::Value::Null,
        after: serde_json::Value::Null,
    };
    let computed = entry.chain(previous, &row.text("before_json")?, &row.text("after_json")?);
    Ok((row.integer("position")?, ChainHash(row.array("hash")?), computed))
}
