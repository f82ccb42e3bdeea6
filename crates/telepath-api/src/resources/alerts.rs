//! `/v1/alerts`: unusual use of keys, failing webhooks, and other conditions that need attention.

use axum::Json;
use axum::extract::State;
use telepath_api_types::alerts::{AcknowledgeAlert, Alert, AlertList, AlertTest, TestAlerts};
use telepath_api_types::enums;
use telepath_core::alert::{
    AlertFilter, AlertRule, AlertStatus, AlertSubject, AlertSubjectKind, AlertTestKind, MAX_NOTE,
};
use telepath_core::id::{AlertId, KeyId, WebhookId};
use telepath_core::page::{Page, PageRequest};
use telepath_core::validation::{Invalid, bounded_text};

use crate::auth::caller::{Authorized, KeysWrite, UsageRead};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::{OptionalJson, StrictJson};
use crate::extract::path::{PathId, Resource as _};
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::state::AppState;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_alerts, acknowledge_alert, test_alerts]
}

/// Which alerts a list shows.
struct AlertQuery {
    filter: AlertFilter,
    page: PageRequest,
}

impl QueryForm for AlertQuery {
    fn read(query: &mut QueryReader) -> Self {
        let rules = AlertRule::ALL.iter().map(|rule| rule.name());
        let statuses = AlertStatus::ALL.iter().map(|status| status.name());
        let kinds = AlertSubjectKind::ALL.iter().map(|kind| kind.name());
        let key = query.take("key_id", str::parse::<KeyId>).map(AlertSubject::from);
        let webhook = query.take("webhook_id", str::parse::<WebhookId>).map(AlertSubject::from);
        let subject = query.take("subject_id", str::parse::<AlertSubject>);
        let named = [key, webhook, subject];
        if named.iter().flatten().count() > 1 {
            query.refuse(
                "subject_id",
                "must not be given together with key_id or webhook_id, nor these together",
            );
        }
        let filter = AlertFilter {
            subject_kind: query.choice("subject_kind", AlertSubjectKind::from_name, kinds),
            subject: named.into_iter().flatten().next(),
            rule: query.choice("rule", AlertRule::from_name, rules),
            status: query.choice("status", AlertStatus::from_name, statuses),
        };
        Self { filter, page: query.page::<AlertId>(None) }
    }
}

/// List alerts
#[utoipa::path(get, path = "/v1/alerts", tag = "Alerts", operation_id = "listAlerts",
    params(
        ("key_id" = Option<String>, Query, description = "Only alerts about this key."),
        ("webhook_id" = Option<String>, Query, description = "Only alerts about this webhook."),
        ("subject_kind" = inline(Option<enums::AlertSubjectKind>), Query, description = "Only alerts about subjects of this kind: `key`, `webhook`, `trunk`, `user` or `account`."),
        ("subject_id" = Option<String>, Query, description = "Only alerts about the subject with this id; instead of `key_id` and `webhook_id`."),
        ("rule" = inline(Option<enums::AlertRule>), Query, description = "Only alerts of this rule."),
        ("status" = inline(Option<enums::AlertStatus>), Query, description = "`open` or `acknowledged`."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Alerts per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Alerts to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page, with the same filters; replaces `offset`.")),
    responses((status = 200, description = "A page of alerts.", body = AlertList)))]
async fn list_alerts(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<UsageRead>,
    StrictQuery(query): StrictQuery<AlertQuery>,
) -> Result<Json<AlertList>, ApiError> {
    let Page { items, position } = state.store.list_alerts(caller.account, query.filter, query.page).await?;
    Ok(Json(AlertList { alerts: items.into_iter().map(Alert::from).collect(), pagination: position.into() }))
}

/// Acknowledge an alert
///
/// Doing so again changes nothing; the response shows who did so first, and their note.
#[utoipa::path(post, path = "/v1/alerts/{id}/acknowledge", tag = "Alerts", operation_id = "acknowledgeAlert",
    request_body(content = Option<AcknowledgeAlert>),
    params(("id" = String, Path, description = "The alert's id.")),
    responses((status = 200, description = "The alert.", body = Alert)))]
async fn acknowledge_alert(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysWrite>,
    PathId(id): PathId<AlertId>,
    OptionalJson(draft): OptionalJson<AcknowledgeAlert>,
) -> Result<Json<Alert>, ApiError> {
    let mut problems = Invalid::default();
    let note = problems.optional("note", draft.note, |text| bounded_text(text, 1, MAX_NOTE, &['\n', '\t']));
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let alert = state.store.acknowledge_alert(caller.account, id, note, caller.origin()).await?;
    alert.map(|alert| Json(alert.into())).ok_or_else(|| AlertId::not_found(&id.to_string()))
}

/// Test the emails about alerts
///
/// Sends an email to everybody who gets the emails about alerts, and waits up to 20 seconds until the mail server has accepted it. The
/// response says whether it did, and if not, why. Nothing is raised.
#[utoipa::path(post, path = "/v1/alerts/test", tag = "Alerts", operation_id = "testAlerts",
    request_body = TestAlerts,
    responses((status = 200, description = "The result of the test.", body = AlertTest)))]
async fn test_alerts(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysWrite>,
    StrictJson(draft): StrictJson<TestAlerts>,
) -> Result<Json<AlertTest>, ApiError> {
    let mut problems = Invalid::default();
    let kind = problems.optional("kind", draft.kind, |name| {
        AlertTestKind::from_name(&name).ok_or_else(|| "must be mail or alert".to_owned())
    });
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let (kind, post) = (kind.unwrap_or(AlertTestKind::Alert), &state.options.alert_post);
    let sent = state.store.test_alerts(caller.account, kind, post, caller.origin()).await?;
    let error = sent.err().map(|error| error.to_string());
    Ok(Json(AlertTest { kind: kind.name().to_owned(), sent: error.is_none(), error }))
}
