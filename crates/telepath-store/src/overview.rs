//! What stands on the first page of an account, in few statements: its counts, what needs attention, recent failures and the
//! busiest keys.

use std::cmp::Reverse;
use std::time::Duration;

use telepath_core::alert::{AlertRule, AlertSubjectKind, Severity};
use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, AlertId, CallId, KeyId, TrunkId, WebhookId};
use telepath_core::usage::UsageSpan;
use telepath_core::webhook::{WebhookStatus, WebhookUrl};

use crate::error::StoreError;
use crate::sql::{Row, binds, corrupt};
use crate::store::Store;
use crate::usage::recent::{Figure, Places, RecentUse};

/// Keys that expire within this time need attention.
const EXPIRES_SOON: Duration = Duration::from_hours(30 * 24);
/// Alerts beyond this number are not counted.
pub const MOST_ALERTS: u64 = 1000;

/// The counts of an account. Each costs a few index look-ups, so they can be read every few seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "what exists, each independent of the others")]
pub struct AccountCounts {
    pub live_calls: u64,
    /// Alerts that nobody has acknowledged, at most [`MOST_ALERTS`].
    pub open_alerts: u64,
    /// Webhook endpoints that events are sent to.
    pub active_webhooks: u64,
    /// Webhook endpoints whose last attempts failed.
    pub failing_webhooks: u64,
    /// Since when the oldest due delivery has waited; its attempt may be running.
    pub oldest_due_delivery: Option<Timestamp>,
    /// Whether there was ever a key.
    pub has_keys: bool,
    /// Whether there is a trunk.
    pub has_trunks: bool,
    /// Whether a call is on record.
    pub has_calls: bool,
    /// Whether there is a webhook endpoint.
    pub has_webhooks: bool,
}

/// What a person should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attention {
    /// An alert that nobody has acknowledged.
    Alert {
        id: AlertId,
        rule: AlertRule,
        severity: Severity,
        /// What it is about: its kind, its id and its current name; of a webhook, the host.
        kind: AlertSubjectKind,
        subject: String,
        name: String,
        message: String,
        raised_at: Timestamp,
    },
    /// A key expires within 30 days.
    KeyExpires { id: KeyId, name: String, at: Timestamp },
    /// Deliveries to an endpoint fail, or it was disabled because they did.
    WebhookFails {
        id: WebhookId,
        host: String,
        /// Since when; `None` if it was disabled at once.
        since: Option<Timestamp>,
        is_disabled: bool,
    },
    /// A trunk takes no calls until something is put right.
    TrunkInError { id: TrunkId, name: String },
}

/// A call that did not go as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCall {
    pub id: CallId,
    pub trunk: TrunkId,
    pub trunk_name: String,
    pub status: CallStatus,
    pub reason: DisconnectReason,
    pub start_time: Timestamp,
}

/// The requests of a key in a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusyKey {
    pub id: KeyId,
    pub name: String,
    pub requests: u64,
    /// Those with a status of 400 or above.
    pub errors: u64,
}

/// The lists of the first page; each has at most five entries of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overview {
    /// The most urgent first.
    pub attention: Vec<Attention>,
    /// Most recent first.
    pub failures: Vec<FailedCall>,
    /// The one with the most requests first.
    pub busiest_keys: Vec<BusyKey>,
}

/// The trunk of a live call is found by the call's status, of which there is an index, not by its account.
const COUNTS: &str = "SELECT \
     (SELECT count(*) FROM calls WHERE status = 'connected' AND account_id || '' = $1) AS live, \
     (SELECT count(*) FROM (SELECT 1 FROM alerts WHERE account_id = $1 AND acknowledged_at IS NULL LIMIT $2) a) AS alerts, \
     (SELECT count(*) FROM (SELECT 1 FROM keys WHERE account_id = $1 LIMIT 1) k) AS has_keys, \
     (SELECT count(*) FROM (SELECT 1 FROM trunks WHERE account_id = $1 AND deleted_at IS NULL LIMIT 1) t) AS has_trunks, \
     (SELECT count(*) FROM (SELECT 1 FROM calls WHERE account_id = $1 LIMIT 1) c) AS has_calls, \
     (SELECT count(*) FROM webhooks WHERE account_id = $1 AND deleted_at IS NULL) AS webhooks, \
     (SELECT count(*) FROM webhooks WHERE account_id = $1 AND deleted_at IS NULL AND status = 'active') AS active, \
     (SELECT count(*) FROM webhooks WHERE account_id = $1 AND deleted_at IS NULL AND failing_since IS NOT NULL) AS failing, \
     (SELECT min(next) FROM (SELECT (SELECT min(d.next_at) FROM webhook_deliveries d \
       WHERE d.webhook_id = w.id AND d.status = 'pending') AS next FROM webhooks w \
       WHERE w.account_id = $1 AND w.status = 'active' AND w.deleted_at IS NULL) due) AS oldest";

