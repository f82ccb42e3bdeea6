//! API keys in the database. Each change of a key is one transaction with its audit entry and its event, and has reached
//! the table in memory before the function returns, so that what was taken away is refused from that moment on.

pub(crate) mod change;
pub(crate) mod commit;
pub(crate) mod grantor;
mod rotate;
mod row;

use telepath_core::audit::Origin;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId, SecretId};
use telepath_core::key::{
    EXPIRING_WITHIN, GraceSeconds, Grantor, KeyFilter, KeyPatch, KeyRecord, KeyStatus, NewKey,
};
use telepath_core::page::{Page, PageRequest};
use telepath_core::secret::{KeyMode, PlainKey};
use telepath_core::validation::Invalid;

use crate::error::StoreError;
use crate::sql::{ListQuery, binds, corrupt};
use crate::store::Store;

use change::Revoke;
use commit::TouchedKeys;

/// A key that was just made.
#[derive(Debug)]
pub struct CreatedKey {
    /// What is known of it.
    pub record: KeyRecord,
    /// Its secret: the only time that it is seen.
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
    /// The key has more rights than whoever asks.
    #[error("the key has more rights than the key that asks")]
    Escalation,
    /// The key would get rights that whoever asks does not have, or that do not go together.
    #[error("the key would get rights that it cannot be given: {0}")]
    Beyond(Invalid),
    /// A revoked key stays as it is.
    #[error("the key is revoked")]
    Revoked,
    /// An expired key gets no new secret.
    #[error("the key is expired")]
    Expired,
    /// The newest secret is ended by rotating or revoking the key.
    #[error("the secret is the key's newest one")]
    CurrentSecret,
    /// One more secret would be more than a key may have.
    #[error("the key has as many secrets that work as it may have")]
    TooManySecrets,
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keys that were rotated together.
#[derive(Debug)]
pub struct RotatedKeys {
    /// When.
    pub at: Timestamp,
    /// Each with its new secret, the newest key first.
    pub keys: Vec<CreatedKey>,
}

/// Why the keys of an account were not rotated. None of them was.
#[derive(Debug, thiserror::Error)]
pub enum RotateAllError {
    /// These keys have more rights than whoever asks; none are named when whoever asks may give nothing any more.
    #[error("{} keys have more rights than the key that asks", .0.len())]
    Escalation(Vec<KeyId>),
    /// These keys have as many secrets that work as a key may have.
    #[error("{} keys have as many secrets that work as a key may have", .0.len())]
    TooManySecrets(Vec<KeyId>),
    /// More keys than are rotated together.
    #[error("the account has more keys than are rotated together")]
    TooManyKeys,
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const DAY_MS: i64 = 86_400_000;

impl Store {
    /// Makes a key of the account.
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
            origin,
            audit_id: self.new_id(origin.at)?,
            event_id: self.new_id(origin.at)?,
        };
        let record = self.change_key(creation.id, move |db| Box::pin(change::create(db, creation))).await?;
        Ok(CreatedKey { record, secret })
    }

    /// Keys of the account, the newest first.
    pub async fn list_keys(
        &self,
        account: AccountId,
        filter: KeyFilter,
        page: PageRequest,
    ) -> Result<Page<KeyRecord>, StoreError> {
        const SOURCE: &str = "FROM keys WHERE account_id = $1 \
             AND ($2 IS NULL OR $2 = CASE WHEN revoked_at IS NOT NULL THEN 'revoked' \
                WHEN expires_at <= $3 THEN 'expired' WHEN expires_at <= $4 THEN 'expiring' ELSE 'active' END) \
             AND ($5 IS NULL OR preset = $5) \
             AND ($6 IS NULL OR COALESCE(last_used_at, created_at) <= $6) \
             AND ($7 IS NULL OR expires_at < $7)";
        self.sync_usage().await;
        let now = self.now();
        let idle_since = filter.idle_days.map(|days| now.unix_ms() - i64::from(days) * DAY_MS);
        let filters = binds![
            account.to_string(),
            filter.status.map(KeyStatus::name),
            now,
            now.plus(EXPIRING_WITHIN),
            filter.preset.map(telepath_core::key::Preset::name),
            idle_since,
            filter.expires_before,
        ];
        let mut db = self.backend.read().await?;
        let order = "created_at DESC, id DESC";
        let list = ListQuery { columns: row::COLUMNS, source: SOURCE, filters, after: None, order };
        let Page { items, total } = list.page(&mut db, page).await?;
        Ok(Page { items: row::with_secrets(&mut db, &items).await?, total })
    }

