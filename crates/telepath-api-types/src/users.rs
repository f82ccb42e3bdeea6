//! `/local/users`: users of an account, for local administration only.

use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::{InvitationId, UserId};
use telepath_core::secret::SecretText;
use telepath_core::user::{self, Member};

use crate::page::Pagination;
use crate::secret;

/// A member of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "user_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: UserId,
    #[cfg_attr(feature = "openapi", schema(example = "ada@example.com"))]
    pub email: String,
    #[cfg_attr(feature = "openapi", schema(example = "Ada Lovelace"))]
    pub name: String,
    /// `viewer`, `developer`, `admin` or `owner`.
    #[cfg_attr(feature = "openapi", schema(example = "owner"))]
    pub role: String,
    /// `active`, `invited` or `disabled`.
    #[cfg_attr(feature = "openapi", schema(example = "invited"))]
    pub status: String,
    /// Whether sign-in requires a second factor.
    pub second_factor: bool,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
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

/// A user with a one-use code that sets a password.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserWithPasswordCode {
    pub user: User,
    /// Shown only once.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Password))]
    pub password_code: Option<SecretText>,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub password_code_expires_at: Timestamp,
}

/// The user to create.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserList {
    pub users: Vec<User>,
    pub pagination: Pagination,
}

/// Selects a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UserReference {
    /// An id or an email address.
    pub user: String,
}

/// The new role of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateUserRole {
    /// An id or an email address.
    pub user: String,
    /// `None` removes the user from the account.
    pub role: Option<String>,
}

/// An invitation to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invitation {
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "inv_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: InvitationId,
    #[cfg_attr(feature = "openapi", schema(example = "grace@example.com"))]
    pub email: String,
    /// The role granted on acceptance: `viewer`, `developer`, `admin` or `owner`.
    #[cfg_attr(feature = "openapi", schema(example = "developer"))]
    pub role: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
}

impl From<user::Invitation> for Invitation {
    fn from(invitation: user::Invitation) -> Self {
        Self {
            id: invitation.id,
            email: invitation.email.to_string(),
            role: invitation.role.name().to_owned(),
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
        }
    }
}

/// An invitation with its one-use code.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InvitationWithCode {
    pub invitation: Invitation,
    /// Shown only once.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Password))]
    pub code: Option<SecretText>,
}

/// Whom to invite.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateInvitation {
    pub email: Option<String>,
    pub role: Option<String>,
}

/// A page of invitations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InvitationList {
    pub invitations: Vec<Invitation>,
    pub pagination: Pagination,
}
