//! The keyring as the database holds it: the active key, the derived keys, and the keys of each server.

use telepath_core::id::NodeId;
use telepath_core::keyring::ServerKeys;
use telepath_core::vault::{Sealed, SealingKeyId, StoredKeyring};

use crate::context::StoreContext;
use crate::error::StoreError;
use crate::sql::{Connection, binds, corrupt};

/// The settings that hold the keyring of a database.
pub(crate) const ACTIVE: &str = "sealing_key_id";
pub(super) const DERIVED_KEYS: &str = "derived_keys";
/// Present while something may be sealed by another key than the active one: that key, and the account whose audit trail
/// records the end.
pub(super) const PENDING: &str = "reseal_pending";

/// Locks the keyring until the transaction ends, and lets no server join meanwhile. Returns the active key.
pub(super) async fn lock(db: &mut Connection) -> Result<String, StoreError> {
    if db.is_postgres() {
        db.execute("LOCK TABLE nodes IN SHARE ROW EXCLUSIVE MODE", vec![]).await?;
    }
    let row = db.fetch_locked("SELECT value FROM settings WHERE name = 'sealing_key_id'", vec![]).await?;
    row.ok_or_else(|| corrupt(ACTIVE))?.text("value")
}

/// The keyring of a migrated database; `None` before its first start.
pub(crate) async fn stored(db: &mut Connection) -> Result<Option<StoredKeyring>, StoreError> {
    // One statement, so that a rotation meanwhile is seen whole or not at all.
    let sql = "SELECT (SELECT value FROM settings WHERE name = $1) AS active, \
               (SELECT value FROM settings WHERE name = $2) AS derived";
    let row = db.fetch_one(sql, binds![ACTIVE, DERIVED_KEYS]).await?;
    let Some(active) = row.maybe_text("active")? else { return Ok(None) };
    let active = active.parse().map_err(|_| corrupt(ACTIVE))?;
    let derived_keys = row.maybe_text("derived")?.map(|text| bytes_of(&text)).transpose()?;
    Ok(Some(StoredKeyring { active, derived_keys }))
}

/// Settings are text, so sealed bytes are stored in hexadecimal.
pub(super) fn text_of(sealed: &Sealed) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16);
    sealed.as_bytes().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten().collect()
}

fn bytes_of(text: &str) -> Result<Sealed, StoreError> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| digit.try_into().ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0).ok_or_else(|| corrupt(DERIVED_KEYS))?;
    let (pairs, _) = digits.as_chunks::<2>();
    Ok(Sealed::from_bytes(pairs.iter().map(|[high, low]| high * 16 + low).collect()))
}

pub(super) async fn set(db: &mut Connection, name: &str, value: String) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
    db.execute(sql, binds![name, value]).await.map(drop)
}

pub(super) async fn pending(db: &mut Connection) -> Result<Option<String>, StoreError> {
    let row = db.fetch_optional("SELECT value FROM settings WHERE name = $1", binds![PENDING]).await?;
    row.map(|row| row.text("value")).transpose()
}

/// Whether something may be sealed by another key than the active one.
pub(super) async fn is_pending(db: &mut Connection) -> Result<bool, StoreError> {
    Ok(pending(db).await?.is_some())
}

/// The ids of keys, as a server's row has them.
pub(crate) fn loaded_text(keys: &[SealingKeyId]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Records which keys a server has.
pub(super) async fn node_keys(
    db: &mut Connection,
    node: NodeId,
    active: SealingKeyId,
    loaded: String,
) -> Result<(), StoreError> {
    let sql = "UPDATE nodes SET sealing_key = $2, master_keys = $3 WHERE id = $1";
    db.execute(sql, binds![node.to_string(), active.to_string(), loaded]).await.map(drop)
}

/// The servers with a row, ordered by name.
pub(super) async fn servers(db: &mut Connection) -> Result<Vec<ServerKeys>, StoreError> {
    let sql = "SELECT name, sealing_key, master_keys FROM nodes ORDER BY name, id";
    let rows = db.fetch_all(sql, vec![]).await?;
    rows.iter()
        .map(|row| {
            let loaded = row.text("master_keys")?;
            Ok(ServerKeys {
                name: row.text("name")?,
                active: row.text("sealing_key")?.parse().ok(),
                loaded: loaded.split(' ').filter_map(|id| id.parse().ok()).collect(),
            })
        })
        .collect()
}

/// Refuses a server that has not loaded the key that seals, in the transaction in which it joins the others.
pub(crate) async fn require_active(db: &mut Connection, context: &StoreContext) -> Result<(), StoreError> {
    let Some(stored) = stored(db).await? else { return Ok(()) };
    if context.vault.loaded().contains(&stored.active) {
        return Ok(());
    }
    let given = context.vault.sealing_key_id();
    Err(StoreError::WrongMasterKey { expected: stored.active.to_string(), given })
}
