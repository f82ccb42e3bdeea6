//! What can go wrong with a request, grouped by what the caller can do about it. No text here comes from a request header,
//! so no error can hold the key.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use telepath_api_types::error::ErrorBody;
use telepath_core::clock::Timestamp;
use telepath_core::entropy::EntropyError;

use crate::retry::Failure;

/// An error of a library.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// An earlier attempt with the same `Idempotency-Key` is still running on the server.
const KEY_IN_USE: &str = "IDEMPOTENCY_KEY_IN_USE";

/// An error response of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The body, with the status of the response.
    pub body: ErrorBody,
    /// When to retry at the earliest, from now (header `Retry-After`).
    pub retry_after: Option<Duration>,
    /// When the next rate window starts (header `X-RateLimit-Reset`).
    pub rate_limit_reset: Option<Timestamp>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ErrorBody { code, message, status, request_id, details, required_scope: _ } = &self.body;
        write!(f, "{message} ({status} {code}")?;
        if let Some(id) = request_id {
            write!(f, ", {id}")?;
        }
        f.write_str(")")?;
        // The message already names a single invalid member.
        for detail in details.iter().filter(|_| details.len() > 1) {
            write!(f, "; {}: {}", detail.field, detail.message)?;
        }
        match self.rate_limit_reset {
            Some(reset) if *status == 429 => write!(f, "; the next window starts at {reset}"),
            Some(_) | None => Ok(()),
        }
    }
}

/// Why a request failed.
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
    /// An environment variable is missing or unusable; nothing was sent.
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
    /// The trusted certificates could not be read; nothing was sent.
    #[error("cannot use the trusted certificates ({place}): {problem}")]
    Trust {
        /// The file, or `system`.
        place: String,
        /// What is wrong with them.
        problem: String,
    },
    /// The key holds characters that are not allowed in a header; nothing was sent.
    #[error("the API key holds characters that no key has")]
    BadKey,
    /// No connection to the server; nothing was sent.
    #[error("cannot connect to {peer}: {}", chain(source.as_ref()))]
    Connect {
        /// The address, or the path of the socket.
        peer: String,
        /// What the system or TLS reported.
        source: BoxError,
    },
    /// The Unix socket does not exist, or no process listens on it; nothing was sent.
    #[error("no server is running at {}", path.display())]
    NoServer {
        /// The socket.
        path: PathBuf,
        /// What the system reported.
        source: BoxError,
    },
    /// The connection broke, or the server did not speak HTTP. Whether the request was carried out is unknown.
    #[error("the connection to {peer} broke: {}", chain(source.as_ref()))]
    Http {
        /// The address, or the path of the socket.
        peer: String,
        /// What happened.
        source: BoxError,
    },
    /// The response did not arrive in time. Whether the request was carried out is unknown.
    #[error("{peer} did not respond within {limit:?}")]
    TimedOut {
        /// The address, or the path of the socket.
        peer: String,
        /// The time limit of the attempt: [`crate::TIME_LIMIT`], or what was left of [`crate::RetryPolicy::whole`].
        limit: Duration,
    },
    /// The response is larger than the client accepts.
    #[error("the response is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The response does not follow the API.
    #[error("cannot read the response (status {status}): {problem}")]
    Unexpected {
        /// The HTTP status.
        status: u16,
        /// What is wrong with it.
        problem: String,
    },
    /// The request was carried out, but the response with the secret was lost, and a secret is shown only once.
    #[error(
        "the request succeeded, but the response with the secret of {id} was lost; rotate it to get a new one"
    )]
    SecretLost {
        /// The owner of the secret, such as a key's id.
        id: String,
    },
    /// The API returned an error.
    #[error("{0}")]
    Api(Box<ApiError>),
}

impl Error {
    /// The code of the error that the API returned.
    pub fn code(&self) -> Option<&str> {
        if let Error::Api(api) = self { Some(&api.body.code) } else { None }
    }

