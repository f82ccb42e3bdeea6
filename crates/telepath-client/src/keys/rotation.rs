//! Rotation of keys, revocation of single secrets, and reports of leaked keys.

use std::time::Duration;

use hyper::Method;
use telepath_api_types::keys::{self, Key, RotateKey, RotateKeys};
use telepath_api_types::leaks::LeakReport;
use telepath_core::clock::Timestamp;
use telepath_core::id::{KeyId, SecretId};
use telepath_core::secret::SecretText;

use super::{CreatedKey, created};
use crate::client::Client;
use crate::error::Error;
use crate::request::ApiRequest;

/// The most secrets in one leak report.
pub const MAX_REPORTED: usize = 100;

/// Every key with its new secret.
#[derive(Debug, Clone)]
pub struct RotatedKeys {
    pub rotated_at: Timestamp,
    /// How long the previous secrets keep working, in seconds.
    pub grace_seconds: u32,
    /// The keys, each with its new secret.
    pub keys: Vec<CreatedKey>,
}

fn seconds(grace: Option<Duration>) -> Option<u32> {
    grace.map(|grace| u32::try_from(grace.as_secs()).unwrap_or(u32::MAX))
}

impl Client {
    /// Gives a key a new secret. The previous one works until the grace is over, a day by default; with a grace of zero it
    /// no longer works when this returns.
    pub async fn rotate_key(&self, id: KeyId, grace: Option<Duration>) -> Result<CreatedKey, Error> {
        created(
            self.post(&format!("/v1/keys/{id}/rotate"), &RotateKey { grace_seconds: seconds(grace) }).await?,
        )
    }

    /// Ends the grace of a previous secret. The newest secret cannot be ended.
    pub async fn end_secret(&self, id: KeyId, secret: SecretId) -> Result<Key, Error> {
        self.post_empty(&format!("/v1/keys/{id}/secrets/{secret}/revoke")).await
    }

    /// Gives every usable key a new secret, all or none; with `secrets_before`, those whose current secret is older. With a grace
    /// of zero the client's own secret no longer works either: continue with [`Client::with_key`] and the new one.
    pub async fn rotate_all_keys(
        &self,
        grace: Option<Duration>,
        secrets_before: Option<Timestamp>,
    ) -> Result<RotatedKeys, Error> {
        let which = RotateKeys {
            grace_seconds: seconds(grace),
            secrets_before: secrets_before.map(|before| before.to_string()),
        };
        let all: keys::RotatedKeys = self.post("/v1/keys/rotate-all", &which).await?;
        let keys = all.keys.into_iter().map(created).collect::<Result<_, _>>()?;
        Ok(RotatedKeys { rotated_at: all.rotated_at, grace_seconds: all.grace_seconds, keys })
    }

    /// Reports leaked keys. The server revokes those that work; its response is always the same. The client's own key is
    /// not sent.
    ///
    /// # Errors
    /// The server refuses more than [`MAX_REPORTED`] secrets.
    pub async fn report_leak(&self, secrets: &[SecretText]) -> Result<(), Error> {
        let report = LeakReport { secrets: Some(secrets.to_vec()) };
        let request =
            ApiRequest::new(Method::POST, "/v1/keys/report-leak").body(&report)?.public_and_idempotent();
        self.send(&request).await.map(drop)
    }
}
