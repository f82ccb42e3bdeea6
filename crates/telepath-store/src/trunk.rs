//! Trunks. Credentials arrive sealed; of the SIP password only the digest hashes are stored, sealed. A deleted trunk remains
//! as a row for the calls that refer to it.

mod activity;
mod change;
mod digest;
mod metrics;
mod names;
mod numbers;
pub(crate) mod reachability;
mod row;
mod target;

use std::collections::HashSet;

use serde_json::json;
use telepath_core::address::NetworkList;
use telepath_core::audit::{AuditAction, AuditEntry, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::digest_hash::DigestHashes;
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::network_set::NetworkSet;
use telepath_core::page::{Page, PageRequest};
use telepath_core::reach::Reach;
use telepath_core::trunk::{
    AgentSession, AgentTarget, NewTrunk, SipPassword, Trunk, TrunkFilter, TrunkLookup, TrunkMatch,
    TrunkMetrics, TrunkPatchDraft, TrunkStatus,
};
use telepath_core::validation::Invalid;

pub use activity::TrunkActivity;
pub use names::TrunkName;

pub(crate) use digest::{place as digest_place, seal_stored};

use crate::error::StoreError;
use crate::sql::within::trunk_within;
use crate::sql::{Connection, ListQuery, Order, Row, Value, binds, placeholders};
use crate::store::Store;
use crate::trunk_networks::NetworksChange;

/// A new trunk.
#[derive(Debug)]
pub struct CreatedTrunk {
    pub trunk: Trunk,
    /// The SIP password, if it was generated here. It is not available again.
    pub generated_password: Option<SipPassword>,
}

/// A trunk with its new SIP password; the old one no longer works.
#[derive(Debug)]
pub struct RotatedPassword {
    pub trunk: Trunk,
    /// The password, which is not available again.
    pub password: SipPassword,
    /// When it became valid.
    pub rotated_at: Timestamp,
}

/// Why a trunk was not created or changed.
#[derive(Debug, thiserror::Error)]
pub enum TrunkChangeError {
    /// The account has no such trunk.
    #[error("the account has no such trunk")]
    NotFound,
    /// Another trunk on this server has the SIP username.
    #[error("another trunk has this SIP username")]
    UsernameTaken,
    /// The change is not valid for the trunk's current state.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Creates a trunk.
    pub async fn create_trunk(
        &self,
        account: AccountId,
        new: NewTrunk,
        origin: Origin,
    ) -> Result<CreatedTrunk, TrunkChangeError> {
        let entropy = &*self.context.entropy;
        let generated_password = match &new.sip_password {
            Some(_) => None,
            None => Some(SipPassword::generate(entropy).map_err(StoreError::from)?),
        };
        let id: TrunkId = self.new_id(origin.at)?;
        let password = new.sip_password.as_ref().or(generated_password.as_ref()).ok_or(StoreError::Broken)?;
        let mut credentials = Vec::new();
        for (field, secret) in &new.credentials {
            let vault = &self.context.vault;
            credentials.push(change::Credential::seal(vault, entropy, id, *field, secret)?);
        }
        let creation = change::Creation {
            digest: digest::seal(
                &self.context,
                id,
                &DigestHashes::of(new.sip_username.as_str(), password.secret()),
            )?,
            trunk: row::new_trunk(id, account, &new, origin.at),
            credentials,
            storage_limits: self.storage_limits,
            origin,
            audit_id: self.new_audit_id(origin.at)?,
        };
        let (trunk, networks) = self.backend.write(move |db| Box::pin(change::create(db, creation))).await?;
        self.announce(networks);
        Ok(CreatedTrunk { trunk, generated_password })
    }

    /// Trunks within reach, with today's metrics.
    pub async fn list_trunks(
        &self,
        reach: impl Into<Reach>,
        filter: TrunkFilter,
        page: PageRequest,
    ) -> Result<Page<(Trunk, TrunkMetrics)>, StoreError> {
        let Reach { account, trunks } = reach.into();
        let mut filters = binds![account.to_string(), filter.status.map(TrunkStatus::name)];
        let within = trunk_within("id", &trunks, &mut filters);
        let source = format!(
            "FROM trunks WHERE account_id = $1 AND deleted_at IS NULL AND ($2 IS NULL OR status = $2){within}"
        );
        let order = Order::by_creation("id", "created_at", filter.oldest_first);
        let mut db = self.backend.read().await?;
        let list = ListQuery { columns: row::COLUMNS, source: &source, filters, order };
        let Page { items, position } = list.page(&mut db, page).await?;
        let trunks = row::with_credentials(&mut db, &items).await?;
        Ok(Page { items: metrics::with_metrics(&mut db, account, trunks, self.now()).await?, position })
    }

    /// A trunk within reach, with today's metrics.
    pub async fn get_trunk(
        &self,
        reach: impl Into<Reach>,
        id: TrunkId,
    ) -> Result<Option<(Trunk, TrunkMetrics)>, StoreError> {
        let Reach { account, trunks } = reach.into();
        if !trunks.allows(id) {
            return Ok(None);
        }
        let mut db = self.backend.read().await?;
        let trunk = row::trunk(&mut db, account, id).await?;
        let trunks = trunk.into_iter().collect();
        Ok(metrics::with_metrics(&mut db, account, trunks, self.now()).await?.pop())
    }

    /// Changes a trunk. The draft is validated against the trunk's state in the transaction.
    pub async fn update_trunk(
        &self,
        reach: impl Into<Reach>,
        id: TrunkId,
        draft: TrunkPatchDraft,
        origin: Origin,
    ) -> Result<Trunk, TrunkChangeError> {
        let account = reach_of(&reach.into(), id)?;
        let context = self.context.clone();
        let audit_id = self.new_audit_id(origin.at)?;
        let update = change::Update { account, id, draft, origin, audit_id, context };
        let (trunk, networks) = self.backend.write(move |db| Box::pin(change::update(db, update))).await?;
        self.announce(networks);
        Ok(trunk)
    }

    /// Deletes a trunk and its credentials. Its calls remain; its SIP username is free again.
    pub async fn delete_trunk(
        &self,
        reach: impl Into<Reach>,
        id: TrunkId,
        origin: Origin,
    ) -> Result<(), TrunkChangeError> {
        let account = reach_of(&reach.into(), id)?;
        let entry = AuditEntry {
            id: self.new_audit_id(origin.at)?,
            account_id: account,
            origin,
            action: AuditAction::TrunkDeleted,
            target: id.to_string(),
            before: json!({}),
            after: json!({}),
        };
        let networks = self.backend.write(move |db| Box::pin(change::delete(db, account, id, entry))).await?;
        self.announce(networks);
        Ok(())
    }

    /// Gives a trunk a new SIP password.
    pub async fn rotate_sip_password(
        &self,
        reach: impl Into<Reach>,
        id: TrunkId,
        origin: Origin,
    ) -> Result<RotatedPassword, TrunkChangeError> {
        let account = reach_of(&reach.into(), id)?;
        let password = SipPassword::generate(&*self.context.entropy).map_err(StoreError::from)?;
        let rotation = change::PasswordRotation {
            account,
            id,
            password: password.clone(),
            origin,
            audit_id: self.new_audit_id(origin.at)?,
            context: self.context.clone(),
        };
        let trunk = self.backend.write(move |db| Box::pin(change::rotate(db, rotation))).await?;
        Ok(RotatedPassword { trunk, password, rotated_at: origin.at })
    }

    /// The agent of a trunk with its credentials and what its sessions are opened with, to test it; `None` if there is no such
    /// trunk within reach.
    pub async fn agent_of_trunk(
        &self,
        reach: impl Into<Reach>,
        id: TrunkId,
    ) -> Result<Option<(AgentTarget, AgentSession)>, StoreError> {
        let Reach { account, trunks } = reach.into();
        if !trunks.allows(id) {
            return Ok(None);
        }
        let mut db = self.backend.read().await?;
        target::agent_of(&mut db, account, id, &self.context).await
    }

    /// The trunk that an INVITE is for, with everything that its calls need.
    pub(crate) async fn trunk_for_call(&self, lookup: &TrunkLookup) -> Result<TrunkMatch, StoreError> {
        let mut db = self.backend.read_for_calls().await?;
        target::find(&mut db, lookup, &self.context).await
    }

    /// The networks in `allowed_ips` of all trunks, without those that are too wide to be trusted.
    pub(crate) async fn allowed_ips_of_trunks(&self) -> Result<NetworkSet, StoreError> {
        const SQL: &str =
            "SELECT DISTINCT allowed_ips FROM trunks WHERE allowed_ips <> '' AND deleted_at IS NULL";
        let rows = self.backend.read_for_calls().await?.fetch_all(SQL, binds![]).await?;
        let trusted = |row: &Row| Ok(row.parse::<NetworkList>("allowed_ips")?.trusted());
        rows.iter().map(trusted).collect::<Result<NetworkSet, _>>()
    }

    fn announce(&self, networks: NetworksChange) {
        if networks == NetworksChange::Changed {
            self.cluster.announce_trunk_networks();
        }
    }
}

/// The account, if the trunk is within reach.
fn reach_of(reach: &Reach, trunk: TrunkId) -> Result<AccountId, TrunkChangeError> {
    if reach.trunks.allows(trunk) { Ok(reach.account) } else { Err(TrunkChangeError::NotFound) }
}

/// Checks that every trunk of a list belongs to the account.
pub(crate) async fn require_trunks(
    db: &mut Connection,
    account: AccountId,
    trunks: &[TrunkId],
) -> Result<Result<(), Invalid>, StoreError> {
    let mut problems = Invalid::default();
    if trunks.is_empty() {
        return Ok(Ok(()));
    }
    let sql = format!(
        "SELECT id FROM trunks WHERE account_id = $1 AND deleted_at IS NULL AND id IN ({})",
        placeholders(2, trunks.len())
    );
    let mut values = binds![account.to_string()];
    values.extend(trunks.iter().map(|trunk| Value::from(trunk.to_string())));
    let rows = db.fetch_all(sql, values).await?;
    let known: HashSet<_> = rows.iter().map(|row| row.text("id")).collect::<Result<_, _>>()?;
    for (place, trunk) in trunks.iter().enumerate() {
        if !known.contains(&trunk.to_string()) {
            problems.wrong(&format!("trunk_ids[{place}]"), "is not a trunk of this account");
        }
    }
    Ok(if problems.is_empty() { Ok(()) } else { Err(problems) })
}
