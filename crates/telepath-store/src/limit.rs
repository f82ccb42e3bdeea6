//! Where windows are counted. A single server counts the windows of keys in memory, under each key's lock; several
//! servers share one Redis or Valkey. The windows of addresses are local to each server.

mod link_health;
pub(crate) mod memory;
pub(crate) mod outage;
mod quotas;
pub(crate) mod redis;
pub(crate) mod saved;
pub(crate) mod shared;

#[cfg(test)]
mod clock_steps;
#[cfg(test)]
mod late_replies;
#[cfg(test)]
mod tests;

use telepath_core::secret::SecretText;

/// Where the windows of keys are counted.
#[derive(Debug, Clone, Default)]
pub enum WindowOptions {
    /// In this process's memory.
    #[default]
    Memory,
    /// In a Redis or Valkey shared by all servers.
    Shared(SharedWindows),
}

/// The shared limiter.
#[derive(Debug, Clone)]
pub struct SharedWindows {
    /// A `redis://` or `rediss://` URL, which may contain a password.
    pub url: SecretText,
    /// The prefix of every Redis key.
    pub prefix: String,
    /// What happens to requests while Redis does not respond.
    pub outage: OutagePolicy,
}

/// What happens to requests while the shared limiter is unavailable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutagePolicy {
    /// They are refused (503).
    #[default]
    Refuse,
    /// Each server admits its share of the limit on top of the last known count. Together they may admit more than
    /// the limit.
    Local,
}
