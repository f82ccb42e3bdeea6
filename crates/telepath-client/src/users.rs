//! `/local/users`: users of an account. These routes exist on the Unix socket of a data folder only.

use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::UserId;
use telepath_core::secret::SecretText;

use crate::client::Client;
use crate::error::Error;
use crate::page::{ListPage, Pagination};
use crate::request::Query;

/// A member of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub name: String,
    /// `viewer`, `developer`, `admin` or `owner`.
    pub role: String,
    /// `active`, `invited` or `disabled`.
    pub status: String,
    /// Whether a second factor is required at sign-in.
    pub second_factor: bool,
    pub created_at: Timestamp,
    pub last_sign_in_at: Option<Timestamp>,
}

/// A user with a link that sets a password, once.
#[derive(Debug, Clone, Deserialize)]
pub struct UserWithLink {
    pub user: User,
    /// Path and query, to be joined with the address of the dashboard. It is not shown again.
    pub link: SecretText,
    pub link_expires_at: Timestamp,
}

/// Whom to add.
#[derive(Debug, Clone, Serialize)]
pub struct NewUser {
    pub email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub role: String,
}

#[derive(Deserialize)]
struct UserList {
    users: Vec<User>,
    pagination: Pagination,
}

#[derive(Serialize)]
struct WhichUser<'a> {
    user: &'a str,
}

#[derive(Serialize)]
struct RoleChange<'a> {
    user: &'a str,
    role: Option<&'a str>,
}

impl Client {
    /// Members of the account, the oldest first.
    pub async fn list_users(&self, limit: u32, offset: u32) -> Result<ListPage<User>, Error> {
        let path = Query::new("/local/users").add("limit", Some(limit)).add("offset", Some(offset)).finish();
        let list: UserList = self.get(&path).await?;
        Ok(ListPage { items: list.users, pagination: list.pagination })
    }

    /// Creates a user as a member of the account, with a link for the first password.
    pub async fn add_user(&self, new: &NewUser) -> Result<UserWithLink, Error> {
        self.post("/local/users", new).await
    }

    /// Disables a user, by id or e-mail address, and ends their sessions.
    pub async fn disable_user(&self, user: &str) -> Result<User, Error> {
        self.post("/local/users/disable", &WhichUser { user }).await
    }

    /// Lets a disabled user sign in again.
    pub async fn enable_user(&self, user: &str) -> Result<User, Error> {
        self.post("/local/users/enable", &WhichUser { user }).await
    }

    /// Makes a link with which a user sets another password. An older link stops working.
    pub async fn create_password_link(&self, user: &str) -> Result<UserWithLink, Error> {
        self.post("/local/users/password-link", &WhichUser { user }).await
    }

    /// Gives a member another role, or removes them from the account.
    pub async fn set_user_role(&self, user: &str, role: Option<&str>) -> Result<Option<User>, Error> {
        self.post("/local/users/role", &RoleChange { user, role }).await
    }
}
