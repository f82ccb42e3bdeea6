//! What members with a managing role do for other members: their sessions, lost second factors, and links for forgotten
//! passwords.

use serde_json::json;
use telepath_core::account::Actor;
use telepath_core::audit::{AuditAction, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, UserId};
use telepath_core::user::{
    Email, PERSISTENT_LIFETIME, Role, SESSION_IDLE, SESSION_LIFETIME, TokenHash, TokenPurpose, User,
    UserToken,
};

use super::trail::Trail;
use super::{UserError, authority, factor, link, row, session};
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;

/// The use of an account by one of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberActivity {
    pub user: UserId,
    /// Sessions on the account that have not ended.
    pub sessions: u32,
    /// The last request of a session on the account, to the minute; kept for 30 days.
    pub last_seen_at: Option<Timestamp>,
}

/// Who gets the link that sets a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRecipient {
    /// The user, at their address.
    User,
    /// Whoever makes the link and passes it on. They could use it themselves, so they must manage the user in every
    /// account that the user is a member of.
    Caller,
}

impl Store {
    /// The sessions of members on an account. Members who never signed in are left out. The number of members is bounded.
    pub async fn member_activity(&self, account: AccountId) -> Result<Vec<MemberActivity>, StoreError> {
        let now = self.now();
        // The same as `Session::status`, for all members at once.
        let sql = "SELECT s.user_id AS user_id, max(s.last_seen_at) AS last_seen_at, \
                     sum(CASE WHEN s.revoked_at IS NULL AND s.signed_in_at IS NOT NULL AND s.created_at <= $5 \
                       AND ((s.persistent = 1 AND s.created_at > $2 AND s.last_seen_at > $2) \
                         OR (s.persistent = 0 AND s.created_at > $3 AND s.last_seen_at > $4)) \
                       THEN 1 ELSE 0 END) AS sessions \
                   FROM memberships m JOIN sessions s ON s.user_id = m.user_id AND s.account_id = m.account_id \
                   WHERE m.account_id = $1 GROUP BY s.user_id";
        let values = binds![
            account.to_string(),
            now.minus(PERSISTENT_LIFETIME),
            now.minus(SESSION_LIFETIME),
            now.minus(SESSION_IDLE),
            now.horizon(SESSION_IDLE),
        ];
        let rows = self.backend.read().await?.fetch_all(sql, values).await?;
        let activity = rows.iter().map(|row| {
            Ok(MemberActivity {
                user: row.parse("user_id")?,
                sessions: row.number("sessions")?,
                last_seen_at: row.maybe_time("last_seen_at")?,
            })
        });
        activity.collect()
    }

