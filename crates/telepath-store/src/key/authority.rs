//! The authority of whoever asks for a change of a key, read in the transaction of the change: a right that was withdrawn
//! a moment ago can no longer be given away.
//!
//! The rows that an authority rests on are locked until the transaction ends, keys in the order of their ids before the
//! user, the account and the membership, so that two changes never wait for each other in a circle.

use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::id::{AccountId, KeyId};
use telepath_core::key::{Authority, Bound, Escalation, KeyRecord, Rights};
use telepath_core::scope::Scope;

use super::{KeyChangeError, RotateAllError, row};
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::user::authority::{lock_role, role_of};

/// Why there is no authority.
pub(crate) enum AuthorityError {
    None(Escalation),
    Store(StoreError),
}

impl From<StoreError> for AuthorityError {
    fn from(error: StoreError) -> Self {
        AuthorityError::Store(error)
    }
}

impl From<AuthorityError> for KeyChangeError {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::None(escalation) => escalation.into(),
            AuthorityError::Store(error) => error.into(),
        }
    }
}

impl From<AuthorityError> for RotateAllError {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::None(escalation) => escalation.into(),
            AuthorityError::Store(error) => error.into(),
        }
    }
}

/// Locks a key of the account, and the rows that the authority rests on. A key out of reach is not found.
pub(super) async fn lock_key(
    db: &mut Connection,
    account: AccountId,
    id: KeyId,
    origin: Origin,
) -> Result<(KeyRecord, Authority), KeyChangeError> {
    let asking = match origin.actor {
        Actor::Key(asking) if asking != id => Some(asking),
        Actor::Key(_) | Actor::User(_) | Actor::Local { .. } | Actor::System => None,
    };
    for id in asking.filter(|asking| *asking < id).into_iter().chain([id]) {
        lock_row(db, account, id).await?;
    }
    if let Some(asking) = asking.filter(|asking| *asking > id) {
        lock_row(db, account, asking).await?;
    }
    let key = row::key(db, account, id).await?.ok_or(KeyChangeError::NotFound)?;
    let authority = lock_member(db, account, origin).await?;
    if authority.reaches(&key) { Ok((key, authority)) } else { Err(KeyChangeError::NotFound) }
}

/// Locks the rows that the authority rests on.
pub(crate) async fn lock(
    db: &mut Connection,
    account: AccountId,
    origin: Origin,
) -> Result<Authority, AuthorityError> {
    if let Actor::Key(asking) = origin.actor {
        lock_row(db, account, asking).await?;
    }
    lock_member(db, account, origin).await
}

/// Reads the authority. The row of a key is locked already; those of a user are locked here.
pub(super) async fn lock_member(
    db: &mut Connection,
    account: AccountId,
    origin: Origin,
) -> Result<Authority, AuthorityError> {
    if let Actor::User(user) = origin.actor {
        lock_role(db, account, user).await?;
    }
    read(db, account, origin).await
}

async fn lock_row(db: &mut Connection, account: AccountId, id: KeyId) -> Result<(), StoreError> {
    let sql = "SELECT id FROM keys WHERE id = $1 AND account_id = $2";
    db.fetch_locked(sql, binds![id.to_string(), account.to_string()]).await.map(drop)
}

/// Reads the authority without locks. A key that is gone, dead or may not write keys has none, and neither has a user who
/// is disabled, no member, or of a role that writes no keys.
pub(super) async fn read(
    db: &mut Connection,
    account: AccountId,
    origin: Origin,
) -> Result<Authority, AuthorityError> {
    match origin.actor {
        Actor::Local { .. } | Actor::System => Ok(Authority::Unbounded),
        Actor::Key(id) => {
            let key = row::key(db, account, id).await?;
            let key = key.filter(|key| key.is_usable(origin.at) && key.scopes.allows(Scope::KeysWrite));
            let rights = key.as_ref().map(Rights::from);
            rights.map(Authority::Key).ok_or(AuthorityError::None(Escalation::NoAuthority(Bound::Key)))
        }
        Actor::User(user) => {
            let member = role_of(db, account, user).await?;
            let member = member.filter(|member| member.role.scopes().allows(Scope::KeysWrite));
            member.map(Authority::Role).ok_or(AuthorityError::None(Escalation::NoAuthority(Bound::Role)))
        }
    }
}
