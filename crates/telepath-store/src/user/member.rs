//! Memberships: who belongs to an account, and with which role.

use serde_json::json;
use telepath_core::account::Actor;
use telepath_core::audit::{AuditAction, Origin};
use telepath_core::id::{AccountId, UserId};
use telepath_core::storage_limit::{StorageLimit, StorageLimits};
use telepath_core::user::{GroupRoles, Member, Role};

use super::trail::{Trail, role_field};
use super::{UserError, authority, row, session};
use crate::error::StoreError;
use crate::sql::{Connection, binds, corrupt};
use crate::storage_limit::lock_account;
use crate::store::Store;

impl Store {
    /// Makes a user a member of one more account. Only local administration may; members invite.
    pub async fn add_member(
        &self,
        account: AccountId,
        user: UserId,
        role: Role,
        origin: Origin,
    ) -> Result<Member, UserError> {
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(add_existing(db, trail, account, user, role))).await
    }

    /// Gives a member another role. It counts from their next request on.
    pub async fn set_role(
        &self,
        account: AccountId,
        user: UserId,
        role: Role,
        origin: Origin,
    ) -> Result<Member, UserError> {
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(set(db, trail, account, user, role))).await
    }

    /// Removes a member and ends their sessions on the account. The user stays, because keys and audit rows name them.
    pub async fn remove_member(
        &self,
        account: AccountId,
        user: UserId,
        origin: Origin,
    ) -> Result<(), UserError> {
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(remove(db, trail, account, user))).await
    }
}

async fn add_existing(
    db: &mut Connection,
    trail: Trail,
    account: AccountId,
    user: UserId,
    role: Role,
) -> Result<Member, UserError> {
    authority::require_local(trail.origin())?;
    row::locked(db, user).await?;
    add(db, &trail, account, user, role).await?;
    read_back(db, account, user).await
}

/// Adds a membership of a user who is locked or was just inserted.
pub(super) async fn add(
    db: &mut Connection,
    trail: &Trail,
    account: AccountId,
    user: UserId,
    role: Role,
) -> Result<(), UserError> {
    lock_account(db, account).await?;
    let sql = "SELECT count(*) AS total FROM memberships WHERE account_id = $1";
    let members = db.fetch_one(sql, binds![account.to_string()]).await?.number("total")?;
    let memberships = row::memberships(db, user).await?.len() as u64;
    let storage_limits = StorageLimits::default();
    storage_limits.check(StorageLimit::Members, members).map_err(StoreError::from)?;
    storage_limits.check(StorageLimit::Memberships, memberships).map_err(StoreError::from)?;
    let sql = "INSERT INTO memberships (account_id, user_id, role, created_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (account_id, user_id) DO NOTHING";
    let values = binds![account.to_string(), user.to_string(), role.name(), trail.at()];
    if db.execute(sql, values).await? == 0 {
        return Err(UserError::AlreadyMember);
    }
    Ok(trail.write(db, account, AuditAction::UserAdded, &user, (json!({}), role_field(role))).await?)
}

async fn set(
    db: &mut Connection,
    trail: Trail,
    account: AccountId,
    user: UserId,
    role: Role,
) -> Result<Member, UserError> {
    let authority = authority::lock(db, account, trail.origin()).await?;
    lock_account(db, account).await?;
    let old = row::role(db, account, user).await?.ok_or(UserError::NotFound)?;
    authority::require_manages(&authority, &[old, role])?;
    change(db, &trail, (account, user), old, role).await?;
    read_back(db, account, user).await
}

/// Gives a member another role, in an account that is locked.
async fn change(
    db: &mut Connection,
    trail: &Trail,
    (account, user): (AccountId, UserId),
    old: Role,
    role: Role,
) -> Result<(), UserError> {
    if old == role {
        return Ok(());
    }
    if old == Role::Owner {
        require_other_owner(db, account, user).await?;
    }
    let sql = "UPDATE memberships SET role = $3 WHERE account_id = $1 AND user_id = $2";
    db.execute(sql, binds![account.to_string(), user.to_string(), role.name()]).await?;
    let changes = (role_field(old), role_field(role));
    Ok(trail.write(db, account, AuditAction::UserRoleChanged, &user, changes).await?)
}

/// Gives a user the role that the groups of their provider say: as a new member, or in the place of the role that they have.
/// The last owner stays one, because the account needs somebody who can change what is wrong.
pub(super) async fn follow_groups(
    db: &mut Connection,
    trail: &Trail,
    account: AccountId,
    user: UserId,
    (mapping, groups): (&GroupRoles, &[String]),
) -> Result<(), UserError> {
    lock_account(db, account).await?;
    let given = mapping.role_of(groups);
    match (row::role(db, account, user).await?, given) {
        (None, Some(role)) => add(db, trail, account, user, role).await,
        (Some(old), Some(role)) if mapping.decides() => {
            match change(db, trail, (account, user), old, role).await {
                Err(UserError::LastOwner) => Ok(()),
                other => other,
            }
        }
        (Some(_), _) if !mapping.decides() => Ok(()),
        (None | Some(_), None) | (Some(_), Some(_)) => Err(UserError::NoMembership),
    }
}

async fn remove(
    db: &mut Connection,
    trail: Trail,
    account: AccountId,
    user: UserId,
) -> Result<(), UserError> {
    let authority = authority::lock(db, account, trail.origin()).await?;
    lock_account(db, account).await?;
    let old = row::role(db, account, user).await?.ok_or(UserError::NotFound)?;
    // Every member may leave.
    if trail.origin().actor != Actor::User(user) {
        authority::require_manages(&authority, &[old])?;
    }
    if old == Role::Owner {
        require_other_owner(db, account, user).await?;
    }
    let sql = "DELETE FROM memberships WHERE account_id = $1 AND user_id = $2";
    db.execute(sql, binds![account.to_string(), user.to_string()]).await?;
    trail.write(db, account, AuditAction::UserRemoved, &user, (role_field(old), json!({}))).await?;
    session::revoke_all(db, user, Some(account), trail.at()).await?;
    Ok(())
}

/// Every change of an account's memberships locks its row first, so that two owners cannot demote each other at once.
/// A disabled owner does not count: they could not help anybody.
async fn require_other_owner(db: &mut Connection, account: AccountId, user: UserId) -> Result<(), UserError> {
    let sql = "SELECT count(*) AS total FROM memberships m JOIN users u ON u.id = m.user_id \
               WHERE m.account_id = $1 AND m.role = 'owner' AND m.user_id <> $2 AND u.disabled_at IS NULL";
    let others = db.fetch_one(sql, binds![account.to_string(), user.to_string()]).await?.integer("total")?;
    if others > 0 { Ok(()) } else { Err(UserError::LastOwner) }
}

async fn read_back(db: &mut Connection, account: AccountId, user: UserId) -> Result<Member, UserError> {
    Ok(row::member(db, account, user).await?.ok_or_else(|| corrupt("memberships.user_id"))?)
}
