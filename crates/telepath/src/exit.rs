//! Exit codes, and failures as one line: what went wrong and how to fix it.

use std::fmt;
use std::process::ExitCode;

use telepath_client::TlsFailure;

/// The exit codes other than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// An error without its own code.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong.
    Config = 3,
    /// A port or the data folder is in use.
    Busy = 4,
    /// The server refused the request.
    Refused = 5,
    /// The server is unreachable or unavailable, or the rate limit is exceeded.
    Unavailable = 6,
    /// Ended by a second signal; the shell's code for SIGINT.
    Interrupted = 130,
}

impl Exit {
    /// Every code with its meaning, for the reference page.
    pub const ALL: &'static [(Exit, &'static str)] = &[
        (Exit::Failure, "an error; see the message on standard error"),
        (Exit::Usage, "the command line is wrong"),
        (Exit::Config, "the configuration is wrong"),
        (Exit::Busy, "a port or the data folder is in use by another process"),
        (Exit::Refused, "the server rejected the request (invalid, not found or not permitted)"),
        (
            Exit::Unavailable,
            "the server is unreachable or unavailable, or the rate limit is exceeded; try again later",
        ),
        (Exit::Interrupted, "ended by a second signal"),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// What went wrong, in one line, and how to fix it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    /// How to fix it, as an instruction.
    pub remedy: Option<String>,
}

impl Failure {
    /// A failure with its exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), remedy: None }
    }

    /// A failure with exit code 1.
    pub fn plain(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, message)
    }

    /// A failure with exit code 1 and its cause.
    pub fn doing(what: &str, error: &dyn fmt::Display) -> Self {
        Self::plain(format!("{what}: {error}"))
    }

    /// Adds an instruction that fixes it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, ". {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::new(Exit::Config, format!("configuration: {error}"))
    }
}

impl From<telepath_client::Error> for Failure {
    fn from(error: telepath_client::Error) -> Self {
        use telepath_client::Error;
        let exit = match &error {
            Error::Api(_) if error.may_retry() => Exit::Unavailable,
            Error::Api(_) => Exit::Refused,
            // An untrusted certificate does not become trusted by retrying.
            Error::Connect { .. } if !error.may_retry() => Exit::Failure,
            Error::Connect { .. } | Error::NoServer { .. } | Error::Http { .. } | Error::TimedOut { .. } => {
                Exit::Unavailable
            }
            Error::BadUrl { .. }
            | Error::Setting { .. }
            | Error::EnvFile { .. }
            | Error::Trust { .. }
            | Error::BadKey => Exit::Config,
            Error::Entropy(_)
            | Error::TooLarge { .. }
            | Error::Unexpected { .. }
            | Error::SecretLost { .. } => Exit::Failure,
        };
        let failure = Self::new(exit, error.to_string());
        match error.tls_failure().and_then(tls_remedy) {
            Some(remedy) => failure.remedy(remedy),
            None => failure,
        }
    }
}

const fn tls_remedy(failure: TlsFailure) -> Option<&'static str> {
    match failure {
        TlsFailure::UntrustedIssuer => Some(
            "Pass its CA certificate with --ca-file; a server with a local authority has it in tls/ca.pem of its data folder.",
        ),
        TlsFailure::WrongName => {
            Some("Use a name that the certificate contains, or add this one to tls.hostnames of the server.")
        }
        TlsFailure::OutsideValidity => Some("Renew the certificate, or correct the clock of this machine."),
        TlsFailure::NotTls => Some(
            "Use the HTTPS port of the server, or on the same machine an http:// URL with --insecure-http.",
        ),
        TlsFailure::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_failures_name_the_flag_that_helps() {
        assert!(tls_remedy(TlsFailure::UntrustedIssuer).is_some_and(|text| text.contains("--ca-file")));
        assert!(tls_remedy(TlsFailure::NotTls).is_some_and(|text| text.contains("--insecure-http")));
    }
}
