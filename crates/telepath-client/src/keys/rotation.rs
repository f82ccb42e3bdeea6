//! New secrets for keys, ends for old ones, and keys that are not secret any more.

use std::time::Duration;

use hyper::Method;
use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::{KeyId, SecretId};
use telepath_core::secret::SecretText;

use super::{Answered, CreatedKey, Key};
use crate::client::Client;
use crate::error::Error;
use crate::request::ApiRequest;

/// Secrets that one leak report takes.
pub const MAX_REPORTED: usize = 100;

/// Every key with its new secret.
#[derive(Debug, Clone)]
pub struct RotatedKeys {
    /// When.
    pub rotated_at: Timestamp,
    /// For how long the old secrets go on working.
    pub grace_seconds: u64,
    /// The keys, each with its secret shown this once.
    pub keys: Vec<CreatedKey>,
}

#[derive(Serialize)]
struct Grace {
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_seconds: Option<u64>,
}

impl Grace {
    fn of(grace: Option<Duration>) -> Self {
        Self { grace_seconds: grace.map(|grace| grace.as_secs()) }
    }
}

impl Client {
    /// Gives a key a new secret. The old one works until the grace has passed, a day when left out; with none it is dead
    /// when this returns.
    pub async fn rotate_key(&self, id: KeyId, grace: Option<Duration>) -> Result<CreatedKey, Error> {
        self.post::<Answered>(&format!("/v1/keys/{id}/rotate"), &Grace::of(grace)).await?.created()
    }

    /// Ends a secret before its grace does. The newest one cannot be ended so.
    pub async fn end_secret(&self, id: KeyId, secret: SecretId) -> Result<Key, Error> {
        self.post_empty(&format!("/v1/keys/{id}/secrets/{secret}/revoke")).await
    }

    /// Gives every usable key a new secret, all or none. With a grace of zero the secret that this client uses is dead as
    /// well: [`Client::with_key`] goes on with the new one.
    pub async fn rotate_all_keys(&self, grace: Option<Duration>) -> Result<RotatedKeys, Error> {
        #[derive(Deserialize)]
        struct All {
            rotated_at: Timestamp,
            grace_seconds: u64,
            keys: Vec<Answered>,
        }
        let all: All = self.post("/v1/keys/rotate-all", &Grace::of(grace)).await?;
        let keys = all.keys.into_iter().map(Answered::created).collect::<Result<_, _>>()?;
        Ok(RotatedKeys { rotated_at: all.rotated_at, grace_seconds: all.grace_seconds, keys })
    }

    /// Tells the server that these keys are known to people who should not know them. Whichever of them work are revoked;
    /// the answer is the same for all and says nothing. The client's own key is not sent along.
    ///
    /// # Errors
    /// The server refuses more than [`MAX_REPORTED`].
    pub async fn report_leak(&self, secrets: &[SecretText]) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Report<'a> {
            secrets: Vec<&'a str>,
        }
        let report = Report { secrets: secrets.iter().map(SecretText::expose).collect() };
        let request =
            ApiRequest::new(Method::POST, "/v1/keys/report-leak").body(&report)?.public_and_idempotent();
        self.send(&request).await.map(drop)
    }
}
