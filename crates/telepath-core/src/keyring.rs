//! The state of an installation's master keys, and the file that they come from.

use std::fmt;

use crate::vault::{MasterKey, SealingKeyId};

/// A master key, and what it has sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MasterKeyStatus {
    pub id: SealingKeyId,
    /// Whether it seals.
    pub active: bool,
    /// Whether this server has loaded it.
    pub loaded: bool,
    /// The number of secrets that are sealed by it.
    pub sealed: u64,
}

/// Secrets of one kind that another key than the active one seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretsLeft {
    /// Such as `webhook_secrets`.
    pub kind: &'static str,
    pub secrets: u64,
}

/// A server that shares the database, and its master keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerKeys {
    pub name: String,
    /// The key that it seals with; `None` until it has recorded one.
    pub active: Option<SealingKeyId>,
    pub loaded: Vec<SealingKeyId>,
}

/// The master keys of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyringStatus {
    /// Those that this server has loaded, in their order, then others that seal something.
    pub keys: Vec<MasterKeyStatus>,
    /// Every kind, also those of which nothing is left.
    pub left: Vec<SecretsLeft>,
    /// Secrets that this server could not open to seal them again.
    pub unreadable: u64,
    /// Whether secrets are still being sealed again.
    pub resealing: bool,
    /// Empty with a single server.
    pub servers: Vec<ServerKeys>,
}

/// What a change of the keyring did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyringChange {
    /// Keys that were generated and added to the file.
    pub added: Vec<SealingKeyId>,
    /// Keys that were removed from the file.
    pub removed: Vec<SealingKeyId>,
    pub keyring: KeyringStatus,
}

/// Why the file of master keys was not read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeyFileError {
    /// It belongs to whoever configures the server.
    #[error("the master keys are in {0}, which the server only reads")]
    ReadOnly(String),
    /// It cannot be used; the text names it.
    #[error("{0}")]
    Unusable(String),
}

/// The file that this process loads its master keys from.
pub trait MasterKeyFile: fmt::Debug + Send + Sync {
    /// Reads the keys, which may have changed.
    fn read(&self) -> Result<Vec<MasterKey>, MasterKeyFileError>;

    /// Replaces the keys, such that a crash leaves either the old ones or the new ones.
    fn write(&self, keys: &[MasterKey]) -> Result<(), MasterKeyFileError>;
}
