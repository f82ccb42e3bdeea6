//! The audit trail. An entry is written in the transaction of its change, at the next position of its account's
//! chain. The account's row holds the head of the chain with a tag, so truncation is detected too.

mod chain_state;
pub(crate) mod diff;
mod expire;
mod export;
mod heads;
mod verify;

use telepath_core::account::Actor;
use telepath_core::audit::{
    AuditAction, AuditEntry, AuditFilter, AuditRecord, ChainHash, ChainHead, ChainState, Origin, TRAIL_ORDER,
    digested,
};
use telepath_core::id::AccountId;
use telepath_core::page::{Page, PageRequest};

pub(crate) use chain_state::{adopt_chains, open_chain};
pub use export::AuditExport;
pub use heads::AuditHead;
pub use verify::{AuditReport, AuditVerdict};

use crate::error::StoreError;
use crate::idempotency;
use crate::sql::{Connection, ListQuery, Order, Row, SortBy, binds, to_json};
use crate::store::Store;
use crate::user::authority;

/// Appends an entry to its account's trail. Every change passes through here, so this is also where an attempt of an
/// idempotent request proves that it still holds its claim, and where the role of a user is read once more.
pub(crate) async fn write(db: &mut Connection, entry: &AuditEntry) -> Result<(), StoreError> {
    idempotency::mark(db, entry.origin, &entry.target).await?;
    if let Some(scope) = entry.action.scope() {
        authority::require_scope(db, entry.account_id, entry.origin, scope).await?;
    }
    let chain = chain_state::lock(db, entry.account_id).await?;
    let [before, after] = [to_json(&digested(&entry.before))?, to_json(&digested(&entry.after))?];
    let bytes = chain.bytes.saturating_add(chain_state::size_of([&entry.target, &before, &after]));
    if let Some(limit) = entry.id.trail_limit
        && bytes > limit.most
        && entry.action.needs_room(&entry.origin)
    {
        return Err(limit.into());
    }
    let position = chain.state.head.position + 1;
    let hash = entry.keyed_link(position, chain.state.head.hash, &before, &after);
    db.execute(
        "INSERT INTO audit_events \
         (id, account_id, position, actor, address, at, action, target, before_json, after_json, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        binds![
            entry.id.id.to_string(),
            entry.account_id.to_string(),
            chain_state::integer(position),
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
    let next = ChainState { head: ChainHead { position, hash }, ..chain.state };
    chain_state::advance(db, &chain, (next, bytes), &entry.id.key).await
}

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
