//! Configuration. Flags override the environment (`TELEPATH_*`), which overrides the TOML file, which overrides the
//! defaults. [`layers`] merges the sources as text and remembers where each value came from; [`checked`] parses the
//! result into typed values. Everything is checked before a socket is bound.

mod checked;
mod hint;
mod layers;
mod reference;
mod show;
mod table;
mod values;

use std::fmt;

pub use checked::{
    ApiConfig, CertificateSource, ClusterConfig, Config, DashboardConfig, DatabaseConfig, LimitsConfig,
    LogConfig, LogFormat, MediaConfig, MetricsConfig, OidcConfig, SipConfig, SmtpConfig, SmtpTls,
    StorageConfig, TlsConfig,
};
pub use hint::closest;
pub use layers::{Environment, Flags, Given, Layers, Source, Value};
pub use reference::reference_page;
pub use show::{as_json, as_text, statuses};
pub use table::{Kind, SETTINGS, Setting};
pub use values::{PortRange, duration};

/// One problem in the configuration. It never contains a value, because the value may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, or the unknown name.
    pub key: String,
    /// Where the value came from.
    pub source: Source,
    /// What is wrong, and what a valid value looks like.
    pub message: String,
}

impl Problem {
    /// A problem with a value from `source`.
    pub fn at(key: &str, source: &Source, message: String) -> Self {
        Self { key: key.to_owned(), source: source.clone(), message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{} ", self.key)?;
        }
        match &self.source {
            Source::Default => {}
            Source::Flag(_) | Source::Env(_) | Source::File(_) => write!(f, "({}) ", self.source)?,
        }
        f.write_str(&self.message)
    }
}

/// The configuration is invalid. Lists every problem, not only the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Problem>);

impl ConfigError {
    fn unless_empty(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests;
