//! Users: the people who may sign in, the accounts they are members of, and how they prove who they are.
//!
//! A user exists once per server and is a member of any number of accounts, with one [`Role`] in each. Everything here is pure:
//! whether a session is valid, how long a sign-in must wait and whether a code is correct depend on the time that is passed in.

mod identity;
mod invitation;
mod name;
mod password;
mod profile;
mod recovery;
mod role;
mod session;
mod setup;
mod throttle;
mod token;
mod totp;

pub use identity::{
    ExternalIdentity, GroupRole, GroupRoles, IdentityError, IdentityRequest, IdentityResponse,
    InvalidGroupRole, LONGEST_SUBJECT, MAX_GROUPS,
};
pub use invitation::{
    INVITATION_LIFETIME, Invitation, InvitationStatus, PASSWORD_LINK_LIFETIME, SETUP_LINK_LIFETIME,
};
pub use name::{Email, InvalidEmail, UserName};
pub use password::{
    LONGEST_PASSWORD, Password, PasswordHash, PasswordHashError, SHORTEST_PASSWORD, WeakPassword,
};
pub use profile::{InvalidTheme, InvalidTimeZone, Theme, TimeZoneName, UserPatch, UserPatchDraft};
pub use recovery::{RECOVERY_CODES, RecoveryCode};
pub use role::{InvalidRole, Role};
pub use session::{
    PERSISTENT_LIFETIME, SECOND_FACTOR_WAIT, SESSION_IDLE, SESSION_LIFETIME, STEP_UP_LIFETIME, Session,
    SessionStatus,
};
pub use setup::{FIRST_USER_LINK_LIFETIME, SetupCode};
pub use throttle::{
    ACCOUNT_WINDOW, FREE_FAILURES, LONGEST_DELAY, NETWORK_FAILURES, NETWORK_WINDOW, SignInHistory,
    client_network,
};
pub use token::{InvalidUserToken, TokenHash, TokenPurpose, UserToken};
pub use totp::{InvalidTotpSecret, TotpSecret};

use crate::account::Actor;
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::named::named_enum;

/// Users of one server.
pub const MAX_USERS: u32 = 10_000;
/// Members of one account.
pub const MAX_MEMBERS: u32 = 500;
/// Accounts that one user is a member of.
pub const MAX_MEMBERSHIPS: u32 = 50;
/// Open invitations of one account.
pub const MAX_INVITATIONS: u32 = 100;
/// Sessions of one user; a further sign-in ends the one that was idle longest.
pub const MAX_SESSIONS: u32 = 50;
/// Identities of one user at OpenID Connect providers.
pub const MAX_IDENTITIES: u32 = 10;
/// Sign-in attempts that are kept; beyond that the oldest go.
pub const MAX_LOGIN_ATTEMPTS: u32 = 100_000;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: Email,
    pub name: UserName,
    /// Whether a password is set; without one the user signs in with a one-use link first.
    pub has_password: bool,
    /// Whether a second factor is confirmed and therefore required.
    pub has_second_factor: bool,
    pub profile: Profile,
    pub created_at: Timestamp,
    pub created_by: Actor,
    /// The last completed sign-in.
    pub last_sign_in_at: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
}

/// How a user wants the dashboard to look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// The zone that times are shown in; `None` is the browser's.
    pub time_zone: Option<TimeZoneName>,
    pub theme: Theme,
    /// Whether single-key shortcuts are off (WCAG 2.1.4).
    pub shortcuts_off: bool,
}

/// A user as a member of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub user: User,
    pub role: Role,
    /// When the user became a member.
    pub since: Timestamp,
}

named_enum! {
    /// Whether a user may sign in.
    pub enum UserStatus {
        /// May sign in.
        Active = "active",
        /// Has not set a password yet.
        Invited = "invited",
        /// Signs in nowhere and has no session.
        Disabled = "disabled",
    }
}

impl User {
    pub const fn status(&self) -> UserStatus {
        match (self.disabled_at, self.has_password) {
            (Some(_), _) => UserStatus::Disabled,
            (None, true) => UserStatus::Active,
            (None, false) => UserStatus::Invited,
        }
    }
}
