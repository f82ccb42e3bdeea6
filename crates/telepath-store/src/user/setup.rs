//! The first user of a server, who becomes an owner. Whoever may read the output of the server gets the link.

use serde_json::json;
use telepath_core::account::Actor;
use telepath_core::audit::{AuditAction, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, UserId};
use telepath_core::secret::SecretText;
use telepath_core::user::{Email, Password, PasswordHash, Role, SetupCode, User, UserName};

use super::trail::Trail;
use super::{NewUser, UserError, change, link, member, row};
use crate::error::StoreError;
use crate::sql::Connection;
use crate::storage_limit::lock_creation;
use crate::store::Store;

/// The first user of a server.
#[derive(Debug)]
pub struct FirstUser {
    pub email: Email,
    pub name: UserName,
    pub password: SecretText,
}

impl Store {
    /// When the first user was created; `None` while there is none.
    pub async fn set_up_at(&self) -> Result<Option<Timestamp>, StoreError> {
        first_user_at(&mut self.backend.read().await?).await
    }

    /// The code for the link that creates the first user; `None` once there is a user.
    pub async fn setup_code(&self) -> Result<Option<SetupCode>, StoreError> {
        let code = || SetupCode::new(&self.context.vault, self.now());
        Ok(self.set_up_at().await?.is_none().then(code))
    }

    /// Whether a code can create the first user now.
    pub async fn accepts_setup_code(&self, code: &str) -> Result<bool, StoreError> {
        let genuine = SetupCode::verify(code, &self.context.vault, self.now());
        Ok(genuine && self.set_up_at().await?.is_none())
    }

    /// Creates the first user as an owner of an account. The audit row names the user as the one who did it.
    ///
    /// # Errors
    /// [`UserError::InvalidLink`] when the code does not work, or a user exists already.
    pub async fn create_first_user(
        &self,
        account: AccountId,
        code: &str,
        first: FirstUser,
        origin: Origin,
    ) -> Result<User, UserError> {
        if !self.accepts_setup_code(code).await? {
            return Err(UserError::InvalidLink);
        }
        let FirstUser { email, name, password } = first;
        let password = Password::check(password, &email, name.as_str()).map_err(UserError::WeakPassword)?;
        let hash = self.hash_password(password).await?;
        let id: UserId = self.new_id(origin.at)?;
        let trail = self.trail(Origin { actor: Actor::User(id), ..origin });
        let new = NewUser { email, name, role: Role::Owner };
        self.backend.write(move |db| Box::pin(create(db, trail, account, id, new, hash))).await
    }
}

async fn first_user_at(db: &mut Connection) -> Result<Option<Timestamp>, StoreError> {
    db.fetch_one("SELECT min(created_at) AS first FROM users", vec![]).await?.maybe_time("first")
}

async fn create(
    db: &mut Connection,
    trail: Trail,
    account: AccountId,
    id: UserId,
    new: NewUser,
    hash: PasswordHash,
) -> Result<User, UserError> {
    // Of two who use the link at once, the second finds a user.
    lock_creation(db).await?;
    if first_user_at(db).await?.is_some() {
        return Err(UserError::InvalidLink);
    }
    change::insert(db, &trail, account, id, &new).await?;
    link::store_hash(db, id, &hash).await?;
    member::add(db, &trail, account, id, Role::Owner).await?;
    trail.write(db, account, AuditAction::UserPasswordChanged, &id, (json!({}), json!({}))).await?;
    row::user(db, id).await?.ok_or(UserError::NotFound)
}
