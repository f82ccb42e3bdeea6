//! What whoever asks may hand out, read in the transaction of the change: a right that was withdrawn a moment ago can no
//! longer be given away.

use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::id::{AccountId, KeyId};
use telepath_core::key::{Grantor, KeyRecord, Rights};
use telepath_core::scope::{Scope, ScopeSet};

use super::{KeyChangeError, row};
use crate::error::StoreError;
use crate::sql::{Connection, binds};

/// Holds a key of the account, and the one that asks, until the transaction ends; always in the order of their ids, so
/// that two changes never wait for each other in a circle.
pub(super) async fn hold(
    db: &mut Connection,
    account: AccountId,
    id: KeyId,
    origin: Origin,
) -> Result<(KeyRecord, Option<Grantor>), KeyChangeError> {
    let asking = match origin.actor {
        Actor::Key(asking) if asking != id => Some(asking),
        Actor::Key(_) | Actor::User(_) | Actor::Local { .. } | Actor::System => None,
    };
    for id in asking.filter(|asking| *asking < id).into_iter().chain([id]) {
        hold_row(db, account, id).await?;
    }
    if let Some(asking) = asking.filter(|asking| *asking > id) {
        hold_row(db, account, asking).await?;
    }
    let key = row::key(db, account, id).await?.ok_or(KeyChangeError::NotFound)?;
    let grantor = read(db, account, origin).await?;
    Ok((key, grantor))
}

/// Holds the key that asks, if it is one.
pub(crate) async fn lock_grantor(
    db: &mut Connection,
    account: AccountId,
    origin: Origin,
) -> Result<Option<Grantor>, KeyChangeError> {
    if let Actor::Key(asking) = origin.actor {
        hold_row(db, account, asking).await?;
    }
    read(db, account, origin).await
}

async fn hold_row(db: &mut Connection, account: AccountId, id: KeyId) -> Result<(), StoreError> {
    let sql = "SELECT id FROM keys WHERE id = $1 AND account_id = $2";
    db.fetch_locked(sql, binds![id.to_string(), account.to_string()]).await.map(drop)
}

/// `None` has no bound. A key that is gone, dead or may not write keys gives nothing.
pub(super) async fn read(
    db: &mut Connection,
    account: AccountId,
    origin: Origin,
) -> Result<Option<Grantor>, KeyChangeError> {
    let id = match origin.actor {
        Actor::Local { .. } | Actor::System => return Ok(None),
        // Nobody signs in yet, so nothing is known of a person's rights.
        Actor::User(_) => return Err(KeyChangeError::Escalation),
        Actor::Key(id) => id,
    };
    let key = row::key(db, account, id).await?.ok_or(KeyChangeError::Escalation)?;
    if key.is_usable(origin.at) && key.scopes.allows(Scope::KeysWrite) {
        Ok(Some(Grantor(Rights::from(&key))))
    } else {
        Err(KeyChangeError::Escalation)
    }
}

/// Refuses a key that has more than the grantor in any way: whoever may not give it may not change it either.
pub(super) fn check_covers(grantor: Option<&Grantor>, key: &KeyRecord) -> Result<(), KeyChangeError> {
    match grantor {
        Some(grantor) => grantor.check_can_grant(&Rights::from(key)).map_err(|_| KeyChangeError::Escalation),
        None => Ok(()),
    }
}

/// Refuses a key that may do more. Taking away is not giving, so limit, networks and expiry do not matter: a key that
/// does harm is stopped by everybody who has its scopes.
pub(crate) fn check_covers_scopes(grantor: Option<&Grantor>, scopes: ScopeSet) -> Result<(), KeyChangeError> {
    match grantor {
        Some(grantor) if !grantor.0.scopes.covers(scopes) => Err(KeyChangeError::Escalation),
        Some(_) | None => Ok(()),
    }
}

/// Refuses rights that the grantor does not have, with the members named.
pub(super) fn check_can_grant(grantor: Option<&Grantor>, rights: &Rights) -> Result<(), KeyChangeError> {
    grantor.map_or(Ok(()), |grantor| grantor.check_can_grant(rights)).map_err(KeyChangeError::Beyond)
}
