//! What can go wrong with a request, told apart by what the caller can do about it. No text in here comes from a request
//! header, so no error can hold the key.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

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
    /// Seconds after which trying again makes sense (the header `Retry-After`).
    #[serde(skip)]
    pub retry_after: Option<Duration>,
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
        Ok(())
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
    /// The answer did not come within [`crate::TIME_LIMIT`].
    #[error("{peer} did not answer within {} seconds", crate::TIME_LIMIT.as_secs())]
    TimedOut {
        /// The other side.
        peer: String,
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
    /// The API answered an error.
    #[error("{0}")]
    Api(ApiError),
}

impl Error {
    /// The code of the API's error, when it was the API that answered.
    pub fn code(&self) -> Option<&str> {
        match self {
            Error::Api(api) => Some(&api.code),
            Error::BadUrl { .. }
            | Error::Trust { .. }
            | Error::BadKey
            | Error::Connect { .. }
            | Error::NoServer { .. }
            | Error::Http { .. }
            | Error::TimedOut { .. }
            | Error::TooLarge { .. }
            | Error::Unexpected { .. } => None,
        }
    }

    /// Whether the same request may succeed later without being changed.
    pub fn may_retry(&self) -> bool {
        match self {
            Error::Api(api) => matches!(api.status, 408 | 429 | 500 | 502 | 503 | 504),
            Error::Connect { .. } | Error::NoServer { .. } | Error::Http { .. } | Error::TimedOut { .. } => {
                true
            }
            Error::BadUrl { .. }
            | Error::Trust { .. }
            | Error::BadKey
            | Error::TooLarge { .. }
            | Error::Unexpected { .. } => false,
        }
    }
}
