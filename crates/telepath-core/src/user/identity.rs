//! Users as an OpenID Connect provider knows them, and the role that its groups give them.

use std::fmt;
use std::str::FromStr;

use super::{Email, Role, UserName};
use crate::clock::Timestamp;
use crate::secret::SecretText;

/// The most groups of a user that are looked at. A token of a provider is bounded by its bytes too.
pub const MAX_GROUPS: usize = 500;
/// The most characters of a provider's identifier of a user (OpenID Connect Core 1.0 section 2).
pub const LONGEST_SUBJECT: usize = 255;

/// What a provider has said of the user who signs in. Its signature has been checked.
#[derive(Debug, Clone)]
pub struct ExternalIdentity {
    /// The provider, as a URL.
    pub issuer: String,
    /// The provider's identifier of the user, which never changes.
    pub subject: String,
    /// The address, if the provider has verified that it belongs to the user.
    pub verified_email: Option<Email>,
    pub name: Option<UserName>,
    pub groups: Vec<String>,
    /// When the user last proved to the provider who they are, if it says so.
    pub authenticated_at: Option<Timestamp>,
}

/// What a sign-in at a provider is bound to. The browser keeps it in a cookie until the provider leads it back.
#[derive(Debug)]
pub struct IdentityRequest {
    /// Comes back beside the code, so that nobody can finish a sign-in in the browser of somebody else (RFC 6749 section 10.12).
    pub state: SecretText,
    /// Comes back inside the token (OpenID Connect Core 1.0 section 15.5.2).
    pub nonce: SecretText,
    /// Proves that the code is used by whoever asked for it (RFC 7636).
    pub verifier: SecretText,
    /// Where the provider leads the browser back to.
    pub redirect_uri: String,
    /// Whether the user has to prove again who they are, although they are signed in at the provider.
    pub fresh: bool,
}

/// What the provider sent with the browser that comes back.
#[derive(Debug)]
pub struct IdentityResponse {
    pub code: SecretText,
    /// The provider (RFC 9207), if it says so.
    pub issuer: Option<String>,
}

/// Why nobody was identified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The provider cannot be reached, or fails.
    #[error("the identity provider cannot be used: {0}")]
    Unavailable(String),
    /// The provider's answer proves nothing.
    #[error("the answer of the identity provider is refused: {0}")]
    Refused(String),
}

/// The roles that a provider's groups give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupRoles {
    /// Group and role.
    pub roles: Vec<(String, Role)>,
    /// The role of users who are in none of the groups; without it, they may not sign in.
    pub otherwise: Option<Role>,
}

impl GroupRoles {
    /// Whether the groups decide the roles of members. Otherwise members keep theirs, and only users who are no members yet
    /// get the default.
    pub fn decides(&self) -> bool {
        !self.roles.is_empty()
    }

    /// The most powerful role that the groups give.
    pub fn role_of(&self, groups: &[String]) -> Option<Role> {
        let given = self.roles.iter().filter(|(group, _)| groups.contains(group)).map(|(_, role)| *role);
        given.max().or(self.otherwise)
    }
}

/// A group and its role, such as `telepath-admins=admin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRole(pub String, pub Role);

/// The text is not a group and a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a group, = and viewer, developer, admin or owner, such as telepath-admins=admin")]
pub struct InvalidGroupRole;

impl FromStr for GroupRole {
    type Err = InvalidGroupRole;

    fn from_str(text: &str) -> Result<Self, InvalidGroupRole> {
        // A group may contain the sign; a role never does.
        let (group, role) = text.rsplit_once('=').ok_or(InvalidGroupRole)?;
        let (group, role) = (group.trim(), role.trim().parse().map_err(|_| InvalidGroupRole)?);
        if group.is_empty() || group.chars().any(char::is_control) {
            return Err(InvalidGroupRole);
        }
        Ok(Self(group.to_owned(), role))
    }
}

impl fmt::Display for GroupRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_most_powerful_group_decides_and_users_of_no_group_get_the_default_or_nothing() {
        let mut mapping = GroupRoles {
            roles: vec![("staff".to_owned(), Role::Viewer), ("voice".to_owned(), Role::Admin)],
            otherwise: None,
        };
        assert_eq!(mapping.role_of(&groups(&["voice", "staff"])), Some(Role::Admin));
        assert_eq!(mapping.role_of(&groups(&["staff"])), Some(Role::Viewer));
        assert_eq!(mapping.role_of(&groups(&["Staff", "voice "])), None, "groups are compared exactly");
        mapping.otherwise = Some(Role::Developer);
        assert_eq!(mapping.role_of(&[]), Some(Role::Developer));
        assert_eq!(
            mapping.role_of(&groups(&["staff"])),
            Some(Role::Viewer),
            "a group comes before the default"
        );
    }

    #[test]
    fn a_group_and_its_role_are_read_from_the_last_sign() {
        let read = |text: &str| text.parse::<GroupRole>().map(|GroupRole(group, role)| (group, role));
        assert_eq!(read("ops = owner"), Ok(("ops".to_owned(), Role::Owner)));
        assert_eq!(read("cn=voice,dc=example=admin"), Ok(("cn=voice,dc=example".to_owned(), Role::Admin)));
        for wrong in ["", "ops", "ops=", "=admin", "ops=root", "a\u{7}=admin"] {
            assert_eq!(read(wrong), Err(InvalidGroupRole), "{wrong:?}");
        }
    }
}
