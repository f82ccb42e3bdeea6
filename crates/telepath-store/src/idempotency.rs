//! Idempotent requests (`Idempotency-Key`). An attempt claims its key first, and the transaction of its change
//! verifies the claim. So after a crash it is known whether the change happened, and an attempt that lost its claim
//! can no longer change anything.

use std::collections::BTreeMap;

use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, IdempotencyId};
use telepath_core::idempotency::{
    ClaimDecision, IdempotencyAttempt, IdempotencyKey, KEPT_FOR, MAX_USUAL_BODY, Progress, RequestHash,
    StoredResponse,
};
use telepath_core::storage_limit::StorageLimits;

use crate::backend::Driver;
use crate::error::StoreError;
use crate::retention_time::RetentionTime;
use crate::sql::{Connection, Row, Value, binds, corrupt};
use crate::storage_limit::{count_stored_responses, reserve_stored_response};
use crate::store::Store;

/// Rows deleted per statement; few, so that changes never wait long.
const DELETE_BATCH: i64 = 1000;
/// What a running request counts in the limit of bytes: no usual body with its `Location` is larger.
#[expect(clippy::cast_possible_wrap, reason = "64 KiB fit")]
const RESERVED: i64 = MAX_USUAL_BODY as i64 + 1024;

/// An idempotent request.
#[derive(Debug, Clone, Copy)]
pub struct IdempotentRequest {
    pub account: AccountId,
    /// The caller; each caller has its own keys.
    pub caller: Actor,
    /// The hash of the `Idempotency-Key`.
    pub key: IdempotencyKey,
    /// The hash of the request.
    pub request: RequestHash,
}

/// The result of claiming a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdempotencyClaim {
    /// The request is new; the id names this attempt.
    Fresh(IdempotencyId),
    /// The key was used before.
    Before(ClaimDecision),
}

impl Store {
    /// Claims a key for a request. The claim must be passed to [`Store::end_idempotent_request`].
    ///
    /// # Errors
    /// [`StoreError::LimitReached`] if the account has no room for one more response.
    pub async fn begin_idempotent_request(
        &self,
        request: IdempotentRequest,
        now: Timestamp,
    ) -> Result<IdempotencyClaim, StoreError> {
        let claim = NewClaim {
            request,
            id: self.new_id(now)?,
            run: self.run,
            // A data folder has one server at a time, so every other run has ended.
            single_server: matches!(self.backend.driver(), Driver::Sqlite(_)),
            storage_limits: self.storage_limits,
            now,
        };
        self.backend.write(move |db| Box::pin(begin(db, claim))).await
    }

    /// Ends an attempt. `Some` is the response of a completed request. `None` is a rejected request, or a response
    /// that cannot be stored: then only its changes decide whether it may be retried.
    pub async fn end_idempotent_request(
        &self,
        id: IdempotencyId,
        answer: Option<StoredResponse>,
    ) -> Result<(), StoreError> {
        self.backend.write(move |db| Box::pin(end(db, id, answer))).await
    }

    /// Deletes expired keys; returns their number. Keys that expire later than any key can were stored while the clock was ahead,
    /// and get a new expiry.
    pub async fn expire_idempotency_keys(&self) -> Result<u64, StoreError> {
        let RetentionTime { earliest, latest } = self.retention_time().await?;
        let ahead = "UPDATE idempotency_keys SET expires_at = $1 WHERE expires_at > $2";
        self.backend.execute(ahead, binds![latest.plus(KEPT_FOR), latest.horizon(KEPT_FOR)]).await?;
        let mut deleted = 0;
        loop {
            let gone = self.backend.write(move |db| Box::pin(delete_expired(db, earliest))).await?;
            deleted += gone;
            if gone < DELETE_BATCH.unsigned_abs() {
                return Ok(deleted);
            }
        }
    }
}

#[derive(Clone, Copy)]
struct NewClaim {
    request: IdempotentRequest,
    id: IdempotencyId,
    run: IdempotencyId,
    single_server: bool,
    storage_limits: StorageLimits,
    now: Timestamp,
}

async fn begin(db: &mut Connection, claim: NewClaim) -> Result<IdempotencyClaim, StoreError> {
    let IdempotentRequest { account, caller, key, request } = claim.request;
    let sql = "SELECT request_hash, run, claimed_at, state, target, status, location, body, expires_at, bytes \
               FROM idempotency_keys WHERE account_id = $1 AND caller = $2 AND key_hash = $3";
    let place = binds![account.to_string(), caller.to_string(), &key.as_bytes()[..]];
    let Some(row) = db.fetch_locked(sql, place).await? else { return insert(db, claim).await };
    if row.time("expires_at")? > claim.now {
        match attempt_of(&row, claim)?.decide(request, claim.now) {
            ClaimDecision::TakeOver => {}
            before @ (ClaimDecision::Replay(_)
            | ClaimDecision::Reused
            | ClaimDecision::InUse
            | ClaimDecision::Lost(_)) => {
                return Ok(IdempotencyClaim::Before(before));
            }
        }
    }
    db.execute(
        "UPDATE idempotency_keys SET request_hash = $4, claim = $5, run = $6, claimed_at = $7, \
         state = 'running', target = NULL, status = NULL, location = NULL, body = NULL, expires_at = $8, bytes = $9 \
         WHERE account_id = $1 AND caller = $2 AND key_hash = $3",
        claim.values(),
    )
    .await?;
    let more = RESERVED - row.integer("bytes")?;
    reserve_stored_response(db, &account.to_string(), claim.storage_limits, 0, more).await?;
    Ok(IdempotencyClaim::Fresh(claim.id))
}