    /// Ends the sessions of a member on an account. Sessions on other accounts stay; how many ended.
    pub async fn revoke_member_sessions(
        &self,
        account: AccountId,
        user: UserId,
        origin: Origin,
    ) -> Result<u64, UserError> {
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(revoke_sessions(db, trail, account, user))).await
    }

    /// Removes the second factor and the recovery codes of a member who has lost both. Their sessions on all accounts end, so
    /// that somebody who has only their password cannot keep one. Only an owner may.
    ///
    /// # Errors
    /// [`UserError::OtherAccounts`] when the user is a member of accounts in which the caller does not manage them, and
    /// [`UserError::SecondFactorState`] when there is no second factor.
    pub async fn remove_member_second_factor(
        &self,
        account: AccountId,
        user: UserId,
        origin: Origin,
    ) -> Result<(), UserError> {
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(remove_second_factor(db, trail, account, user))).await
    }

    /// Makes a link with which a member sets another password. An older link stops working; the password and the sessions
    /// stay until the link is used.
    ///
    /// # Errors
    /// [`UserError::OtherAccounts`] when the caller is to get the link, and the user is a member of accounts in which the
    /// caller does not manage them.
    pub async fn create_member_password_link(
        &self,
        account: AccountId,
        user: UserId,
        recipient: LinkRecipient,
        origin: Origin,
    ) -> Result<UserToken, UserError> {
        let (token, hash) = self.new_token(TokenPurpose::PasswordLink)?;
        let trail = self.trail(origin);
        let new = NewLink { account, user, recipient, hash };
        self.backend.write(move |db| Box::pin(create_link(db, trail, new))).await?;
        Ok(token)
    }

    /// Counts a request for a password link, whether or not the address belongs to a user.
    ///
    /// # Errors
    /// [`UserError::Wait`] after too many requests for the address, or too many failures from the network.
    pub async fn begin_password_request(&self, email: &str, origin: Origin) -> Result<(), UserError> {
        let name = format!("reset:{}", email.trim().to_ascii_lowercase());
        self.begin_attempt(&name, origin).await.map(drop)
    }

    /// The link for a user who forgot their password, to be sent to their address; `None` if no user who may sign in has it.
    pub async fn forgotten_password_link(
        &self,
        email: &str,
        origin: Origin,
    ) -> Result<Option<(User, UserToken)>, UserError> {
        let Ok(email) = email.parse::<Email>() else { return Ok(None) };
        let Some(user) = self.find_user(&email).await? else { return Ok(None) };
        let origin = Origin { actor: Actor::System, ..origin };
        match self.create_password_link(user.id, origin).await {
            Ok(token) => Ok(Some((user, token))),
            Err(UserError::Disabled | UserError::NoMembership | UserError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

async fn revoke_sessions(
    db: &mut Connection,
    trail: Trail,
    account: AccountId,
    user: UserId,
) -> Result<u64, UserError> {
    let authority = authority::lock(db, account, trail.origin()).await?;
    let role = row::role(db, account, user).await?.ok_or(UserError::NotFound)?;
    authority::require_manages(&authority, &[role])?;
    trail.write(db, account, AuditAction::SessionsRevoked, &user, (json!({}), json!({}))).await?;
    Ok(session::revoke_all(db, user, Some(account), trail.at()).await?)
}

async fn remove_second_factor(
    db: &mut Connection,
    trail: Trail,
    account: AccountId,
    user: UserId,
) -> Result<(), UserError> {
    lock_users(db, &trail, user).await?;
    let authority = authority::lock(db, account, trail.origin()).await?;
    row::role(db, account, user).await?.ok_or(UserError::NotFound)?;
    authority::require_manages(&authority, &[Role::Owner])?;
    require_managed_everywhere(db, &trail, user).await?;
    session::revoke_all(db, user, None, trail.at()).await?;
    factor::delete(db, trail, user).await
}

struct NewLink {
    account: AccountId,
    user: UserId,
    recipient: LinkRecipient,
    hash: TokenHash,
}

async fn create_link(db: &mut Connection, trail: Trail, new: NewLink) -> Result<(), UserError> {
    let NewLink { account, user, recipient, hash } = new;
    lock_users(db, &trail, user).await?;
    let authority = authority::lock(db, account, trail.origin()).await?;
    let role = row::role(db, account, user).await?.ok_or(UserError::NotFound)?;
    authority::require_manages(&authority, &[role])?;
    if recipient == LinkRecipient::Caller {
        require_managed_everywhere(db, &trail, user).await?;
    }
    link::create(db, &trail, user, hash).await
}

/// Locks the user and whoever makes the change before anything else, in one order.
async fn lock_users(db: &mut Connection, trail: &Trail, user: UserId) -> Result<(), StoreError> {
    let caller = match trail.origin().actor {
        Actor::User(caller) => caller,
        Actor::Local { .. } | Actor::System | Actor::Key(_) => user,
    };
    let sql = "SELECT id FROM users WHERE id IN ($1, $2) ORDER BY id";
    db.lock_all(sql.to_owned(), binds![user.to_string(), caller.to_string()]).await.map(drop)
}

/// Refuses a caller who would get into an account through a user whom they do not manage there.
async fn require_managed_everywhere(
    db: &mut Connection,
    trail: &Trail,
    user: UserId,
) -> Result<(), UserError> {
    let Actor::User(caller) = trail.origin().actor else { return Ok(()) };
    for (account, role) in row::memberships(db, user).await? {
        let own = authority::role_of(db, account, caller).await?;
        if !own.is_some_and(|own| own.role.manages(role)) {
            return Err(UserError::OtherAccounts);
        }
    }
    Ok(())
}
