//! Rows of trunks and of the visible part of their credentials.

use std::collections::{BTreeMap, HashMap};

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::trunk::{
    AgentProtocol, AiProvider, CredentialField, CredentialState, NewTrunk, SipUsername, Trunk, TrunkStatus,
};

use crate::error::StoreError;
use crate::sql::{Connection, Row, binds, corrupt, placeholders};

/// The columns that [`trunk_of`] reads.
pub(super) const COLUMNS: &str = "id, account_id, name, status, ai_provider, agent_protocol, sip_username, \
     allowed_ips, settings, created_at, updated_at, status_reason";

/// A trunk before it is stored.
pub(super) fn new_trunk(id: TrunkId, account_id: AccountId, new: &NewTrunk, now: Timestamp) -> Trunk {
    Trunk {
        id,
        account_id,
        name: new.name.clone(),
        status: TrunkStatus::Active,
        status_reason: None,
        ai_provider: new.ai_provider,
        agent_protocol: new.agent_protocol,
        sip_username: new.sip_username.clone(),
        allowed_ips: new.allowed_ips.clone(),
        settings: new.settings.clone(),
        credentials: BTreeMap::new(),
        created_at: now,
        updated_at: now,
    }
}

/// The trunks of rows with [`COLUMNS`], with the states of their credentials.
pub(super) async fn with_credentials(db: &mut Connection, rows: &[Row]) -> Result<Vec<Trunk>, StoreError> {
    let mut trunks: Vec<Trunk> = rows.iter().map(trunk_of).collect::<Result<_, _>>()?;
    let mut states = states_of(db, &trunks).await?;
    for trunk in &mut trunks {
        trunk.credentials = states.remove(&trunk.id).unwrap_or_default();
    }
    Ok(trunks)
}

/// One trunk of an account.
pub(super) async fn trunk(
    db: &mut Connection,
    account: AccountId,
    id: TrunkId,
) -> Result<Option<Trunk>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM trunks WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL");
    let rows = db.fetch_all(sql, binds![id.to_string(), account.to_string()]).await?;
    Ok(with_credentials(db, &rows).await?.pop())
}

type States = HashMap<TrunkId, BTreeMap<CredentialField, CredentialState>>;

async fn states_of(db: &mut Connection, trunks: &[Trunk]) -> Result<States, StoreError> {
    let mut states = States::new();
    if trunks.is_empty() {
        return Ok(states);
    }
    let sql = format!(
        "SELECT trunk_id, field, last4, updated_at FROM trunk_credentials WHERE trunk_id IN ({})",
        placeholders(1, trunks.len())
    );
    let ids = trunks.iter().map(|trunk| trunk.id.to_string().into()).collect();
    for row in db.fetch_all(sql, ids).await? {
        let state = CredentialState { last4: row.maybe_text("last4")?, updated_at: row.time("updated_at")? };
        let field = row.named("field", CredentialField::from_name)?;
        states.entry(row.parse("trunk_id")?).or_default().insert(field, state);
    }
    Ok(states)
}

pub(super) fn trunk_of(row: &Row) -> Result<Trunk, StoreError> {
    let status = row.named("status", TrunkStatus::from_name)?;
    Ok(Trunk {
        id: row.parse("id")?,
        account_id: row.parse("account_id")?,
        name: row.text("name")?,
        status,
        // The reason of the latest failure is kept before there are enough of them.
        status_reason: row.maybe_text("status_reason")?.filter(|_| status == TrunkStatus::Error),
        ai_provider: row.named("ai_provider", AiProvider::from_name)?,
        agent_protocol: row.named("agent_protocol", AgentProtocol::from_name)?,
        sip_username: SipUsername::try_from(row.text("sip_username")?)
            .map_err(|_| corrupt("sip_username"))?,
        allowed_ips: row.parse("allowed_ips")?,
        settings: row.json("settings")?,
        credentials: BTreeMap::new(),
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
