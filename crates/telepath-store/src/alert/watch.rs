//! Evaluates the alert rules. Usage rules see each key's minutes; lifecycle rules see what becomes due with time.
//! Each group of keys is one transaction that locks their state, so one of several servers evaluates a minute.

use std::sync::atomic::Ordering;
use std::time::Duration;

use telepath_core::alert::{
    AlertRule, AlertSettings, KeyLifecycle, KeyUsageState, MinuteSummary, NewAlert, WatchedKey,
};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};
use telepath_core::limit::RateLimit;

use super::raise::{AlertWriter, raise};
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds, corrupt, to_json};
use crate::store::Store;

/// Keys per transaction; few, so that changes never wait long.
const KEYS: u32 = 64;
/// Minutes of one key per transaction; the rest follows in the next one.
const MINUTES: i64 = 240;
/// How long after its end a minute's requests may still be on their way to the counters.
const COUNTER_DELAY: Duration = Duration::from_secs(90);
/// Addresses read per key; more than a key has on record.
const ADDRESSES: u32 = 512;
/// Addresses that were counted late are still evaluated within this time.
const LATE: Duration = Duration::from_mins(10);
const LATE_MS: i64 = 600_000;
/// Keys per query of the lifecycle rules.
const LIFECYCLE_BATCH: u32 = 256;
/// Rows deleted per transaction.
const SWEEP_BATCH: u32 = 500;

const MINUTE_MS: i64 = 60_000;

impl Store {
    /// Evaluates the usage rules for every complete minute not evaluated yet; returns the number of keys.
    pub async fn evaluate_usage_rules(&self) -> Result<usize, StoreError> {
        if !self.alert_settings.enabled {
            return Ok(0);
        }
        let now = self.now();
        let until = now.minus(COUNTER_DELAY).unix_ms().div_euclid(MINUTE_MS) * MINUTE_MS;
        // A later time is left from before the clock was set back.
        let (mut looked, done) = (0, self.watched_until.load(Ordering::Relaxed).min(until));
        loop {
            let keys = self.keys_to_evaluate(done.saturating_sub(LATE_MS), until, now).await?;
            if keys.is_empty() {
                self.watched_until.store(until, Ordering::Relaxed);
                return Ok(looked);
            }
            looked += keys.len();
            let alert_writer = self.alert_writer();
            self.backend.write(move |db| Box::pin(evaluate_all(db, keys, until, alert_writer, now))).await?;
        }
    }

    /// Keys with minutes to evaluate, and keys whose state asks to be woken, ordered by id. Only the first run of a
    /// process looks at all minutes on record, in case the previous process left some. A key that was evaluated, or asks to be
    /// woken, beyond the horizon was evaluated while the clock was ahead: it continues with the latest minutes.
    async fn keys_to_evaluate(
        &self,
        from: i64,
        until: i64,
        now: Timestamp,
    ) -> Result<Vec<KeyId>, StoreError> {
        let sql = "SELECT DISTINCT b.key_id AS key_id FROM usage_buckets b \
             LEFT JOIN key_watches w ON w.key_id = b.key_id \
             WHERE b.span = 'minute' AND b.start >= $4 AND b.start < $1 \
             AND b.start >= CASE WHEN w.evaluated_until > $5 THEN $6 ELSE COALESCE(w.evaluated_until, 0) END \
             UNION SELECT key_id FROM key_watches WHERE wake_at <= $2 OR wake_at > $7 ORDER BY key_id LIMIT $3";
        let (evaluated, wake) = (evaluated_horizon(now), wake_horizon(&self.alert_settings, now));
        let values = binds![until, now, KEYS, from, evaluated, latest_minutes(until), wake];
        let rows = self.backend.read().await?.fetch_all(sql, values).await?;
        rows.iter().map(|row| row.parse("key_id")).collect()
    }

    /// Evaluates the lifecycle rules and deletes expired alerts; returns the number of alerts raised.
    pub async fn evaluate_lifecycle_rules(&self) -> Result<usize, StoreError> {
        self.sweep_alerts(self.retention_time().await?.earliest).await?;
        let now = self.now();
        if !self.alert_settings.enabled {
            return Ok(0);
        }
        let (mut raised, mut after) = (0, String::new());
        loop {
            let lives = self.lifecycles_after(&after, now).await?;
            let Some((last, _)) = lives.last() else { return Ok(raised) };
            after = last.id.to_string();
            let due: Vec<(AccountId, NewAlert)> = lives
                .iter()
                .flat_map(|(life, account)| {
                    life.due(&self.alert_settings, now).into_iter().map(|alert| (*account, alert))
                })
                .collect();
            if !due.is_empty() {
                let alert_writer = self.alert_writer();
                raised +=
                    self.backend.write(move |db| Box::pin(raise_all(db, due, alert_writer, now))).await?;
            }
        }
    }

