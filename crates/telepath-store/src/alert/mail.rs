//! Mails that are owed for alerts. One is claimed by moving its time into the future, so a server that dies while it sends
//! leaves it to the next try: a mail may come twice, never not at all before it is given up.

use std::time::Duration;

use telepath_core::alert::Alert;
use telepath_core::id::AlertId;

use super::list::{COLUMNS, FROM, alert_of};
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;

/// Mails that are claimed at once.
const AT_ONCE: u32 = 16;
/// Whoever claimed a mail has this long to send it.
const LEASE: Duration = Duration::from_mins(5);
/// How long to wait after each failed try; after the last the mail is given up.
const WAITS: [Duration; 8] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
    Duration::from_hours(12),
    Duration::from_hours(24),
];

/// A mail that was claimed.
#[derive(Debug, Clone)]
pub struct PendingMail {
    /// What it is about.
    pub alert: Alert,
    /// The shown characters of the key's newest secret; empty for a webhook.
    pub mask: String,
    /// Which try this is, from 1.
    pub attempt: u32,
}

/// What became of a mail that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailOutcome {
    /// It is tried again later.
    WillRetry,
    /// It was tried often enough.
    GivenUp,
}

impl Store {
    /// Claims mails that are due.
    pub async fn claim_mails(&self) -> Result<Vec<PendingMail>, StoreError> {
        let now = self.now();
        let claimed = self
            .backend
            .write(move |db| {
                Box::pin(async move {
                    let sql = "UPDATE alert_mails SET due_at = $2, attempts = attempts + 1 WHERE due_at <= $1 \
                         AND alert_id IN (SELECT alert_id FROM alert_mails WHERE due_at <= $1 \
                            ORDER BY due_at, alert_id LIMIT $3) RETURNING alert_id, attempts";
                    let rows = db.fetch_all(sql, binds![now, now.plus(LEASE), AT_ONCE]).await?;
                    let mut mails = Vec::new();
                    for row in rows {
                        mails.extend(owed(db, row.parse("alert_id")?, row.number("attempts")?).await?);
                    }
                    Ok::<_, StoreError>(mails)
                })
            })
            .await?;
        Ok(claimed)
    }

    /// Says that a mail was taken by the mail server.
    pub async fn mail_sent(&self, alert: AlertId) -> Result<(), StoreError> {
        self.backend.write(move |db| Box::pin(forget(db, alert))).await
    }

    /// Says that a mail was not taken. `hopeless` is a refusal that no later try can change.
    pub async fn mail_failed(
        &self,
        alert: AlertId,
        attempt: u32,
        hopeless: bool,
    ) -> Result<MailOutcome, StoreError> {
        let place = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = WAITS.get(place).filter(|_| !hopeless);
        let Some(wait) = wait else {
            self.mail_sent(alert).await?;
            return Ok(MailOutcome::GivenUp);
        };
        let due = self.now().plus(*wait);
        let sql = "UPDATE alert_mails SET due_at = $2 WHERE alert_id = $1";
        self.backend
            .write(move |db| Box::pin(async move { db.execute(sql, binds![alert.to_string(), due]).await }))
            .await?;
        Ok(MailOutcome::WillRetry)
    }
}

async fn forget(db: &mut Connection, alert: AlertId) -> Result<(), StoreError> {
    let sql = "DELETE FROM alert_mails WHERE alert_id = $1";
    db.execute(sql, binds![alert.to_string()]).await.map(drop)
}

async fn owed(db: &mut Connection, id: AlertId, attempt: u32) -> Result<Option<PendingMail>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, COALESCE((SELECT mask FROM key_secrets s WHERE s.key_id = a.subject_id \
            ORDER BY s.created_at DESC, s.id DESC LIMIT 1), '') AS mask \
         {FROM} WHERE a.id = $1"
    );
    let row = db.fetch_optional(sql, binds![id.to_string()]).await?;
    row.map(|row| Ok(PendingMail { alert: alert_of(&row)?, mask: row.text("mask")?, attempt })).transpose()
}
