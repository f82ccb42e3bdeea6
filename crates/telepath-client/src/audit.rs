//! `/v1/audit-events`: who changed what, and whether that record is whole.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use telepath_core::clock::Timestamp;
use telepath_core::id::AuditId;

use crate::client::Client;
use crate::error::Error;
use crate::page::{ListPage, Pagination};
use crate::request::Query;

/// One entry of the audit trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Its id.
    pub id: AuditId,
    /// Its place in the chain, without gaps.
    pub position: u64,
    /// When it happened.
    pub time: Timestamp,
    /// Who did it: a key's or a user's id, `local` or `system`.
    pub actor: String,
    /// From where.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// What was done, such as `key.revoked`.
    pub action: String,
    /// To what: an id.
    #[serde(default)]
    pub target: Option<String>,
    /// What it was before, without secrets.
    #[serde(default)]
    pub before: Option<Value>,
    /// What it was afterwards, without secrets.
    #[serde(default)]
    pub after: Option<Value>,
    /// The hash over this entry and the one before.
    #[serde(default)]
    pub hash: Option<String>,
}

/// Which entries to list.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only what this actor did.
    pub actor: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only what was done to this.
    pub target: Option<String>,
    /// Only what was not before this moment.
    pub start_date: Option<Timestamp>,
    /// Only what was not after this moment.
    pub end_date: Option<Timestamp>,
    /// Items per page, 1–100.
    pub limit: Option<u32>,
    /// Items to pass over.
    pub offset: Option<u32>,
    /// The `next_cursor` of the page before, instead of `offset`.
    pub cursor: Option<String>,
}

/// What a check of the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCheck {
    /// Whether every entry fits the one before.
    pub intact: bool,
    /// How many entries are as they were written, from the first on: all of them when the chain is intact.
    pub entries: u64,
    /// The position of the first entry that does not fit.
    #[serde(default)]
    pub broken_at: Option<u64>,
}

#[derive(Deserialize)]
struct AuditList {
    audit_events: Vec<AuditEvent>,
    pagination: Pagination,
}

impl Client {
    /// One page of the audit trail, the newest entries first.
    pub async fn list_audit_events(&self, query: &AuditQuery) -> Result<ListPage<AuditEvent>, Error> {
        let path = Query::new("/v1/audit-events")
            .add("actor", query.actor.as_deref())
            .add("action", query.action.as_deref())
            .add("target", query.target.as_deref())
            .add("start_date", query.start_date)
            .add("end_date", query.end_date)
            .add("limit", query.limit)
            .add("offset", query.offset)
            .add("cursor", query.cursor.as_deref())
            .finish();
        let list: AuditList = self.get(&path).await?;
        Ok(ListPage { items: list.audit_events, pagination: list.pagination })
    }

    /// Checks the whole chain.
    pub async fn verify_audit(&self) -> Result<AuditCheck, Error> {
        self.get("/v1/audit-events/verify").await
    }
}
