//! Signing in with an identity at an OpenID Connect provider. Whoever signs in first with one is the user with its verified
//! address, or a new user; from then on the identity alone counts, because an address may change or be given to somebody else.

use serde_json::json;
use telepath_core::account::Actor;
use telepath_core::audit::{AuditAction, Origin};
use telepath_core::id::{AccountId, SessionId, UserId};
use telepath_core::user::{
    Email, ExternalIdentity, GroupRoles, MAX_IDENTITIES, TokenHash, TokenPurpose, User, UserName, UserToken,
};

use super::trail::Trail;
use super::{NewUser, UserError, change, member, row, session};
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;

impl Store {
    /// The user of an identity, with the role that their groups give them on an account; a new user if there is none.
    ///
    /// # Errors
    /// [`UserError::NoMembership`] when the groups give no role, [`UserError::UnverifiedEmail`] for an unknown identity without
    /// an address, [`UserError::Disabled`].
    pub async fn sign_in_with_identity(
        &self,
        account: AccountId,
        identity: ExternalIdentity,
        mapping: GroupRoles,
        origin: Origin,
    ) -> Result<User, UserError> {
        let arrival = Arrival { account, id: self.new_id(origin.at)?, identity, mapping };
        let trail = self.trail(origin);
        let refused = self.backend.write(move |db| Box::pin(sign_in(db, trail, arrival))).await?;
        match refused {
            Signed::In(user) => Ok(user),
            Signed::Disabled(user) => {
                self.audit_refusal(user, origin).await?;
                Err(UserError::Disabled)
            }
        }
    }

    /// Confirms with an identity who uses a session, as a password does.
    ///
    /// # Errors
    /// [`UserError::WrongPassword`] when the identity belongs to somebody else.
    pub async fn confirm_session_with_identity(
        &self,
        id: SessionId,
        identity: &ExternalIdentity,
        origin: Origin,
    ) -> Result<UserToken, UserError> {
        let (token, hash) = self.new_token(TokenPurpose::Session)?;
        let (trail, key) = (self.trail(origin), (identity.issuer.clone(), identity.subject.clone()));
        self.backend.write(move |db| Box::pin(confirm(db, trail, id, key, hash))).await?;
        Ok(token)
    }
}

struct Arrival {
    account: AccountId,
    /// The id of the user if they are new.
    id: UserId,
    identity: ExternalIdentity,
    mapping: GroupRoles,
}

enum Signed {
    In(User),
    Disabled(UserId),
}

async fn sign_in(db: &mut Connection, trail: Trail, arrival: Arrival) -> Result<Signed, UserError> {
    let Arrival { account, id, identity, mapping } = arrival;
    let linked = owner_of(db, &identity.issuer, &identity.subject).await?;
    let by_email = match (linked, &identity.verified_email) {
        (None, Some(email)) => row::by_email(db, email).await?.map(|user| user.id),
        (None, None) => return Err(UserError::UnverifiedEmail),
        (Some(_), _) => None,
    };
    let known = linked.or(by_email);
    let trail = trail.by(Actor::User(known.unwrap_or(id)));
    if let Some(user) = known
        && row::locked(db, user).await?.disabled_at.is_some()
    {
        return Ok(Signed::Disabled(user));
    }
    let user = match (known, &identity.verified_email) {
        (Some(user), _) => user,
        (None, Some(email)) => {
            // Nobody is created who may not sign in.
            let role = mapping.role_of(&identity.groups).ok_or(UserError::NoMembership)?;
            let name = identity.name.clone().unwrap_or_else(|| name_of(email));
            let new = NewUser { email: email.clone(), name, role };
            change::insert(db, &trail, account, id, &new).await?;
            id
        }
        (None, None) => return Err(UserError::UnverifiedEmail),
    };
    let groups = (&mapping, identity.groups.as_slice());
    member::follow_groups(db, &trail, account, user, groups).await?;
    match linked {
        Some(_) => used(db, &trail, &identity).await?,
        None => link(db, &trail, account, user, &identity).await?,
    }
    Ok(Signed::In(row::user(db, user).await?.ok_or(UserError::NotFound)?))
}

/// The name of a user whose provider tells none that can be shown.
fn name_of(email: &Email) -> UserName {
    UserName::check(email.local_part()).unwrap_or_else(|_| UserName::from_stored("User".to_owned()))
}

async fn owner_of(db: &mut Connection, issuer: &str, subject: &str) -> Result<Option<UserId>, StoreError> {
    let sql = "SELECT user_id FROM user_identities WHERE issuer = $1 AND subject = $2";
    let found = db.fetch_locked(sql, binds![issuer, subject]).await?;
    found.map(|row| row.parse("user_id")).transpose()
}

/// Lets a user sign in with an identity. Beyond the most of a user, the one that was used longest ago goes.
async fn link(
    db: &mut Connection,
    trail: &Trail,
    account: AccountId,
    user: UserId,
    identity: &ExternalIdentity,
) -> Result<(), UserError> {
    let sql = "INSERT INTO user_identities (issuer, subject, user_id, created_at, last_used_at) \
               VALUES ($1, $2, $3, $4, $4)";
    let values = binds![identity.issuer.as_str(), identity.subject.as_str(), user.to_string(), trail.at()];
    db.execute(sql, values).await?;
    let sql = "DELETE FROM user_identities WHERE user_id = $1 AND (issuer, subject) NOT IN \
               (SELECT issuer, subject FROM user_identities WHERE user_id = $1 \
                ORDER BY last_used_at DESC, created_at DESC, issuer, subject LIMIT $2)";
    db.execute(sql, binds![user.to_string(), MAX_IDENTITIES]).await?;
    let after = json!({ "issuer": identity.issuer, "subject": identity.subject });
    Ok(trail.write(db, account, AuditAction::UserIdentityLinked, &user, (json!({}), after)).await?)
}

async fn used(db: &mut Connection, trail: &Trail, identity: &ExternalIdentity) -> Result<(), StoreError> {
    let sql = "UPDATE user_identities SET last_used_at = $3 WHERE issuer = $1 AND subject = $2";
    let values = binds![identity.issuer.as_str(), identity.subject.as_str(), trail.at()];
    db.execute(sql, values).await.map(drop)
}

async fn confirm(
    db: &mut Connection,
    trail: Trail,
    id: SessionId,
    (issuer, subject): (String, String),
    hash: TokenHash,
) -> Result<(), UserError> {
    let found = session::by_id(db, id).await?;
    row::locked(db, found.user).await?;
    if found.signed_in_at.is_none() {
        return Err(UserError::SecondFactorState);
    }
    if owner_of(db, &issuer, &subject).await? != Some(found.user) {
        return Err(UserError::WrongPassword);
    }
    let after = json!({ "issuer": issuer });
    trail.write(db, found.account, AuditAction::SessionConfirmed, &id, (json!({}), after)).await?;
    session::confirm(db, &found, hash, trail.at()).await.map(drop)
}
