//! The transactions that change trunks.

use serde_json::{Map, Value, json};
use telepath_core::audit::{AuditAction, AuditEntry, KeyedAuditId, Origin};
use telepath_core::digest_hash::DigestHashes;
use telepath_core::entropy::Entropy;
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::secret::SecretText;
use telepath_core::storage_limit::StorageLimits;
use telepath_core::trunk::{CredentialField, SipPassword, Trunk, TrunkPatchDraft, TrunkSettings};
use telepath_core::vault::{Sealed, Vault};

use super::{TrunkChangeError, digest, numbers, row};
use crate::audit;
use crate::audit::diff::diff;
use crate::call::hangup;
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::sql::{Connection, binds, corrupt, to_json};
use crate::storage_limit::{Counted, make_room, require_room};
use crate::trunk_networks::{self, NetworksChange};

/// A credential sealed for its trunk.
pub(super) struct Credential {
    field: CredentialField,
    sealed: Sealed,
    last4: Option<String>,
}

impl Credential {
    pub(super) fn seal(
        vault: &Vault,
        entropy: &dyn Entropy,
        trunk: TrunkId,
        field: CredentialField,
        secret: &SecretText,
    ) -> Result<Self, StoreError> {
        let sealed = vault.seal(secret, &field.place(trunk), entropy)?;
        // The last characters of a JSON object identify nothing.
        let last4 = if field.is_api_key() { secret.last4() } else { None };
        Ok(Self { field, sealed, last4 })
    }
}

pub(super) struct Creation {
    pub(super) trunk: Trunk,
    pub(super) digest: Sealed,
    pub(super) credentials: Vec<Credential>,
    pub(super) storage_limits: StorageLimits,
    pub(super) origin: Origin,
    pub(super) audit_id: KeyedAuditId,
}

pub(super) async fn create(
    db: &mut Connection,
    Creation { trunk, digest, credentials, storage_limits, origin, audit_id }: Creation,
) -> Result<(Trunk, NetworksChange), TrunkChangeError> {
    require_room(db, trunk.account_id, storage_limits, Counted::Trunks).await?;
    let inserted = db
        .execute(
            "INSERT INTO trunks (id, account_id, name, status, ai_provider, agent_protocol, sip_username, sip_digest, \
             sip_password_at, allowed_ips, settings, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            binds![
                trunk.id.to_string(),
                trunk.account_id.to_string(),
                trunk.name.as_str(),
                trunk.status.name(),
                trunk.ai_provider.name(),
                trunk.agent_protocol.name(),
                trunk.sip_username.as_str(),
                digest.as_bytes(),
                origin.at,
                trunk.allowed_ips.to_string(),
                to_json(&trunk.settings)?,
                trunk.created_at,
                trunk.updated_at,
            ],
        )
        .await;
    match inserted {
        Err(error) if error.is_unique_violation() => return Err(TrunkChangeError::UsernameTaken),
        other => other?,
    };
    numbers::set(db, trunk.id, &trunk.settings.inbound_numbers).await?;
    for credential in &credentials {
        set_credential(db, trunk.id, credential, origin).await?;
    }
    let mut after = audit_fields(&trunk);
    after.insert("ai_provider".to_owned(), trunk.ai_provider.name().into());
    after.insert("sip_username".to_owned(), trunk.sip_username.as_str().into());
    for credential in &credentials {
        after.insert(credential.field.name().to_owned(), "set".into());
    }
    let entry = AuditEntry {
        id: audit_id,
        account_id: trunk.account_id,
        origin,
        action: AuditAction::TrunkCreated,
        target: trunk.id.to_string(),
        before: json!({}),
        after: Value::Object(after),
    };
    audit::write(db, &entry).await?;
    let created = read_back(db, trunk.account_id, trunk.id).await?;
    let networks = trunk_networks::stamp(db, None, Some(&created.allowed_ips)).await?;
    Ok((created, networks))
}

pub(super) struct Update {
    pub(super) account: AccountId,
    pub(super) id: TrunkId,
    pub(super) draft: TrunkPatchDraft,
    pub(super) origin: Origin,
    pub(super) audit_id: KeyedAuditId,
    pub(super) context: StoreContext,
}

pub(super) async fn update(
    db: &mut Connection,
    Update { account, id, draft, origin, audit_id, context }: Update,
) -> Result<(Trunk, NetworksChange), TrunkChangeError> {
    let old = lock(db, account, id).await?;
    let patch = draft.check(&old)?;
    let new = Trunk {
        name: patch.name,
        status: patch.status,
        agent_protocol: patch.agent_protocol,
        allowed_ips: patch.allowed_ips,
        settings: patch.settings,
        ..old.clone()
    };
    let (mut before, mut after) = diff(&audit_fields(&old), &audit_fields(&new));
    for (field, secret) in &patch.credentials {
        let was = if old.credentials.contains_key(field) { "set" } else { "not set" };
        let is = if secret.is_some() { "set" } else { "not set" };
        before.insert(field.name().to_owned(), was.into());
        after.insert(field.name().to_owned(), is.into());
        match secret {
            Some(secret) => {
                let credential = Credential::seal(&context.vault, &*context.entropy, id, *field, secret)?;
                set_credential(db, id, &credential, origin).await?;
            }
            None => drop_credentials(db, id, Some(*field)).await?,
        }
    }
    if after.is_empty() {
        return Ok((old, NetworksChange::Unchanged));
    }
    db.execute(
        "UPDATE trunks SET name = $3, status = $4, allowed_ips = $5, settings = $6, updated_at = $7, \
         agent_protocol = $8, agent_failures = CASE WHEN status = $4 THEN agent_failures ELSE 0 END \
         WHERE id = $1 AND account_id = $2",
        binds![
            id.to_string(),
            account.to_string(),
            new.name.as_str(),
            new.status.name(),
            new.allowed_ips.to_string(),
            to_json(&new.settings)?,
            origin.at,
            new.agent_protocol.name(),
        ],
    )
    .await?;
    if new.settings.inbound_numbers != old.settings.inbound_numbers {
        numbers::set(db, id, &new.settings.inbound_numbers).await?;
    }
    let entry = AuditEntry {
        id: audit_id,
        account_id: account,
        origin,
        action: AuditAction::TrunkUpdated,
        target: id.to_string(),
        before: Value::Object(before),
        after: Value::Object(after),
    };
    audit::write(db, &entry).await?;
    let updated = read_back(db, account, id).await?;
    let networks = trunk_networks::stamp(db, Some(&old.allowed_ips), Some(&updated.allowed_ips)).await?;
    Ok((updated, networks))
}

