//! Rows of users and memberships.

use telepath_core::id::{AccountId, UserId};
use telepath_core::page::{Page, PageRequest};
use telepath_core::user::{Email, Member, PasswordHash, Profile, Role, Theme, User, UserName};

use super::UserError;
use crate::error::StoreError;
use crate::sql::{Connection, ListQuery, Order, Row, binds};

pub(super) const COLUMNS: &str = "u.id AS id, u.email AS email, u.name AS name, u.password_hash AS password_hash, \
                       u.time_zone AS time_zone, u.theme AS theme, u.shortcuts_off AS shortcuts_off, \
                       u.created_at AS created_at, u.created_by AS created_by, \
                       u.last_sign_in_at AS last_sign_in_at, u.disabled_at AS disabled_at, \
                       (SELECT count(*) FROM second_factors f \
                        WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL) AS factors";

pub(super) fn user_of(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.parse("id")?,
        email: row.parse("email")?,
        name: UserName::from_stored(row.text("name")?),
        has_password: row.maybe_text("password_hash")?.is_some(),
        has_second_factor: row.integer("factors")? > 0,
        profile: Profile {
            time_zone: row.maybe_parse("time_zone")?,
            theme: row.named("theme", Theme::from_name)?,
            shortcuts_off: row.integer("shortcuts_off")? != 0,
        },
        created_at: row.time("created_at")?,
        created_by: row.parse("created_by")?,
        last_sign_in_at: row.maybe_time("last_sign_in_at")?,
        disabled_at: row.maybe_time("disabled_at")?,
    })
}

fn member_of(row: &Row) -> Result<Member, StoreError> {
    Ok(Member { user: user_of(row)?, role: row.named("role", Role::from_name)?, since: row.time("since")? })
}

pub(super) async fn user(db: &mut Connection, id: UserId) -> Result<Option<User>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM users u WHERE u.id = $1");
    db.fetch_optional(sql, binds![id.to_string()]).await?.as_ref().map(user_of).transpose()
}

pub(super) async fn by_email(db: &mut Connection, email: &Email) -> Result<Option<User>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM users u WHERE lower(u.email) = $1");
    db.fetch_optional(sql, binds![email.key()]).await?.as_ref().map(user_of).transpose()
}

/// The user, locked until the transaction ends.
pub(super) async fn locked(db: &mut Connection, id: UserId) -> Result<User, UserError> {
    let sql = "SELECT id FROM users WHERE id = $1";
    db.fetch_locked(sql, binds![id.to_string()]).await?.ok_or(UserError::NotFound)?;
    user(db, id).await?.ok_or(UserError::NotFound)
}

/// The hash of the user's password, when one is set.
pub(super) async fn password(db: &mut Connection, id: UserId) -> Result<Option<PasswordHash>, StoreError> {
    let row =
        db.fetch_optional("SELECT password_hash FROM users WHERE id = $1", binds![id.to_string()]).await?;
    let text = row.map(|row| row.maybe_text("password_hash")).transpose()?.flatten();
    Ok(text.map(PasswordHash::from_stored))
}

pub(super) async fn member(
    db: &mut Connection,
    account: AccountId,
    user: UserId,
) -> Result<Option<Member>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, m.role AS role, m.created_at AS since FROM memberships m \
         JOIN users u ON u.id = m.user_id WHERE m.account_id = $1 AND m.user_id = $2"
    );
    let row = db.fetch_optional(sql, binds![account.to_string(), user.to_string()]).await?;
    row.as_ref().map(member_of).transpose()
}

pub(super) async fn members(
    db: &mut Connection,
    account: AccountId,
    page: PageRequest,
) -> Result<Page<Member>, StoreError> {
    let columns = format!("{COLUMNS}, m.role AS role, m.created_at AS since");
    let list = ListQuery {
        columns: &columns,
        source: "FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.account_id = $1",
        filters: binds![account.to_string()],
        order: Order::by_creation("m.user_id", "m.created_at", true),
    };
    list.page(db, page).await?.try_map(|row| member_of(&row))
}

/// The role of a member, or `None` for a user who is not one.
pub(super) async fn role(
    db: &mut Connection,
    account: AccountId,
    user: UserId,
) -> Result<Option<Role>, StoreError> {
    let sql = "SELECT role FROM memberships WHERE account_id = $1 AND user_id = $2";
    let row = db.fetch_locked(sql, binds![account.to_string(), user.to_string()]).await?;
    row.map(|row| row.named("role", Role::from_name)).transpose()
}

/// Every membership of a user, in the order of the accounts' ids. Their number is bounded when they are written.
pub(super) async fn memberships(
    db: &mut Connection,
    user: UserId,
) -> Result<Vec<(AccountId, Role)>, StoreError> {
    let sql = "SELECT account_id, role FROM memberships WHERE user_id = $1 ORDER BY account_id";
    let rows = db.fetch_all(sql, binds![user.to_string()]).await?;
    rows.iter().map(|row| Ok((row.parse("account_id")?, row.named("role", Role::from_name)?))).collect()
}
