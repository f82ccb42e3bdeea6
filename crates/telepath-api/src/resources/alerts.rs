//! `/v1/alerts`: unusual use of keys, failing webhooks, and whatever else needs attention.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use telepath_core::alert::{Alert, AlertFilter, AlertRule, AlertStatus, AlertSubject, AlertSubjectKind};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AlertId, KeyId, WebhookId};
use telepath_core::page::{CursorPage, PageRequest};
use utoipa::ToSchema;

use crate::auth::caller::{Authorized, KeysWrite, UsageRead};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::{NoMembers, OptionalJson};
use crate::extract::page::CursorPagination;
use crate::extract::path::{PathId, Resource as _};
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::state::AppState;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_alerts, acknowledge_alert]
}

/// What an alert is about.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlertSubject)]
struct AlertSubjectBody {
    /// `key`, `webhook`, `trunk`, `user` or `account`.
    #[schema(example = "key")]
    kind: &'static str,
    /// The subject's id; its prefix says the kind too.
    #[schema(example = "key_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: String,
    /// Its current name; of a webhook, the host of its URL; `deleted` when it is gone.
    #[schema(example = "Billing")]
    name: String,
}

/// An alert.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alert)]
struct AlertBody {
    /// Its id.
    #[schema(value_type = String, example = "alr_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: AlertId,
    /// What it is about: `new_address`, `request_spike`, `error_burst`, `limit_riding`, `idle_awake`, `dead_key_used`,
    /// `seen_in_clear`, `leak_reported`, `expiring`, `unused` or `webhook_failing`.
    #[schema(example = "dead_key_used")]
    rule: &'static str,
    /// How urgent it is: `info`, `warning` or `critical`.
    #[schema(example = "warning")]
    severity: &'static str,
    /// What the alert is about.
    subject: AlertSubjectBody,
    /// The key that it is about; null when it is about something else.
    #[schema(value_type = Option<String>, example = "key_01k9v1n2xrf6t8g3m5q7w9y0za")]
    key_id: Option<KeyId>,
    /// The key's name.
    #[schema(example = "Billing")]
    key_name: Option<String>,
    /// The webhook that it is about; null when it is about something else.
    #[schema(value_type = Option<String>, example = "whk_01k9v1n2xrf6t8g3m5q7w9y0za")]
    webhook_id: Option<WebhookId>,
    /// The host that the webhook is sent to.
    #[schema(example = "hooks.example.com")]
    webhook_host: Option<String>,
    /// What happened, for people.
    message: String,
    /// What was measured; the members depend on the rule.
    #[schema(value_type = Object)]
    figures: Map<String, Value>,
    /// When it was raised.
    #[schema(value_type = String, format = DateTime)]
    raised_at: Timestamp,
    /// When somebody took note of it.
    #[schema(value_type = Option<String>, format = DateTime)]
    acknowledged_at: Option<Timestamp>,
    /// Who did: a key's id, or `local`.
    acknowledged_by: Option<String>,
}

/// A page of alerts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlertList)]
struct AlertListBody {
    /// The newest first.
    alerts: Vec<AlertBody>,
    pagination: CursorPagination,
}

impl From<Alert> for AlertBody {
    fn from(alert: Alert) -> Self {
        let (key, webhook) = match alert.subject {
            AlertSubject::Key(id) => (Some(id), None),
            AlertSubject::Webhook(id) => (None, Some(id)),
            AlertSubject::Trunk(_) | AlertSubject::User(_) | AlertSubject::Account(_) => (None, None),
        };
        let subject = AlertSubjectBody {
            kind: alert.subject.kind().name(),
            id: alert.subject.to_string(),
            name: alert.name,
        };
        Self {
            id: alert.id,
            rule: alert.rule.name(),
            severity: alert.severity.name(),
            key_id: key,
            key_name: key.map(|_| subject.name.clone()),
            webhook_id: webhook,
            webhook_host: webhook.map(|_| subject.name.clone()),
            subject,
            message: alert.message,
            figures: alert.figures,
            raised_at: alert.raised_at,
            acknowledged_at: alert.acknowledged.map(|noted| noted.at),
            acknowledged_by: alert.acknowledged.map(|noted| noted.by.to_string()),
        }
    }
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
        let (after, page) = query.cursor_page();
        let filter = AlertFilter {
            subject_kind: query.choice("subject_kind", AlertSubjectKind::from_name, kinds),
            subject: named.into_iter().flatten().next(),
            rule: query.choice("rule", AlertRule::from_name, rules),
            status: query.choice("status", AlertStatus::from_name, statuses),
            after,
        };
        Self { filter, page }
    }
}

/// List alerts
#[utoipa::path(get, path = "/v1/alerts", tag = "Alerts", operation_id = "listAlerts",
    params(
        ("key_id" = Option<String>, Query, description = "Only alerts about this key."),
        ("webhook_id" = Option<String>, Query, description = "Only alerts about this webhook."),
        ("subject_kind" = Option<String>, Query, description = "Only alerts about subjects of this kind: `key`, `webhook`, `trunk`, `user` or `account`."),
        ("subject_id" = Option<String>, Query, description = "Only alerts about the subject with this id; instead of `key_id` and `webhook_id`."),
        ("rule" = Option<String>, Query, description = "Only alerts of this rule."),
        ("status" = Option<String>, Query, description = "`open` or `acknowledged`."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Alerts per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Alerts to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page, with the same filters; replaces `offset`.")),
    responses((status = 200, description = "A page of alerts.", body = AlertListBody)))]
async fn list_alerts(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<UsageRead>,
    StrictQuery(query): StrictQuery<AlertQuery>,
) -> Result<Json<AlertListBody>, ApiError> {
    let CursorPage { page, next } = state.store.list_alerts(caller.account, query.filter, query.page).await?;
    let pagination = CursorPagination::of(query.page, page.total, next);
    Ok(Json(AlertListBody { alerts: page.items.into_iter().map(AlertBody::from).collect(), pagination }))
}

/// Take note of an alert
///
/// Doing so again changes nothing; the answer shows who did so first.
#[utoipa::path(post, path = "/v1/alerts/{id}/acknowledge", tag = "Alerts", operation_id = "acknowledgeAlert",
    params(("id" = String, Path, description = "The alert's id.")),
    responses((status = 200, description = "The alert.", body = AlertBody)))]
async fn acknowledge_alert(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysWrite>,
    PathId(id): PathId<AlertId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<Json<AlertBody>, ApiError> {
    let alert = state.store.acknowledge_alert(caller.account, id, caller.origin()).await?;
    alert.map(|alert| Json(alert.into())).ok_or_else(|| AlertId::not_found(&id.to_string()))
}