async fn insert(db: &mut Connection, claim: NewClaim) -> Result<IdempotencyClaim, StoreError> {
    let inserted = db
        .execute(
            "INSERT INTO idempotency_keys \
             (account_id, caller, key_hash, request_hash, claim, run, claimed_at, state, expires_at, bytes) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8, $9) \
             ON CONFLICT (account_id, caller, key_hash) DO NOTHING",
            claim.values(),
        )
        .await?;
    // Another attempt claimed the key between the read and the insert; a retry sees it.
    if inserted == 0 {
        return Ok(IdempotencyClaim::Before(ClaimDecision::InUse));
    }
    let account = claim.request.account.to_string();
    reserve_stored_response(db, &account, claim.storage_limits, 1, RESERVED).await?;
    Ok(IdempotencyClaim::Fresh(claim.id))
}

impl NewClaim {
    fn values(&self) -> Vec<Value> {
        let IdempotentRequest { account, caller, key, request } = self.request;
        binds![
            account.to_string(),
            caller.to_string(),
            &key.as_bytes()[..],
            &request.as_bytes()[..],
            self.id.to_string(),
            self.run.to_string(),
            self.now,
            self.now.plus(KEPT_FOR),
            RESERVED,
        ]
    }
}

fn attempt_of(row: &Row, claim: NewClaim) -> Result<IdempotencyAttempt, StoreError> {
    let state = row.text("state")?;
    let progress = match state.as_str() {
        "running" => Progress::Running,
        "lost" => Progress::Lost,
        "done" => Progress::Done(StoredResponse {
            status: row.number("status")?,
            location: row.maybe_text("location")?,
            body: row.text("body")?,
        }),
        _ => return Err(corrupt("idempotency_keys.state")),
    };
    Ok(IdempotencyAttempt {
        request: RequestHash::from_bytes(row.array("request_hash")?),
        since: row.time("claimed_at")?,
        progress,
        target: row.maybe_text("target")?,
        orphaned: claim.single_server && row.parse::<IdempotencyId>("run")? != claim.run,
    })
}

async fn end(
    db: &mut Connection,
    id: IdempotencyId,
    answer: Option<StoredResponse>,
) -> Result<(), StoreError> {
    let sql = "SELECT account_id, target, bytes FROM idempotency_keys WHERE claim = $1";
    let Some(row) = db.fetch_locked(sql, binds![id.to_string()]).await? else { return Ok(()) };
    let (account, reserved) = (row.text("account_id")?, row.integer("bytes")?);
    let (responses, bytes) = if let Some(answer) = answer {
        let bytes = answer.body.len() + answer.location.as_ref().map_or(0, String::len);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let sql = "UPDATE idempotency_keys SET state = 'done', status = $2, location = $3, body = $4, bytes = $5 \
                   WHERE claim = $1";
        let status = u32::from(answer.status);
        db.execute(sql, binds![id.to_string(), status, answer.location, answer.body, bytes]).await?;
        (0, bytes)
    } else if row.maybe_text("target")?.is_some() {
        let sql = "UPDATE idempotency_keys SET state = 'lost', bytes = 0 WHERE claim = $1";
        db.execute(sql, binds![id.to_string()]).await?;
        (0, 0)
    } else {
        // Nothing was changed, so nothing needs to be kept; a change still in flight finds no claim.
        db.execute("DELETE FROM idempotency_keys WHERE claim = $1", binds![id.to_string()]).await?;
        (-1, 0)
    };
    count_stored_responses(db, &account, responses, bytes - reserved).await.map(drop)
}

/// Records, in the transaction of a change, what the attempt has changed. An attempt without its claim was
/// superseded, and its change must not happen.
pub(crate) async fn mark(db: &mut Connection, origin: Origin, target: &str) -> Result<(), StoreError> {
    let Some(id) = origin.idempotency else { return Ok(()) };
    let sql =
        "UPDATE idempotency_keys SET target = COALESCE(target, $2) WHERE claim = $1 AND state = 'running'";
    let marked = db.execute(sql, binds![id.to_string(), target]).await?;
    if marked == 0 { Err(StoreError::Superseded) } else { Ok(()) }
}

/// Reserves, in the transaction of a change, room for a response that will be larger than a usual one, or refuses the change.
pub(crate) async fn reserve(
    db: &mut Connection,
    account: AccountId,
    origin: Origin,
    storage_limits: StorageLimits,
    bytes: usize,
) -> Result<(), StoreError> {
    let Some(id) = origin.idempotency else { return Ok(()) };
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let sql = "UPDATE idempotency_keys SET bytes = bytes + $2 WHERE claim = $1 AND state = 'running'";
    if db.execute(sql, binds![id.to_string(), bytes]).await? == 0 {
        return Err(StoreError::Superseded);
    }
    reserve_stored_response(db, &account.to_string(), storage_limits, 0, bytes).await
}

async fn delete_expired(db: &mut Connection, now: Timestamp) -> Result<u64, StoreError> {
    let sql = "DELETE FROM idempotency_keys WHERE claim IN \
               (SELECT claim FROM idempotency_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) \
               RETURNING account_id, bytes";
    let deleted = db.fetch_all(sql, binds![now, DELETE_BATCH]).await?;
    // In the order of the accounts, so that two servers never wait for each other in a circle.
    let mut freed = BTreeMap::<String, (i64, i64)>::new();
    for row in &deleted {
        let of_account = freed.entry(row.text("account_id")?).or_default();
        *of_account = (of_account.0 + 1, of_account.1 + row.integer("bytes")?);
    }
    for (account, (responses, bytes)) in freed {
        count_stored_responses(db, &account, -responses, -bytes).await?;
    }
    Ok(deleted.len() as u64)
}
