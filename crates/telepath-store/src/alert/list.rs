//! Listing and acknowledging alerts.

use std::collections::BTreeMap;

use serde_json::json;
use telepath_core::account::Actor;
use telepath_core::alert::{
    Acknowledgement, Alert, AlertFilter, AlertRule, AlertStatus, AlertSubject, AlertSubjectKind, Severity,
};
use telepath_core::audit::{AuditAction, AuditEntry, KeyedAuditId, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, AlertId};
use telepath_core::page::{Page, PageRequest};
use telepath_core::webhook::WebhookUrl;

use crate::audit;
use crate::error::StoreError;
use crate::sql::{Connection, ListQuery, Order, Row, binds, corrupt};
use crate::store::Store;
use crate::user::authority::role_of;

/// Alerts under the alias that [`COLUMNS`] uses.
pub(crate) const FROM: &str = "FROM alerts a";
/// The columns that [`alert_of`] reads. The subject's name is its current one; of a webhook, the whole URL.
pub(crate) const COLUMNS: &str = "a.id AS id, a.rule AS rule, a.severity AS severity, a.subject_kind AS subject_kind, \
     a.subject_id AS subject_id, a.message AS message, a.figures AS figures, a.raised_at AS raised_at, \
     a.acknowledged_at AS acknowledged_at, a.acknowledged_by AS acknowledged_by, \
     a.acknowledged_note AS acknowledged_note, \
     CASE a.subject_kind \
       WHEN 'key' THEN (SELECT name FROM keys WHERE id = a.subject_id) \
       WHEN 'webhook' THEN (SELECT url FROM webhooks WHERE id = a.subject_id) \
       WHEN 'trunk' THEN (SELECT name FROM trunks WHERE id = a.subject_id) \
       WHEN 'user' THEN (SELECT name FROM users WHERE id = a.subject_id) \
       WHEN 'account' THEN (SELECT name FROM accounts WHERE id = a.subject_id) END AS subject_name";

impl Store {
    /// Alerts of the account, newest first.
    pub async fn list_alerts(
        &self,
        account: AccountId,
        filter: AlertFilter,
        page: PageRequest,
    ) -> Result<Page<Alert>, StoreError> {
        const WHERE: &str = "WHERE a.account_id = $1 \
             AND ($2 IS NULL OR a.subject_id = $2) AND ($3 IS NULL OR a.rule = $3) \
             AND ($4 IS NULL OR $4 = CASE WHEN a.acknowledged_at IS NULL THEN 'open' ELSE 'acknowledged' END) \
             AND ($5 IS NULL OR a.subject_kind = $5)";
        let filters = binds![
            account.to_string(),
            filter.subject.map(|subject| subject.to_string()),
            filter.rule.map(AlertRule::name),
            filter.status.map(AlertStatus::name),
            filter.subject_kind.map(AlertSubjectKind::name),
        ];
        let mut db = self.backend.read().await?;
        let source = format!("{FROM} {WHERE}");
        let order = Order { id: "a.id", by: None, ascending: false };
        let list = ListQuery { columns: COLUMNS, source: &source, filters, order };
        list.page(&mut db, page).await?.try_map(|row| alert_of(&row))
    }

    /// An alert of the account.
    pub async fn get_alert(&self, account: AccountId, id: AlertId) -> Result<Option<Alert>, StoreError> {
        find(&mut self.backend.read().await?, account, id).await
    }

    /// When each rule raised its last alert that is kept.
    pub async fn last_alerts(
        &self,
        account: AccountId,
    ) -> Result<BTreeMap<AlertRule, Timestamp>, StoreError> {
        let sql = "SELECT rule, max(raised_at) AS raised_at FROM alerts WHERE account_id = $1 GROUP BY rule";
        let rows = self.backend.read().await?.fetch_all(sql, binds![account.to_string()]).await?;
        rows.iter()
            .map(|row| Ok((row.named("rule", AlertRule::from_name)?, row.time("raised_at")?)))
            .collect()
    }

    /// Acknowledges an alert with a checked note; `None` if the account has no such alert. The first acknowledgement and its
    /// note are kept.
    pub async fn acknowledge_alert(
        &self,
        account: AccountId,
        id: AlertId,
        note: Option<String>,
        origin: Origin,
    ) -> Result<Option<Alert>, StoreError> {
        let audit_id = self.new_audit_id(origin.at)?;
        let new = Acknowledging { account, id, note, origin, audit_id };
        self.backend.write(move |db| Box::pin(acknowledge(db, new))).await
    }
}

