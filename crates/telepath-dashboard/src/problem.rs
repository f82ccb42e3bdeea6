//! Why a page cannot be shown. `app.rs` renders it as an error page.

use std::time::Duration;

use http::StatusCode;
use telepath_core::entropy::EntropyError;
use telepath_store::{HashingError, KeyChangeError, StoreError, UserError};

use crate::form::sentence;

/// Why a page cannot be shown.
#[derive(Debug)]
pub(crate) enum Problem {
    /// There is no such page, or no such object in this account.
    NotFound(&'static str),
    /// The role of the user does not allow it.
    Forbidden,
    /// The request does not come from a page of this origin, or its form belongs to another session.
    ForeignForm,
    /// The request cannot be understood.
    Malformed(&'static str),
    /// The form is too large.
    TooLarge,
    /// The address does not answer this method.
    MethodNotAllowed(&'static str),
    /// The name in `Host` is not one of this server's.
    Misdirected,
    /// A link that worked once.
    Gone(String),
    /// The state of an object rules the action out.
    Conflict(String),
    /// Too many attempts came before.
    Wait(Duration),
    /// The server cannot answer now.
    Unavailable(String),
    /// A fault of this program.
    Failed(String),
}

impl Problem {
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Problem::NotFound(_) => StatusCode::NOT_FOUND,
            Problem::Forbidden | Problem::ForeignForm => StatusCode::FORBIDDEN,
            Problem::Malformed(_) => StatusCode::BAD_REQUEST,
            Problem::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Problem::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Problem::Gone(_) => StatusCode::GONE,
            Problem::Conflict(_) => StatusCode::CONFLICT,
            Problem::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
            Problem::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Problem::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The heading of the error page.
    pub(crate) fn heading(&self) -> &str {
        match self {
            Problem::NotFound(what) => what,
            Problem::Forbidden => "Your role does not allow this",
            Problem::ForeignForm => "This form was not sent from here",
            Problem::Malformed(_) => "The request could not be read",
            Problem::TooLarge => "The form is too large",
            Problem::MethodNotAllowed(_) => "This address does not accept that",
            Problem::Misdirected => "The dashboard is not served under this name",
            Problem::Gone(_) => "This link does not work any more",
            Problem::Conflict(_) => "This cannot be done now",
            Problem::Wait(_) => "Too many attempts",
            Problem::Unavailable(_) => "The server cannot answer now",
            Problem::Failed(_) => "Something failed on the server",
        }
    }

    /// What the error page says beneath.
    pub(crate) fn explanation(&self) -> String {
        match self {
            Problem::NotFound(_) => "It may have been deleted, or belong to another account.".to_owned(),
            Problem::Forbidden => "An owner of the account can do it, or give you another role.".to_owned(),
            Problem::ForeignForm => {
                "Nothing was changed. Open the page again and send the form from there.".to_owned()
            }
            Problem::Malformed(what) => (*what).to_owned(),
            Problem::TooLarge => "Nothing was changed. Shorten the texts and send it again.".to_owned(),
            Problem::MethodNotAllowed(allowed) => format!("It accepts {allowed}."),
            Problem::Misdirected => {
                "Set dashboard.public_url to the address that you use, and start the server again.".to_owned()
            }
            Problem::Gone(why) | Problem::Conflict(why) => why.clone(),
            Problem::Wait(wait) => format!("Try again in {} s.", wait.as_secs().max(1)),
            Problem::Unavailable(_) => "Nothing was changed. Try again in a moment.".to_owned(),
            Problem::Failed(_) => "The log of the server has the cause under this request id.".to_owned(),
        }
    }

    /// The cause, for the log; never shown.
    pub(crate) fn cause(&self) -> Option<&str> {
        match self {
            Problem::Unavailable(cause) | Problem::Failed(cause) => Some(cause),
            Problem::NotFound(_)
            | Problem::Forbidden
            | Problem::ForeignForm
            | Problem::Malformed(_)
            | Problem::TooLarge
            | Problem::MethodNotAllowed(_)
            | Problem::Misdirected
            | Problem::Gone(_)
            | Problem::Conflict(_)
            | Problem::Wait(_) => None,
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Forbidden => Problem::Forbidden,
            StoreError::LimitReached(limit) => Problem::Conflict(format!("{limit}.")),
            StoreError::Unavailable(_)
            | StoreError::OutcomeUnknown(_)
            | StoreError::Busy
            | StoreError::Closed
            | StoreError::NoLease => Problem::Unavailable(error.to_string()),
            StoreError::Superseded
            | StoreError::Broken
            | StoreError::SchemaBehind { .. }
            | StoreError::SchemaAhead { .. }
            | StoreError::SchemaDiffers { .. }
            | StoreError::WrongMasterKey { .. }
            | StoreError::DatabaseTooOld { .. }
            | StoreError::OtherServer { .. }
            | StoreError::SharedLimits(_)
            | StoreError::File { .. }
            | StoreError::Corrupt(_)
            | StoreError::Entropy(_) => Problem::Failed(error.to_string()),
        }
    }
}

impl From<EntropyError> for Problem {
    fn from(error: EntropyError) -> Self {
        Problem::Failed(error.to_string())
    }
}

impl From<HashingError> for Problem {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Busy => Problem::Unavailable(error.to_string()),
            HashingError::Failed(_) => Problem::Failed(error.to_string()),
        }
    }
}

/// What a form about a key does not show beside one of its fields.
impl From<KeyChangeError> for Problem {
    fn from(error: KeyChangeError) -> Self {
        match error {
            KeyChangeError::NotFound => Problem::NotFound("This key does not exist"),
            KeyChangeError::SecretNotFound => Problem::NotFound("This secret does not exist"),
            KeyChangeError::Escalation(_) => Problem::Forbidden,
            KeyChangeError::Beyond(_)
            | KeyChangeError::Revoked
            | KeyChangeError::Expired
            | KeyChangeError::CurrentSecret
            | KeyChangeError::TooManySecrets => Problem::Conflict(sentence(&error.to_string())),
            KeyChangeError::Store(error) => error.into(),
        }
    }
}

/// What a form does not show beside one of its fields.
impl From<UserError> for Problem {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound => Problem::NotFound("This user does not exist"),
            UserError::SessionNotFound => Problem::NotFound("This session does not exist"),
            UserError::InvitationNotFound => Problem::NotFound("This invitation does not exist"),
            UserError::InvalidLink => Problem::Gone(
                "It was used, replaced by a newer one, or is too old. Ask for another.".to_owned(),
            ),
            UserError::Forbidden | UserError::Disabled | UserError::NoMembership => Problem::Forbidden,
            UserError::EmailTaken
            | UserError::OtherAccounts
            | UserError::AlreadyMember
            | UserError::LastOwner
            | UserError::WeakPassword(_)
            | UserError::WrongPassword
            | UserError::WrongCode
            | UserError::UnverifiedEmail
            | UserError::SecondFactorState => Problem::Conflict(format!("{error}.")),
            UserError::Wait(wait) => Problem::Wait(wait),
            UserError::Hashing(error) => error.into(),
            UserError::Store(error) => error.into(),
        }
    }
}