/// The lists in one statement. All rows have the columns kind, id, subject, name, detail, state, rule, at, number and more.
fn lists(recent: RecentUse) -> String {
    let sum = |figure| recent.sum(figure, Places { key: "k.id", from: "$4", long_from: "$5" });
    format!(
        "{LISTS_OF_STATE} \
         UNION ALL SELECT * FROM (SELECT 'busy', id, id, name, '', '', '', created_at, requests, {errors} \
           FROM (SELECT k.id AS id, k.name AS name, k.created_at AS created_at, {requests} AS requests \
             FROM keys k WHERE k.account_id = $1 AND k.last_used_at >= $4 ORDER BY requests DESC, id LIMIT $6) k \
           WHERE requests > 0) b",
        requests = sum(Figure::Requests),
        errors = sum(Figure::Errors),
    )
}

/// Those of all lists but the last, the busiest keys.
const LISTS_OF_STATE: &str = "SELECT * FROM (SELECT 'alert' AS kind, a.id AS id, a.subject_id AS subject, COALESCE(CASE a.subject_kind \
       WHEN 'key' THEN (SELECT name FROM keys WHERE id = a.subject_id) \
       WHEN 'webhook' THEN (SELECT url FROM webhooks WHERE id = a.subject_id) \
       WHEN 'trunk' THEN (SELECT name FROM trunks WHERE id = a.subject_id) \
       WHEN 'user' THEN (SELECT name FROM users WHERE id = a.subject_id) \
       WHEN 'account' THEN (SELECT name FROM accounts WHERE id = a.subject_id) END, 'deleted') AS name, \
       a.message AS detail, a.severity || ' ' || a.subject_kind AS state, a.rule AS rule, a.raised_at AS at, \
       CAST(0 AS BIGINT) AS number, CAST(0 AS BIGINT) AS more \
       FROM alerts a WHERE a.account_id = $1 AND a.acknowledged_at IS NULL ORDER BY a.id DESC LIMIT $6) alert \
     UNION ALL SELECT * FROM (SELECT 'key', id, id, name, '', '', '', expires_at, CAST(0 AS BIGINT), CAST(0 AS BIGINT) \
       FROM keys WHERE account_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND expires_at <= $3 \
       ORDER BY expires_at, id LIMIT $6) k \
     UNION ALL SELECT * FROM (SELECT 'webhook', id, id, url, '', status, '', failing_since, CAST(0 AS BIGINT), CAST(0 AS BIGINT) \
       FROM webhooks WHERE account_id = $1 AND deleted_at IS NULL \
       AND (failing_since IS NOT NULL OR disabled_reason <> 'requested') ORDER BY failing_since, id LIMIT $6) w \
     UNION ALL SELECT * FROM (SELECT 'trunk', id, id, name, '', '', '', updated_at, CAST(0 AS BIGINT), CAST(0 AS BIGINT) \
       FROM trunks WHERE account_id = $1 AND deleted_at IS NULL AND status = 'error' ORDER BY created_at, id LIMIT $6) t \
     UNION ALL SELECT * FROM (SELECT 'failure', c.id, c.trunk_id, t.name, c.disconnect_reason, c.status, '', c.start_time, \
       CAST(0 AS BIGINT), CAST(0 AS BIGINT) FROM calls c JOIN trunks t ON t.id = c.trunk_id \
       WHERE c.disconnect_reason IN ('no_answer', 'connection_failed', 'network_error', 'ai_provider_error', \
       'carrier_error', 'rejected', 'unknown') AND c.account_id = $1 AND c.start_time >= $4 \
       ORDER BY c.start_time DESC, c.id DESC LIMIT $6) f";

/// The most entries of each kind.
const LISTED: i64 = 5;

impl Store {
    /// The counts of an account, read with one statement.
    pub async fn account_counts(&self, account: AccountId) -> Result<AccountCounts, StoreError> {
        let most = i64::try_from(MOST_ALERTS).unwrap_or(i64::MAX);
        let values = binds![account.to_string(), most];
        let row = self.backend.read().await?.fetch_one(COUNTS, values).await?;
        let some = |column: &str| Ok::<_, StoreError>(row.number::<u64>(column)? > 0);
        Ok(AccountCounts {
            live_calls: row.number("live")?,
            open_alerts: row.number("alerts")?,
            active_webhooks: row.number("active")?,
            failing_webhooks: row.number("failing")?,
            oldest_due_delivery: row.maybe_time("oldest")?.filter(|due| *due <= self.now()),
            has_keys: some("has_keys")?,
            has_trunks: some("has_trunks")?,
            has_calls: some("has_calls")?,
            has_webhooks: some("webhooks")?,
        })
    }