pub(super) async fn delete(
    db: &mut Connection,
    account: AccountId,
    id: TrunkId,
    mut entry: AuditEntry,
) -> Result<NetworksChange, TrunkChangeError> {
    let old = lock(db, account, id).await?;
    drop_credentials(db, id, None).await?;
    numbers::set(db, id, &[]).await?;
    // The row stays for the calls that name it, but not the texts: their number is not limited.
    db.execute(
        "UPDATE trunks SET sip_digest = NULL, deleted_at = $3, updated_at = $3, settings = $4 \
         WHERE id = $1 AND account_id = $2",
        binds![id.to_string(), account.to_string(), entry.origin.at, to_json(&TrunkSettings::default())?],
    )
    .await?;
    make_room(db, account, Counted::Trunks).await?;
    entry.before = json!({ "name": old.name, "sip_username": old.sip_username });
    audit::write(db, &entry).await?;
    // Other servers may carry calls of the trunk.
    db.announce(hangup::CHANNEL).await?;
    Ok(trunk_networks::stamp(db, Some(&old.allowed_ips), None).await?)
}

pub(super) struct PasswordRotation {
    pub(super) account: AccountId,
    pub(super) id: TrunkId,
    pub(super) password: SipPassword,
    pub(super) origin: Origin,
    pub(super) audit_id: KeyedAuditId,
    pub(super) context: StoreContext,
}

pub(super) async fn rotate(
    db: &mut Connection,
    PasswordRotation { account, id, password, origin, audit_id, context }: PasswordRotation,
) -> Result<Trunk, TrunkChangeError> {
    let trunk = lock(db, account, id).await?;
    let digest = DigestHashes::of(trunk.sip_username.as_str(), password.secret());
    let digest = digest::seal(&context, id, &digest)?;
    db.execute(
        "UPDATE trunks SET sip_digest = $3, sip_password_at = $4, updated_at = $4 \
         WHERE id = $1 AND account_id = $2",
        binds![id.to_string(), account.to_string(), digest.as_bytes(), origin.at],
    )
    .await?;
    let entry = AuditEntry {
        id: audit_id,
        account_id: account,
        origin,
        action: AuditAction::TrunkPasswordRotated,
        target: id.to_string(),
        before: json!({}),
        after: json!({}),
    };
    audit::write(db, &entry).await?;
    read_back(db, account, id).await
}

/// The trunk, locked until the transaction ends.
async fn lock(db: &mut Connection, account: AccountId, id: TrunkId) -> Result<Trunk, TrunkChangeError> {
    let sql = "SELECT id FROM trunks WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL";
    let held = db.fetch_locked(sql, binds![id.to_string(), account.to_string()]).await?;
    held.ok_or(TrunkChangeError::NotFound)?;
    row::trunk(db, account, id).await?.ok_or(TrunkChangeError::NotFound)
}

async fn read_back(db: &mut Connection, account: AccountId, id: TrunkId) -> Result<Trunk, TrunkChangeError> {
    Ok(row::trunk(db, account, id).await?.ok_or_else(|| corrupt("trunks.id"))?)
}

async fn set_credential(
    db: &mut Connection,
    trunk: TrunkId,
    credential: &Credential,
    origin: Origin,
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO trunk_credentials (trunk_id, field, sealed, last4, updated_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (trunk_id, field) DO UPDATE SET sealed = excluded.sealed, last4 = excluded.last4, \
         updated_at = excluded.updated_at",
        binds![
            trunk.to_string(),
            credential.field.name(),
            credential.sealed.as_bytes(),
            credential.last4.as_deref(),
            origin.at,
        ],
    )
    .await?;
    Ok(())
}

async fn drop_credentials(
    db: &mut Connection,
    trunk: TrunkId,
    field: Option<CredentialField>,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM trunk_credentials WHERE trunk_id = $1 AND ($2 IS NULL OR field = $2)";
    db.execute(sql, binds![trunk.to_string(), field.map(CredentialField::name)]).await?;
    Ok(())
}

/// The fields that a patch can change, for the audit trail.
fn audit_fields(trunk: &Trunk) -> Map<String, Value> {
    let mut audit_fields = match serde_json::to_value(&trunk.settings) {
        Ok(Value::Object(members)) => members,
        Ok(_) | Err(_) => Map::new(),
    };
    audit_fields.insert("name".to_owned(), trunk.name.as_str().into());
    audit_fields.insert("status".to_owned(), trunk.status.name().into());
    audit_fields.insert("agent_protocol".to_owned(), trunk.agent_protocol.name().into());
    audit_fields.insert("allowed_ips".to_owned(), trunk.allowed_ips.to_string().into());
    audit_fields
}
