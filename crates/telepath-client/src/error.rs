//! What can go wrong with a request, told apart by what the caller can do about it. No text in here comes from a request
//! header, so no error can hold the key.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use telepath_core::clock::Timestamp;
use telepath_core::entropy::EntropyError;

use crate::retry::Outcome;

/// An earlier attempt with the same `Idempotency-Key` is still running on the server.
const KEY_IN_USE: &str = "IDEMPOTENCY_KEY_IN_USE";

/// One wrong member of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FieldError {
    /// The member, such as `scopes[0]`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// An error that the API answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ApiError {
    /// The code, such as `INVALID_API_KEY`.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// By which the server's log names the request.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The wrong members, when the request was not valid.
    #[serde(default)]
    pub details: Vec<FieldError>,
    /// The scope that the key lacks, when that is the reason.
    #[serde(default)]
    pub required_scope: Option<String>,
    /// Seconds after which trying again makes sense (the header `Retry-After`).
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// When the next rate window starts (the header `X-RateLimit-Reset`).
    #[serde(skip)]
    pub rate_limit_reset: Option<Timestamp>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {}", self.message, self.status, self.code)?;
        if let Some(id) = &self.request_id {
            write!(f, ", {id}")?;
        }
        f.write_str(")")?;
        // The message already tells of a single wrong member.
        for detail in self.details.iter().filter(|_| self.details.len() > 1) {
            write!(f, "; {}: {}", detail.field, detail.message)?;
        }
        match self.rate_limit_reset {
            Some(reset) if self.status == 429 => write!(f, "; the next window starts at {reset}"),
            Some(_) | None => Ok(()),
        }
    }
}

/// Why a request has no answer, or not the wished one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base URL cannot be used; nothing was sent.
    #[error("{url}: {problem}")]
    BadUrl {
        /// The URL as given.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A variable that says where to connect or with which key is missing or not usable; nothing was sent.
    #[error("{name} {problem}")]
    Setting {
        /// The variable.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of variables cannot be used; nothing was sent.
    #[error("{}: {problem}", path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, without its content.
        problem: String,
    },
    /// The system gave no random bytes for an `Idempotency-Key`; nothing was sent.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The certificates to trust could not be read; nothing was sent.
    #[error("the certificates to trust ({place}) cannot be used: {problem}")]
    Trust {
        /// The file, or `system`.
        place: String,
        /// What is wrong with them.
        problem: String,
    },
    /// The key holds characters that cannot stand in a header; nothing was sent.
    #[error("the API key holds characters that no key has")]
    BadKey,
    /// No connection to the server.
    #[error("no connection to {peer}: {source}")]
    Connect {
        /// Where to.
        peer: String,
        /// What the system or TLS said.
        source: std::io::Error,
    },
    /// Nothing listens on the Unix socket, or there is none.
    #[error("no server answers at {}", path.display())]
    NoServer {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection broke, or the server did not speak HTTP.
    #[error("the connection to {peer} broke: {source}")]
    Http {
        /// The other side.
        peer: String,
        /// What happened.
        source: hyper::Error,
    },
    /// The answer did not come in time.
    #[error("{peer} did not answer within {limit:?}")]
    TimedOut {
        /// The other side.
        peer: String,
        /// How long it was waited for: [`crate::TIME_LIMIT`], or what was left of the whole time of the call.
        limit: Duration,
    },
    /// The answer is larger than this client takes.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The bound in bytes.
        limit: usize,
    },
    /// The answer is not what the API promises.
    #[error("the server's answer (status {status}) is not understood: {problem}")]
    Unexpected {
        /// The HTTP status.
        status: u16,
        /// What is wrong with it.
        problem: String,
    },
    /// The request was carried out, but the answer that held the secret was lost on the way, and a secret is shown once.
    #[error(
        "the request was carried out, but the answer with the secret of {id} was lost: rotate it to get a new one"
    )]
    SecretLost {
        /// What the secret belongs to, such as a key's id.
        id: String,
    },
    /// The API answered an error.
    #[error("{0}")]
    Api(Box<ApiError>),
}

impl Error {
    /// The code of the API's error, when it was the API that answered.
    pub fn code(&self) -> Option<&str> {
        if let Error::Api(api) = self { Some(&api.code) } else { None }
    }

    /// Whether the same request may succeed later without being changed.
    pub fn may_retry(&self) -> bool {
        match self {
            Error::Api(api) => matches!(api.status, 408 | 429 | 500..=599),
            // What is wrong with a certificate or with the TLS that is spoken does not pass by waiting.
            Error::Connect { source, .. } => source.kind() != std::io::ErrorKind::InvalidData,
            Error::NoServer { .. } | Error::Http { .. } | Error::TimedOut { .. } => true,
            Error::BadUrl { .. }
            | Error::Setting { .. }
            | Error::EnvFile { .. }
            | Error::Entropy(_)
            | Error::Trust { .. }
            | Error::BadKey
            | Error::TooLarge { .. }
            | Error::Unexpected { .. }
            | Error::SecretLost { .. } => false,
        }
    }

    /// What this is for the decision whether the request is sent again.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Error::Api(api) if api.status == 429 => {
                Outcome::RateLimited { retry_after: api.retry_after, reset: api.rate_limit_reset }
            }
            Error::Api(api) if api.status >= 500 || api.status == 408 || api.code == KEY_IN_USE => {
                Outcome::Trouble { retry_after: api.retry_after }
            }
            // A proxy before the server answers with pages of its own.
            Error::Unexpected { status: 500..=599, .. } => Outcome::Trouble { retry_after: None },
            Error::Connect { .. } | Error::NoServer { .. } if self.may_retry() => Outcome::NotSent,
            Error::Http { .. } | Error::TimedOut { .. } => Outcome::Unknown,
            Error::Api(_)
            | Error::Connect { .. }
            | Error::NoServer { .. }
            | Error::BadUrl { .. }
            | Error::Setting { .. }
            | Error::EnvFile { .. }
            | Error::Entropy(_)
            | Error::Trust { .. }
            | Error::BadKey
            | Error::TooLarge { .. }
            | Error::Unexpected { .. }
            | Error::SecretLost { .. } => Outcome::Final,
        }
    }
}
