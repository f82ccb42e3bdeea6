//! Webhook endpoints. Signing secrets are sealed for their endpoint; a replaced secret remains until its grace period
//! ends. A deleted endpoint remains as a row until its deliveries are purged.

pub(crate) mod change;
pub(crate) mod outbox;
pub(crate) mod row;
pub(crate) mod secret;
pub(crate) mod unwanted;

use telepath_core::audit::Origin;
use telepath_core::id::WebhookId;
use telepath_core::page::{Page, PageRequest};
use telepath_core::reach::Reach;
use telepath_core::scope::{Scope, ScopeSet};
use telepath_core::secret::SecretText;
use telepath_core::validation::Invalid;
use telepath_core::webhook::signature::SigningSecret;
use telepath_core::webhook::{
    NewWebhook, SignatureScheme, Webhook, WebhookHeaders, WebhookPatch, WebhookStatus,
};

use crate::delivery::row::DeliveryRecord;
use crate::error::StoreError;
use crate::sql::within::subscription_within;
use crate::sql::{ListQuery, Order, binds};
use crate::store::Store;

/// An endpoint with its new secret.
#[derive(Debug)]
pub struct WebhookWithSecret {
    pub webhook: Webhook,
    /// The shared secret, which is not available again. `None` if receivers verify with a public key.
    pub secret: Option<SecretText>,
}

