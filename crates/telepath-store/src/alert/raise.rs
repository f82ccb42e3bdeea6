//! Raising an alert, inside the transaction that causes it.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::account::Actor;
use telepath_core::alert::{AlertSettings, AlertSubject, NewAlert};
use telepath_core::clock::Timestamp;
use telepath_core::event::{EventPayload, KeyAlert};
use telepath_core::id::{AccountId, AlertId, EventId, Id as _, KeyId};

use super::counters::AlertCounters;
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::event;
use crate::sql::{Connection, binds, to_json};

/// What raising needs besides the alert; created by `Store::alert_writer`, cheap to clone into a transaction.
#[derive(Clone)]
pub(crate) struct AlertWriter {
    pub(super) settings: Arc<AlertSettings>,
    pub(super) context: StoreContext,
    pub(super) counters: Arc<AlertCounters>,
}

/// Raises an alert with its event and its mail; returns whether it was raised. It is not raised during the cooldown,
/// without such a key, or while alerts are disabled. Only alerts about keys have an event.
///
/// The key's row is locked first, as in every change of a key, so that two transactions about one key cannot deadlock.
pub(crate) async fn raise(
    db: &mut Connection,
    account: AccountId,
    alert: NewAlert,
    with: &AlertWriter,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if !with.settings.enabled {
        return Ok(false);
    }
    let key = match alert.subject {
        AlertSubject::Key(key) => {
            let held = "SELECT name FROM keys WHERE id = $1 AND account_id = $2";
            let held = db.fetch_locked(held, binds![key.to_string(), account.to_string()]).await?;
            let Some(row) = held else { return Ok(false) };
            Some((key, row.text("name")?))
        }
        AlertSubject::Webhook(_)
        | AlertSubject::Trunk(_)
        | AlertSubject::User(_)
        | AlertSubject::Account(_) => None,
    };
    if !begin_cooldown(db, &alert, &with.settings, now).await? {
        return Ok(false);
    }
    let id = AlertId::generate(now, &*with.context.entropy)?;
    insert(db, account, id, &alert, now).await?;
    if let Some((key, name)) = key {
        let event_id = EventId::generate(now, &*with.context.entropy)?;
        event::write(db, account, event_id, alert_event(id, key, name, &alert), now).await?;
    }
    if with.settings.by_mail {
        let owed = "INSERT INTO alert_mails (alert_id, attempts, due_at) VALUES ($1, 0, $2)";
        db.execute(owed, binds![id.to_string(), now]).await?;
    }
    // Counted even if the transaction fails later: the counter is for graphs, the rows are authoritative.
    with.counters.add(alert.rule);
    Ok(true)
}

/// Starts the cooldown of this rule, subject and occasion; returns whether none was running. One from beyond the horizon began
/// while the clock was ahead, and has ended.
async fn begin_cooldown(
    db: &mut Connection,
    alert: &NewAlert,
    settings: &AlertSettings,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let taken = db
        .execute(
            "INSERT INTO alert_cooldowns (subject_kind, subject_id, rule, occasion, raised_at) \
             VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (subject_kind, subject_id, rule, occasion) DO UPDATE SET raised_at = $5 \
             WHERE alert_cooldowns.raised_at <= $6 OR alert_cooldowns.raised_at > $7",
            binds![
                alert.subject.kind().name(),
                alert.subject.to_string(),
                alert.rule.name(),
                alert.occasion.as_str(),
                now,
                now.minus(settings.cooldown(alert.rule)),
                now.horizon(Duration::ZERO),
            ],
        )
        .await?;
    Ok(taken > 0)
}

async fn insert(
    db: &mut Connection,
    account: AccountId,
    id: AlertId,
    alert: &NewAlert,
    now: Timestamp,
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO alerts (id, account_id, subject_kind, subject_id, rule, severity, message, figures, raised_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        binds![
            id.to_string(),
            account.to_string(),
            alert.subject.kind().name(),
            alert.subject.to_string(),
            alert.rule.name(),
            alert.severity.name(),
            alert.message.as_str(),
            to_json(&alert.figures)?,
            now,
        ],
    )
    .await?;
    Ok(())
}

fn alert_event(id: AlertId, key: KeyId, key_name: String, alert: &NewAlert) -> EventPayload {
    let event = KeyAlert {
        key_id: key,
        name: key_name,
        actor: Actor::System,
        alert_id: id,
        rule: alert.rule,
        severity: alert.severity,
        message: alert.message.clone(),
        figures: alert.figures.clone(),
    };
    event.into()
}
