//! The transactions that create, change, disable and enable users.

use serde_json::{Value, json};
use telepath_core::audit::AuditAction;
use telepath_core::id::{AccountId, UserId};
use telepath_core::storage_limit::{StorageLimit, StorageLimits};
use telepath_core::user::{
    Member, Profile, SETUP_LINK_LIFETIME, Theme, TimeZoneName, TokenHash, User, UserPatch,
};

use super::trail::Trail;
use super::{NewUser, UserError, authority, link, member, row, session};
use crate::audit::diff::diff;
use crate::error::StoreError;
use crate::event;
use crate::sql::{Connection, binds, corrupt};
use crate::storage_limit::lock_creation;

pub(super) struct Creation {
    pub(super) account: AccountId,
    pub(super) id: UserId,
    pub(super) new: NewUser,
    pub(super) link: TokenHash,
}

pub(super) async fn create(
    db: &mut Connection,
    trail: Trail,
    creation: Creation,
) -> Result<Member, UserError> {
    let Creation { account, id, new, link } = creation;
    authority::require_local(trail.origin())?;
    insert(db, &trail, account, id, &new).await?;
    member::add(db, &trail, account, id, new.role).await?;
    link::put(db, id, link, trail.at(), trail.at().plus(SETUP_LINK_LIFETIME)).await?;
    Ok(row::member(db, account, id).await?.ok_or_else(|| corrupt("memberships.user_id"))?)
}

/// Adds the row of a user who is a member of nothing yet; audited in the account that they are about to become a member of.
pub(super) async fn insert(
    db: &mut Connection,
    trail: &Trail,
    account: AccountId,
    id: UserId,
    new: &NewUser,
) -> Result<(), UserError> {
    lock_creation(db).await?;
    let users = db.fetch_one("SELECT count(*) AS total FROM users", vec![]).await?.number("total")?;
    StorageLimits::default().check(StorageLimit::Users, users).map_err(StoreError::from)?;
    let sql = "INSERT INTO users (id, email, name, theme, shortcuts_off, created_at, created_by) \
               VALUES ($1, $2, $3, $4, 0, $5, $6)";
    let values = binds![
        id.to_string(),
        new.email.as_str(),
        new.name.as_str(),
        Theme::default().name(),
        trail.at(),
        trail.origin().actor.to_string(),
    ];
    db.execute(sql, values).await.map_err(taken)?;
    let after = json!({ "email": new.email.as_str(), "name": new.name.as_str() });
    Ok(trail.write(db, account, AuditAction::UserCreated, &id, (json!({}), after)).await?)
}

fn taken(error: StoreError) -> UserError {
    if error.is_unique_violation() { UserError::EmailTaken } else { error.into() }
}

pub(super) async fn update(
    db: &mut Connection,
    trail: Trail,
    id: UserId,
    patch: UserPatch,
) -> Result<User, UserError> {
    let old = row::locked(db, id).await?;
    let (name, profile) = patch.apply(old.name.clone(), old.profile.clone());
    let new = User { name, profile, ..old.clone() };
    let (before, after) = diff(&audit_fields(&old), &audit_fields(&new));
    if after.is_empty() {
        return Ok(old);
    }
    let Profile { time_zone, theme, shortcuts_off } = &new.profile;
    let sql = "UPDATE users SET name = $2, time_zone = $3, theme = $4, shortcuts_off = $5 WHERE id = $1";
    let values = binds![
        id.to_string(),
        new.name.as_str(),
        time_zone.as_ref().map(TimeZoneName::as_str),
        theme.name(),
        i64::from(*shortcuts_off),
    ];
    db.execute(sql, values).await?;
    let changes = (Value::Object(before), Value::Object(after));
    trail.write_everywhere(db, id, AuditAction::UserUpdated, changes).await?;
    Ok(new)
}

/// What users change themselves.
fn audit_fields(user: &User) -> serde_json::Map<String, Value> {
    event::fields(json!({
        "name": user.name.as_str(),
        "time_zone": user.profile.time_zone.as_ref().map(TimeZoneName::as_str),
        "theme": user.profile.theme.name(),
        "shortcuts_off": user.profile.shortcuts_off,
    }))
}

pub(super) async fn set_disabled(
    db: &mut Connection,
    trail: Trail,
    id: UserId,
    disabled: bool,
) -> Result<User, UserError> {
    authority::require_local(trail.origin())?;
    let old = row::locked(db, id).await?;
    if old.disabled_at.is_some() == disabled {
        return Ok(old);
    }
    let disabled_at = disabled.then_some(trail.at());
    let sql = "UPDATE users SET disabled_at = $2 WHERE id = $1";
    db.execute(sql, binds![id.to_string(), disabled_at]).await?;
    let action = if disabled { AuditAction::UserDisabled } else { AuditAction::UserEnabled };
    let changes = (json!({ "disabled": !disabled }), json!({ "disabled": disabled }));
    trail.write_everywhere(db, id, action, changes).await?;
    if disabled {
        link::remove(db, id).await?;
        session::revoke_all(db, id, None, trail.at()).await?;
    }
    Ok(User { disabled_at, ..old })
}
