//! The digest hashes of SIP passwords, sealed for their trunk. They suffice to place calls, so a stolen database must not contain
//! them in the clear.

use telepath_core::digest_hash::DigestHashes;
use telepath_core::id::TrunkId;
use telepath_core::vault::{Sealed, Vault};

use crate::backend::{Backend, Driver};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds};

/// Hashes sealed per transaction.
const AT_ONCE: i64 = 200;

pub(crate) fn place(trunk: TrunkId) -> String {
    format!("{trunk}/sip_digest")
}

pub(super) fn seal(
    context: &StoreContext,
    trunk: TrunkId,
    digest: &DigestHashes,
) -> Result<Sealed, StoreError> {
    Ok(context.vault.seal(&digest.to_text(), &place(trunk), &*context.entropy)?)
}

/// The hashes of a trunk from its row.
pub(super) fn open(row: &Row, trunk: TrunkId, vault: &Vault) -> Result<DigestHashes, StoreError> {
    let corrupt =
        |problem: &dyn std::fmt::Display| StoreError::Corrupt(format!("{}: {problem}", place(trunk)));
    let sealed = row.maybe_bytes("sip_digest")?.ok_or_else(|| corrupt(&"is missing"))?;
    let text = vault.open(&Sealed::from_bytes(sealed), &place(trunk)).map_err(|problem| corrupt(&problem))?;
    DigestHashes::from_text(&text).ok_or_else(|| corrupt(&"has an unknown format"))
}

/// Seals the hashes that an earlier version stored, in small transactions. What is left after a crash, the next start seals.
pub(crate) async fn seal_stored(backend: &Backend, context: &StoreContext) -> Result<(), StoreError> {
    let any = "SELECT trunk_id FROM unsealed_sip_digests LIMIT 1";
    if backend.read().await?.fetch_optional(any, vec![]).await?.is_none() {
        return Ok(());
    }
    let mut trunks = 0;
    loop {
        let context = context.clone();
        let sealed: Result<u64, StoreError> =
            backend.write(move |db| Box::pin(async move { seal_some(db, &context).await })).await;
        match sealed? {
            0 => break,
            some => trunks += some,
        }
    }
    if let Driver::Sqlite(_) = backend.driver() {
        backend.execute("PRAGMA secure_delete = OFF", vec![]).await?;
    }
    tracing::info!(trunks, "sealed the digest hashes of SIP passwords");
    Ok(())
}

async fn seal_some(db: &mut Connection, context: &StoreContext) -> Result<u64, StoreError> {
    if !db.is_postgres() {
        // Deleted hashes are overwritten in the file.
        db.execute("PRAGMA secure_delete = ON", vec![]).await?;
    }
    // Serializes two servers that start at once: the second finds what the first has left.
    db.fetch_locked("SELECT value FROM settings WHERE name = 'sealing_key_id'", vec![]).await?;
    let sql = "SELECT trunk_id, md5, sha256 FROM unsealed_sip_digests ORDER BY trunk_id LIMIT $1";
    let rows = db.fetch_all(sql, binds![AT_ONCE]).await?;
    for row in &rows {
        let trunk: TrunkId = row.parse("trunk_id")?;
        let digest = DigestHashes::from_bytes(row.array("md5")?, row.array("sha256")?);
        let sealed = seal(context, trunk, &digest)?;
        let update = "UPDATE trunks SET sip_digest = $2 WHERE id = $1";
        db.execute(update, binds![trunk.to_string(), sealed.as_bytes()]).await?;
        db.execute("DELETE FROM unsealed_sip_digests WHERE trunk_id = $1", binds![trunk.to_string()]).await?;
    }
    Ok(rows.len() as u64)
}
