//! Sessions of users. A session is found by the hash of its token. Each look-up re-reads the user and the role, so a change takes
//! effect with the next request, on every server.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use telepath_core::audit::{AuditAction, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, SessionId, UserId};
use telepath_core::principal::{Principal, UserSession};
use telepath_core::user::{
    MAX_SESSIONS, Role, Session, SessionStatus, TokenHash, TokenPurpose, User, UserToken,
};

use super::trail::Trail;
use super::{UserError, authority, row};
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds};
use crate::store::Store;

/// Requests of a session within this time are recorded once.
const SEEN_EVERY: Duration = Duration::from_mins(1);
/// The most characters of a user agent that are stored.
const USER_AGENT: usize = 256;

/// A session to start after the password, or its replacement, was correct.
#[derive(Debug, Clone, Default)]
pub struct NewSession {
    /// Whether the user chose to stay signed in.
    pub persistent: bool,
    pub user_agent: String,
}

/// A session with the token for its cookie.
#[derive(Debug)]
pub struct StartedSession {
    pub session: Session,
    /// The only time that it is seen.
    pub token: UserToken,
}

/// The session and the rights of a token.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Active, or awaiting the second factor.
    pub session: Session,
    pub user: User,
    /// The role in the account of the session.
    pub role: Role,
    /// Every account that the user is a member of, in the order of their ids.
    pub memberships: Vec<(AccountId, Role)>,
}

impl SignedIn {
    /// The principal of the session's requests; `None` while it awaits the second factor, or once it has ended.
    pub fn principal(&self, now: Timestamp) -> Option<Principal> {
        let Session { id: session, user, account, .. } = self.session;
        match self.session.status(now) {
            SessionStatus::Active => {
                Some(Principal::User(UserSession { session, user, account, role: self.role }))
            }
            SessionStatus::AwaitingSecondFactor | SessionStatus::Expired | SessionStatus::Revoked => None,
        }
    }
}

impl Store {
    /// Starts a session of a user on an account. It awaits the second factor when the user has one.
    pub async fn create_session(
        &self,
        account: AccountId,
        user: UserId,
        new: NewSession,
        origin: Origin,
    ) -> Result<StartedSession, UserError> {
        let (token, hash) = self.new_token(TokenPurpose::Session)?;
        let (trail, id) = (self.trail(origin), self.new_id(origin.at)?);
        let start = Start { account, user, id, hash, new };
        let session = self.backend.write(move |db| Box::pin(create(db, trail, start))).await?;
        Ok(StartedSession { session, token })
    }

    /// Finds the session of a token; `None` when it has ended, or its user may not sign in or is no member any more.
    pub async fn find_session(&self, token: &UserToken) -> Result<Option<SignedIn>, StoreError> {
        let hash = self.context.vault.hash_token(TokenPurpose::Session, token.expose());
        let now = self.now();
        let mut db = self.backend.read().await?;
        // One statement, because every page and every event stream begins with it. The number of memberships is bounded.
        let sql = format!(
            "SELECT {COLUMNS}, {}, m.account_id AS member_of, m.role AS role FROM sessions s \
             JOIN users u ON u.id = s.user_id JOIN memberships m ON m.user_id = u.id \
             WHERE s.token_hash = $1 ORDER BY m.account_id",
            row::COLUMNS
        );
        let rows = db.fetch_all(sql, binds![&hash.as_bytes()[..]]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let (session, user) = (session_of(first)?, row::user_of(first)?);
        let memberships =
            rows.iter().map(|row| Ok((row.parse("member_of")?, row.named("role", Role::from_name)?)));
        let memberships = memberships.collect::<Result<Vec<(AccountId, Role)>, StoreError>>()?;
        let current = memberships.iter().find(|(account, _)| *account == session.account);
        let Some(&(_, role)) = current else { return Ok(None) };
        let lives = match session.status(now) {
            SessionStatus::Active | SessionStatus::AwaitingSecondFactor => user.disabled_at.is_none(),
            SessionStatus::Expired | SessionStatus::Revoked => false,
        };
        Ok(lives.then_some(SignedIn { session, user, role, memberships }))
    }

    /// Records that a session was used, at most once a minute. Nothing is audited.
    pub async fn touch_session(&self, id: SessionId, address: Option<IpAddr>) -> Result<(), StoreError> {
        let now = self.now();
        let touch = "UPDATE sessions SET last_seen_at = $2, address = $3 \
                     WHERE id = $1 AND (last_seen_at <= $4 OR last_seen_at > $5)";
        let values = binds![id.to_string(), now, address, now.minus(SEEN_EVERY), now.horizon(Duration::ZERO)];
        self.backend.write(move |db| Box::pin(async move { db.execute(touch, values).await.map(drop) })).await
    }

    /// Lets a session work on another account of its user.
    pub async fn switch_session(
        &self,
        account: AccountId,
        id: SessionId,
        origin: Origin,
    ) -> Result<Session, UserError> {
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(switch(db, trail, account, id))).await
    }

