//! `/local/users`: users of an account. These routes exist on the Unix socket of a data folder only.

use telepath_api_types::users::{CreateUser, UpdateUserRole, User, UserList, UserReference, UserWithLink};

use crate::client::Client;
use crate::error::Error;
use crate::page::ListPage;
use crate::request::Query;

impl Client {
    /// One page of the account's members, oldest first.
    pub async fn list_users(&self, limit: u32, offset: u32) -> Result<ListPage<User>, Error> {
        let path = Query::new("/local/users").add("limit", Some(limit)).add("offset", Some(offset)).finish();
        let list: UserList = self.get(&path).await?;
        Ok(ListPage { items: list.users, pagination: list.pagination.into() })
    }

    /// Creates a user as a member of the account, with a link for the first password.
    pub async fn add_user(&self, new: &CreateUser) -> Result<UserWithLink, Error> {
        self.post("/local/users", new).await
    }

    /// Disables a user, by id or email address, and ends their sessions.
    pub async fn disable_user(&self, user: &str) -> Result<User, Error> {
        self.post("/local/users/disable", &UserReference { user: user.to_owned() }).await
    }

    /// Enables a disabled user.
    pub async fn enable_user(&self, user: &str) -> Result<User, Error> {
        self.post("/local/users/enable", &UserReference { user: user.to_owned() }).await
    }

    /// Creates a link that sets a new password. Older links stop working.
    pub async fn create_password_link(&self, user: &str) -> Result<UserWithLink, Error> {
        self.post("/local/users/password-link", &UserReference { user: user.to_owned() }).await
    }

    /// Changes the role of a member; `None` removes them from the account.
    pub async fn set_user_role(&self, user: &str, role: Option<&str>) -> Result<Option<User>, Error> {
        let change = UpdateUserRole { user: user.to_owned(), role: role.map(str::to_owned) };
        self.post("/local/users/role", &change).await
    }
}
