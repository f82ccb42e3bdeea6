//! The secrets of logged requests. A segment holds a mark of each secret, the beginning of its hash; ids are looked up when
//! requests are read.

use std::collections::{BTreeSet, HashMap};

use telepath_core::id::{AccountId, Id as _, KeyId, SecretId};
use telepath_core::request::{RequestRecord, SecretMark};

use crate::error::StoreError;
use crate::sql::{Connection, binds, placeholders};

/// A secret as segments name it.
pub(super) type LoggedSecret = (KeyId, SecretMark);

/// The secret of the account with this id. For one that does not exist, a secret that no request was sent with.
pub(super) async fn find(
    db: &mut Connection,
    account: AccountId,
    secret: SecretId,
) -> Result<LoggedSecret, StoreError> {
    let sql = "SELECT key_id, substr(hash, 1, 8) AS mark FROM key_secrets \
               JOIN keys ON keys.id = key_secrets.key_id WHERE key_secrets.id = $1 AND account_id = $2";
    Ok(match db.fetch_optional(sql, binds![secret.to_string(), account.to_string()]).await? {
        Some(row) => (row.parse("key_id")?, SecretMark(row.array("mark")?)),
        None => (KeyId::from_bytes([0; 16]), SecretMark([0; 8])),
    })
}

/// Sets the ids of the secrets of requests. A secret that its key no longer has on record has none.
pub(super) async fn name(db: &mut Connection, requests: &mut [RequestRecord]) -> Result<(), StoreError> {
    let keys: BTreeSet<KeyId> = requests.iter().filter_map(|request| request.facts.caller.key()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT id, key_id, substr(hash, 1, 8) AS mark FROM key_secrets WHERE key_id IN ({})",
        placeholders(1, keys.len())
    );
    let keys = keys.iter().map(|key| key.to_string().into()).collect();
    let mut secrets = HashMap::<LoggedSecret, SecretId>::new();
    for row in db.fetch_all(sql, keys).await? {
        let secret = (row.parse("key_id")?, SecretMark(row.array("mark")?));
        secrets.insert(secret, row.parse("id")?);
    }
    for request in requests {
        let caller = request.facts.caller;
        let secret = caller.key().zip(caller.secret());
        request.secret_id = secret.and_then(|secret| secrets.get(&secret).copied());
    }
    Ok(())
}
