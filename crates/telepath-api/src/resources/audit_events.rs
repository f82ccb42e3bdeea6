//! `/v1/audit-events`: who changed what, and whether the trail is intact.

use axum::Json;
use axum::extract::State;
use telepath_api_types::audit_events::{AuditEvent, AuditEventList, AuditVerification};
use telepath_api_types::enums;
use telepath_core::audit::{AuditAction, AuditFilter, ChainHead, InvalidChainHead, TRAIL_ORDER};
use telepath_core::id::AuditId;
use telepath_core::page::{Page, PageRequest};
use telepath_store::{AuditReport, AuditVerdict};

use crate::auth::caller::{AuditRead, Authorized};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::state::AppState;
use telepath_core::date::DayEdge;

/// The longest id that a change can be of, in bytes, and more.
const LONGEST_TARGET: usize = 128;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_audit_events, verify_audit_events]
}

fn verification(report: &AuditReport) -> AuditVerification {
    let (entries, broken_at) = match report.verdict {
        AuditVerdict::Intact { entries } => (entries, None),
        AuditVerdict::Broken { position } => {
            (report.head.position.saturating_sub(report.anchor.position), Some(position))
        }
    };
    AuditVerification {
        intact: broken_at.is_none(),
        entries,
        broken_at,
        head: report.head.to_string(),
        expired_up_to: report.anchor.position,
        unkeyed_up_to: report.keyed_after,
        expected_head: report.expected.map(|expected| expected.name().to_owned()),
    }
}

/// The head that a verification expects.
struct VerificationQuery {
    expect_head: Option<ChainHead>,
}

impl QueryForm for VerificationQuery {
    fn read(query: &mut QueryReader) -> Self {
        let head = |text: &str| {
            text.parse()
                .map_err(|InvalidChainHead| "must be POSITION:HASH, as `head` of an earlier verification")
        };
        Self { expect_head: query.take("expect_head", head) }
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
        let filter = AuditFilter {
            actor: query.take("actor", actor),
            action: query.choice("action", AuditAction::from_name, actions),
            target: query.text("target", LONGEST_TARGET),
            start: query.date("start_date", DayEdge::First),
            end: query.date("end_date", DayEdge::Last),
        };
        Self { filter, page: query.page::<AuditId>(Some(TRAIL_ORDER)) }
    }
}

/// List audit events
#[utoipa::path(get, path = "/v1/audit-events", tag = "Audit", operation_id = "listAuditEvents",
    params(
        ("actor" = Option<String>, Query, description = "Only changes by this key or user, by `local` or by `system`."),
        ("action" = inline(Option<enums::AuditAction>), Query, description = "Only changes of this kind, such as `key.revoked`."),
        ("target" = Option<String>, Query, description = "Only changes of the resource with this id."),
        ("start_date" = Option<String>, Query, description = "Only changes made at this time or later: a date or an RFC 3339 date-time."),
        ("end_date" = Option<String>, Query, description = "Only changes made at this time or earlier; a date includes its whole day (UTC)."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Changes per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Changes to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page, with the same filters; replaces `offset`.")),
    responses((status = 200, description = "A page of changes.", body = AuditEventList)))]
async fn list_audit_events(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<AuditRead>,
    StrictQuery(query): StrictQuery<AuditQuery>,
) -> Result<Json<AuditEventList>, ApiError> {
    let Page { items, position } = state.store.list_audit(caller.account, query.filter, query.page).await?;
    let audit_events = items.into_iter().map(AuditEvent::from).collect();
    Ok(Json(AuditEventList { audit_events, pagination: position.into() }))
}

/// Verify the audit trail
///
/// Recomputes the account's whole hash chain and compares it with the stored one. With `expect_head`, also says whether the
/// chain still contains an entry that was its head before.
#[utoipa::path(get, path = "/v1/audit-events/verify", tag = "Audit", operation_id = "verifyAuditEvents",
    params(("expect_head" = Option<String>, Query, description = "`POSITION:HASH`: the `head` of an earlier verification, or from the log.")),
    responses((status = 200, description = "The result of the verification.", body = AuditVerification)))]
async fn verify_audit_events(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<AuditRead>,
    StrictQuery(query): StrictQuery<VerificationQuery>,
) -> Result<Json<AuditVerification>, ApiError> {
    Ok(Json(verification(&state.store.verify_audit(caller.account, query.expect_head).await?)))
}
