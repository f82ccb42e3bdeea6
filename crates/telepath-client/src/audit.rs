//! `/v1/audit-events`: who changed what, and whether the trail is intact.

use telepath_api_types::audit_events::{AuditEvent, AuditEventList, AuditVerification};
use telepath_core::clock::Timestamp;

use crate::client::Client;
use crate::error::Error;
use crate::page::ListPage;
use crate::request::Query;

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
    /// Items to skip.
    pub offset: Option<u32>,
    /// The `next_cursor` of the page before, instead of `offset`.
    pub cursor: Option<String>,
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
        let list: AuditEventList = self.get(&path).await?;
        Ok(ListPage { items: list.audit_events, pagination: list.pagination })
    }

    /// Verifies the whole chain. `expect_head` is the `head` of an earlier verification or log line, which the chain must still
    /// contain.
    pub async fn verify_audit(&self, expect_head: Option<&str>) -> Result<AuditVerification, Error> {
        self.get(&Query::new("/v1/audit-events/verify").add("expect_head", expect_head).finish()).await
    }
}
