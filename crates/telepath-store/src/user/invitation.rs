//! Invitations to an account. The holder of the link accepts the invitation once, as a new or an existing user.

use std::time::Duration;

use serde_json::json;
use telepath_core::account::Actor;
use telepath_core::audit::{AuditAction, Origin};
use telepath_core::id::{AccountId, InvitationId, UserId};
use telepath_core::page::{Page, PageRequest};
use telepath_core::secret::SecretText;
use telepath_core::storage_limit::{StorageLimit, StorageLimits};
use telepath_core::user::{
    Email, INVITATION_LIFETIME, Invitation, InvitationStatus, Member, Password, PasswordHash, Role,
    TokenHash, TokenPurpose, UserName, UserToken,
};

use super::trail::Trail;
use super::{NewUser, UserError, authority, change, link, member, row};
use crate::error::StoreError;
use crate::sql::{Connection, ListQuery, Order, Row, binds, corrupt};
use crate::storage_limit::lock_account;
use crate::store::Store;

/// Whom to invite, and as what.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    pub email: Email,
    pub role: Role,
}

/// An invitation with the token for its link.
#[derive(Debug)]
pub struct CreatedInvitation {
    pub invitation: Invitation,
    /// The only time that it is seen.
    pub link: UserToken,
}

/// What a new user chooses when they accept an invitation.
#[derive(Debug)]
pub struct Acceptance {
    pub name: UserName,
    pub password: SecretText,
}

impl Store {
    /// Invites somebody to an account. An open invitation of the same address is replaced.
    pub async fn create_invitation(
        &self,
        account: AccountId,
        new: NewInvitation,
        origin: Origin,
    ) -> Result<CreatedInvitation, UserError> {
        let (link, hash) = self.new_token(TokenPurpose::Invitation)?;
        let trail = self.trail(origin);
        let invitation = Invitation {
            id: self.new_id(origin.at)?,
            account,
            email: new.email,
            role: new.role,
            invited_by: origin.actor,
            created_at: origin.at,
            expires_at: origin.at.plus(INVITATION_LIFETIME),
            accepted_at: None,
            revoked_at: None,
        };
        let invitation = self.backend.write(move |db| Box::pin(create(db, trail, invitation, hash))).await?;
        Ok(CreatedInvitation { invitation, link })
    }

    /// Invitations of an account that can be accepted, the newest first.
    pub async fn list_invitations(
        &self,
        account: AccountId,
        page: PageRequest,
    ) -> Result<Page<Invitation>, StoreError> {
        const WHERE: &str = "FROM invitations WHERE account_id = $1 AND accepted_at IS NULL \
                             AND revoked_at IS NULL AND expires_at > $2 AND created_at <= $3";
        let now = self.now();
        let open = binds![account.to_string(), now, now.horizon(Duration::ZERO)];
        let mut db = self.backend.read().await?;
        let order = Order::by_creation("id", "created_at", false);
        let list = ListQuery { columns: COLUMNS, source: WHERE, filters: open, order };
        list.page(&mut db, page).await?.try_map(|row| invitation_of(&row))
    }

    /// The invitation of a link, while it can be accepted.
    pub async fn find_invitation(&self, token: &UserToken) -> Result<Option<Invitation>, StoreError> {
        let hash = self.context.vault.hash_token(TokenPurpose::Invitation, token.expose());
        let found = by_hash(&mut self.backend.read().await?, hash).await?;
        Ok(found.filter(|invitation| invitation.status(self.now()) == InvitationStatus::Open))
    }

    /// Accepts an invitation as a new user with a password. The address of the invitation becomes the user's.
    ///
    /// # Errors
    /// [`UserError::EmailTaken`] when the address belongs to a user, who signs in and accepts with
    /// [`Store::accept_invitation_as`].
    pub async fn accept_invitation(
        &self,
        token: &UserToken,
        acceptance: Acceptance,
        origin: Origin,
    ) -> Result<Member, UserError> {
        let invitation = self.find_invitation(token).await?.ok_or(UserError::InvalidLink)?;
        let Acceptance { name, password } = acceptance;
        let password =
            Password::check(password, &invitation.email, name.as_str()).map_err(UserError::WeakPassword)?;
        let password = self.hash_password(password).await?;
        let id: UserId = self.new_id(origin.at)?;
        let hash = self.context.vault.hash_token(TokenPurpose::Invitation, token.expose());
        let trail = self.trail(Origin { actor: Actor::User(id), ..origin });
        let accept = Accept { hash, user: id, new: Some((name, password)) };
        self.backend.write(move |db| Box::pin(accept_link(db, trail, accept))).await
    }

    /// Accepts an invitation as the user who is signed in, whose address must be the invited one.
    pub async fn accept_invitation_as(
        &self,
        token: &UserToken,
        user: UserId,
        origin: Origin,
    ) -> Result<Member, UserError> {
        let hash = self.context.vault.hash_token(TokenPurpose::Invitation, token.expose());
        let trail = self.trail(Origin { actor: Actor::User(user), ..origin });
        let accept = Accept { hash, user, new: None };
        self.backend.write(move |db| Box::pin(accept_link(db, trail, accept))).await
    }

    /// Revokes an open invitation of an account.
    pub async fn revoke_invitation(
        &self,
        account: AccountId,
        id: InvitationId,
        origin: Origin,
    ) -> Result<(), UserError> {
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(revoke(db, trail, account, id))).await
    }
}