/// Why an operation on an endpoint failed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookChangeError {
    /// The account has no such endpoint.
    #[error("the account has no such webhook endpoint")]
    NotFound,
    /// The account has no such delivery.
    #[error("the account has no such delivery")]
    DeliveryNotFound,
    /// The endpoint has the maximum number of secrets that sign.
    #[error("the webhook endpoint has the maximum number of active secrets")]
    TooManySecrets,
    /// The endpoint is disabled, so nothing is sent to it.
    #[error("the webhook endpoint is disabled")]
    Disabled,
    /// The caller reaches only some trunks, and the subscription has other events.
    #[error("the subscription has events beyond the trunks of the caller")]
    OutOfReach,
    /// The caller must not receive the events of the subscription.
    #[error("receiving these events needs the scope {0}")]
    MissingScope(Scope),
    /// The request refers to something that the account does not have.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Creates an endpoint with its first secret.
    pub async fn create_webhook(
        &self,
        reach: impl Into<Reach>,
        new: NewWebhook,
        origin: Origin,
    ) -> Result<WebhookWithSecret, WebhookChangeError> {
        let reach = reach.into();
        let id = self.new_id(origin.at)?;
        let secret = self.new_signing_secret(new.scheme)?;
        let sealed = secret::seal(&self.context, id, &secret, origin.at)?;
        let headers = new.headers.as_ref();
        let headers = headers.map(|headers| secret::seal_headers(&self.context, id, headers)).transpose()?;
        let audit_id = self.new_audit_id(origin.at)?;
        let storage_limits = self.storage_limits;
        let creation = change::Creation { id, reach, new, headers, sealed, storage_limits, origin, audit_id };
        let webhook = self.backend.write(move |db| Box::pin(change::create(db, creation))).await?;
        Ok(WebhookWithSecret { webhook, secret: shared(&secret) })
    }

    /// Endpoints within reach, newest first.
    pub async fn list_webhooks(
        &self,
        reach: impl Into<Reach>,
        status: Option<WebhookStatus>,
        page: PageRequest,
    ) -> Result<Page<Webhook>, StoreError> {
        let reach = reach.into();
        let mut filters = binds![reach.account.to_string(), status.map(WebhookStatus::name)];
        let within = subscription_within(&reach.trunks, &mut filters);
        let source = format!(
            "FROM webhooks WHERE account_id = $1 AND deleted_at IS NULL AND ($2 IS NULL OR status = $2){within}"
        );
        let mut db = self.backend.read().await?;
        let order = Order::by_creation("id", "created_at", false);
        let list = ListQuery { columns: row::COLUMNS, source: &source, filters, order };
        let Page { items, position } = list.page(&mut db, page).await?;
        Ok(Page { items: row::with_public_keys(&mut db, &items, self.now()).await?, position })
    }

    /// An endpoint within reach.
    pub async fn get_webhook(
        &self,
        reach: impl Into<Reach>,
        id: WebhookId,
    ) -> Result<Option<Webhook>, StoreError> {
        let reach = reach.into();
        row::webhook(&mut self.backend.read().await?, &reach, id, self.now()).await
    }

    /// Changes an endpoint. Disabling it holds its pending deliveries; enabling it does not release held ones, which
    /// must be recovered. `scopes` are those of the caller: to decide which events are sent, or to whom, needs the read
    /// scope of these events.
    pub async fn update_webhook(
        &self,
        reach: impl Into<Reach>,
        id: WebhookId,
        patch: WebhookPatch,
        scopes: ScopeSet,
        origin: Origin,
    ) -> Result<Webhook, WebhookChangeError> {
        let reach = reach.into();
        let (audit_id, event_id) = (self.new_audit_id(origin.at)?, self.new_id(origin.at)?);
        let seal = |headers: WebhookHeaders| secret::seal_headers(&self.context, id, &headers);
        let headers = patch.headers.clone().try_map(seal)?;
        let update = change::Update { reach, id, patch, headers, scopes, origin, audit_id, event_id };
        self.backend.write(move |db| Box::pin(change::update(db, update))).await
    }

    /// Deletes an endpoint. Nothing more is sent to it; its secrets are deleted now, its deliveries later.
    pub async fn delete_webhook(
        &self,
        reach: impl Into<Reach>,
        id: WebhookId,
        origin: Origin,
    ) -> Result<(), WebhookChangeError> {
        let reach = reach.into();
        let audit_id = self.new_audit_id(origin.at)?;
        self.backend.write(move |db| Box::pin(change::delete(db, reach, id, origin, audit_id))).await
    }

    /// Gives an endpoint a new secret. The old ones also sign for `grace_seconds`.
    pub async fn rotate_webhook_secret(
        &self,
        reach: impl Into<Reach>,
        id: WebhookId,
        grace_seconds: u32,
        origin: Origin,
    ) -> Result<WebhookWithSecret, WebhookChangeError> {
        let reach = reach.into();
        let found = self.get_webhook(reach.clone(), id).await?.ok_or(WebhookChangeError::NotFound)?;
        // The scheme of an endpoint never changes, so the value read before the transaction is still right in it.
        let secret = self.new_signing_secret(found.scheme)?;
        let sealed = secret::seal(&self.context, id, &secret, origin.at)?;
        let audit_id = self.new_audit_id(origin.at)?;
        let rotation = change::SecretRotation { reach, id, sealed, grace_seconds, origin, audit_id };
        let webhook = self.backend.write(move |db| Box::pin(change::rotate(db, rotation))).await?;
        Ok(WebhookWithSecret { webhook, secret: shared(&secret) })
    }

    /// Sends a `webhook.test` event to one endpoint.
    pub async fn test_webhook(
        &self,
        reach: impl Into<Reach>,
        id: WebhookId,
        origin: Origin,
    ) -> Result<DeliveryRecord, WebhookChangeError> {
        let reach = reach.into();
        let (audit_id, event_id) = (self.new_audit_id(origin.at)?, self.new_id(origin.at)?);
        let test = change::Test { reach, id, origin, audit_id, event_id };
        self.backend.write(move |db| Box::pin(change::test(db, test))).await
    }

    fn new_signing_secret(&self, scheme: SignatureScheme) -> Result<SigningSecret, StoreError> {
        Ok(SigningSecret::generate(scheme, &*self.context.entropy)?)
    }
}

/// What the receiver needs to verify signatures; a private key is never returned.
fn shared(secret: &SigningSecret) -> Option<SecretText> {
    match secret.scheme() {
        SignatureScheme::V1 => Some(secret.to_text()),
        SignatureScheme::V1a => None,
    }
}
