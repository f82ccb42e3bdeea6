//! Signing in with a password: the throttle, the comparison, and the record of the attempt. An attempt counts as a failure from
//! its start, so that concurrent attempts are counted too.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use telepath_core::account::Actor;
use telepath_core::audit::{AuditAction, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::id::{LoginAttemptId, SessionId, UserId};
use telepath_core::secret::SecretText;
use telepath_core::user::{
    ACCOUNT_WINDOW, Email, NETWORK_FAILURES, NETWORK_WINDOW, PasswordHash, SignInHistory, TokenHash,
    TokenPurpose, User, UserToken, client_network,
};

use super::trail::Trail;
use super::{UserError, row, session};
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;

/// An address and a password, as they were typed.
#[derive(Debug)]
pub struct SignInAttempt {
    pub email: String,
    pub password: SecretText,
}

/// The result of an attempt to sign in.
#[derive(Debug)]
pub enum SignIn {
    /// The password was right; a session may be started.
    Accepted(User),
    /// The address or the password was wrong, or the user may not sign in. The caller does not learn which.
    Refused,
    /// Nothing was compared: too many failures came before.
    Wait(Duration),
}

impl Store {
    /// Compares an address and a password. What is not accepted takes as long whether or not there is such a user, and is
    /// audited in the accounts of the user if there is.
    pub async fn sign_in(&self, attempt: SignInAttempt, origin: Origin) -> Result<SignIn, UserError> {
        let SignInAttempt { email, password } = attempt;
        let email = email.trim().to_ascii_lowercase();
        let id = match self.begin_attempt(&format!("password:{email}"), origin).await {
            Ok(id) => id,
            Err(UserError::Wait(wait)) => return Ok(SignIn::Wait(wait)),
            Err(error) => return Err(error),
        };
        let (user, hash) = self.candidate(&email).await?;
        let right = self.verify_password(password, hash).await?;
        match user {
            Some(user) if right && user.disabled_at.is_none() => {
                self.attempt_succeeded(id).await?;
                Ok(SignIn::Accepted(user))
            }
            Some(user) => {
                self.audit_refusal(user.id, origin).await?;
                Ok(SignIn::Refused)
            }
            None => Ok(SignIn::Refused),
        }
    }

    /// Confirms with the password who uses a session. It gets a new token, and may do what needs a confirmation for some
    /// minutes.
    pub async fn confirm_session(
        &self,
        id: SessionId,
        password: SecretText,
        origin: Origin,
    ) -> Result<UserToken, UserError> {
        let user = self.user_of_session(id).await?;
        require_password(self, &user, password, origin).await?;
        let (token, hash) = self.new_token(TokenPurpose::Session)?;
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(confirm(db, trail, id, hash))).await?;
        Ok(token)
    }

    async fn candidate(&self, email: &str) -> Result<(Option<User>, Option<PasswordHash>), StoreError> {
        let Ok(email) = email.parse::<Email>() else { return Ok((None, None)) };
        let mut db = self.backend.read().await?;
        let Some(user) = row::by_email(&mut db, &email).await? else { return Ok((None, None)) };
        let hash = row::password(&mut db, user.id).await?;
        Ok((Some(user), hash))
    }

    /// Records that an attempt begins, unless it has to wait.
    pub(crate) async fn begin_attempt(
        &self,
        name: &str,
        origin: Origin,
    ) -> Result<LoginAttemptId, UserError> {
        let name = self.context.vault.hash_token(TokenPurpose::SignInName, name);
        let begin = Begin { id: self.new_id(origin.at)?, name, address: origin.address, at: origin.at };
        self.backend.write(move |db| Box::pin(begin_attempt(db, begin))).await
    }

    pub(crate) async fn attempt_succeeded(&self, id: LoginAttemptId) -> Result<(), StoreError> {
        let sql = "UPDATE login_attempts SET succeeded = 1 WHERE id = $1";
        let values = binds![id.to_string()];
        self.backend.write(move |db| Box::pin(async move { db.execute(sql, values).await.map(drop) })).await
    }

    /// Audits that somebody failed to prove to be a user. A user without an account has no chain, and nothing to get into.
    pub(super) async fn audit_refusal(&self, user: UserId, origin: Origin) -> Result<(), UserError> {
        let trail = self.trail(Origin { actor: Actor::System, ..origin });
        let written: Result<(), UserError> = self
            .backend
            .write(move |db| {
                Box::pin(async move {
                    let action = AuditAction::SignInRefused;
                    trail.write_everywhere(db, user, action, (json!({}), json!({}))).await
                })
            })
            .await;
        match written {
            Err(UserError::NoMembership) => Ok(()),
            other => other,
        }
    }
}