async fn create(
    db: &mut Connection,
    trail: Trail,
    new: Invitation,
    hash: TokenHash,
) -> Result<Invitation, UserError> {
    let account = new.account.to_string();
    let same = "SELECT id FROM invitations WHERE account_id = $1 AND lower(email) = $2 \
                AND accepted_at IS NULL AND revoked_at IS NULL ORDER BY id";
    db.lock_all(same.to_owned(), binds![account.as_str(), new.email.key()]).await?;
    let authority = authority::lock(db, new.account, trail.origin()).await?;
    authority::require_manages(&authority, &[new.role])?;
    if let Some(user) = row::by_email(db, &new.email).await?
        && row::member(db, new.account, user.id).await?.is_some()
    {
        return Err(UserError::AlreadyMember);
    }
    let replaced = "UPDATE invitations SET revoked_at = $3 WHERE account_id = $1 AND lower(email) = $2 \
                    AND accepted_at IS NULL AND revoked_at IS NULL";
    db.execute(replaced, binds![account.as_str(), new.email.key(), trail.at()]).await?;
    let open = "SELECT count(*) AS total FROM invitations WHERE account_id = $1 AND accepted_at IS NULL \
                AND revoked_at IS NULL AND expires_at > $2 AND created_at <= $3";
    lock_account(db, new.account).await?;
    let values = binds![account.as_str(), trail.at(), trail.at().horizon(Duration::ZERO)];
    let open = db.fetch_one(open, values).await?.number("total")?;
    StorageLimits::default().check(StorageLimit::Invitations, open).map_err(StoreError::from)?;
    let sql = "INSERT INTO invitations (id, account_id, email, role, token_hash, invited_by, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = binds![
        new.id.to_string(),
        account,
        new.email.as_str(),
        new.role.name(),
        &hash.as_bytes()[..],
        new.invited_by.to_string(),
        new.created_at,
        new.expires_at,
    ];
    db.execute(sql, values).await?;
    let after = json!({ "email": new.email.as_str(), "role": new.role.name() });
    trail.write(db, new.account, AuditAction::InvitationCreated, &new.id, (json!({}), after)).await?;
    Ok(new)
}

struct Accept {
    hash: TokenHash,
    user: UserId,
    /// Name and password of a user who does not exist yet.
    new: Option<(UserName, PasswordHash)>,
}

async fn accept_link(db: &mut Connection, trail: Trail, accept: Accept) -> Result<Member, UserError> {
    let Accept { hash, user, new } = accept;
    let found = by_hash(db, hash).await?.ok_or(UserError::InvalidLink)?;
    // Of two who accept at once, one changes the row.
    let sql = "UPDATE invitations SET accepted_at = $2 WHERE id = $1 AND accepted_at IS NULL \
               AND revoked_at IS NULL AND expires_at > $2 AND created_at <= $3";
    let values = binds![found.id.to_string(), trail.at(), trail.at().horizon(Duration::ZERO)];
    if db.execute(sql, values).await? == 0 {
        return Err(UserError::InvalidLink);
    }
    if let Some((name, password)) = new {
        let new = NewUser { email: found.email.clone(), name, role: found.role };
        change::insert(db, &trail, found.account, user, &new).await?;
        link::store_hash(db, user, &password).await?;
    } else {
        let existing = row::locked(db, user).await?;
        if existing.email != found.email || existing.disabled_at.is_some() {
            return Err(UserError::Forbidden);
        }
    }
    member::add(db, &trail, found.account, user, found.role).await?;
    let after = json!({ "user": user.to_string() });
    trail.write(db, found.account, AuditAction::InvitationAccepted, &found.id, (json!({}), after)).await?;
    Ok(row::member(db, found.account, user).await?.ok_or_else(|| corrupt("memberships.user_id"))?)
}

async fn revoke(
    db: &mut Connection,
    trail: Trail,
    account: AccountId,
    id: InvitationId,
) -> Result<(), UserError> {
    let held = "SELECT id FROM invitations WHERE id = $1 AND account_id = $2";
    db.fetch_locked(held, binds![id.to_string(), account.to_string()]).await?;
    let authority = authority::lock(db, account, trail.origin()).await?;
    let sql = format!("SELECT {COLUMNS} FROM invitations WHERE id = $1 AND account_id = $2");
    let found = db.fetch_optional(sql, binds![id.to_string(), account.to_string()]).await?;
    let found = found.as_ref().map(invitation_of).transpose()?.ok_or(UserError::InvitationNotFound)?;
    authority::require_manages(&authority, &[found.role])?;
    let sql =
        "UPDATE invitations SET revoked_at = $2 WHERE id = $1 AND accepted_at IS NULL AND revoked_at IS NULL";
    if db.execute(sql, binds![id.to_string(), trail.at()]).await? == 0 {
        return Err(UserError::InvitationNotFound);
    }
    let before = json!({ "email": found.email.as_str(), "role": found.role.name() });
    Ok(trail.write(db, account, AuditAction::InvitationRevoked, &id, (before, json!({}))).await?)
}

async fn by_hash(db: &mut Connection, hash: TokenHash) -> Result<Option<Invitation>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM invitations WHERE token_hash = $1");
    let row = db.fetch_optional(sql, binds![&hash.as_bytes()[..]]).await?;
    row.as_ref().map(invitation_of).transpose()
}

const COLUMNS: &str =
    "id, account_id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at";

fn invitation_of(row: &Row) -> Result<Invitation, StoreError> {
    Ok(Invitation {
        id: row.parse("id")?,
        account: row.parse("account_id")?,
        email: row.parse("email")?,
        role: row.named("role", Role::from_name)?,
        invited_by: row.parse("invited_by")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        accepted_at: row.maybe_time("accepted_at")?,
        revoked_at: row.maybe_time("revoked_at")?,
    })
}
