//! `/local/users`: users of an account, for local administration only.

use telepath_api_types::users::{
    CreateInvitation, CreateUser, Invitation, InvitationList, InvitationWithCode, UpdateUserRole, User,
    UserList, UserReference, UserWithPasswordCode,
};
use telepath_core::clock::Timestamp;
use telepath_core::id::InvitationId;
use telepath_core::secret::SecretText;

use crate::client::Client;
use crate::error::Error;
use crate::page::{ListPage, PageQuery};
use crate::request::Query;

/// A user and a code that sets their password, once.
#[derive(Debug, Clone)]
pub struct CreatedPasswordCode {
    pub user: User,
    /// Shown only once.
    pub code: SecretText,
    pub expires_at: Timestamp,
}

/// An invitation and its code, which works once.
#[derive(Debug, Clone)]
pub struct CreatedInvitation {
    pub invitation: Invitation,
    /// Shown only once.
    pub code: SecretText,
}

impl Client {
    /// One page of the open invitations to the account, newest first.
    pub async fn list_invitations(&self, query: &PageQuery) -> Result<ListPage<Invitation>, Error> {
        let path = Query::new("/local/users/invitations")
            .add("limit", query.limit)
            .add("offset", query.offset)
            .add("cursor", query.cursor.as_deref())
            .finish();
        let list: InvitationList = self.get(&path).await?;
        Ok(ListPage { items: list.invitations, pagination: list.pagination })
    }

    /// Invites somebody to the account. An open invitation of the same address is replaced.
    pub async fn create_invitation(&self, new: &CreateInvitation) -> Result<CreatedInvitation, Error> {
        let InvitationWithCode { invitation, code } = self.post("/local/users/invitations", new).await?;
        match code {
            Some(code) => Ok(CreatedInvitation { invitation, code }),
            None => Err(Error::SecretLost { id: invitation.id.to_string() }),
        }
    }

    /// Revokes an open invitation.
    pub async fn revoke_invitation(&self, invitation: InvitationId) -> Result<(), Error> {
        self.delete(&format!("/local/users/invitations/{invitation}")).await
    }

    /// One page of the account's members, oldest first.
    pub async fn list_users(&self, query: &PageQuery) -> Result<ListPage<User>, Error> {
        let path = Query::new("/local/users")
            .add("limit", query.limit)
            .add("offset", query.offset)
            .add("cursor", query.cursor.as_deref())
            .finish();
        let list: UserList = self.get(&path).await?;
        Ok(ListPage { items: list.users, pagination: list.pagination })
    }

    /// Creates a user as a member of the account, with a code that sets the first password.
    pub async fn create_user(&self, new: &CreateUser) -> Result<CreatedPasswordCode, Error> {
        with_code(self.post("/local/users", new).await?)
    }

    /// Disables a user, by id or email address, and ends their sessions.
    pub async fn disable_user(&self, user: &str) -> Result<User, Error> {
        self.post("/local/users/disable", &UserReference { user: user.to_owned() }).await
    }

    /// Enables a disabled user.
    pub async fn enable_user(&self, user: &str) -> Result<User, Error> {
        self.post("/local/users/enable", &UserReference { user: user.to_owned() }).await
    }

    /// Creates a code that sets a new password. Earlier codes stop working.
    pub async fn create_password_code(&self, user: &str) -> Result<CreatedPasswordCode, Error> {
        with_code(self.post("/local/users/password-code", &UserReference { user: user.to_owned() }).await?)
    }

    /// Removes the second factor and the recovery codes of a user who has lost both, and ends their sessions.
    pub async fn remove_second_factor(&self, user: &str) -> Result<User, Error> {
        self.post("/local/users/second-factor/remove", &UserReference { user: user.to_owned() }).await
    }

    /// Changes the role of a member; `None` removes them from the account.
    pub async fn set_user_role(&self, user: &str, role: Option<&str>) -> Result<Option<User>, Error> {
        let change = UpdateUserRole { user: user.to_owned(), role: role.map(str::to_owned) };
        self.post("/local/users/role", &change).await
    }
}

fn with_code(body: UserWithPasswordCode) -> Result<CreatedPasswordCode, Error> {
    let UserWithPasswordCode { user, password_code, password_code_expires_at: expires_at } = body;
    match password_code {
        Some(code) => Ok(CreatedPasswordCode { user, code, expires_at }),
        None => Err(Error::SecretLost { id: user.id.to_string() }),
    }
}
