//! Master keys: which one seals, what is sealed by which, and the replacement of one by another. A new key is loaded by every
//! server first, then it is activated in the database, then everything that the old one sealed is sealed again in the background.

mod change;
pub(crate) mod columns;
mod reseal;
pub(crate) mod state;
pub(crate) mod stored;

use serde_json::{Value, json};
use telepath_core::audit::{AuditAction, AuditEntry, Origin};
use telepath_core::id::AccountId;
use telepath_core::keyring::{
    KeyringChange, KeyringStatus, MasterKeyFile, MasterKeyFileError, MasterKeyStatus, SecretsLeft,
};
use telepath_core::vault::{MAX_MASTER_KEYS, MasterKey, SealingKeyId};

pub use reseal::Resealed;

use crate::audit;
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::sql::corrupt;
use crate::store::Store;
use change::{Activation, Removal};
use columns::SEALED;
use stored::{ACTIVE, is_pending, loaded_text, node_keys, servers, stored};

/// Why the master keys were not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// They are a value of the configuration.
    #[error(
        "the master keys come from TELEPATH_MASTER_KEY; add a line made by `openssl rand -base64 32` at its end, and restart every server"
    )]
    Configured,
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] MasterKeyFileError),
    /// No more can be loaded.
    #[error(
        "{MAX_MASTER_KEYS} master keys are loaded, which is the limit; remove those that seal nothing with `telepath keyring prune`"
    )]
    TooMany,
    /// This server has not loaded the key.
    #[error("the server has not loaded the master key {0}")]
    NotLoaded(SealingKeyId),
    /// Another server could not open what the key seals.
    #[error(
        "the server {server} has not loaded the master key {key}; copy master.key to it, wait a few seconds, and run this again"
    )]
    MissingOnServer { server: String, key: SealingKeyId },
    /// Something may still be sealed by any key.
    #[error(
        "secrets are still being sealed with the active master key; wait until `telepath keyring status` says that this is done"
    )]
    Resealing,
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// The master keys, and how much each has sealed.
    pub async fn keyring_status(&self) -> Result<KeyringStatus, StoreError> {
        let mut db = self.backend.read().await?;
        let Some(stored) = stored(&mut db).await? else { return Err(corrupt(ACTIVE)) };
        let loaded = self.context.vault.loaded();
        let mut sealed: Vec<(SealingKeyId, u64)> = loaded.iter().map(|id| (*id, 0)).collect();
        let mut left = Vec::with_capacity(SEALED.len());
        for column in SEALED {
            let mut of_others = 0;
            for row in db.fetch_all(column.count(), vec![]).await? {
                // What is too short for an id cannot be opened by any key.
                let id = SealingKeyId::from_bytes(row.bytes("id")?.try_into().unwrap_or_default());
                let secrets = row.number("secrets")?;
                add(&mut sealed, id, secrets);
                of_others += if id == stored.active { 0 } else { secrets };
            }
            left.push(SecretsLeft { kind: column.kind, secrets: of_others });
        }
        if let Some(id) = stored.derived_keys.as_ref().and_then(telepath_core::vault::Sealed::key) {
            add(&mut sealed, id, 1);
        }
        let keys = sealed.into_iter().map(|(id, sealed)| MasterKeyStatus {
            id,
            active: id == stored.active,
            loaded: loaded.contains(&id),
            sealed,
        });
        Ok(KeyringStatus {
            keys: keys.collect(),
            left,
            unreadable: self.keyring.unreadable(),
            resealing: is_pending(&mut db).await?,
            servers: servers(&mut db).await?,
        })
    }

    /// Generates a master key, adds it to the file, and loads it. It seals nothing before it is activated.
    pub async fn add_master_key(
        &self,
        account: AccountId,
        origin: Origin,
    ) -> Result<KeyringChange, KeyringError> {
        let _changing = self.keyring.lock().await;
        self.load_master_keys().await?;
        let added = self.add_generated(account, origin).await?;
        Ok(KeyringChange { added: vec![added], removed: Vec::new(), keyring: self.keyring_status().await? })
    }

    /// Seals with another master key from now on: the one named, or the newest that was loaded after the active one, or a new
    /// one. What the others have sealed is sealed again by [`Store::maintain_keyring`]. Without a name, a rotation that is not
    /// finished is continued instead.
    pub async fn rotate_master_key(
        &self,
        account: AccountId,
        id: Option<SealingKeyId>,
        origin: Origin,
    ) -> Result<KeyringChange, KeyringError> {
        let _changing = self.keyring.lock().await;
        self.load_master_keys().await?;
        self.follow_activation().await?;
        let active = self.context.vault.sealing_key_id();
        let pending = is_pending(&mut self.backend.read().await?).await?;
        let mut added = Vec::new();
        let next = match (id, self.newest_unused()) {
            (Some(id), _) => id,
            (None, _) if pending => active,
            (None, Some(newest)) => newest,
            (None, None) => {
                let new = self.add_generated(account, origin).await?;
                added.push(new);
                new
            }
        };
        if next != active {
            self.activate(account, (active, next), origin).await?;
        }
        Ok(KeyringChange { added, removed: Vec::new(), keyring: self.keyring_status().await? })
    }

    /// Removes the master keys before the active one that seal nothing from the file, and unloads them.
    pub async fn prune_master_keys(
        &self,
        account: AccountId,
        origin: Origin,
    ) -> Result<KeyringChange, KeyringError> {
        let _changing = self.keyring.lock().await;
        self.load_master_keys().await?;
        let file = self.keyring.file().ok_or(KeyringError::Configured)?;
        let mut keys = read_file(file)?;
        let keyring = self.keyring_status().await?;
        if keyring.resealing {
            return Err(KeyringError::Resealing);
        }
        // A key after the active one is about to replace it.
        let before = keyring.keys.iter().take_while(|key| !key.active);
        let unused: Vec<_> = before.filter(|key| key.loaded && key.sealed == 0).map(|key| key.id).collect();
        let mut removed = Vec::new();
        for id in unused {
            self.remove(account, id, origin).await?;
            keys.retain(|key| SealingKeyId::of(key) != Ok(id));
            file.write(&keys)?;
            self.context.vault.unload(id);
            tracing::info!(key = %id, "removed a master key that seals nothing");
            removed.push(id);
        }
        Ok(KeyringChange { added: Vec::new(), removed, keyring: self.keyring_status().await? })
    }

    /// Waits until a master key was activated through this process.
    pub async fn wait_for_activation(&self) {
        self.keyring.activated().await;
    }

    /// Loads new keys of the file, follows an activation by any server, and seals again what other keys have sealed.
    pub async fn maintain_keyring(&self) -> Result<Resealed, KeyringError> {
        let loaded = {
            let _changing = self.keyring.lock().await;
            self.load_master_keys().await
        };
        self.follow_activation().await?;
        let pending = is_pending(&mut self.backend.read().await?).await?;
        let resealed = if pending || self.keyring.is_first_pass() {
            self.reseal(pending).await?
        } else {
            Resealed::default()
        };
        loaded.map(|()| resealed)
    }

    /// The last key that was loaded after the active one.
    fn newest_unused(&self) -> Option<SealingKeyId> {
        let (loaded, active) = (self.context.vault.loaded(), self.context.vault.sealing_key_id());
        loaded.last().copied().filter(|id| *id != active)
    }

    /// Loads what was added to the file. Keys that are no longer in it stay loaded until the next start.
    async fn load_master_keys(&self) -> Result<(), KeyringError> {
        let Some(file) = self.keyring.file() else { return Ok(()) };
        let new = self.context.vault.load(&read_file(file)?).map_err(|_| KeyringError::TooMany)?;
        if new.is_empty() {
            return Ok(());
        }
        let keys = new.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        tracing::info!(keys, "loaded new master keys");
        Ok(self.publish_keys().await?)
    }

    async fn add_generated(&self, account: AccountId, origin: Origin) -> Result<SealingKeyId, KeyringError> {
        let file = self.keyring.file().ok_or(KeyringError::Configured)?;
        let mut keys = read_file(file)?;
        if keys.len() >= MAX_MASTER_KEYS || self.context.vault.loaded().len() >= MAX_MASTER_KEYS {
            return Err(KeyringError::TooMany);
        }
        let key = MasterKey::generate(&*self.context.entropy).map_err(StoreError::from)?;
        let id = SealingKeyId::of(&key).map_err(|_| StoreError::Broken)?;
        keys.push(key);
        file.write(&keys)?;
        self.load_master_keys().await?;
        let entry = entry(&self.context, account, origin, AuditAction::MasterKeyAdded, id)?;
        self.backend.write(move |db| Box::pin(async move { audit::write(db, &entry).await })).await?;
        Ok(id)
    }

    async fn activate(
        &self,
        account: AccountId,
        (from, to): (SealingKeyId, SealingKeyId),
        origin: Origin,
    ) -> Result<(), KeyringError> {
        let vault = &self.context.vault;
        let derived = vault.seal_derived_keys(to, &*self.context.entropy).map_err(StoreError::from)?;
        let derived = derived.ok_or(KeyringError::NotLoaded(to))?;
        let mut entry = entry(&self.context, account, origin, AuditAction::MasterKeyActivated, to)?;
        (entry.before, entry.after) = (active_field(from), active_field(to));
        let activation = Activation { from, to, derived, entry };
        self.backend.write(move |db| Box::pin(activation.run(db))).await?;
        vault.activate(to);
        tracing::info!(key = %to, "activated a master key; everything is sealed with it from now on");
        self.publish_keys().await?;
        self.keyring.activate();
        Ok(())
    }

    async fn remove(&self, account: AccountId, id: SealingKeyId, origin: Origin) -> Result<(), KeyringError> {
        let entry = entry(&self.context, account, origin, AuditAction::MasterKeyRemoved, id)?;
        let others: Vec<_> = self.context.vault.loaded().into_iter().filter(|other| *other != id).collect();
        let removal = Removal { id, node: self.cluster.node_id(), others, entry };
        self.backend.write(move |db| Box::pin(removal.run(db))).await
    }

    /// Seals with the key that the database names, which another server may have activated.
    async fn follow_activation(&self) -> Result<(), StoreError> {
        let Some(stored) = stored(&mut self.backend.read().await?).await? else {
            return Err(corrupt(ACTIVE));
        };
        let vault = &self.context.vault;
        let given = vault.sealing_key_id();
        if given == stored.active {
            return Ok(());
        }
        if !vault.activate(stored.active) {
            return Err(StoreError::WrongMasterKey { expected: stored.active.to_string(), given });
        }
        tracing::info!(key = %stored.active, "another server activated a master key");
        self.publish_keys().await
    }

    /// Records in this server's row which keys it has.
    async fn publish_keys(&self) -> Result<(), StoreError> {
        let Some(node) = self.cluster.node_id() else { return Ok(()) };
        let vault = &self.context.vault;
        let (active, loaded) = (vault.sealing_key_id(), loaded_text(&vault.loaded()));
        self.backend.write(move |db| Box::pin(async move { node_keys(db, node, active, loaded).await })).await
    }
}

fn add(sealed: &mut Vec<(SealingKeyId, u64)>, id: SealingKeyId, secrets: u64) {
    match sealed.iter_mut().find(|(known, _)| *known == id) {
        Some((_, sum)) => *sum += secrets,
        None => sealed.push((id, secrets)),
    }
}

fn read_file(file: &dyn MasterKeyFile) -> Result<Vec<MasterKey>, KeyringError> {
    Ok(file.read()?)
}

fn entry(
    context: &StoreContext,
    account: AccountId,
    origin: Origin,
    action: AuditAction,
    id: SealingKeyId,
) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        id: context.new_audit_id(origin.at)?,
        account_id: account,
        origin,
        action,
        target: id.to_string(),
        before: json!({}),
        after: json!({}),
    })
}

fn active_field(id: SealingKeyId) -> Value {
    json!({ "active": id.to_string() })
}
