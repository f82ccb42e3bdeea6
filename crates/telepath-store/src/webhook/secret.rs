//! Signing secrets and headers: sealed for their endpoint, opened only for a delivery.

use telepath_core::clock::Timestamp;
use telepath_core::id::{Id as _, SecretId, WebhookId};
use telepath_core::vault::{Sealed, Vault};
use telepath_core::webhook::signature::SigningSecret;
use telepath_core::webhook::{MAX_SECRETS, WebhookHeaders};

use super::WebhookChangeError;
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::sql::{Connection, binds, corrupt};

/// A secret ready to be stored.
pub(super) struct SealedSecret {
    id: SecretId,
    sealed: Sealed,
    public_key: Option<String>,
}

pub(crate) fn place(webhook: WebhookId, secret: SecretId) -> String {
    format!("{webhook}/{secret}")
}

pub(super) fn seal(
    context: &StoreContext,
    webhook: WebhookId,
    secret: &SigningSecret,
    now: Timestamp,
) -> Result<SealedSecret, StoreError> {
    let id = SecretId::generate(now, &*context.entropy)?;
    let sealed = context.vault.seal(&secret.to_text(), &place(webhook, id), &*context.entropy)?;
    Ok(SealedSecret { id, sealed, public_key: secret.public_key() })
}

/// Stores a secret that signs from now on; the others sign until `grace_ends` at most. Refuses a secret beyond
/// [`MAX_SECRETS`], because a receiver may still verify with the oldest one.
pub(super) async fn put(
    db: &mut Connection,
    webhook: WebhookId,
    secret: SealedSecret,
    now: Timestamp,
    grace_ends: Timestamp,
) -> Result<(), WebhookChangeError> {
    let sql = "UPDATE webhook_secrets SET expires_at = $2, grace_from = $3 WHERE webhook_id = $1 \
               AND (expires_at IS NULL OR expires_at > $2)";
    db.execute(sql, binds![webhook.to_string(), grace_ends, now]).await?;
    let sql = "DELETE FROM webhook_secrets WHERE webhook_id = $1 AND expires_at <= $2";
    db.execute(sql, binds![webhook.to_string(), now]).await?;
    let sql = "SELECT count(*) AS total FROM webhook_secrets WHERE webhook_id = $1";
    let others: usize = db.fetch_one(sql, binds![webhook.to_string()]).await?.number("total")?;
    if others >= MAX_SECRETS {
        return Err(WebhookChangeError::TooManySecrets);
    }
    db.execute(
        "INSERT INTO webhook_secrets (id, webhook_id, sealed, public_key, created_at) VALUES ($1, $2, $3, $4, $5)",
        binds![secret.id.to_string(), webhook.to_string(), secret.sealed.as_bytes(), secret.public_key, now],
    )
    .await?;
    Ok(())
}

/// The secrets that sign a delivery at `now`, newest first. Empty if one of them cannot be opened: a delivery that
/// some receivers could not verify is better not sent.
pub(crate) async fn signing_secrets(
    db: &mut Connection,
    webhook: WebhookId,
    vault: &Vault,
    now: Timestamp,
) -> Result<Vec<SigningSecret>, StoreError> {
    let sql = "SELECT id, sealed FROM webhook_secrets WHERE webhook_id = $1 \
               AND (expires_at IS NULL OR expires_at > $2) ORDER BY created_at DESC, id DESC";
    let mut secrets = Vec::new();
    for row in db.fetch_all(sql, binds![webhook.to_string(), now]).await? {
        let id = row.parse("id")?;
        let opened = vault.open(&Sealed::from_bytes(row.bytes("sealed")?), &place(webhook, id));
        let parsed = opened.ok().and_then(|text| SigningSecret::parse(&text).ok());
        let Some(secret) = parsed else {
            tracing::error!(%webhook, secret = %id, "could not open a signing secret; nothing is sent to the endpoint");
            return Ok(Vec::new());
        };
        secrets.push(secret);
    }
    Ok(secrets)
}

pub(crate) fn headers_place(webhook: WebhookId) -> String {
    format!("{webhook}/headers")
}

/// Seals the headers that are added to each delivery.
pub(super) fn seal_headers(
    context: &StoreContext,
    webhook: WebhookId,
    headers: &WebhookHeaders,
) -> Result<Sealed, StoreError> {
    let json = headers.to_json().map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(context.vault.seal(&json, &headers_place(webhook), &*context.entropy)?)
}

/// The headers of a sealed column; an error if they cannot be opened.
pub(crate) fn open_headers(
    vault: &Vault,
    webhook: WebhookId,
    sealed: Vec<u8>,
) -> Result<WebhookHeaders, StoreError> {
    let json = vault.open(&Sealed::from_bytes(sealed), &headers_place(webhook));
    let headers = json.ok().and_then(|json| WebhookHeaders::from_json(&json).ok());
    headers.ok_or_else(|| corrupt("webhooks.headers"))
}