    /// The lists of the first page, read with one statement: failures and requests since `start`, requests in buckets of a
    /// length. The rest is as of now.
    pub async fn overview(
        &self,
        account: AccountId,
        span: UsageSpan,
        start: Timestamp,
    ) -> Result<Overview, StoreError> {
        self.sync_usage().await;
        let now = self.now();
        let recent = RecentUse::since(start, span);
        let values =
            binds![account.to_string(), now, now.plus(EXPIRES_SOON), recent.from, recent.long_from, LISTED];
        let mut overview = Overview::default();
        for row in &self.backend.read().await?.fetch_all(lists(recent), values).await? {
            match row.borrowed("kind")? {
                "failure" => overview.failures.push(failed_call(row)?),
                "busy" => overview.busiest_keys.push(busy_key(row)?),
                kind => overview.attention.push(attention(kind, row)?),
            }
        }
        overview.order();
        Ok(overview)
    }
}

impl Overview {
    /// Puts the lists in order, and leaves out what an alert says already.
    fn order(&mut self) {
        let told: Vec<(AlertRule, String)> = self.attention.iter().filter_map(Attention::told).collect();
        let is_told = |rule: AlertRule, subject: String| told.contains(&(rule, subject));
        self.attention.retain(|one| match one {
            Attention::KeyExpires { id, .. } => !is_told(AlertRule::Expiring, id.to_string()),
            Attention::WebhookFails { id, .. } => !is_told(AlertRule::WebhookFailing, id.to_string()),
            Attention::Alert { .. } | Attention::TrunkInError { .. } => true,
        });
        // The sort is stable, so entries of one urgency keep the order of their lists.
        self.attention.sort_by_key(Attention::place);
        self.failures.sort_by_key(|call| Reverse((call.start_time, call.id)));
        self.busiest_keys.sort_by_key(|key| (Reverse(key.requests), key.id));
    }
}

impl Attention {
    /// What an alert is about.
    fn told(&self) -> Option<(AlertRule, String)> {
        match self {
            Self::Alert { rule, subject, .. } => Some((*rule, subject.clone())),
            Self::KeyExpires { .. } | Self::WebhookFails { .. } | Self::TrunkInError { .. } => None,
        }
    }

    /// The place in the list: what stops calls or may be an attack comes first, what can wait comes last.
    const fn place(&self) -> u8 {
        match self {
            Self::Alert { severity: Severity::Critical, .. } => 0,
            Self::TrunkInError { .. } => 1,
            Self::WebhookFails { .. } => 2,
            Self::Alert { severity: Severity::Warning, .. } => 3,
            Self::KeyExpires { .. } => 4,
            Self::Alert { severity: Severity::Info, .. } => 5,
        }
    }
}

fn attention(kind: &str, row: &Row) -> Result<Attention, StoreError> {
    Ok(match kind {
        "alert" => alert(row)?,
        "key" => Attention::KeyExpires { id: row.parse("id")?, name: row.text("name")?, at: row.time("at")? },
        "webhook" => Attention::WebhookFails {
            id: row.parse("id")?,
            host: host_of(row.text("name")?),
            since: row.maybe_time("at")?,
            is_disabled: row.named("state", WebhookStatus::from_name)? == WebhookStatus::Disabled,
        },
        "trunk" => Attention::TrunkInError { id: row.parse("id")?, name: row.text("name")? },
        _ => return Err(corrupt("kind")),
    })
}

fn alert(row: &Row) -> Result<Attention, StoreError> {
    let (severity, kind) = row.borrowed("state")?.split_once(' ').ok_or_else(|| corrupt("state"))?;
    let kind = AlertSubjectKind::from_name(kind).ok_or_else(|| corrupt("alerts.subject_kind"))?;
    let name = row.text("name")?;
    Ok(Attention::Alert {
        id: row.parse("id")?,
        rule: row.named("rule", AlertRule::from_name)?,
        severity: Severity::from_name(severity).ok_or_else(|| corrupt("alerts.severity"))?,
        kind,
        subject: row.text("subject")?,
        name: if kind == AlertSubjectKind::Webhook { host_of(name) } else { name },
        message: row.text("detail")?,
        raised_at: row.time("at")?,
    })
}

/// The host of an endpoint; its path and query can hold secrets.
fn host_of(url: String) -> String {
    WebhookUrl::try_from(url).map_or_else(|_| "deleted".to_owned(), |url| url.host().to_owned())
}

fn failed_call(row: &Row) -> Result<FailedCall, StoreError> {
    Ok(FailedCall {
        id: row.parse("id")?,
        trunk: row.parse("subject")?,
        trunk_name: row.text("name")?,
        status: row.named("state", CallStatus::from_name)?,
        reason: row.named("detail", DisconnectReason::from_name)?,
        start_time: row.time("at")?,
    })
}

fn busy_key(row: &Row) -> Result<BusyKey, StoreError> {
    Ok(BusyKey {
        id: row.parse("id")?,
        name: row.text("name")?,
        requests: row.number("number")?,
        errors: row.number("more")?,
    })
}
