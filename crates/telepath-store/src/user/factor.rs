//! The second factor: codes of an authenticator, and recovery codes.

use serde_json::json;
use telepath_core::account::Actor;
use telepath_core::audit::{AuditAction, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::id::{SessionId, UserId};
use telepath_core::secret::SecretText;
use telepath_core::user::{
    Email, RECOVERY_CODES, RecoveryCode, Session, SessionStatus, TokenHash, TokenPurpose, TotpSecret,
    UserToken,
};
use telepath_core::vault::{Sealed, Vault};

use super::trail::Trail;
use super::{UserError, authority, row, session};
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds, corrupt};
use crate::store::Store;

/// A secret that a user is about to put into an authenticator.
#[derive(Debug)]
pub struct TotpEnrolment {
    /// Base32, for typing.
    pub secret: SecretText,
    /// The content of the QR code.
    pub uri: SecretText,
}

/// The recovery codes of a user: the only time that they are seen.
#[derive(Debug)]
pub struct NewRecoveryCodes(pub Vec<SecretText>);

impl Store {
    /// Creates a secret for an authenticator. It is not required until one of its codes is confirmed. `issuer` is how the
    /// authenticator names this installation.
    pub async fn enrol_totp(
        &self,
        user: UserId,
        issuer: &str,
        origin: Origin,
    ) -> Result<TotpEnrolment, UserError> {
        let email: Email = self.get_user(user).await?.ok_or(UserError::NotFound)?.email;
        let secret = TotpSecret::generate(&*self.context.entropy).map_err(StoreError::from)?;
        let text = secret.to_base32();
        let sealed =
            self.context.vault.seal(&text, &place(user), &*self.context.entropy).map_err(StoreError::from)?;
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(enrol(db, trail, user, sealed))).await?;
        Ok(TotpEnrolment { uri: secret.uri(issuer, &email), secret: text })
    }

    /// The secret of an authenticator that waits for its first code; `None` if there is none.
    pub async fn pending_totp(&self, user: UserId, issuer: &str) -> Result<Option<TotpEnrolment>, UserError> {
        let email = self.get_user(user).await?.ok_or(UserError::NotFound)?.email;
        let sql =
            "SELECT sealed FROM second_factors WHERE user_id = $1 AND kind = 'totp' AND confirmed_at IS NULL";
        let row = self.backend.read().await?.fetch_optional(sql, binds![user.to_string()]).await?;
        let Some(row) = row else { return Ok(None) };
        let secret = open_totp(&row, &self.context.vault, user)?;
        Ok(Some(TotpEnrolment { uri: secret.uri(issuer, &email), secret: secret.to_base32() }))
    }

    /// Confirms the authenticator with one of its codes. From now on it is required, and the recovery codes are the way
    /// around it. The other sessions of the user end.
    pub async fn confirm_totp(
        &self,
        session: SessionId,
        code: &str,
        origin: Origin,
    ) -> Result<NewRecoveryCodes, UserError> {
        let user = self.user_of_session(session).await?.id;
        let attempt = self.begin_attempt(&factor_name(user), origin).await?;
        let (trail, codes) = (self.trail(origin), self.new_recovery_codes()?);
        let (hashes, code) = (self.hashes_of(&codes), code.to_owned());
        self.backend.write(move |db| Box::pin(confirm(db, trail, session, code, hashes))).await?;
        self.attempt_succeeded(attempt).await?;
        Ok(reveal(&codes))
    }

    /// Removes the second factor and the recovery codes of a user: by themselves, or by local administration for one who
    /// has lost both. See also [`Store::remove_member_second_factor`].
    pub async fn remove_second_factor(&self, user: UserId, origin: Origin) -> Result<(), UserError> {
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(remove(db, trail, user))).await
    }

    /// Replaces the recovery codes of a user, used or not.
    pub async fn replace_recovery_codes(
        &self,
        user: UserId,
        origin: Origin,
    ) -> Result<NewRecoveryCodes, UserError> {
        let (trail, codes) = (self.trail(origin), self.new_recovery_codes()?);
        let hashes = self.hashes_of(&codes);
        self.backend.write(move |db| Box::pin(replace_codes(db, trail, user, hashes))).await?;
        Ok(reveal(&codes))
    }

    /// How many recovery codes a user has left.
    pub async fn recovery_codes_left(&self, user: UserId) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) AS unused FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL";
        self.backend.read().await?.fetch_one(sql, binds![user.to_string()]).await?.number("unused")
    }

    /// Completes a sign-in with a code of the authenticator or a recovery code. The session gets a new token.
    pub async fn pass_second_factor(
        &self,
        id: SessionId,
        code: &str,
        origin: Origin,
    ) -> Result<UserToken, UserError> {
        let user = self.user_of_session(id).await?.id;
        let attempt = self.begin_attempt(&factor_name(user), origin).await?;
        let (token, hash) = self.new_token(TokenPurpose::Session)?;
        let trail = self.trail(Origin { actor: Actor::User(user), ..origin });
        let typed = Typed::read(code, &self.context.vault);
        let passed = self.backend.write(move |db| Box::pin(pass(db, trail, id, typed, hash))).await;
        match passed {
            Ok(()) => {
                self.attempt_succeeded(attempt).await?;
                Ok(token)
            }
            Err(UserError::WrongCode) => {
                self.audit_refusal(user, origin).await?;
                Err(UserError::WrongCode)
            }
            Err(error) => Err(error),
        }
    }

    fn new_recovery_codes(&self) -> Result<Vec<RecoveryCode>, StoreError> {
        let code = |_| RecoveryCode::generate(&*self.context.entropy).map_err(StoreError::from);
        (0..RECOVERY_CODES).map(code).collect()
    }

    fn hashes_of(&self, codes: &[RecoveryCode]) -> Vec<TokenHash> {
        codes.iter().map(|code| hash_of(code, &self.context.vault)).collect()
    }
}

