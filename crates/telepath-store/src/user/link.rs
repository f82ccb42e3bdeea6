//! One-use links that set a password: the first one, or the replacement of a forgotten one.

use std::time::Duration;

use serde_json::json;
use telepath_core::audit::{AuditAction, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::id::{SessionId, UserId};
use telepath_core::secret::SecretText;
use telepath_core::user::{
    PASSWORD_LINK_LIFETIME, Password, PasswordHash, TokenHash, TokenPurpose, User, UserToken,
};

use super::trail::Trail;
use super::{UserError, authority, row, session, sign_in};
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;

impl Store {
    /// Makes a link with which a user sets another password. An older link stops working; the password and the sessions
    /// stay until the link is used. Only local administration and the server itself, which mails it, may.
    pub async fn create_password_link(&self, user: UserId, origin: Origin) -> Result<UserToken, UserError> {
        let (token, hash) = self.new_token(TokenPurpose::PasswordLink)?;
        let trail = self.trail(origin);
        self.backend
            .write(move |db| {
                Box::pin(async move {
                    authority::require_local(trail.origin())?;
                    create(db, &trail, user, hash).await
                })
            })
            .await?;
        Ok(token)
    }

    /// The user of a link, while it works.
    pub async fn find_password_link(&self, token: &UserToken) -> Result<Option<User>, StoreError> {
        let hash = self.context.vault.hash_token(TokenPurpose::PasswordLink, token.expose());
        let now = self.now();
        find(&mut self.backend.read().await?, hash, now).await
    }

    /// Sets the password of the user of a link, uses the link up, and ends all of their sessions. The audit row names the
    /// user as the one who did it.
    pub async fn use_password_link(
        &self,
        token: &UserToken,
        password: SecretText,
        origin: Origin,
    ) -> Result<User, UserError> {
        let user = self.find_password_link(token).await?.ok_or(UserError::InvalidLink)?;
        let password =
            Password::check(password, &user.email, user.name.as_str()).map_err(UserError::WeakPassword)?;
        let hash = self.hash_password(password).await?;
        let link = self.context.vault.hash_token(TokenPurpose::PasswordLink, token.expose());
        let origin = Origin { actor: telepath_core::account::Actor::User(user.id), ..origin };
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(use_up(db, trail, link, hash))).await
    }

    /// Changes the password of a user who knows the current one. All other sessions of the user end, and this one gets a new
    /// token.
    pub async fn change_password(
        &self,
        session: SessionId,
        current: SecretText,
        password: SecretText,
        origin: Origin,
    ) -> Result<UserToken, UserError> {
        let user = self.user_of_session(session).await?;
        let password =
            Password::check(password, &user.email, user.name.as_str()).map_err(UserError::WeakPassword)?;
        sign_in::require_password(self, &user, current, origin).await?;
        let hash = self.hash_password(password).await?;
        let (token, token_hash) = self.new_token(TokenPurpose::Session)?;
        let trail = self.trail(origin);
        let change = Change { session, hash, token: token_hash };
        self.backend.write(move |db| Box::pin(change_known(db, trail, change))).await?;
        Ok(token)
    }

    /// The user of a session that has not ended.
    pub(super) async fn user_of_session(&self, id: SessionId) -> Result<User, UserError> {
        let mut db = self.backend.read().await?;
        let session = session::by_id(&mut db, id).await?;
        row::user(&mut db, session.user).await?.ok_or(UserError::NotFound)
    }
}

/// Makes a link for a user who may sign in.
pub(super) async fn create(
    db: &mut Connection,
    trail: &Trail,
    user: UserId,
    hash: TokenHash,
) -> Result<(), UserError> {
    if row::locked(db, user).await?.disabled_at.is_some() {
        return Err(UserError::Disabled);
    }
    put(db, user, hash, trail.at(), trail.at().plus(PASSWORD_LINK_LIFETIME)).await?;
    trail.write_everywhere(db, user, AuditAction::UserPasswordLinkCreated, (json!({}), json!({}))).await
}

/// Stores the link of a user in the place of an older one.
pub(super) async fn put(
    db: &mut Connection,
    user: UserId,
    hash: TokenHash,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    remove(db, user).await?;
    let sql =
        "INSERT INTO password_links (user_id, token_hash, created_at, expires_at) VALUES ($1, $2, $3, $4)";
    db.execute(sql, binds![user.to_string(), &hash.as_bytes()[..], now, expires_at]).await.map(drop)
}

pub(super) async fn remove(db: &mut Connection, user: UserId) -> Result<(), StoreError> {
    db.execute("DELETE FROM password_links WHERE user_id = $1", binds![user.to_string()]).await.map(drop)
}

async fn find(db: &mut Connection, hash: TokenHash, now: Timestamp) -> Result<Option<User>, StoreError> {
    // A link from beyond the horizon was created while the clock was ahead: its age is unknown.
    let sql =
        "SELECT user_id FROM password_links WHERE token_hash = $1 AND expires_at > $2 AND created_at <= $3";
    let values = binds![&hash.as_bytes()[..], now, now.horizon(Duration::ZERO)];
    let Some(found) = db.fetch_optional(sql, values).await? else {
        return Ok(None);
    };
    let user = row::user(db, found.parse("user_id")?).await?;
    Ok(user.filter(|user| user.disabled_at.is_none()))
}

async fn use_up(
    db: &mut Connection,
    trail: Trail,
    link: TokenHash,
    hash: PasswordHash,
) -> Result<User, UserError> {
    let found = find(db, link, trail.at()).await?.ok_or(UserError::InvalidLink)?;
    let user = row::locked(db, found.id).await?;
    // Of two who use a link at once, one deletes it.
    let sql = "DELETE FROM password_links WHERE user_id = $1 AND token_hash = $2";
    if db.execute(sql, binds![user.id.to_string(), &link.as_bytes()[..]]).await? == 0 {
        return Err(UserError::InvalidLink);
    }
    store_hash(db, user.id, &hash).await?;
    trail.write_everywhere(db, user.id, AuditAction::UserPasswordChanged, (json!({}), json!({}))).await?;
    session::revoke_all(db, user.id, None, trail.at()).await?;
    Ok(User { has_password: true, ..user })
}

struct Change {
    session: SessionId,
    hash: PasswordHash,
    token: TokenHash,
}

async fn change_known(db: &mut Connection, trail: Trail, change: Change) -> Result<(), UserError> {
    let session = session::by_id(db, change.session).await?;
    let user = row::locked(db, session.user).await?;
    store_hash(db, user.id, &change.hash).await?;
    remove(db, user.id).await?;
    trail.write_everywhere(db, user.id, AuditAction::UserPasswordChanged, (json!({}), json!({}))).await?;
    let sql = "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL AND id <> $3";
    db.execute(sql, binds![user.id.to_string(), trail.at(), session.id.to_string()]).await?;
    session::confirm(db, &session, change.token, trail.at()).await.map(drop)
}

pub(super) async fn store_hash(
    db: &mut Connection,
    user: UserId,
    hash: &PasswordHash,
) -> Result<(), StoreError> {
    let sql = "UPDATE users SET password_hash = $2 WHERE id = $1";
    db.execute(sql, binds![user.to_string(), hash.as_str()]).await.map(drop)
}
