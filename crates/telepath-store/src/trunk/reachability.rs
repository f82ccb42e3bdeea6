//! Whether the agents of trunks can be reached, as calls find out. After several failures in a row the status of a trunk is
//! `error`; the first success clears it. Neither is in the transaction of a call, because other calls of the trunk would wait.

use serde_json::{Value, json};
use telepath_core::audit::{AuditAction, AuditEntry, KeyedAuditId, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::trunk::TrunkStatus;

use crate::audit;
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;

/// Failures in a row after which the status of a trunk is `error`. A single one may be the provider's restart.
pub(crate) const FAILURES_BEFORE_ERROR: i64 = 3;
/// The most characters of a reason that are kept.
const MAX_REASON: usize = 500;

/// The result of an attempt to reach an agent.
pub(crate) enum AgentAttempt {
    Reached,
    /// Why it failed; without secrets.
    Failed(String),
}

struct Record {
    account: AccountId,
    trunk: TrunkId,
    attempt: AgentAttempt,
    audit_id: KeyedAuditId,
    now: Timestamp,
}

impl Store {
    /// Records an attempt to reach the agent of a trunk. A deleted trunk does not change.
    pub(crate) async fn record_agent_attempt(
        &self,
        account: AccountId,
        trunk: TrunkId,
        attempt: AgentAttempt,
    ) -> Result<(), StoreError> {
        // Nearly every call reaches its agent, and there is nothing to clear.
        if matches!(attempt, AgentAttempt::Reached) && !self.has_agent_failures(account, trunk).await? {
            return Ok(());
        }
        let now = self.now();
        let record = Record { account, trunk, attempt, audit_id: self.new_audit_id(now)?, now };
        self.backend.write(move |db| Box::pin(write(db, record))).await
    }

    /// Whether the latest attempts to reach the agent failed.
    async fn has_agent_failures(&self, account: AccountId, trunk: TrunkId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM trunks WHERE id = $1 AND account_id = $2 AND agent_failures > 0";
        let mut db = self.backend.read().await?;
        Ok(db.fetch_optional(sql, binds![trunk.to_string(), account.to_string()]).await?.is_some())
    }
}

async fn write(db: &mut Connection, record: Record) -> Result<(), StoreError> {
    let sql =
        "SELECT status, agent_failures FROM trunks WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL";
    let (id, account) = (record.trunk.to_string(), record.account.to_string());
    let found = db.fetch_locked(sql, binds![id.as_str(), account.as_str()]).await?;
    let Some(row) = found else { return Ok(()) };
    let status = row.named("status", TrunkStatus::from_name)?;
    let (failures, reason) = match &record.attempt {
        AgentAttempt::Reached => (0, None),
        AgentAttempt::Failed(why) => {
            (row.integer("agent_failures")? + 1, Some(why.chars().take(MAX_REASON).collect::<String>()))
        }
    };
    let new = match status {
        TrunkStatus::Inactive => TrunkStatus::Inactive,
        TrunkStatus::Active | TrunkStatus::Error if failures >= FAILURES_BEFORE_ERROR => TrunkStatus::Error,
        TrunkStatus::Active | TrunkStatus::Error => TrunkStatus::Active,
    };
    db.execute(
        "UPDATE trunks SET status = $3, agent_failures = $4, status_reason = $5 WHERE id = $1 AND account_id = $2",
        binds![id.as_str(), account.as_str(), new.name(), failures, reason.as_deref()],
    )
    .await?;
    if new == status {
        return Ok(());
    }
    let fields = |status: TrunkStatus, reason: Option<&str>| -> Value {
        match reason {
            Some(reason) => json!({ "status": status.name(), "status_reason": reason }),
            None => json!({ "status": status.name() }),
        }
    };
    let entry = AuditEntry {
        id: record.audit_id,
        account_id: record.account,
        origin: Origin::system(None, record.now),
        action: AuditAction::TrunkUpdated,
        target: id,
        before: fields(status, None),
        after: fields(new, reason.as_deref()),
    };
    audit::write(db, &entry).await
}
