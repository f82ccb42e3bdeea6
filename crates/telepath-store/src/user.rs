//! Users in the database. A user is global; a membership gives a role in an account. Every change is audited in the chain of each
//! account concerned, in the transaction of the change.
//!
//! Rows are locked in one order, so that two changes never wait for each other in a circle: invitations and keys, users,
//! accounts in the order of their ids, memberships, sessions.

pub(crate) mod authority;
mod change;
mod expire;
pub(crate) mod factor;
pub(crate) mod hashing;
mod identity;
mod invitation;
mod link;
mod member;
mod password;
mod row;
mod session;
mod setup;
mod sign_in;
mod team;
mod trail;

use std::time::Duration;

use telepath_core::audit::Origin;
use telepath_core::id::{AccountId, UserId};
use telepath_core::page::{Page, PageRequest};
use telepath_core::user::{
    Email, Member, Role, TokenHash, TokenPurpose, User, UserName, UserPatch, UserToken, WeakPassword,
};

use crate::error::StoreError;
use crate::store::Store;

use trail::Trail;

pub use factor::{NewRecoveryCodes, TotpEnrolment};
pub use hashing::HashingError;
pub use invitation::{Acceptance, CreatedInvitation, NewInvitation};
pub use session::{NewSession, SignedIn, StartedSession};
pub use setup::FirstUser;
pub use sign_in::{SignIn, SignInAttempt};
pub use team::{LinkRecipient, MemberActivity};

/// A user to be created.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub email: Email,
    pub name: UserName,
    /// The role in the account that they become a member of.
    pub role: Role,
}

/// A user with the link with which they set a password.
#[derive(Debug)]
pub struct CreatedUser {
    pub member: Member,
    /// The only time that it is seen.
    pub link: UserToken,
}

/// Why something about users was not done.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("there is no such user")]
    NotFound,
    #[error("there is no such session")]
    SessionNotFound,
    #[error("there is no such invitation")]
    InvitationNotFound,
    /// The link or code was used, replaced, or is too old, or never was one.
    #[error("the link does not work any more")]
    InvalidLink,
    #[error("the email address belongs to another user")]
    EmailTaken,
    #[error("the user is a member of the account already")]
    AlreadyMember,
    /// Nobody could manage the account without one.
    #[error("the account needs an owner who is not disabled")]
    LastOwner,
    /// There is no chain in which the change could be audited, and nothing that the user could do.
    #[error("the user is a member of no account")]
    NoMembership,
    #[error("the role of the caller does not allow this")]
    Forbidden,
    /// A link that the caller gets would let them into accounts where they do not manage the user.
    #[error("the user is also a member of accounts in which the caller does not manage them")]
    OtherAccounts,
    /// The provider has not said that the address belongs to the user, so it identifies nobody.
    #[error("the provider has not verified the email address")]
    UnverifiedEmail,
    #[error("the user is disabled")]
    Disabled,
    #[error("the password {0}")]
    WeakPassword(WeakPassword),
    #[error("the current password is wrong")]
    WrongPassword,
    #[error("the code is wrong or was used before")]
    WrongCode,
    /// The user has no second factor that could be used, or has one already that would be replaced.
    #[error("the second factor is not in the state that this needs")]
    SecondFactorState,
    /// Too many failures came before.
    #[error("too many attempts; try again in {} s", .0.as_secs().max(1))]
    Wait(Duration),
    #[error(transparent)]
    Hashing(#[from] HashingError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Creates a user as a member of an account, with a link for the first password. Only local administration creates
    /// users this way; members invite.
    pub async fn create_user(
        &self,
        account: AccountId,
        new: NewUser,
        origin: Origin,
    ) -> Result<CreatedUser, UserError> {
        let (link, hash) = self.new_token(TokenPurpose::PasswordLink)?;
        let (trail, id) = (self.trail(origin), self.new_id(origin.at)?);
        let create = change::Creation { account, id, new, link: hash };
        let member = self.backend.write(move |db| Box::pin(change::create(db, trail, create))).await?;
        Ok(CreatedUser { member, link })
    }

    /// Members of an account, the oldest first.
    pub async fn list_members(
        &self,
        account: AccountId,
        page: PageRequest,
    ) -> Result<Page<Member>, StoreError> {
        let mut db = self.backend.read().await?;
        row::members(&mut db, account, page).await
    }

    /// A member of an account.
    pub async fn get_member(&self, account: AccountId, user: UserId) -> Result<Option<Member>, StoreError> {
        row::member(&mut self.backend.read().await?, account, user).await
    }

    /// A user, member of any account.
    pub async fn get_user(&self, user: UserId) -> Result<Option<User>, StoreError> {
        row::user(&mut self.backend.read().await?, user).await
    }

    /// The user with an email address.
    pub async fn find_user(&self, email: &Email) -> Result<Option<User>, StoreError> {
        row::by_email(&mut self.backend.read().await?, email).await
    }

    /// The accounts that a user is a member of, with the role in each, in the order of their ids.
    pub async fn list_memberships(&self, user: UserId) -> Result<Vec<(AccountId, Role)>, StoreError> {
        row::memberships(&mut self.backend.read().await?, user).await
    }

    /// Changes what users choose for themselves.
    pub async fn update_user(
        &self,
        user: UserId,
        patch: UserPatch,
        origin: Origin,
    ) -> Result<User, UserError> {
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(change::update(db, trail, user, patch))).await
    }

    /// Disables a user in all accounts and ends their sessions. One who is disabled already stays as they are. Only local
    /// administration may, because a member of one account must not shut a user out of another.
    pub async fn disable_user(&self, user: UserId, origin: Origin) -> Result<User, UserError> {
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(change::set_disabled(db, trail, user, true))).await
    }

    /// Lets a disabled user sign in again.
    pub async fn enable_user(&self, user: UserId, origin: Origin) -> Result<User, UserError> {
        let trail = self.trail(origin);
        self.backend.write(move |db| Box::pin(change::set_disabled(db, trail, user, false))).await
    }

    fn trail(&self, origin: Origin) -> Trail {
        Trail::new(self.context.clone(), origin)
    }

    /// A token to be shown once, and what is stored of it.
    fn new_token(&self, purpose: TokenPurpose) -> Result<(UserToken, TokenHash), StoreError> {
        let token = UserToken::generate(&*self.context.entropy)?;
        let hash = self.context.vault.hash_token(purpose, token.expose());
        Ok((token, hash))
    }
}
