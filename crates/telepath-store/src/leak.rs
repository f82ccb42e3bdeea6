//! Exposed keys: reported as leaked, or sent over plain HTTP. A report is stored before it is answered and worked off
//! afterwards, so that the response reveals nothing about the secrets, and neither a crash nor an outage loses a report.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use telepath_core::alert::{AlertRule, NewAlert};
use telepath_core::audit::Origin;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId, LeakReportId};
use telepath_core::key::KeyRecord;
use telepath_core::leak::{ExposedSecret, ExposureCause, ExposureReport};
use telepath_core::secret::HashedKey;

use crate::alert::raise::raise;
use crate::error::StoreError;
use crate::key::KeyChangeError;
use crate::key::change::{Revoke, revoke};
use crate::key::leak_guide;
use crate::sql::{Connection, Row, Value, binds, corrupt, placeholders, to_json};
use crate::store::Store;

/// Reports that are stored at the same time.
const MAX_PENDING: u32 = 10_000;
/// Reports per claim.
const BATCH: u32 = 16;
/// How long a claim lasts. A report that is worked off twice changes nothing the second time.
const LEASE: Duration = Duration::from_secs(15);
/// Secrets per query.
const SECRETS_PER_QUERY: usize = 100;
/// Bytes of a hash.
const HASH: usize = 32;

/// Why a report was not stored.
#[derive(Debug, thiserror::Error)]
pub enum ExposureError {
    /// As many reports as allowed are waiting.
    #[error("{MAX_PENDING} reports of leaked keys are waiting")]
    Full,
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A stored report that this process works off.
struct Claimed {
    id: String,
    report: ExposureReport,
}

impl Store {
    /// Stores a report. It takes the same work whether or not the secrets belong to keys of this server, and even if there
    /// are none.
    pub async fn record_exposure(&self, report: ExposureReport) -> Result<(), ExposureError> {
        let id = match (report.cause, report.secrets.first()) {
            // One row for each key, however often it is seen.
            (ExposureCause::SeenInClear, Some(secret)) => format!("clear_{:016x}", secret.hash.index()),
            (ExposureCause::SeenInClear | ExposureCause::Reported, _) => {
                self.new_id::<LeakReportId>(report.at)?.to_string()
            }
        };
        let stored = self.backend.write(move |db| Box::pin(insert(db, id, report))).await;
        self.exposures.notify_one();
        stored
    }

    /// Waits until a report was stored.
    pub async fn wait_for_exposure(&self) {
        self.exposures.notified().await;
    }

    /// Works off the stored reports that are due; returns their number. A report that fails stays stored.
    pub async fn revoke_exposed_keys(&self) -> Result<u64, StoreError> {
        let mut done = 0;
        loop {
            let now = self.now();
            let claimed = self.backend.write(move |db| Box::pin(claim(db, now))).await?;
            if claimed.is_empty() {
                return Ok(done);
            }
            for Claimed { id, report } in claimed {
                self.revoke_secrets_of(report).await?;
                self.backend
                    .execute("DELETE FROM pending_revocations WHERE id = $1", binds![id.as_str()])
                    .await?;
                done += 1;
            }
        }
    }

    async fn revoke_secrets_of(&self, report: ExposureReport) -> Result<(), StoreError> {
        let now = self.now();
        let origin = Origin::system(report.address, now);
        // A report from a clock that was ahead says nothing about keys that expire in between.
        let received_at = report.at.min(now);
        for secrets in report.secrets.chunks(SECRETS_PER_QUERY) {
            let mut db = self.backend.read().await?;
            let found = live_keys(&mut db, secrets, received_at).await?;
            drop(db);
            for (hash, account, key) in found {
                let revoked = match report.cause {
                    ExposureCause::Reported => {
                        let secret = secrets.iter().find(|secret| secret.hash == hash);
                        let reason = secret.map(|secret| secret.reason.clone()).unwrap_or_default();
                        self.revoke_leaked_key(account, key, reason, origin).await.map(drop)
                    }
                    ExposureCause::SeenInClear => {
                        self.revoke_seen_in_clear(account, key, origin).await.map(drop)
                    }
                };
                match revoked {
                    Err(KeyChangeError::Store(error)) => return Err(error),
                    Err(error) => {
                        tracing::error!(%key, %error, "could not revoke a leaked key; revoke it by hand");
                    }
                    Ok(()) => tracing::warn!(%key, cause = report.cause.name(), "an API key was exposed"),
                }
            }
        }
        Ok(())
    }

