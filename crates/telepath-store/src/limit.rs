//! Where windows are counted. One server counts the windows of keys in its own memory, under each key's lock; several
//! count them in one Redis or Valkey. The windows of addresses are each server's own.

pub(crate) mod memory;
pub(crate) mod outage;
pub(crate) mod redis;
pub(crate) mod shared;

#[cfg(test)]
mod tests;

use telepath_core::secret::SecretText;

/// Where the windows of keys are counted.
#[derive(Debug, Clone, Default)]
pub enum WindowOptions {
    /// In this process's memory.
    #[default]
    Memory,
    /// In one place for all servers.
    Shared(SharedWindows),
}

/// The one place where several servers count.
#[derive(Debug, Clone)]
pub struct SharedWindows {
    /// A `redis://` or `rediss://` URL, which may hold a password.
    pub url: SecretText,
    /// What every name begins with that is used there.
    pub prefix: String,
    /// What happens to requests while the place does not answer.
    pub outage: OutagePolicy,
}

/// What becomes of requests while their windows cannot be counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutagePolicy {
    /// They are refused (503).
    #[default]
    Refuse,
    /// Each server admits its share of the limit on top of what it knows. Together they may admit more than the limit.
    Local,
}
