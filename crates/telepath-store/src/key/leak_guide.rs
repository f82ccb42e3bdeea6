//! The guide through the response to a leaked key. Its start and what people say about it are stored; everything else is
//! read from what happened.

mod progress;

use serde_json::{Value, json};
use telepath_core::account::Actor;
use telepath_core::audit::{AuditAction, AuditEntry, KeyedAuditId, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};

pub use progress::{LeakResponse, OldCredential, OtherKeys, RejectedClient, Rejections, Reviewed};

use super::{KeyChangeError, authority};
use crate::audit;
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds};
use crate::store::Store;

/// The most guides of a list.
const LISTED: u32 = 20;
const COLUMNS: &str = "g.key_id AS key_id, k.name AS name, g.started_at AS started_at, g.started_by AS started_by, \
     g.reviewed_at AS reviewed_at, g.reviewed_by AS reviewed_by, g.reviewed_since AS reviewed_since, \
     g.kept_at AS kept_at, g.kept_by AS kept_by, g.kept_reason AS kept_reason";

/// The response to a leaked key that somebody started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeakGuide {
    pub key: KeyId,
    /// The current name of the key.
    pub name: String,
    pub started_at: Timestamp,
    /// The server, when the key was reported as leaked.
    pub started_by: Actor,
    pub review: Option<Review>,
    pub kept: Option<CredentialsKept>,
}

/// The requests of a leaked key were reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Review {
    pub at: Timestamp,
    pub by: Actor,
    /// The time from which on they were reviewed.
    pub since: Timestamp,
}

/// The provider credentials that a leaked key could use were kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialsKept {
    pub at: Timestamp,
    pub by: Actor,
    pub reason: String,
}

/// A step of the guide that a person takes.
enum Said {
    Start,
    Reviewed { since: Timestamp },
    Kept { reason: String },
}

impl Store {
    /// Starts the guide. Starting it again changes nothing.
    pub async fn start_leak_guide(
        &self,
        account: AccountId,
        key: KeyId,
        origin: Origin,
    ) -> Result<(), KeyChangeError> {
        self.say_of_leak(account, key, Said::Start, origin).await
    }

    /// Records that the requests of the key since a time were reviewed. The first review of a guide is kept.
    pub async fn review_leaked_key(
        &self,
        account: AccountId,
        key: KeyId,
        since: Timestamp,
        origin: Origin,
    ) -> Result<(), KeyChangeError> {
        self.say_of_leak(account, key, Said::Reviewed { since }, origin).await
    }

    /// Records why the provider credentials are kept; the reason is checked. The first reason of a guide is kept.
    pub async fn keep_leaked_credentials(
        &self,
        account: AccountId,
        key: KeyId,
        reason: String,
        origin: Origin,
    ) -> Result<(), KeyChangeError> {
        self.say_of_leak(account, key, Said::Kept { reason }, origin).await
    }

    async fn say_of_leak(
        &self,
        account: AccountId,
        key: KeyId,
        said: Said,
        origin: Origin,
    ) -> Result<(), KeyChangeError> {
        let audit_id = self.new_audit_id(origin.at)?;
        self.backend.write(move |db| Box::pin(say(db, account, key, said, origin, audit_id))).await
    }

    /// The guide of a key; `None` if nobody started it.
    pub async fn leak_guide(&self, account: AccountId, key: KeyId) -> Result<Option<LeakGuide>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM leak_guides g JOIN keys k ON k.id = g.key_id WHERE g.key_id = $1 AND g.account_id = $2"
        );
        let values = binds![key.to_string(), account.to_string()];
        let row = self.backend.read().await?.fetch_optional(sql, values).await?;
        row.as_ref().map(guide_of).transpose()
    }

    /// The guides of the account, newest first; at most 20.
    pub async fn leak_guides(&self, account: AccountId) -> Result<Vec<LeakGuide>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM leak_guides g JOIN keys k ON k.id = g.key_id WHERE g.account_id = $1 \
             ORDER BY g.started_at DESC, g.key_id LIMIT $2"
        );
        let rows = self.backend.read().await?.fetch_all(sql, binds![account.to_string(), LISTED]).await?;
        rows.iter().map(guide_of).collect()
    }
}

/// Starts the guide without an entry in the trail, where the entry of a revocation says it.
pub(crate) async fn begin(
    db: &mut Connection,
    account: AccountId,
    key: KeyId,
    origin: Origin,
) -> Result<u64, StoreError> {
    let sql = "INSERT INTO leak_guides (key_id, account_id, started_at, started_by) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (key_id) DO NOTHING";
    let values = binds![key.to_string(), account.to_string(), origin.at, origin.actor.to_string()];
    db.execute(sql, values).await
}

/// What somebody may say who may stop the key.
async fn say(
    db: &mut Connection,
    account: AccountId,
    key: KeyId,
    said: Said,
    origin: Origin,
    audit_id: KeyedAuditId,
) -> Result<(), KeyChangeError> {
    let (old, authority) = authority::lock_key(db, account, key, origin).await?;
    authority.check_can_stop(&old)?;
    let by = origin.actor.to_string();
    let (id, by) = (key.to_string(), by.as_str());
    let (changed, action, after) = match said {
        Said::Start => (begin(db, account, key, origin).await?, AuditAction::LeakGuideStarted, json!({})),
        Said::Reviewed { since } => {
            let sql = "UPDATE leak_guides SET reviewed_at = $2, reviewed_by = $3, reviewed_since = $4 \
                       WHERE key_id = $1 AND reviewed_at IS NULL";
            let changed = db.execute(sql, binds![id.as_str(), origin.at, by, since]).await?;
            (changed, AuditAction::LeakedKeyReviewed, json!({ "since": since }))
        }
        Said::Kept { reason } => {
            let sql = "UPDATE leak_guides SET kept_at = $2, kept_by = $3, kept_reason = $4 \
                       WHERE key_id = $1 AND kept_at IS NULL";
            let changed = db.execute(sql, binds![id.as_str(), origin.at, by, reason.as_str()]).await?;
            (changed, AuditAction::LeakedCredentialsKept, json!({ "reason": reason }))
        }
    };
    if changed == 0 {
        return Ok(());
    }
    write_entry(db, account, id, origin, audit_id, action, after).await
}

async fn write_entry(
    db: &mut Connection,
    account_id: AccountId,
    target: String,
    origin: Origin,
    id: KeyedAuditId,
    action: AuditAction,
    after: Value,
) -> Result<(), KeyChangeError> {
    let entry = AuditEntry { id, account_id, origin, action, target, before: json!({}), after };
    Ok(audit::write(db, &entry).await?)
}

fn guide_of(row: &Row) -> Result<LeakGuide, StoreError> {
    let review = match row.maybe_time("reviewed_at")? {
        Some(at) => Some(Review { at, by: row.parse("reviewed_by")?, since: row.time("reviewed_since")? }),
        None => None,
    };
    let kept = match row.maybe_time("kept_at")? {
        Some(at) => Some(CredentialsKept { at, by: row.parse("kept_by")?, reason: row.text("kept_reason")? }),
        None => None,
    };
    Ok(LeakGuide {
        key: row.parse("key_id")?,
        name: row.text("name")?,
        started_at: row.time("started_at")?,
        started_by: row.parse("started_by")?,
        review,
        kept,
    })
}