/// An acknowledgement that is requested.
struct Acknowledging {
    account: AccountId,
    id: AlertId,
    note: Option<String>,
    origin: Origin,
    audit_id: KeyedAuditId,
}

async fn acknowledge(
    db: &mut Connection,
    Acknowledging { account, id, note, origin, audit_id }: Acknowledging,
) -> Result<Option<Alert>, StoreError> {
    check_may_acknowledge(db, account, id, origin).await?;
    let sql = "UPDATE alerts SET acknowledged_at = $3, acknowledged_by = $4, acknowledged_note = $5 \
               WHERE id = $1 AND account_id = $2 AND acknowledged_at IS NULL";
    let by = origin.actor.to_string();
    let values = binds![id.to_string(), account.to_string(), origin.at, by.as_str(), note.as_deref()];
    let changed = db.execute(sql, values).await?;
    if changed > 0 {
        let entry = AuditEntry {
            id: audit_id,
            account_id: account,
            origin,
            action: AuditAction::AlertAcknowledged,
            target: id.to_string(),
            before: json!({}),
            after: json!({ "acknowledged_by": by, "note": note }),
        };
        audit::write(db, &entry).await?;
    }
    find(db, account, id).await
}

async fn find(db: &mut Connection, account: AccountId, id: AlertId) -> Result<Option<Alert>, StoreError> {
    let sql = format!("SELECT {COLUMNS} {FROM} WHERE a.id = $1 AND a.account_id = $2");
    let row = db.fetch_optional(sql, binds![id.to_string(), account.to_string()]).await?;
    row.as_ref().map(alert_of).transpose()
}

/// A user whose role manages only the keys that they created acknowledges only alerts about those.
async fn check_may_acknowledge(
    db: &mut Connection,
    account: AccountId,
    id: AlertId,
    origin: Origin,
) -> Result<(), StoreError> {
    let Actor::User(user) = origin.actor else { return Ok(()) };
    let member = role_of(db, account, user).await?.ok_or(StoreError::Forbidden)?;
    if member.role.manages_all_keys() {
        return Ok(());
    }
    let sql = "SELECT k.id AS id FROM alerts a JOIN keys k ON k.id = a.subject_id \
               WHERE a.id = $1 AND a.account_id = $2 AND k.created_by = $3";
    let values = binds![id.to_string(), account.to_string(), origin.actor.to_string()];
    db.fetch_optional(sql, values).await?.map(drop).ok_or(StoreError::Forbidden)
}

pub(crate) fn alert_of(row: &Row) -> Result<Alert, StoreError> {
    let acknowledged = match row.maybe_time("acknowledged_at")? {
        Some(at) => {
            let (by, note) = (row.parse("acknowledged_by")?, row.maybe_text("acknowledged_note")?);
            Some(Acknowledgement { at, by, note })
        }
        None => None,
    };
    let (subject, name) = subject_of(row)?;
    Ok(Alert {
        id: row.parse("id")?,
        rule: row.named("rule", AlertRule::from_name)?,
        severity: row.named("severity", Severity::from_name)?,
        subject,
        name,
        message: row.text("message")?,
        figures: row.json("figures")?,
        raised_at: row.time("raised_at")?,
        acknowledged,
    })
}

/// The subject and its name.
fn subject_of(row: &Row) -> Result<(AlertSubject, String), StoreError> {
    let subject: AlertSubject = row.parse("subject_id")?;
    let name = match (subject.kind(), row.maybe_text("subject_name")?) {
        (_, None) => "deleted".to_owned(),
        // The rest of the URL may contain a secret of the receiver.
        (AlertSubjectKind::Webhook, Some(url)) => {
            WebhookUrl::try_from(url).map_err(|_| corrupt("webhooks.url"))?.host().to_owned()
        }
        (
            AlertSubjectKind::Key
            | AlertSubjectKind::Trunk
            | AlertSubjectKind::User
            | AlertSubjectKind::Account,
            Some(name),
        ) => name,
    };
    Ok((subject, name))
}