    /// Sessions of a user that have not ended, the last used first. Their number is bounded when they start.
    pub async fn list_sessions(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        let now = self.now();
        let sql = format!(
            "SELECT {COLUMNS} FROM sessions s WHERE user_id = $1 AND revoked_at IS NULL \
             ORDER BY last_seen_at DESC, id DESC"
        );
        let rows = self.backend.read().await?.fetch_all(sql, binds![user.to_string()]).await?;
        let all = rows.iter().map(session_of).collect::<Result<Vec<_>, _>>()?;
        let lives = |session: &Session| session.status(now) != SessionStatus::Expired;
        Ok(all.into_iter().filter(lives).collect())
    }

    /// Ends a session on an account: one's own, or one of a member whom the caller manages.
    pub async fn revoke_session(
        &self,
        account: AccountId,
        id: SessionId,
        origin: Origin,
    ) -> Result<(), UserError> {
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(revoke(db, trail, account, id))).await
    }

    /// Ends every session of a user, on all accounts, except one; how many.
    pub async fn revoke_other_sessions(
        &self,
        user: UserId,
        except: Option<SessionId>,
        origin: Origin,
    ) -> Result<u64, UserError> {
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(revoke_others(db, trail, user, except))).await
    }
}

struct Start {
    account: AccountId,
    user: UserId,
    id: SessionId,
    hash: TokenHash,
    new: NewSession,
}

async fn create(db: &mut Connection, trail: Trail, start: Start) -> Result<Session, UserError> {
    let Start { account, user, id, hash, new } = start;
    let owner = row::locked(db, user).await?;
    if owner.disabled_at.is_some() {
        return Err(UserError::Disabled);
    }
    row::member(db, account, user).await?.ok_or(UserError::NoMembership)?;
    let now = trail.at();
    // A session that still awaits a factor has confirmed nothing.
    let signed_in_at = (!owner.has_second_factor).then_some(now);
    let session = Session {
        id,
        user,
        account,
        created_at: now,
        last_seen_at: now,
        persistent: new.persistent,
        address: trail.origin().address,
        user_agent: new.user_agent.chars().take(USER_AGENT).collect(),
        signed_in_at,
        confirmed_at: signed_in_at,
        revoked_at: None,
    };
    insert(db, &session, hash).await?;
    if signed_in_at.is_some() {
        signed_in(db, user, now).await?;
    }
    let after = json!({ "user": user.to_string(), "awaits_second_factor": owner.has_second_factor });
    trail.write(db, account, AuditAction::SessionCreated, &id, (json!({}), after)).await?;
    trim(db, user, now).await?;
    Ok(session)
}

async fn insert(db: &mut Connection, session: &Session, hash: TokenHash) -> Result<(), StoreError> {
    let sql = "INSERT INTO sessions (id, user_id, account_id, token_hash, created_at, last_seen_at, persistent, \
               address, user_agent, signed_in_at, confirmed_at) VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10)";
    let values = binds![
        session.id.to_string(),
        session.user.to_string(),
        session.account.to_string(),
        &hash.as_bytes()[..],
        session.created_at,
        i64::from(session.persistent),
        session.address,
        session.user_agent.as_str(),
        session.signed_in_at,
        session.confirmed_at,
    ];
    db.execute(sql, values).await.map(drop)
}

pub(super) async fn signed_in(db: &mut Connection, user: UserId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE users SET last_sign_in_at = $2 WHERE id = $1";
    db.execute(sql, binds![user.to_string(), now]).await.map(drop)
}

/// Ends the sessions beyond the newest ones that a user may have.
async fn trim(db: &mut Connection, user: UserId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL AND id NOT IN \
               (SELECT id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL \
                ORDER BY last_seen_at DESC, id DESC LIMIT $3)";
    db.execute(sql, binds![user.to_string(), now, MAX_SESSIONS]).await.map(drop)
}

async fn switch(
    db: &mut Connection,
    trail: Trail,
    account: AccountId,
    id: SessionId,
) -> Result<Session, UserError> {
    let session = by_id(db, id).await?;
    let user = row::locked(db, session.user).await?;
    row::member(db, account, user.id).await?.ok_or(UserError::NoMembership)?;
    if session.account == account {
        return Ok(session);
    }
    let [before, after] = [session.account, account].map(|account| json!({ "account": account.to_string() }));
    trail.write(db, account, AuditAction::SessionSwitched, &id, (before, after)).await?;
    let sql = "UPDATE sessions SET account_id = $2 WHERE id = $1 AND revoked_at IS NULL";
    if db.execute(sql, binds![id.to_string(), account.to_string()]).await? == 0 {
        return Err(UserError::SessionNotFound);
    }
    Ok(Session { account, ..session })
}