    /// A key of the account.
    pub async fn get_key(&self, account: AccountId, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.sync_usage().await;
        self.find_key(account, id).await
    }

    /// A key of the account with counters that may be behind, for one who does not look at them.
    pub async fn find_key(&self, account: AccountId, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
        row::key(&mut self.backend.read().await?, account, id).await
    }

    /// What whoever asks may hand out; `None` is without bounds. Each change asks again in its own transaction: this is
    /// for those who want to know before.
    pub async fn grantor(
        &self,
        account: AccountId,
        origin: Origin,
    ) -> Result<Option<Grantor>, KeyChangeError> {
        grantor::read(&mut self.backend.read().await?, account, origin).await
    }

    /// Changes a key. Whoever asks must have what the key has and what it gets.
    pub async fn update_key(
        &self,
        account: AccountId,
        id: KeyId,
        patch: KeyPatch,
        origin: Origin,
    ) -> Result<KeyRecord, KeyChangeError> {
        // The answer shows the counters too.
        self.sync_usage().await;
        let audit_id = self.new_id(origin.at)?;
        let update = change::Update { account, id, patch, origin, audit_id };
        self.change_key(id, move |db| Box::pin(change::update(db, update))).await
    }

    /// Withdraws a key. When this has returned, no request is admitted by the key any more. Revoking again answers the
    /// key as it is.
    pub async fn revoke_key(
        &self,
        account: AccountId,
        id: KeyId,
        reason: Option<String>,
        origin: Origin,
    ) -> Result<KeyRecord, KeyChangeError> {
        let (audit_id, event_id) = (self.new_id(origin.at)?, self.new_id(origin.at)?);
        let revoke = Revoke { account, id, reason, origin, audit_id, event_id };
        self.change_key(id, move |db| Box::pin(change::revoke(db, revoke))).await
    }

    /// Gives a key a new secret. The others work until the grace ends, and not at all from when this has returned if
    /// there is none.
    pub async fn rotate_key(
        &self,
        account: AccountId,
        id: KeyId,
        grace: GraceSeconds,
        origin: Origin,
    ) -> Result<CreatedKey, KeyChangeError> {
        let mode = self.mode_of(account).await?;
        let (rotate, secret) = rotate::Rotate::make(&self.context, mode, grace, origin)?;
        let record = self.change_key(id, move |db| Box::pin(rotate::rotate(db, account, id, rotate))).await?;
        Ok(CreatedKey { record, secret })
    }

    /// Ends a secret before its grace is over. Ending one again changes nothing.
    pub async fn end_secret(
        &self,
        account: AccountId,
        id: KeyId,
        secret: SecretId,
        origin: Origin,
    ) -> Result<KeyRecord, KeyChangeError> {
        let audit_id = self.new_id(origin.at)?;
        let end = rotate::EndSecret { account, id, secret, origin, audit_id };
        self.change_key(id, move |db| Box::pin(rotate::end_secret(db, end))).await
    }

    /// Gives every usable key of the account a new secret, or none of them.
    pub async fn rotate_all_keys(
        &self,
        account: AccountId,
        grace: GraceSeconds,
        origin: Origin,
    ) -> Result<RotatedKeys, RotateAllError> {
        let mode = self.mode_of(account).await?;
        let (context, touched) = (self.context.clone(), TouchedKeys::default());
        let note = touched.clone();
        let rotated = self
            .change_keys(touched, move |db| {
                Box::pin(rotate::rotate_all(db, account, grace, mode, origin, context, note))
            })
            .await?;
        let shown = |(record, secret)| CreatedKey { record, secret };
        Ok(RotatedKeys { at: origin.at, keys: rotated.into_iter().map(shown).collect() })
    }

    async fn mode_of(&self, account: AccountId) -> Result<KeyMode, StoreError> {
        Ok(self.account(account).await?.ok_or_else(|| corrupt("account_id of a key"))?.mode)
    }
}