/// Compares the password of a user who is signed in. It is throttled together with their sign-ins.
pub(super) async fn require_password(
    store: &Store,
    user: &User,
    password: SecretText,
    origin: Origin,
) -> Result<(), UserError> {
    let id = store.begin_attempt(&format!("password:{}", user.email.key()), origin).await?;
    let hash = row::password(&mut store.backend.read().await?, user.id).await?;
    if store.verify_password(password, hash).await? {
        Ok(store.attempt_succeeded(id).await?)
    } else {
        store.audit_refusal(user.id, origin).await?;
        Err(UserError::WrongPassword)
    }
}

struct Begin {
    id: LoginAttemptId,
    name: TokenHash,
    address: Option<IpAddr>,
    at: Timestamp,
}

async fn begin_attempt(db: &mut Connection, begin: Begin) -> Result<LoginAttemptId, UserError> {
    let network = begin.address.map(|address| client_network(address).to_string());
    let history = history(db, &begin.name, network.as_deref(), begin.at).await?;
    if let Some(wait) = history.retry_after(begin.at) {
        return Err(UserError::Wait(wait));
    }
    let sql = "INSERT INTO login_attempts (id, name_hash, network, at, succeeded) VALUES ($1, $2, $3, $4, 0)";
    db.execute(sql, binds![begin.id.to_string(), &begin.name.as_bytes()[..], network, begin.at]).await?;
    Ok(begin.id)
}

/// Attempts from beyond the horizon were made while the clock was ahead. They do not count, and neither do their successes.
async fn history(
    db: &mut Connection,
    name: &TokenHash,
    network: Option<&str>,
    now: Timestamp,
) -> Result<SignInHistory, StoreError> {
    let sql = "SELECT count(*) AS failures, max(at) AS last FROM login_attempts \
               WHERE name_hash = $1 AND at > $2 AND at <= $3 AND succeeded = 0 AND at >= coalesce((SELECT max(at) \
               FROM login_attempts WHERE name_hash = $1 AND at > $2 AND at <= $3 AND succeeded = 1), 0)";
    let horizon = now.horizon(Duration::ZERO);
    let values = binds![&name.as_bytes()[..], now.minus(ACCOUNT_WINDOW), horizon];
    let of_name = db.fetch_one(sql, values).await?;
    let mut history = SignInHistory {
        name_failures: of_name.number("failures")?,
        last_failure: of_name.maybe_time("last")?,
        ..SignInHistory::default()
    };
    if let Some(network) = network {
        let sql = "SELECT count(*) AS failures, min(at) AS first FROM (SELECT at FROM login_attempts \
                   WHERE network = $1 AND at > $2 AND at <= $4 AND succeeded = 0 ORDER BY at DESC LIMIT $3) AS latest";
        let values = binds![network, now.minus(NETWORK_WINDOW), NETWORK_FAILURES, horizon];
        let of_network = db.fetch_one(sql, values).await?;
        history.network_failures = of_network.number("failures")?;
        history.network_frees_at = of_network.maybe_time("first")?.map(|first| first.plus(NETWORK_WINDOW));
    }
    Ok(history)
}

async fn confirm(db: &mut Connection, trail: Trail, id: SessionId, hash: TokenHash) -> Result<(), UserError> {
    let found = session::by_id(db, id).await?;
    row::locked(db, found.user).await?;
    // The second factor is never skipped by a password.
    if found.signed_in_at.is_none() {
        return Err(UserError::SecondFactorState);
    }
    trail.write(db, found.account, AuditAction::SessionConfirmed, &id, (json!({}), json!({}))).await?;
    session::confirm(db, &found, hash, trail.at()).await.map(drop)
}
