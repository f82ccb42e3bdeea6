//! What a user may do on an account, read in the transaction of the change: a role that was withdrawn a moment ago counts
//! no longer.

use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::id::{AccountId, UserId};
use telepath_core::key::{Authority, RoleAuthority};
use telepath_core::limit::RateLimit;
use telepath_core::scope::Scope;
use telepath_core::user::Role;

use super::UserError;
use crate::error::StoreError;
use crate::sql::{Connection, binds, corrupt};

/// Locks the rows that a role rests on until the transaction ends: user, account and membership, always in this order.
pub(crate) async fn lock_role(
    db: &mut Connection,
    account: AccountId,
    user: UserId,
) -> Result<(), StoreError> {
    let (account, user) = (account.to_string(), user.to_string());
    db.fetch_locked("SELECT id FROM users WHERE id = $1", binds![user.as_str()]).await?;
    db.fetch_locked("SELECT id FROM accounts WHERE id = $1", binds![account.as_str()]).await?;
    let sql = "SELECT role FROM memberships WHERE account_id = $1 AND user_id = $2";
    db.fetch_locked(sql, binds![account, user]).await.map(drop)
}

/// The role of a user in an account; `None` for a user who is disabled or no member.
pub(crate) async fn role_of(
    db: &mut Connection,
    account: AccountId,
    user: UserId,
) -> Result<Option<RoleAuthority>, StoreError> {
    let sql = "SELECT m.role AS role, a.max_rate_limit AS max_rate_limit FROM memberships m \
               JOIN users u ON u.id = m.user_id JOIN accounts a ON a.id = m.account_id \
               WHERE m.account_id = $1 AND m.user_id = $2 AND u.disabled_at IS NULL";
    let found = db.fetch_optional(sql, binds![account.to_string(), user.to_string()]).await?;
    let Some(row) = found else { return Ok(None) };
    let max_rate_limit =
        RateLimit::per_minute(row.number("max_rate_limit")?).ok_or_else(|| corrupt("max_rate_limit"))?;
    Ok(Some(RoleAuthority { user, role: row.named("role", Role::from_name)?, max_rate_limit }))
}

/// Refuses a user whose role in the account does not have a scope. Keys and local administration were asked for their
/// scopes when the request was admitted.
pub(crate) async fn require_scope(
    db: &mut Connection,
    account: AccountId,
    origin: Origin,
    scope: Scope,
) -> Result<(), StoreError> {
    let Actor::User(user) = origin.actor else { return Ok(()) };
    let member = role_of(db, account, user).await?;
    let allowed = member.is_some_and(|member| member.role.scopes().allows(scope));
    if allowed { Ok(()) } else { Err(StoreError::Forbidden) }
}

/// Locks what the authority of whoever changes users rests on. API keys change no users.
pub(super) async fn lock(
    db: &mut Connection,
    account: AccountId,
    origin: Origin,
) -> Result<Authority, UserError> {
    match origin.actor {
        Actor::Local { .. } | Actor::System => Ok(Authority::Unbounded),
        Actor::Key(_) => Err(UserError::Forbidden),
        Actor::User(user) => {
            lock_role(db, account, user).await?;
            let member = role_of(db, account, user).await?;
            member.map(Authority::Role).ok_or(UserError::Forbidden)
        }
    }
}

/// Refuses a caller who does not manage all of `roles`.
pub(super) fn require_manages(authority: &Authority, roles: &[Role]) -> Result<(), UserError> {
    let manages = match authority {
        Authority::Unbounded => true,
        Authority::Key(_) => false,
        Authority::Role(member) => roles.iter().all(|other| member.role.manages(*other)),
    };
    if manages { Ok(()) } else { Err(UserError::Forbidden) }
}

/// Refuses everyone but local administration and the server itself, because the change concerns more than one account.
pub(super) const fn require_local(origin: Origin) -> Result<(), UserError> {
    match origin.actor {
        Actor::Local { .. } | Actor::System => Ok(()),
        Actor::Key(_) | Actor::User(_) => Err(UserError::Forbidden),
    }
}