/// Failures of the second factor are counted apart from those of the password.
fn factor_name(user: UserId) -> String {
    format!("second-factor:{user}")
}

pub(crate) fn place(user: UserId) -> String {
    format!("{user}/totp")
}

fn hash_of(code: &RecoveryCode, vault: &Vault) -> TokenHash {
    vault.hash_token(TokenPurpose::RecoveryCode, code.expose())
}

fn reveal(codes: &[RecoveryCode]) -> NewRecoveryCodes {
    NewRecoveryCodes(codes.iter().map(RecoveryCode::reveal).collect())
}

/// What was typed, as each of the codes that it may be.
struct Typed {
    totp: String,
    recovery: Option<TokenHash>,
}

impl Typed {
    fn read(code: &str, vault: &Vault) -> Self {
        let recovery = RecoveryCode::parse(code).map(|code| hash_of(&code, vault));
        Self { totp: code.to_owned(), recovery }
    }
}

async fn enrol(db: &mut Connection, trail: Trail, user: UserId, sealed: Sealed) -> Result<(), UserError> {
    require_self(&trail, user)?;
    let user = row::locked(db, user).await?;
    if user.has_second_factor {
        return Err(UserError::SecondFactorState);
    }
    let (id, now) = (user.id.to_string(), trail.at());
    db.execute("DELETE FROM second_factors WHERE user_id = $1", binds![id.as_str()]).await?;
    let sql = "INSERT INTO second_factors (user_id, kind, sealed, created_at) VALUES ($1, 'totp', $2, $3)";
    db.execute(sql, binds![id, sealed.as_bytes(), now]).await?;
    trail.write_everywhere(db, user.id, AuditAction::UserSecondFactorEnrolled, (json!({}), json!({}))).await
}

/// Only users change their own second factor.
fn require_self(trail: &Trail, user: UserId) -> Result<(), UserError> {
    if trail.origin().actor == Actor::User(user) { Ok(()) } else { Err(UserError::Forbidden) }
}

async fn confirm(
    db: &mut Connection,
    trail: Trail,
    session: SessionId,
    code: String,
    hashes: Vec<TokenHash>,
) -> Result<(), UserError> {
    let session = session::by_id(db, session).await?;
    require_self(&trail, session.user)?;
    let user = row::locked(db, session.user).await?;
    if user.has_second_factor || session.status(trail.at()) != SessionStatus::Active {
        return Err(UserError::SecondFactorState);
    }
    accept_totp(db, &trail, user.id, &code, State::Enrolled).await?;
    let sql = "UPDATE second_factors SET confirmed_at = $2 WHERE user_id = $1";
    db.execute(sql, binds![user.id.to_string(), trail.at()]).await?;
    put_codes(db, user.id, hashes, trail.at()).await?;
    trail.write_everywhere(db, user.id, AuditAction::UserSecondFactorAdded, (json!({}), json!({}))).await?;
    // Those were started without the factor.
    let sql = "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL AND id <> $3";
    db.execute(sql, binds![user.id.to_string(), trail.at(), session.id.to_string()]).await?;
    Ok(())
}

async fn remove(db: &mut Connection, trail: Trail, user: UserId) -> Result<(), UserError> {
    if require_self(&trail, user).is_err() {
        authority::require_local(trail.origin())?;
    }
    row::locked(db, user).await?;
    delete(db, trail, user).await
}

