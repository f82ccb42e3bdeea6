//! How storage is opened: which database, which limits, and what part the process takes.

use std::path::PathBuf;

use telepath_core::alert::AlertSettings;
use telepath_core::limit::RateLimit;
use telepath_core::secret::SecretText;

use crate::cluster::ProcessRole;
use crate::limit::WindowOptions;

/// Which database.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file, made when it is not there.
    Sqlite {
        /// Where it is.
        path: PathBuf,
    },
    /// A server, 14 or newer.
    Postgres {
        /// Its `postgres://` URL, which may hold a password.
        url: SecretText,
    },
}

/// How storage is to be opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Which database.
    pub database: Database,
    /// Requests per minute of an address that shows no valid key.
    pub address_limit: RateLimit,
    /// What the rules of alerts go by.
    pub alerts: AlertSettings,
    /// What part the process takes.
    pub role: ProcessRole,
    /// Where the windows of keys are counted.
    pub windows: WindowOptions,
    /// What the server calls itself among others; its id when nothing is said.
    pub node_name: Option<String>,
}

impl StoreOptions {
    /// Requests per minute of an address that shows no valid key, unless told otherwise.
    pub const DEFAULT_ADDRESS_LIMIT: u32 = 600;

    /// A database with everything else as usual.
    pub fn new(database: Database) -> Self {
        let usual = RateLimit::per_minute(Self::DEFAULT_ADDRESS_LIMIT);
        // The constant is not zero, so there is always a usual limit.
        let address_limit = usual.unwrap_or(MIN_LIMIT);
        let (role, windows) = (ProcessRole::default(), WindowOptions::default());
        let alerts = AlertSettings::default();
        Self { database, address_limit, alerts, role, windows, node_name: None }
    }
}

const MIN_LIMIT: RateLimit = match RateLimit::per_minute(1) {
    Some(limit) => limit,
    None => unreachable!(),
};
