//! Adds a call that ended to the statistics, once: the transaction that ends the call does it.

use telepath_core::analytics::{CallFigures, MAX_PAIRS, OTHER};
use telepath_core::call::DisconnectReason;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::trunk::{AiProvider, TrunkSettings};
use telepath_core::usage::UsageSpan;

use super::figures_of;
use crate::error::StoreError;
use crate::sql::{Connection, Value, binds};

/// A call that ended.
pub(in crate::call) struct CountedCall<'c> {
    pub(in crate::call) account: AccountId,
    pub(in crate::call) trunk: TrunkId,
    pub(in crate::call) start_time: Timestamp,
    pub(in crate::call) carrier: Option<&'c str>,
    pub(in crate::call) reason: DisconnectReason,
    pub(in crate::call) figures: CallFigures,
}

/// What a row is about, besides its account, bucket and trunk.
struct Dimensions {
    provider: &'static str,
    model: String,
    carrier: String,
    reason: DisconnectReason,
}

const FIND: &str = "SELECT figures FROM call_statistics WHERE account_id = $1 AND span = $2 AND start = $3 \
     AND trunk_id = $4 AND provider = $5 AND model = $6 AND carrier = $7 AND reason = $8";

/// Adds the call to its minute, its hour and its day.
pub(in crate::call) async fn count_call(
    db: &mut Connection,
    call: CountedCall<'_>,
) -> Result<(), StoreError> {
    let (provider, model) = agent_of(db, call.trunk).await?;
    let mut dimensions = Dimensions {
        provider: provider.map_or("", AiProvider::name),
        model: model.unwrap_or_default(),
        carrier: call.carrier.unwrap_or_default().to_owned(),
        reason: call.reason,
    };
    // The day knows every pair of its hours and minutes.
    for span in [UsageSpan::Day, UsageSpan::Hour, UsageSpan::Minute] {
        let bucket = binds![
            call.account.to_string(),
            span.name(),
            span.start_of(call.start_time),
            call.trunk.to_string(),
        ];
        if span == UsageSpan::Day {
            bound(db, &bucket, &mut dimensions).await?;
        }
        add(db, [bucket, dimensions.values()].concat(), &call.figures).await?;
    }
    Ok(())
}

impl Dimensions {
    fn values(&self) -> Vec<Value> {
        binds![self.provider, self.model.as_str(), self.carrier.as_str(), self.reason.name()]
    }
}

/// The provider and the model of the agent of a trunk.
async fn agent_of(
    db: &mut Connection,
    trunk: TrunkId,
) -> Result<(Option<AiProvider>, Option<String>), StoreError> {
    let sql = "SELECT ai_provider, settings FROM trunks WHERE id = $1";
    let Some(row) = db.fetch_optional(sql, binds![trunk.to_string()]).await? else {
        return Ok((None, None));
    };
    let settings: TrunkSettings = row.json("settings")?;
    Ok((Some(row.named("ai_provider", AiProvider::from_name)?), settings.model))
}

/// Replaces model and carrier if they are a new pair of a trunk that has as many as a day may have.
async fn bound(db: &mut Connection, day: &[Value], dimensions: &mut Dimensions) -> Result<(), StoreError> {
    let sql = "SELECT DISTINCT model, carrier FROM call_statistics \
               WHERE account_id = $1 AND span = $2 AND start = $3 AND trunk_id = $4";
    let mut named = 0;
    for pair in &db.fetch_all(sql, day.to_vec()).await? {
        let (model, carrier) = (pair.borrowed(0)?, pair.borrowed(1)?);
        if model == dimensions.model && carrier == dimensions.carrier {
            return Ok(());
        }
        named += usize::from((model, carrier) != (OTHER, OTHER));
    }
    if named >= MAX_PAIRS {
        OTHER.clone_into(&mut dimensions.model);
        OTHER.clone_into(&mut dimensions.carrier);
    }
    Ok(())
}

/// Adds figures to the row with this key. The row is locked before it is read, so concurrent calls are added one after
/// the other.
async fn add(db: &mut Connection, key: Vec<Value>, figures: &CallFigures) -> Result<(), StoreError> {
    let mut found = db.fetch_locked(FIND, key.clone()).await?;
    if found.is_none() {
        let sql = "INSERT INTO call_statistics \
                   (account_id, span, start, trunk_id, provider, model, carrier, reason, figures) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
        let bytes = figures.to_bytes();
        if db.execute(sql, [key.clone(), binds![bytes.as_slice()]].concat()).await? > 0 {
            return Ok(());
        }
        // Another transaction has just inserted it.
        found = db.fetch_locked(FIND, key.clone()).await?;
    }
    let mut all = found.as_ref().map(figures_of).transpose()?.unwrap_or_default();
    all.merge(figures);
    let sql = "UPDATE call_statistics SET figures = $9 WHERE account_id = $1 AND span = $2 AND start = $3 \
               AND trunk_id = $4 AND provider = $5 AND model = $6 AND carrier = $7 AND reason = $8";
    let bytes = all.to_bytes();
    db.execute(sql, [key, binds![bytes.as_slice()]].concat()).await?;
    Ok(())
}
