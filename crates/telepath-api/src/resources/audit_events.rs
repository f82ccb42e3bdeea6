//! `/v1/audit-events`: who changed what, and whether the trail is as it was written.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use telepath_core::audit::{AuditAction, AuditFilter, AuditRecord};
use telepath_core::clock::Timestamp;
use telepath_core::id::AuditId;
use telepath_core::page::{CursorPage, PageRequest};
use telepath_store::{AuditListError, AuditVerdict};
use utoipa::ToSchema;

use crate::auth::caller::{AuditRead, Authorized};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::date::DayEdge;
use crate::extract::page::CursorPagination;
use crate::extract::query::{QueryForm, QueryReader, StrictQuery, UNKNOWN_CURSOR};
use crate::state::AppState;

/// The longest id that a change can be of, in bytes, and more.
const LONGEST_TARGET: usize = 128;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_audit_events, verify_audit_events]
}

/// A change that was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
struct AuditEventBody {
    /// Its id.
    #[schema(value_type = String, example = "aud_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: AuditId,
    /// Its place in the account's trail, counted from 1 without gaps.
    #[schema(example = 17)]
    position: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// Who: a key's or a user's id, `local` or `system`.
    #[schema(example = "local")]
    actor: String,
    /// From where; null for local administration and for the server itself.
    #[schema(value_type = Option<String>, example = "203.0.113.7")]
    address: Option<IpAddr>,
    /// What was done.
    #[schema(value_type = String, example = "key.updated")]
    action: &'static str,
    /// The id of what it was done to.
    #[schema(example = "key_01k9v1n2xrf6t8g3m5q7w9y0za")]
    target: String,
    /// The changed members before, without secrets.
    #[schema(value_type = Object)]
    before: serde_json::Value,
    /// The changed members after, without secrets.
    #[schema(value_type = Object)]
    after: serde_json::Value,
    /// SHA-256 over this entry and the hash of the one before, in hexadecimal.
    hash: String,
}

impl From<AuditRecord> for AuditEventBody {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: record.id,
            position: record.position,
            time: record.origin.at,
            actor: record.origin.actor.to_string(),
            address: record.origin.address,
            action: record.action.name(),
            target: record.target,
            before: record.before,
            after: record.after,
            hash: record.hash.to_string(),
        }
    }
}

/// A page of changes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEventList)]
struct AuditEventListBody {
    /// The newest first.
    audit_events: Vec<AuditEventBody>,
    pagination: CursorPagination,
}

/// What the check of the trail found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditVerification)]
struct VerificationBody {
    /// Whether every entry is as it was written, and none is missing.
    intact: bool,
    /// How many entries are as they were written, from the first on.
    entries: u64,
    /// The position of the first entry that is not; null when the trail is intact.
    broken_at: Option<u64>,
}

impl From<AuditVerdict> for VerificationBody {
    fn from(verdict: AuditVerdict) -> Self {
        match verdict {
            AuditVerdict::Intact { entries } => Self { intact: true, entries, broken_at: None },
            AuditVerdict::Broken { position } => {
                Self { intact: false, entries: position.saturating_sub(1), broken_at: Some(position) }
            }
        }
    }
}

/// Which changes a list shows.
struct AuditQuery {
    filter: AuditFilter,
    page: PageRequest,
}

impl QueryForm for AuditQuery {
    fn read(query: &mut QueryReader) -> Self {
        let actor = |text: &str| text.parse().map_err(|_| "must be a key's or a user's id, local or system");
        let actions = AuditAction::ALL.iter().map(|action| action.name());
        let (after, page) = query.cursor_page();
        let filter = AuditFilter {
            actor: query.take("actor", actor),
            action: query.choice("action", AuditAction::from_name, actions),
            target: query.text("target", LONGEST_TARGET),
            start: query.date("start_date", DayEdge::First),
            end: query.date("end_date", DayEdge::Last),
            after,
        };
        Self { filter, page }
    }
}

/// List audit events
#[utoipa::path(get, path = "/v1/audit-events", tag = "Audit", operation_id = "listAuditEvents",
    params(
        ("actor" = Option<String>, Query, description = "Only changes by this key or user, by `local` or by `system`."),
        ("action" = Option<String>, Query, description = "Only changes of this kind, such as `key.revoked`."),
        ("target" = Option<String>, Query, description = "Only changes of the resource with this id."),
        ("start_date" = Option<String>, Query, description = "Only changes made at this time or later: a date or an RFC 3339 date-time."),
        ("end_date" = Option<String>, Query, description = "Only changes made at this time or earlier; a date includes its whole day (UTC)."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Changes per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Changes to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page, with the same filters; replaces `offset`.")),
    responses((status = 200, description = "A page of changes.", body = AuditEventListBody)))]
async fn list_audit_events(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<AuditRead>,
    StrictQuery(query): StrictQuery<AuditQuery>,
) -> Result<Json<AuditEventListBody>, ApiError> {
    let listed = state.store.list_audit(caller.account, query.filter, query.page).await;
    let CursorPage { page, next } = listed.map_err(|error| match error {
        AuditListError::UnknownCursor => ApiError::invalid("cursor", UNKNOWN_CURSOR),
        AuditListError::Store(error) => error.into(),
    })?;
    let pagination = CursorPagination::of(query.page, page.total, next);
    let audit_events = page.items.into_iter().map(AuditEventBody::from).collect();
    Ok(Json(AuditEventListBody { audit_events, pagination }))
}

/// Verify the audit trail
///
/// Recomputes the account's whole hash chain and compares it with the stored one.
#[utoipa::path(get, path = "/v1/audit-events/verify", tag = "Audit", operation_id = "verifyAuditEvents",
    responses((status = 200, description = "The result of the verification.", body = VerificationBody)))]
async fn verify_audit_events(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<AuditRead>,
) -> Result<Json<VerificationBody>, ApiError> {
    Ok(Json(state.store.verify_audit(caller.account).await?.into()))
}
