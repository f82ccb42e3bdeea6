//! API keys. Each change is one transaction with its audit entry and its event, and is applied to the in-memory table
//! before the function returns, so that a revoked right is refused from then on.

pub(crate) mod authority;
pub(crate) mod change;
pub(crate) mod commit;
pub(crate) mod leak_guide;
mod list;
pub(crate) mod overview;
mod pause;
mod rotate;
mod row;
pub(crate) mod safety;

use telepath_core::audit::Origin;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId, SecretId};
use telepath_core::key::{
    Authority, Bound, Escalation, GraceSeconds, KeyPatch, KeyRecord, NewKey, RotateAll,
};
use telepath_core::reach::Reach;
use telepath_core::secret::{KeyMode, PlainKey};
use telepath_core::validation::Invalid;

use crate::error::StoreError;
use crate::sql::corrupt;
use crate::store::Store;

use change::Revoke;
use commit::TouchedKeys;

/// A new key.
#[derive(Debug)]
pub struct CreatedKey {
    pub record: KeyRecord,
    /// Its secret, which is not available again.
    pub secret: PlainKey,
}

/// Why a key was not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyChangeError {
    /// The account has no such key.
    #[error("the account has no such key")]
    NotFound,
    /// The key has no such secret.
    #[error("the key has no such secret")]
    SecretNotFound,
    /// The caller may not change the key or the preset.
    #[error(transparent)]
    Escalation(#[from] Escalation),
    /// The key would get rights that the caller does not have, or that contradict each other.
    #[error("the caller cannot grant these rights: {0}")]
    Beyond(Invalid),
    /// A revoked key cannot be changed.
    #[error("the key is revoked")]
    Revoked,
    /// An expired key cannot get a new secret.
    #[error("the key is expired")]
    Expired,
    /// The current secret ends only when the key is rotated or revoked.
    #[error("the secret is the key's current one")]
    CurrentSecret,
    /// The key already has the maximum number of working secrets.
    #[error("the key has the maximum number of working secrets")]
    TooManySecrets,
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The result of rotating every key of an account.
#[derive(Debug)]
pub struct RotatedKeys {
    /// When the keys were rotated.
    pub at: Timestamp,
    /// Each key with its new secret, newest key first.
    pub keys: Vec<CreatedKey>,
}

/// Why the keys of an account were not rotated. No key was rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateAllError {
    /// The caller manages no keys.
    #[error(transparent)]
    Escalation(#[from] Escalation),
    /// The caller may not change these keys.
    #[error("{} keys are beyond {bound}", keys.len())]
    Beyond { keys: Vec<KeyId>, bound: Bound },
    /// These keys already have the maximum number of working secrets.
    #[error("{} keys have the maximum number of working secrets", .0.len())]
    TooManySecrets(Vec<KeyId>),
    /// The account has more keys than one request may rotate.
    #[error("the account has more keys than one request may rotate")]
    TooManyKeys,
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Creates a key.
    pub async fn create_key(
        &self,
        account: AccountId,
        new: NewKey,
        origin: Origin,
    ) -> Result<CreatedKey, KeyChangeError> {
        let mode = self.mode_of(account).await?;
        let secret = PlainKey::generate(mode, &*self.context.entropy).map_err(StoreError::from)?;
        let creation = change::Creation {
            id: self.new_id(origin.at)?,
            account,
            secret_id: self.new_id(origin.at)?,
            hash: self.context.vault.hash_key(&secret),
            mask: secret.mask(),
            new,
            storage_limits: self.storage_limits,
            origin,
            audit_id: self.new_audit_id(origin.at)?,
            event_id: self.new_id(origin.at)?,
        };
        let record = self.change_key(creation.id, move |db| Box::pin(change::create(db, creation))).await?;
        Ok(CreatedKey { record, secret })
    }

    /// A key within reach, with up-to-date counters.
    pub async fn get_key(&self, reach: impl Into<Reach>, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.sync_usage().await;
        self.find_key(reach, id).await
    }

    /// A key within reach, without first updating its counters.
    pub async fn find_key(
        &self,
        reach: impl Into<Reach>,
        id: KeyId,
    ) -> Result<Option<KeyRecord>, StoreError> {
        let Reach { account, trunks } = reach.into();
        let found = row::key(&mut self.backend.read().await?, account, id).await?;
        Ok(found.filter(|key| trunks.encloses(&key.trunks)))
    }

    /// What the caller may grant. Each change reads it again in its own transaction; this is for checks before it.
    pub async fn authority(&self, account: AccountId, origin: Origin) -> Result<Authority, KeyChangeError> {
        Ok(authority::read(&mut self.backend.read().await?, account, origin).await?)
    }

    /// Changes a key. The caller needs the rights that the key has and the rights that it gets.
    pub async fn update_key(
        &self,
        account: AccountId,
        id: KeyId,
        patch: KeyPatch,
        origin: Origin,
    ) -> Result<KeyRecord, KeyChangeError> {
        // The response includes the counters.
        self.sync_usage().await;
        let audit_id = self.new_audit_id(origin.at)?;
        let update = change::Update { account, id, patch, origin, audit_id };
        self.change_key(id, move |db| Box::pin(change::update(db, update))).await
    }

    /// Revokes a key. Once this returns, no request is admitted with the key. Revoking it again returns the key
    /// unchanged.
    pub async fn revoke_key(
        &self,
        account: AccountId,
        id: KeyId,
        reason: Option<String>,
        origin: Origin,
    ) -> Result<KeyRecord, KeyChangeError> {
        let (audit_id, event_id) = (self.new_audit_id(origin.at)?, self.new_id(origin.at)?);
        let revoke = Revoke { account, id, reason, origin, audit_id, event_id };
        self.change_key(id, move |db| Box::pin(change::revoke(db, revoke))).await
    }

    /// Gives a key a new secret. The old secrets work until the grace period ends; without one they stop working when
    /// this returns.
    pub async fn rotate_key(
        &self,
        account: AccountId,
        id: KeyId,
        grace: GraceSeconds,
        origin: Origin,
    ) -> Result<CreatedKey, KeyChangeError> {
        let mode = self.mode_of(account).await?;
        let (rotate, secret) =
            rotate::Rotate::make(&self.context, mode, &self.storage_limits, grace, origin)?;
        let record = self.change_key(id, move |db| Box::pin(rotate::rotate(db, account, id, rotate))).await?;
        Ok(CreatedKey { record, secret })
    }

    /// Ends a secret before its grace period is over. Ending it again changes nothing.
    pub async fn end_secret(
        &self,
        account: AccountId,
        id: KeyId,
        secret: SecretId,
        origin: Origin,
    ) -> Result<KeyRecord, KeyChangeError> {
        let audit_id = self.new_audit_id(origin.at)?;
        let end = rotate::EndSecret { account, id, secret, origin, audit_id };
        self.change_key(id, move |db| Box::pin(rotate::end_secret(db, end))).await
    }

    /// Gives the usable keys of the account that are asked for new secrets, or none of them.
    pub async fn rotate_all_keys(
        &self,
        account: AccountId,
        which: impl Into<RotateAll>,
        origin: Origin,
    ) -> Result<RotatedKeys, RotateAllError> {
        let which = which.into();
        let mode = self.mode_of(account).await?;
        let (context, touched) = ((self.context.clone(), self.storage_limits), TouchedKeys::default());
        let note = touched.clone();
        let rotated = self
            .change_keys(touched, move |db| {
                Box::pin(rotate::rotate_all(db, account, which, mode, origin, context, note))
            })
            .await?;
        let shown = |(record, secret)| CreatedKey { record, secret };
        Ok(RotatedKeys { at: origin.at, keys: rotated.into_iter().map(shown).collect() })
    }

    async fn mode_of(&self, account: AccountId) -> Result<KeyMode, StoreError> {
        Ok(self.account(account).await?.ok_or_else(|| corrupt("account_id of a key"))?.mode)
    }
}
