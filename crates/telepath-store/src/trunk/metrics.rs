//! Today's metrics of trunks, for a whole page at once.

use std::collections::HashMap;

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::trunk::{Trunk, TrunkMetrics};

use crate::error::StoreError;
use crate::sql::{Connection, Row, binds, placeholders};

/// Each trunk with the metrics of its calls since midnight UTC.
pub(super) async fn with_metrics(
    db: &mut Connection,
    account: AccountId,
    trunks: Vec<Trunk>,
    now: Timestamp,
) -> Result<Vec<(Trunk, TrunkMetrics)>, StoreError> {
    if trunks.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT trunk_id, count(*) AS calls, \
         count(CASE WHEN status = 'disconnected' THEN 1 END) AS reached, \
         count(CASE WHEN status = 'failed' THEN 1 END) AS failed, \
         CAST(avg(ai_latency_ms) AS DOUBLE PRECISION) AS latency \
         FROM calls WHERE account_id = $1 AND start_time >= $2 AND trunk_id IN ({}) GROUP BY trunk_id",
        placeholders(3, trunks.len())
    );
    let mut values = binds![account.to_string(), now.start_of_utc_day()];
    values.extend(trunks.iter().map(|trunk| trunk.id.to_string().into()));
    let rows = db.fetch_all(sql, values).await?;
    let mut found: HashMap<TrunkId, TrunkMetrics> = rows
        .iter()
        .map(|row| Ok((row.parse("trunk_id")?, metrics_of(row)?)))
        .collect::<Result<_, StoreError>>()?;
    let pair = |trunk: Trunk| {
        let metrics = found.remove(&trunk.id).unwrap_or_default();
        (trunk, metrics)
    };
    Ok(trunks.into_iter().map(pair).collect())
}

fn metrics_of(row: &Row) -> Result<TrunkMetrics, StoreError> {
    let [reached, failed]: [u32; 2] = [row.number("reached")?, row.number("failed")?];
    let ended = f64::from(reached) + f64::from(failed);
    Ok(TrunkMetrics {
        calls_today: row.number("calls")?,
        success_rate: (ended > 0.0).then(|| f64::from(reached) * 100.0 / ended),
        avg_latency_ms: row.maybe_real("latency")?,
    })
}
