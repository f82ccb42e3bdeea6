//! `/local/keyring`: the master keys of the installation.

use serde::{Deserialize, Serialize};
use telepath_core::keyring;
use telepath_core::vault::SealingKeyId;

/// A master key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MasterKey {
    /// The id, which is not secret: 16 hexadecimal digits.
    #[cfg_attr(feature = "openapi", schema(example = "8f14e45fceea167a"))]
    pub id: String,
    /// Whether it seals; exactly one does.
    pub active: bool,
    /// Whether this server has loaded it.
    pub loaded: bool,
    /// The number of secrets in the database that are sealed by it. A key that is not active and has none can be removed.
    pub sealed: u64,
}

/// Secrets of one kind that the active key does not seal yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SecretsLeft {
    /// `agent_credentials`, `sip_passwords`, `webhook_secrets`, `webhook_headers` or `authenticators`.
    #[cfg_attr(feature = "openapi", schema(example = "webhook_secrets"))]
    pub kind: String,
    pub secrets: u64,
}

/// A server that shares the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyringServer {
    /// Its `cluster.node_name`.
    #[cfg_attr(feature = "openapi", schema(example = "voice-1"))]
    pub name: String,
    /// The key that it seals with.
    #[cfg_attr(feature = "openapi", schema(example = "8f14e45fceea167a"))]
    pub active: Option<String>,
    /// The keys that it has loaded.
    pub loaded: Vec<String>,
}

/// The master keys of the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Keyring {
    /// Those that this server has loaded, the oldest first, then others that seal something.
    pub keys: Vec<MasterKey>,
    /// Whether secrets are still being sealed with the active key. No key can be removed meanwhile.
    pub resealing: bool,
    /// What is left to seal with the active key.
    pub left: Vec<SecretsLeft>,
    /// Secrets that this server could not open: their key is not loaded, or they were changed in the database.
    pub unreadable: u64,
    /// The servers that share the database; empty with a single server.
    pub servers: Vec<KeyringServer>,
}

impl From<keyring::KeyringStatus> for Keyring {
    fn from(status: keyring::KeyringStatus) -> Self {
        let keys = status.keys.into_iter().map(|key| MasterKey {
            id: key.id.to_string(),
            active: key.active,
            loaded: key.loaded,
            sealed: key.sealed,
        });
        let servers = status.servers.into_iter().map(|server| KeyringServer {
            name: server.name,
            active: server.active.map(|id| id.to_string()),
            loaded: server.loaded.iter().map(ToString::to_string).collect(),
        });
        let left = status
            .left
            .into_iter()
            .map(|left| SecretsLeft { kind: left.kind.to_owned(), secrets: left.secrets });
        Self {
            keys: keys.collect(),
            resealing: status.resealing,
            left: left.collect(),
            unreadable: status.unreadable,
            servers: servers.collect(),
        }
    }
}

/// Which master key to activate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateMasterKey {
    /// Its id. Without one, the newest that every server has loaded after the active one; if there is none, a new key is
    /// generated. A rotation that is not finished is continued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "8f14e45fceea167a"))]
    pub key: Option<String>,
}

/// What a change of the master keys did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyringChange {
    /// The ids of keys that were generated and added to the file.
    pub added: Vec<String>,
    /// The ids of keys that were removed from the file.
    pub removed: Vec<String>,
    /// The master keys after the change.
    pub keyring: Keyring,
}

impl From<keyring::KeyringChange> for KeyringChange {
    fn from(change: keyring::KeyringChange) -> Self {
        let texts = |ids: &[SealingKeyId]| ids.iter().map(ToString::to_string).collect();
        Self { added: texts(&change.added), removed: texts(&change.removed), keyring: change.keyring.into() }
    }
}