async fn revoke(
    db: &mut Connection,
    trail: Trail,
    account: AccountId,
    id: SessionId,
) -> Result<(), UserError> {
    let session = by_id(db, id).await?;
    if session.account != account {
        return Err(UserError::SessionNotFound);
    }
    if trail.origin().actor != telepath_core::account::Actor::User(session.user) {
        let authority = authority::lock(db, account, trail.origin()).await?;
        let role = row::role(db, account, session.user).await?.unwrap_or(Role::Viewer);
        authority::require_manages(&authority, &[role])?;
    }
    let changes = (json!({ "user": session.user.to_string() }), json!({}));
    trail.write(db, account, AuditAction::SessionRevoked, &id, changes).await?;
    let sql = "UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
    db.execute(sql, binds![id.to_string(), trail.at()]).await?;
    Ok(())
}

async fn revoke_others(
    db: &mut Connection,
    trail: Trail,
    user: UserId,
    except: Option<SessionId>,
) -> Result<u64, UserError> {
    if trail.origin().actor != telepath_core::account::Actor::User(user) {
        authority::require_local(trail.origin())?;
    }
    row::locked(db, user).await?;
    trail.write_everywhere(db, user, AuditAction::SessionsRevoked, (json!({}), json!({}))).await?;
    let sql = "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL AND id <> $3";
    let except = except.map(|id| id.to_string()).unwrap_or_default();
    Ok(db.execute(sql, binds![user.to_string(), trail.at(), except]).await?)
}

/// Ends all sessions of a user, or those on one account; how many.
pub(super) async fn revoke_all(
    db: &mut Connection,
    user: UserId,
    account: Option<AccountId>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sql = "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL \
               AND ($3 IS NULL OR account_id = $3)";
    db.execute(sql, binds![user.to_string(), now, account.map(|id| id.to_string())]).await
}

/// Gives a session a new token, and records that its user has just proved who they are. The old token is worth nothing
/// from then on, so one that somebody planted before the sign-in is too.
pub(super) async fn confirm(
    db: &mut Connection,
    session: &Session,
    hash: TokenHash,
    now: Timestamp,
) -> Result<Session, UserError> {
    let signed_in_at = session.signed_in_at.unwrap_or(now);
    let sql = "UPDATE sessions SET token_hash = $2, signed_in_at = $3, confirmed_at = $4, last_seen_at = $4 \
               WHERE id = $1 AND revoked_at IS NULL";
    let values = binds![session.id.to_string(), &hash.as_bytes()[..], signed_in_at, now];
    if db.execute(sql, values).await? == 0 {
        return Err(UserError::SessionNotFound);
    }
    let confirmed = Session { confirmed_at: Some(now), last_seen_at: now, ..session.clone() };
    Ok(Session { signed_in_at: Some(signed_in_at), ..confirmed })
}

/// A session that has not ended.
pub(super) async fn by_id(db: &mut Connection, id: SessionId) -> Result<Session, UserError> {
    let sql = format!("SELECT {COLUMNS} FROM sessions s WHERE id = $1 AND revoked_at IS NULL");
    let row = db.fetch_optional(sql, binds![id.to_string()]).await?.ok_or(UserError::SessionNotFound)?;
    Ok(session_of(&row)?)
}

const COLUMNS: &str = "s.id AS session_id, s.user_id AS user_id, s.account_id AS session_account, \
                       s.created_at AS started_at, s.last_seen_at AS last_seen_at, s.persistent AS persistent, \
                       s.address AS address, s.user_agent AS user_agent, s.signed_in_at AS signed_in_at, \
                       s.confirmed_at AS confirmed_at, s.revoked_at AS revoked_at";

fn session_of(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.parse("session_id")?,
        user: row.parse("user_id")?,
        account: row.parse("session_account")?,
        created_at: row.time("started_at")?,
        last_seen_at: row.time("last_seen_at")?,
        persistent: row.integer("persistent")? != 0,
        address: row.maybe_parse("address")?,
        user_agent: row.text("user_agent")?,
        signed_in_at: row.maybe_time("signed_in_at")?,
        confirmed_at: row.maybe_time("confirmed_at")?,
        revoked_at: row.maybe_time("revoked_at")?,
    })
}