    /// Revokes a key whose secret was reported as leaked, raises an alert and starts the guide. A key that is already revoked is left
    /// as it is.
    pub async fn revoke_leaked_key(
        &self,
        account: AccountId,
        id: KeyId,
        reason: String,
        origin: Origin,
    ) -> Result<KeyRecord, KeyChangeError> {
        let revocation = Revoke {
            account,
            id,
            reason: Some(reason.clone()),
            origin,
            audit_id: self.new_audit_id(origin.at)?,
            event_id: self.new_id(origin.at)?,
        };
        let alert_writer = self.alert_writer();
        self.change_key(id, move |db| {
            Box::pin(async move {
                let changed = revoke(db, revocation).await?;
                let message =
                    format!("The key \"{}\" was reported as leaked and is revoked.", changed.name());
                let address = origin.address.map(|address| address.to_string());
                let figures = json!({ "address": address, "reason": reason });
                let alert = NewAlert::new(AlertRule::LeakReported, id, message, figures);
                raise(db, account, alert, &alert_writer, origin.at).await?;
                leak_guide::begin(db, account, id, origin).await?;
                Ok(changed)
            })
        })
        .await
    }

    /// Revokes a key that was sent over plain HTTP, if its account's policy says so; returns whether it does.
    pub async fn revoke_seen_in_clear(
        &self,
        account: AccountId,
        id: KeyId,
        origin: Origin,
    ) -> Result<bool, KeyChangeError> {
        let wanted = self.account(account).await?.is_some_and(|account| account.revoke_keys_seen_in_clear);
        if wanted {
            let reason = Some("Sent over plain HTTP".to_owned());
            self.revoke_key(account, id, reason, origin).await?;
        }
        Ok(wanted)
    }
}

async fn insert(db: &mut Connection, id: String, report: ExposureReport) -> Result<(), ExposureError> {
    let waiting: u32 =
        db.fetch_one("SELECT count(*) AS total FROM pending_revocations", vec![]).await?.number("total")?;
    if waiting >= MAX_PENDING {
        return Err(ExposureError::Full);
    }
    let hashes: Vec<u8> = report.secrets.iter().flat_map(|secret| *secret.hash.as_bytes()).collect();
    let reasons: Vec<&str> = report.secrets.iter().map(|secret| secret.reason.as_str()).collect();
    db.execute(
        "INSERT INTO pending_revocations (id, cause, received_at, address, hashes, reasons, due_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $3) ON CONFLICT (id) DO NOTHING",
        binds![id, report.cause.name(), report.at, report.address, hashes.as_slice(), to_json(&reasons)?,],
    )
    .await?;
    Ok(())
}

/// Claims due reports, those that wait longest first. A report due later than any claim lasts was claimed while the clock was
/// ahead, and is due.
async fn claim(db: &mut Connection, now: Timestamp) -> Result<Vec<Claimed>, StoreError> {
    let sql = "UPDATE pending_revocations SET due_at = $2 WHERE (due_at <= $1 OR due_at > $4) \
               AND id IN (SELECT id FROM pending_revocations WHERE due_at <= $1 OR due_at > $4 ORDER BY due_at, id LIMIT $3) \
               RETURNING id, cause, received_at, address, hashes, reasons";
    let rows = db.fetch_all(sql, binds![now, now.plus(LEASE), BATCH, now.horizon(LEASE)]).await?;
    rows.iter().map(claimed_of).collect()
}

fn claimed_of(row: &Row) -> Result<Claimed, StoreError> {
    let hashes = row.bytes("hashes")?;
    let reasons: Vec<String> = row.json("reasons")?;
    if hashes.len() != reasons.len() * HASH {
        return Err(corrupt("hashes"));
    }
    let hash_of = |bytes: &[u8]| bytes.try_into().map(HashedKey::from_bytes).map_err(|_| corrupt("hashes"));
    let secrets = hashes
        .chunks(HASH)
        .zip(reasons)
        .map(|(bytes, reason)| Ok(ExposedSecret { hash: hash_of(bytes)?, reason }))
        .collect::<Result<_, StoreError>>()?;
    let address: Option<IpAddr> = row.maybe_parse("address")?;
    let cause = row.named("cause", ExposureCause::from_name)?;
    let report = ExposureReport { cause, secrets, address, at: row.time("received_at")? };
    Ok(Claimed { id: row.text("id")?, report })
}

/// The keys that could be used with one of the secrets when they were reported.
async fn live_keys(
    db: &mut Connection,
    secrets: &[ExposedSecret],
    at: Timestamp,
) -> Result<Vec<(HashedKey, AccountId, KeyId)>, StoreError> {
    if secrets.is_empty() {
        return Ok(vec![]);
    }
    let sql = format!(
        "SELECT s.hash AS hash, k.account_id AS account_id, k.id AS id FROM key_secrets s \
         JOIN keys k ON k.id = s.key_id WHERE k.revoked_at IS NULL AND s.ended_at IS NULL \
         AND (s.expires_at IS NULL OR s.expires_at > $1) AND (k.expires_at IS NULL OR k.expires_at > $1) \
         AND s.hash IN ({})",
        placeholders(2, secrets.len())
    );
    let hashes = secrets.iter().map(|secret| Value::from(&secret.hash.as_bytes()[..]));
    let values = binds![at].into_iter().chain(hashes).collect();
    let rows = db.fetch_all(sql, values).await?;
    let key_of = |row: &Row| {
        Ok((HashedKey::from_bytes(row.array("hash")?), row.parse("account_id")?, row.parse("id")?))
    };
    rows.iter().map(key_of).collect()
}
