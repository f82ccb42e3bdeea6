//! What an account's row holds of its chain, with the tag over it.

use telepath_core::audit::{ChainHash, ChainHead, ChainKey, ChainState};
use telepath_core::id::AccountId;

use crate::backend::Backend;
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds, corrupt};

/// The setting that says that every chain has a tag. Without a tag, an account's chain is broken from then on.
const ADOPTED: &str = "audit_chains_keyed";

macro_rules! chain_query {
    ($columns:literal) => {
        concat!(
            "SELECT id, audit_position, audit_hash, audit_keyed_after, audit_anchor_position, audit_anchor_hash, audit_tag, \
             audit_bytes",
            $columns,
            " FROM accounts WHERE id = $1"
        )
    };
}

/// The state of a chain as stored, which may have been changed by others.
pub(super) struct StoredChain {
    pub(super) state: ChainState,
    pub(super) tag: Vec<u8>,
    /// The bytes of the entries; see [`size_of`].
    pub(super) bytes: u64,
}

/// What an entry with these texts counts in the limit of its trail, in bytes.
pub(super) fn size_of(texts: [&str; 3]) -> u64 {
    const OTHERS: usize = 200;
    texts.iter().map(|text| text.len()).sum::<usize>().saturating_add(OTHERS) as u64
}

pub(super) fn integer(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

fn stored(row: &Row) -> Result<StoredChain, StoreError> {
    let head =
        ChainHead { position: row.number("audit_position")?, hash: ChainHash(row.array("audit_hash")?) };
    let anchor = match row.maybe_bytes("audit_anchor_hash")? {
        None => ChainHash::GENESIS,
        Some(hash) => ChainHash(hash.try_into().map_err(|_| corrupt("audit_anchor_hash"))?),
    };
    let state = ChainState {
        account: row.parse("id")?,
        head,
        keyed_after: row.number("audit_keyed_after")?,
        anchor: ChainHead { position: row.number("audit_anchor_position")?, hash: anchor },
    };
    let tag = row.maybe_bytes("audit_tag")?.unwrap_or_default();
    Ok(StoredChain { state, tag, bytes: row.number("audit_bytes")? })
}

/// The chain of an account and the number of its entries; `None` if there is no such account.
pub(super) async fn read(
    db: &mut Connection,
    account: AccountId,
) -> Result<Option<(StoredChain, u64)>, StoreError> {
    // One statement, so that no entry is written in between.
    let sql = chain_query!(", (SELECT count(*) FROM audit_events WHERE account_id = accounts.id) AS entries");
    let row = db.fetch_optional(sql, binds![account.to_string()]).await?;
    row.map(|row| Ok((stored(&row)?, row.number("entries")?))).transpose()
}

/// The chain of an account, locked until the transaction ends.
pub(super) async fn lock(db: &mut Connection, account: AccountId) -> Result<StoredChain, StoreError> {
    let row = db.fetch_locked(chain_query!(""), binds![account.to_string()]).await?;
    stored(&row.ok_or_else(|| corrupt("accounts.id"))?)
}

/// Stores the next state of a locked chain. If the stored state is not the one that this program wrote, its tag stays as it is:
/// a new tag would hide the change from every later verification.
pub(super) async fn advance(
    db: &mut Connection,
    chain: &StoredChain,
    (next, bytes): (ChainState, u64),
    key: &ChainKey,
) -> Result<(), StoreError> {
    let authentic = chain.state.is_authentic(key, &chain.tag);
    if !authentic {
        tracing::error!(
            account = %next.account,
            position = chain.state.head.position,
            "the head of this account's audit trail was changed in the database; the trail stays broken. \
             Run `telepath audit verify` and compare the database with a backup"
        );
    }
    let tag = if authentic { next.tag(key).0.to_vec() } else { chain.tag.clone() };
    store(db, next, tag, bytes).await
}

async fn store(db: &mut Connection, state: ChainState, tag: Vec<u8>, bytes: u64) -> Result<(), StoreError> {
    db.execute(
        "UPDATE accounts SET audit_position = $2, audit_hash = $3, audit_keyed_after = $4, \
         audit_anchor_position = $5, audit_anchor_hash = $6, audit_tag = $7, audit_bytes = $8 WHERE id = $1",
        binds![
            state.account.to_string(),
            integer(state.head.position),
            &state.head.hash.0[..],
            integer(state.keyed_after),
            integer(state.anchor.position),
            &state.anchor.hash.0[..],
            Some(tag),
            integer(bytes),
        ],
    )
    .await?;
    Ok(())
}

/// Begins the chain of a new account, in the transaction that creates it.
pub(crate) async fn open_chain(
    db: &mut Connection,
    account: AccountId,
    key: &ChainKey,
) -> Result<(), StoreError> {
    let state = ChainState::new(account);
    store(db, state, state.tag(key).0.to_vec(), 0).await
}

/// Tags the chains that an earlier version wrote, once in the life of a database. Their entries keep the links that they have;
/// entries after them are linked with the key.
pub(crate) async fn adopt_chains(backend: &Backend, key: &ChainKey) -> Result<(), StoreError> {
    let key = key.clone();
    let adopted: Result<Vec<ChainState>, StoreError> =
        backend.write(move |db| Box::pin(async move { adopt(db, &key).await })).await;
    for state in adopted? {
        tracing::info!(
            account = %state.account,
            head = %state.head,
            "this account's audit trail is linked with a key after this entry"
        );
    }
    Ok(())
}

/// An installation has at most a thousand accounts, so one transaction suffices.
async fn adopt(db: &mut Connection, key: &ChainKey) -> Result<Vec<ChainState>, StoreError> {
    // A second server that starts now waits here for the first.
    let claim = "INSERT INTO settings (name, value) VALUES ($1, '1') ON CONFLICT (name) DO NOTHING";
    if db.execute(claim, binds![ADOPTED]).await? == 0 {
        return Ok(Vec::new());
    }
    let mut adopted = Vec::new();
    for row in db.fetch_all("SELECT id FROM accounts ORDER BY id", vec![]).await? {
        let StoredChain { state: found, bytes, .. } = lock(db, row.parse("id")?).await?;
        let state = ChainState { keyed_after: found.head.position, ..found };
        store(db, state, state.tag(key).0.to_vec(), bytes).await?;
        adopted.push(state);
    }
    Ok(adopted)
}