    /// Keys that expire soon or have been unused for long.
    async fn lifecycles_after(
        &self,
        after: &str,
        now: Timestamp,
    ) -> Result<Vec<(KeyLifecycle, AccountId)>, StoreError> {
        let sql = "SELECT id, account_id, name, created_at, expires_at, last_used_at FROM keys \
             WHERE id > $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2) \
             AND (expires_at <= $3 OR COALESCE(last_used_at, created_at) <= $4) ORDER BY id LIMIT $5";
        let soon = now.plus(self.alert_settings.expiring);
        let binds = binds![after, now, soon, now.minus(self.alert_settings.unused), LIFECYCLE_BATCH];
        let rows = self.backend.read().await?.fetch_all(sql, binds).await?;
        let life = |row: &Row| {
            let life = KeyLifecycle {
                id: row.parse("id")?,
                name: row.text("name")?,
                created_at: row.time("created_at")?,
                expires_at: row.maybe_time("expires_at")?,
                last_used_at: row.maybe_time("last_used_at")?,
            };
            Ok((life, row.parse("account_id")?))
        };
        rows.iter().map(life).collect()
    }

    async fn sweep_alerts(&self, now: Timestamp) -> Result<(), StoreError> {
        let oldest = now.minus(self.alert_settings.keep);
        loop {
            let swept = self.backend.write(move |db| Box::pin(sweep(db, oldest))).await?;
            if swept < u64::from(SWEEP_BATCH) {
                return Ok(());
            }
        }
    }
}

/// Deletes some expired alerts with their pending mails.
async fn sweep(db: &mut Connection, oldest: Timestamp) -> Result<u64, StoreError> {
    let old = "SELECT id FROM alerts WHERE raised_at < $1 ORDER BY raised_at, id LIMIT $2";
    let mails = format!("DELETE FROM alert_mails WHERE alert_id IN ({old})");
    db.execute(mails, binds![oldest, SWEEP_BATCH]).await?;
    db.execute(format!("DELETE FROM alerts WHERE id IN ({old})"), binds![oldest, SWEEP_BATCH]).await
}

async fn raise_all(
    db: &mut Connection,
    due: Vec<(AccountId, NewAlert)>,
    alert_writer: AlertWriter,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut raised = 0;
    for (account, alert) in due {
        raised += usize::from(raise(db, account, alert, &alert_writer, now).await?);
    }
    Ok(raised)
}

async fn evaluate_all(
    db: &mut Connection,
    keys: Vec<KeyId>,
    until: i64,
    alert_writer: AlertWriter,
    now: Timestamp,
) -> Result<(), StoreError> {
    for key in keys {
        evaluate_key(db, key, until, &alert_writer, now).await?;
    }
    Ok(())
}

async fn evaluate_key(
    db: &mut Connection,
    id: KeyId,
    until: i64,
    alert_writer: &AlertWriter,
    now: Timestamp,
) -> Result<(), StoreError> {
    // The key's row first, as everywhere; this also keeps a second server from creating the state at the same time.
    let sql =
        "SELECT account_id, name, created_at, rate_limit, revoked_at, expires_at FROM keys WHERE id = $1";
    let Some(row) = db.fetch_locked(sql, binds![id.to_string()]).await? else { return Ok(()) };
    let (mut state, from) = state_of(db, id, until, &alert_writer.settings, now).await?;
    let key = watched_key(id, &row)?;
    let dead = row.maybe_time("revoked_at")?.is_some()
        || row.maybe_time("expires_at")?.is_some_and(|end| end <= now);
    let (minutes, next) = minutes_of(db, id, from, until).await?;
    let mut due = Vec::new();
    // Use of a dead key has its own rule.
    if !dead {
        for minute in &minutes {
            due.extend(state.observe(&key, minute, &alert_writer.settings, now));
        }
        due.extend(state.wake(&key, &alert_writer.settings, now));
    }
    let wake_at = if dead { None } else { state.wake_at(&alert_writer.settings) };
    db.execute(
        "INSERT INTO key_watches (key_id, state, evaluated_until, wake_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (key_id) DO UPDATE SET state = $2, evaluated_until = $3, wake_at = $4",
        binds![id.to_string(), to_json(&state)?, next, wake_at],
    )
    .await?;
    let account: AccountId = row.parse("account_id")?;
    for alert in due {
        raise(db, account, alert, alert_writer, now).await?;
    }
    Ok(())
}