/// Deletes the second factor and the recovery codes of a user. The user's row is locked.
pub(super) async fn delete(db: &mut Connection, trail: Trail, user: UserId) -> Result<(), UserError> {
    let id = user.to_string();
    if db.execute("DELETE FROM second_factors WHERE user_id = $1", binds![id.as_str()]).await? == 0 {
        return Err(UserError::SecondFactorState);
    }
    db.execute("DELETE FROM recovery_codes WHERE user_id = $1", binds![id]).await?;
    trail.write_everywhere(db, user, AuditAction::UserSecondFactorRemoved, (json!({}), json!({}))).await
}

async fn replace_codes(
    db: &mut Connection,
    trail: Trail,
    user: UserId,
    hashes: Vec<TokenHash>,
) -> Result<(), UserError> {
    require_self(&trail, user)?;
    if !row::locked(db, user).await?.has_second_factor {
        return Err(UserError::SecondFactorState);
    }
    put_codes(db, user, hashes, trail.at()).await?;
    trail.write_everywhere(db, user, AuditAction::UserRecoveryCodesReplaced, (json!({}), json!({}))).await
}

async fn put_codes(
    db: &mut Connection,
    user: UserId,
    hashes: Vec<TokenHash>,
    now: Timestamp,
) -> Result<(), StoreError> {
    db.execute("DELETE FROM recovery_codes WHERE user_id = $1", binds![user.to_string()]).await?;
    for hash in hashes {
        let sql = "INSERT INTO recovery_codes (user_id, code_hash, created_at) VALUES ($1, $2, $3)";
        db.execute(sql, binds![user.to_string(), &hash.as_bytes()[..], now]).await?;
    }
    Ok(())
}

async fn pass(
    db: &mut Connection,
    trail: Trail,
    id: SessionId,
    typed: Typed,
    hash: TokenHash,
) -> Result<(), UserError> {
    let session: Session = session::by_id(db, id).await?;
    let user = row::locked(db, session.user).await?;
    if user.disabled_at.is_some() {
        return Err(UserError::Disabled);
    }
    if session.status(trail.at()) != SessionStatus::AwaitingSecondFactor {
        return Err(UserError::SecondFactorState);
    }
    match typed.recovery {
        Some(code) => use_recovery_code(db, &trail, user.id, code).await?,
        None => accept_totp(db, &trail, user.id, &typed.totp, State::Confirmed).await?,
    }
    session::signed_in(db, user.id, trail.at()).await?;
    trail.write(db, session.account, AuditAction::SessionConfirmed, &id, (json!({}), json!({}))).await?;
    session::confirm(db, &session, hash, trail.at()).await.map(drop)
}

/// Each code works once: of two who use it at the same time, one changes the row.
async fn use_recovery_code(
    db: &mut Connection,
    trail: &Trail,
    user: UserId,
    code: TokenHash,
) -> Result<(), UserError> {
    let sql =
        "UPDATE recovery_codes SET used_at = $3 WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL";
    if db.execute(sql, binds![user.to_string(), &code.as_bytes()[..], trail.at()]).await? == 0 {
        return Err(UserError::WrongCode);
    }
    trail.write_everywhere(db, user, AuditAction::UserRecoveryCodeUsed, (json!({}), json!({}))).await
}

fn open_totp(row: &Row, vault: &Vault, user: UserId) -> Result<TotpSecret, StoreError> {
    let opened = vault.open(&Sealed::from_bytes(row.bytes("sealed")?), &place(user));
    let text = opened.map_err(|_| corrupt("second_factors.sealed"))?;
    TotpSecret::parse(&text).map_err(|_| corrupt("second_factors.sealed"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Enrolled,
    Confirmed,
}

/// Accepts a code of the user's authenticator, and no other of its time step or before. The user's row is locked.
async fn accept_totp(
    db: &mut Connection,
    trail: &Trail,
    user: UserId,
    code: &str,
    state: State,
) -> Result<(), UserError> {
    let sql =
        "SELECT sealed, confirmed_at, used_step FROM second_factors WHERE user_id = $1 AND kind = 'totp'";
    let row = db.fetch_optional(sql, binds![user.to_string()]).await?.ok_or(UserError::SecondFactorState)?;
    let confirmed = row.maybe_time("confirmed_at")?.is_some();
    if confirmed != (state == State::Confirmed) {
        return Err(UserError::SecondFactorState);
    }
    let secret = open_totp(&row, &trail.context().vault, user)?;
    let step =
        secret.verify(code, trail.at(), row.maybe_integer("used_step")?).ok_or(UserError::WrongCode)?;
    let sql =
        "UPDATE second_factors SET used_step = $2, last_used_at = $3 WHERE user_id = $1 AND kind = 'totp'";
    db.execute(sql, binds![user.to_string(), step, trail.at()]).await?;
    Ok(())
}
