//! Pending alert mails. A mail is claimed by moving its due time into the future, so a server that dies while sending
//! leaves it for the next attempt: a mail may arrive twice, but is not lost before the last attempt. The number of the
//! attempt identifies the claim, so a result that comes after the claim expired does not touch the next one.

use std::time::Duration;

use telepath_core::alert::Alert;
use telepath_core::id::AlertId;

use super::list::{COLUMNS, FROM, alert_of};
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;

/// Mails per claim. They are sent one after the other, each within two minutes, so all of them end within their claim.
const BATCH: u32 = 2;
/// How long a claim lasts.
const LEASE: Duration = Duration::from_mins(5);
/// The wait after each failed attempt; after the last one the mail is given up.
const RETRY_DELAYS: [Duration; 8] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
    Duration::from_hours(12),
    LONGEST_DELAY,
];
const LONGEST_DELAY: Duration = Duration::from_hours(24);

/// A claimed mail.
#[derive(Debug, Clone)]
pub struct PendingMail {
    pub alert: Alert,
    /// The visible characters of the key's newest secret; empty for a webhook.
    pub mask: String,
    /// The number of this attempt, counted from 1.
    pub attempt: u32,
}

/// The fate of a mail that could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailOutcome {
    /// It is sent again later.
    WillRetry,
    /// Every attempt failed, or the failure is permanent.
    GivenUp,
}

impl Store {
    /// Claims due mails, and those due later than any mail can be: they were written while the clock was ahead.
    pub async fn claim_mails(&self) -> Result<Vec<PendingMail>, StoreError> {
        let now = self.now();
        let claimed = self
            .backend
            .write(move |db| {
                Box::pin(async move {
                    let sql = format!(
                        "WITH due AS MATERIALIZED (SELECT alert_id FROM alert_mails WHERE due_at <= $1 \
                         OR due_at > $4 ORDER BY due_at, alert_id LIMIT $3{}) \
                         UPDATE alert_mails SET due_at = $2, attempts = attempts + 1 \
                         WHERE alert_id IN (SELECT alert_id FROM due) RETURNING alert_id, attempts",
                        db.skip_locked()
                    );
                    let values = binds![now, now.plus(LEASE), BATCH, now.horizon(LONGEST_DELAY)];
                    let rows = db.fetch_all(sql, values).await?;
                    let mut mails = Vec::new();
                    for row in rows {
                        mails.extend(pending(db, row.parse("alert_id")?, row.number("attempts")?).await?);
                    }
                    Ok::<_, StoreError>(mails)
                })
            })
            .await?;
        Ok(claimed)
    }

    /// Records that the mail server accepted a mail.
    pub async fn mail_sent(&self, alert: AlertId) -> Result<(), StoreError> {
        self.backend.write(move |db| Box::pin(forget(db, alert))).await
    }

    /// Records that a mail could not be sent. `permanent` is a failure that a retry cannot fix.
    pub async fn mail_failed(
        &self,
        alert: AlertId,
        attempt: u32,
        permanent: bool,
    ) -> Result<MailOutcome, StoreError> {
        let place = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = RETRY_DELAYS.get(place).filter(|_| !permanent);
        let Some(wait) = wait else {
            let sql = "DELETE FROM alert_mails WHERE alert_id = $1 AND attempts = $2";
            self.backend.execute(sql, binds![alert.to_string(), attempt]).await?;
            return Ok(MailOutcome::GivenUp);
        };
        let due = self.now().plus(*wait);
        let sql = "UPDATE alert_mails SET due_at = $3 WHERE alert_id = $1 AND attempts = $2";
        self.backend.execute(sql, binds![alert.to_string(), attempt, due]).await?;
        Ok(MailOutcome::WillRetry)
    }
}

async fn forget(db: &mut Connection, alert: AlertId) -> Result<(), StoreError> {
    let sql = "DELETE FROM alert_mails WHERE alert_id = $1";
    db.execute(sql, binds![alert.to_string()]).await.map(drop)
}

async fn pending(db: &mut Connection, id: AlertId, attempt: u32) -> Result<Option<PendingMail>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, COALESCE((SELECT mask FROM key_secrets s WHERE s.key_id = a.subject_id \
            ORDER BY s.created_at DESC, s.id DESC LIMIT 1), '') AS mask \
         {FROM} WHERE a.id = $1"
    );
    let row = db.fetch_optional(sql, binds![id.to_string()]).await?;
    row.map(|row| Ok(PendingMail { alert: alert_of(&row)?, mask: row.text("mask")?, attempt })).transpose()
}