/// The state of a key, and the end of its evaluated minutes.
async fn state_of(
    db: &mut Connection,
    id: KeyId,
    until: i64,
    settings: &AlertSettings,
    now: Timestamp,
) -> Result<(KeyUsageState, i64), StoreError> {
    let sql = "SELECT state, evaluated_until, wake_at FROM key_watches WHERE key_id = $1";
    let Some(row) = db.fetch_locked(sql, binds![id.to_string()]).await? else {
        return Ok((KeyUsageState::default(), 0));
    };
    let (mut state, from) = (row.json::<KeyUsageState>("state")?, row.time("evaluated_until")?);
    let wakes_beyond = row.maybe_time("wake_at")?.is_some_and(|at| at > wake_horizon(settings, now));
    if from <= evaluated_horizon(now) && !wakes_beyond {
        return Ok((state, from.unix_ms()));
    }
    let from = latest_minutes(until).min(from.unix_ms());
    state.rewind(Timestamp::from_unix_ms(from - MINUTE_MS));
    Ok((state, from))
}

fn evaluated_horizon(now: Timestamp) -> Timestamp {
    now.horizon(Duration::ZERO)
}

fn wake_horizon(settings: &AlertSettings, now: Timestamp) -> Timestamp {
    now.horizon(settings.cooldown(AlertRule::NewAddress))
}

/// Where the evaluation continues after the clock was set back.
const fn latest_minutes(until: i64) -> i64 {
    until.saturating_sub(LATE_MS)
}

fn watched_key(id: KeyId, row: &Row) -> Result<WatchedKey, StoreError> {
    Ok(WatchedKey {
        id,
        name: row.text("name")?,
        created_at: row.time("created_at")?,
        rate_limit: RateLimit::per_minute(row.number("rate_limit")?).ok_or_else(|| corrupt("rate_limit"))?,
    })
}

/// The used minutes of a key between two times, oldest first, and the time to continue from. Addresses are stored
/// without their minutes, so all addresses since the last evaluation are in the last minute.
async fn minutes_of(
    db: &mut Connection,
    key: KeyId,
    from: i64,
    until: i64,
) -> Result<(Vec<MinuteSummary>, i64), StoreError> {
    let sql = "SELECT start, CAST(sum(requests) AS BIGINT) AS requests, \
         CAST(sum(CASE WHEN status >= 400 AND status NOT IN (401, 429) THEN requests ELSE 0 END) AS BIGINT) AS errors, \
         CAST(sum(CASE WHEN status = 429 THEN requests ELSE 0 END) AS BIGINT) AS limited FROM usage_buckets \
         WHERE key_id = $1 AND span = 'minute' AND start >= $2 AND start < $3 GROUP BY start ORDER BY start LIMIT $4";
    let rows = db.fetch_all(sql, binds![key.to_string(), from, until, MINUTES]).await?;
    let mut minutes = rows.iter().map(minute_of).collect::<Result<Vec<_>, _>>()?;
    let full = i64::try_from(minutes.len()).unwrap_or(MINUTES) >= MINUTES;
    let last = minutes.last().map(|minute| minute.minute.unix_ms() + MINUTE_MS);
    let next = if full { last.unwrap_or(until) } else { until.max(from) };
    if let Some(last) = minutes.last_mut() {
        let since = Timestamp::from_unix_ms(from).minus(LATE);
        let sql = "SELECT address FROM usage_addresses WHERE key_id = $1 AND last_seen >= $2 \
             GROUP BY address ORDER BY max(last_seen) DESC, address LIMIT $3";
        let rows = db.fetch_all(sql, binds![key.to_string(), since, ADDRESSES]).await?;
        last.addresses = rows.iter().map(|row| row.parse("address")).collect::<Result<_, _>>()?;
    }
    Ok((minutes, next))
}

fn minute_of(row: &Row) -> Result<MinuteSummary, StoreError> {
    let count = |column| Ok::<_, StoreError>(u32::try_from(row.integer(column)?).unwrap_or(u32::MAX));
    Ok(MinuteSummary {
        minute: row.time("start")?,
        requests: count("requests")?,
        errors: count("errors")?,
        limited: count("limited")?,
        addresses: Vec::new(),
    })
}
