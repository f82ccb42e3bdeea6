//! Deletes ended sessions, invitations, links and sign-in attempts after a retention time.

use std::time::Duration;

use telepath_core::user::{MAX_LOGIN_ATTEMPTS, PERSISTENT_LIFETIME};

use crate::error::StoreError;
use crate::retention_time::RetentionTime;
use crate::sql::{Connection, Value, binds};
use crate::store::Store;

/// How long ended rows are kept for inspection.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// Rows of one transaction.
const ROWS: i64 = 500;
/// Transactions of one call; what is left then is left to the next.
const ROUNDS: u32 = 200;

impl Store {
    /// Removes what is past its time; how many rows.
    pub async fn expire_sign_ins(&self) -> Result<u64, StoreError> {
        let (mut removed, time) = (0, self.retention_time().await?);
        for _ in 0..ROUNDS {
            let some = self.backend.write(move |db| Box::pin(expire_some(db, time))).await?;
            removed += some;
            if some == 0 {
                break;
            }
        }
        Ok(removed)
    }
}

async fn expire_some(db: &mut Connection, time: RetentionTime) -> Result<u64, StoreError> {
    let now = time.earliest;
    let ended = now.minus(KEPT);
    // What was created while the clock was ahead is void, and would work once its time comes.
    let horizon = time.latest.horizon(Duration::ZERO);
    // No session outlives this, however it ended.
    let oldest = ended.minus(PERSISTENT_LIFETIME);
    let steps: [(&'static str, Vec<Value>); 7] = [
        (
            "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE last_seen_at < $1 \
             OR revoked_at < $2 ORDER BY last_seen_at LIMIT $3)",
            binds![oldest, ended, ROWS],
        ),
        (
            "DELETE FROM invitations WHERE id IN \
             (SELECT id FROM invitations WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
            binds![ended, ROWS],
        ),
        (
            "DELETE FROM password_links WHERE user_id IN \
             (SELECT user_id FROM password_links WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
            binds![now, ROWS],
        ),
        (
            "DELETE FROM invitations WHERE id IN (SELECT id FROM invitations WHERE created_at > $1 LIMIT $2)",
            binds![horizon, ROWS],
        ),
        (
            "DELETE FROM password_links WHERE user_id IN \
             (SELECT user_id FROM password_links WHERE created_at > $1 LIMIT $2)",
            binds![horizon, ROWS],
        ),
        (
            "DELETE FROM login_attempts WHERE id IN \
             (SELECT id FROM login_attempts WHERE at < $1 ORDER BY at LIMIT $2)",
            binds![ended, ROWS],
        ),
        (
            "DELETE FROM login_attempts WHERE id IN (SELECT id FROM login_attempts ORDER BY at LIMIT $1) \
             AND (SELECT count(*) FROM login_attempts) >= $2",
            binds![ROWS, i64::from(MAX_LOGIN_ATTEMPTS) + ROWS],
        ),
    ];
    let mut removed = 0;
    for (sql, values) in steps {
        removed += db.execute(sql, values).await?;
    }
    Ok(removed)
}
