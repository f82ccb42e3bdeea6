//! How the program ends: the exit codes, and a failure as one line that says what went wrong and what helps.

use std::fmt;
use std::process::ExitCode;

/// Why the program ends without success. The number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Something failed on the way.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong.
    Config = 3,
    /// A port or the data folder is in use.
    Busy = 4,
    /// The server refused the request.
    Refused = 5,
    /// The server cannot be reached or cannot answer now, or the rate limit is used up.
    Unavailable = 6,
    /// Ended at once by a second signal; the shell's number for SIGINT.
    Interrupted = 130,
}

impl Exit {
    /// Every code with its meaning, for the reference page.
    pub const ALL: &'static [(Exit, &'static str)] = &[
        (Exit::Failure, "something failed; the line on standard error says what and what helps"),
        (Exit::Usage, "the command line is wrong"),
        (Exit::Config, "the configuration is wrong"),
        (Exit::Busy, "a port or the data folder is in use by another process"),
        (Exit::Refused, "the server refused the request (wrong members, not found, no right)"),
        (
            Exit::Unavailable,
            "the server cannot be reached or cannot answer now, or the rate limit is used up; the same may work later",
        ),
        (Exit::Interrupted, "ended at once by a second signal"),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// What went wrong, in one line, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong.
    pub message: String,
    /// What helps, as an instruction.
    pub remedy: Option<String>,
}

impl Failure {
    /// A failure with its exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), remedy: None }
    }

    /// A failure of the general kind.
    pub fn plain(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, message)
    }

    /// A failure while doing something.
    pub fn doing(what: &str, error: &dyn fmt::Display) -> Self {
        Self::plain(format!("{what}: {error}"))
    }

    /// Adds what helps.
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
            // A certificate that nobody vouches for will not do so later.
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
        Self::new(exit, error.to_string())
    }
}
