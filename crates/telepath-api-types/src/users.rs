//! `/local/users`: users of an account. These routes exist on the Unix socket of a data folder only, so their bodies have no
//! OpenAPI schema.

use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::UserId;
use telepath_core::secret::SecretText;
use telepath_core::user::Member;

use crate::page::Pagination;
use crate::secret;

/// A member of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub name: String,
    /// `viewer`, `developer`, `admin` or `owner`.
    pub role: String,
    /// `active`, `invited` or `disabled`.
    pub status: String,
    /// Whether sign-in requires a second factor.
    pub second_factor: bool,
    pub created_at: Timestamp,
    pub last_sign_in_at: Option<Timestamp>,
}

impl From<Member> for User {
    fn from(member: Member) -> Self {
        let Member { user, role, .. } = member;
        Self {
            id: user.id,
            email: user.email.to_string(),
            name: user.name.as_str().to_owned(),
            role: role.name().to_owned(),
            status: user.status().name().to_owned(),
            second_factor: user.has_second_factor,
            created_at: user.created_at,
            last_sign_in_at: user.last_sign_in_at,
        }
    }
}

/// A user with a one-use link that sets a password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserWithLink {
    pub user: User,
    /// Path and query, relative to the address of the dashboard. Shown only once.
    #[serde(serialize_with = "secret::reveal_one")]
    pub link: SecretText,
    pub link_expires_at: Timestamp,
}

/// The user to create.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    pub email: Option<String>,
    /// Defaults to the local part of the email address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub role: Option<String>,
}

/// A page of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserList {
    pub users: Vec<User>,
    pub pagination: Pagination,
}

/// Selects a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserReference {
    /// An id or an email address.
    pub user: String,
}

/// The new role of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateUserRole {
    /// An id or an email address.
    pub user: String,
    /// `None` removes the user from the account.
    pub role: Option<String>,
}