    /// Whether the same request may succeed later without being changed.
    pub fn may_retry(&self) -> bool {
        match self {
            Error::Api(api) => matches!(api.body.status, 408 | 429 | 500..=599),
            // A rejected certificate or a TLS mismatch does not go away by waiting.
            Error::Connect { source, .. } => !is_tls_failure(source.as_ref()),
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

    /// Why TLS failed; `None` for any other error.
    pub fn tls_failure(&self) -> Option<TlsFailure> {
        let Error::Connect { source, .. } = self else { return None };
        causes(source.as_ref()).find_map(|cause| cause.downcast_ref::<rustls::Error>()).map(TlsFailure::of)
    }

    /// What the retry decision needs to know about this error.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Error::Api(api) if api.body.status == 429 => {
                Failure::RateLimited { retry_after: api.retry_after, reset: api.rate_limit_reset }
            }
            Error::Api(api)
                if api.body.status >= 500 || api.body.status == 408 || api.body.code == KEY_IN_USE =>
            {
                Failure::Unavailable { retry_after: api.retry_after }
            }
            // A proxy in front of the server returns its own error pages.
            Error::Unexpected { status: 500..=599, .. } => Failure::Unavailable { retry_after: None },
            Error::Connect { .. } | Error::NoServer { .. } if self.may_retry() => Failure::NotSent,
            Error::Http { .. } | Error::TimedOut { .. } => Failure::Unknown,
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
            | Error::SecretLost { .. } => Failure::Final,
        }
    }
}

/// The causes of an error, outermost first. An I/O error reports the cause of the error inside it as its own, so the inner
/// error is visited too.
pub(crate) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        let error: &'a (dyn StdError + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

fn is_tls_failure(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(<dyn StdError>::is::<rustls::Error>)
}

/// Why a TLS handshake failed, as far as the user can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFailure {
    /// The certificate of the server is not issued by a trusted authority.
    UntrustedIssuer,
    /// The certificate is not valid for the host name of the URL.
    WrongName,
    /// The certificate has expired, or is not valid yet.
    OutsideValidity,
    /// The server does not speak TLS on this port.
    NotTls,
    /// Anything else.
    Other,
}

impl TlsFailure {
    fn of(error: &rustls::Error) -> Self {
        use rustls::CertificateError as Certificate;
        match error {
            rustls::Error::InvalidCertificate(problem) => match problem {
                Certificate::UnknownIssuer => Self::UntrustedIssuer,
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => Self::WrongName,
                Certificate::Expired
                | Certificate::ExpiredContext { .. }
                | Certificate::NotValidYet
                | Certificate::NotValidYetContext { .. } => Self::OutsideValidity,
                _ => Self::Other,
            },
            rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => Self::NotTls,
            _ => Self::Other,
        }
    }

    const fn message(self) -> Option<&'static str> {
        match self {
            Self::UntrustedIssuer => Some("the server's certificate is not issued by a trusted authority"),
            Self::WrongName => Some("the server's certificate is not valid for this host name"),
            Self::OutsideValidity => Some("the server's certificate has expired or is not valid yet"),
            Self::NotTls => Some("the server does not speak TLS on this port"),
            Self::Other => None,
        }
    }
}

fn message_of(cause: &(dyn StdError + 'static)) -> String {
    let tls = cause.downcast_ref::<rustls::Error>().map(TlsFailure::of);
    tls.and_then(TlsFailure::message).map_or_else(|| cause.to_string(), str::to_owned)
}

/// The messages of an error and its causes, each once. The pool's own message says nothing, so it is left out.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let tls = causes(error).any(|cause| {
        cause.downcast_ref::<rustls::Error>().is_some_and(|tls| TlsFailure::of(tls) != TlsFailure::Other)
    });
    let mut text = String::new();
    for cause in causes(error).filter(|cause| !cause.is::<hyper_util::client::legacy::Error>()) {
        // The outer errors repeat the text of the library.
        if tls && !cause.is::<rustls::Error>() {
            continue;
        }
        let message = message_of(cause);
        if !text.contains(&message) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&message);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(source: impl Into<BoxError>) -> Error {
        Error::Connect { peer: "voice.example:443".to_owned(), source: source.into() }
    }

    #[test]
    fn a_tls_failure_is_final_and_its_message_appears_once() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = connect(io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls)));
        assert!(!error.may_retry());
        assert_eq!(error.failure(), Failure::Final);
        assert_eq!(error.tls_failure(), Some(TlsFailure::UntrustedIssuer));
        let text = "cannot connect to voice.example:443: the server's certificate is not issued by a trusted authority";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_port_without_tls_is_named() {
        let tls = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let error = connect(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert_eq!(error.tls_failure(), Some(TlsFailure::NotTls));
        let text = "cannot connect to voice.example:443: the server does not speak TLS on this port";
        assert_eq!(error.to_string(), text);
        let other = connect(rustls::Error::HandshakeNotComplete);
        assert_eq!(other.tls_failure(), Some(TlsFailure::Other));
        assert_eq!(connect(io::Error::other("x")).tls_failure(), None);
    }

    #[test]
    fn a_refused_connection_may_be_retried() {
        let error = connect(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert!(error.may_retry());
        assert_eq!(error.failure(), Failure::NotSent);
    }
}
