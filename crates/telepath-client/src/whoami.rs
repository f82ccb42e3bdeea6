//! `GET /v1/whoami`: what the server knows of the caller.

use serde::Deserialize;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};

use crate::client::Client;
use crate::error::Error;

/// The caller's own key.
#[derive(Debug, Clone, Deserialize)]
pub struct Whoami {
    /// The key's id; `None` for local administration.
    pub id: Option<KeyId>,
    /// What people call it.
    pub name: String,
    /// The bundle of rights it was made from; `None` for local administration.
    pub preset: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Requests per minute.
    pub rate_limit_per_minute: u32,
    /// When it stops to work.
    pub expires_at: Option<Timestamp>,
    /// Whose key it is.
    pub account: Account,
}

/// An account.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What people call it.
    pub name: String,
    /// `live` or `test`.
    pub mode: String,
}

impl Client {
    /// The key that this client uses.
    pub async fn whoami(&self) -> Result<Whoami, Error> {
        self.get("/v1/whoami").await
    }
}
