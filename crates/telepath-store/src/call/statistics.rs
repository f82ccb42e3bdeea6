//! Statistics of calls that ended: read and merged here, written in the transaction that ends a call.

mod write;

use std::collections::BTreeMap;

use telepath_core::analytics::{CallFigures, CallGrouping, CallRange, OTHER};
use telepath_core::clock::Timestamp;
use telepath_core::reach::Reach;

use crate::error::StoreError;
use crate::sql::within::trunk_within;
use crate::sql::{Row, Value, binds, corrupt, placeholders};
use crate::store::Store;

pub(super) use write::{CountedCall, count_call};

/// The most rows that one read adds up.
const MAX_ROWS: usize = 300_000;
/// The most groups that are kept apart; the calls of further ones are added up under [`OTHER`].
const MAX_GROUPS: usize = 1000;

/// The figures of each group.
pub type CallGroups = BTreeMap<String, CallFigures>;

/// The figures of each bucket and group.
pub type CallBuckets = BTreeMap<(Timestamp, String), CallFigures>;

/// A range whose figures are in too many rows to be added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyRows;

impl Store {
    /// The figures of calls within reach by group; without a grouping, the group of all calls has an empty name.
    pub async fn call_groups(
        &self,
        reach: impl Into<Reach>,
        range: &CallRange,
        grouping: Option<CallGrouping>,
    ) -> Result<Result<CallGroups, TooManyRows>, StoreError> {
        let mut groups = CallGroups::new();
        let read = self.read_statistics(reach.into(), range, |row, figures| {
            let group = group_of(row, grouping)?;
            let is_new = groups.len() >= MAX_GROUPS && !groups.contains_key(&group);
            let group = if is_new { OTHER.to_owned() } else { group };
            groups.entry(group).or_default().merge(figures);
            Ok(())
        });
        Ok(read.await?.map(|()| groups))
    }

    /// The figures of calls within reach by bucket and group. Groups that are not in `named` are added up under
    /// [`OTHER`], so that the caller bounds the size of the result.
    pub async fn call_buckets(
        &self,
        reach: impl Into<Reach>,
        range: &CallRange,
        grouping: Option<CallGrouping>,
        named: &[String],
    ) -> Result<Result<CallBuckets, TooManyRows>, StoreError> {
        let mut buckets = CallBuckets::new();
        let read = self.read_statistics(reach.into(), range, |row, figures| {
            let group = group_of(row, grouping)?;
            let group = if named.contains(&group) { group } else { OTHER.to_owned() };
            buckets.entry((row.time(START)?, group)).or_default().merge(figures);
            Ok(())
        });
        Ok(read.await?.map(|()| buckets))
    }

    async fn read_statistics(
        &self,
        reach: Reach,
        range: &CallRange,
        mut each: impl FnMut(&Row, &CallFigures) -> Result<(), StoreError> + Send,
    ) -> Result<Result<(), TooManyRows>, StoreError> {
        let Reach { account, trunks } = reach;
        let mut values = binds![account.to_string(), range.span.name(), range.start, range.end];
        let mut chosen = trunk_within("trunk_id", &trunks, &mut values);
        if !range.trunks.is_empty() {
            let ids = placeholders(values.len() + 1, range.trunks.len());
            values.extend(range.trunks.iter().map(|id| Value::from(id.to_string())));
            chosen = format!("{chosen} AND trunk_id IN ({ids})");
        }
        values.push(i64::try_from(MAX_ROWS + 1).unwrap_or(i64::MAX).into());
        let sql = format!(
            "SELECT figures, start, trunk_id, provider, model, carrier, reason FROM call_statistics \
             WHERE account_id = $1 AND span = $2 AND start >= $3 AND start < $4{chosen} LIMIT ${}",
            values.len()
        );
        let mut rows = 0;
        let mut db = self.backend.read().await?;
        db.fetch_each(sql, values, |row| {
            rows += 1;
            if rows > MAX_ROWS {
                return Ok(());
            }
            each(&row, &figures_of(&row)?)
        })
        .await?;
        Ok(if rows > MAX_ROWS { Err(TooManyRows) } else { Ok(()) })
    }
}

/// The places of columns; a read has too many rows to look names up.
const FIGURES: usize = 0;
const START: usize = 1;

fn figures_of(row: &Row) -> Result<CallFigures, StoreError> {
    CallFigures::from_bytes(&row.bytes(FIGURES)?).map_err(|_| corrupt("figures"))
}

fn group_of(row: &Row, grouping: Option<CallGrouping>) -> Result<String, StoreError> {
    match grouping {
        None => Ok(String::new()),
        Some(CallGrouping::Trunk) => row.text(2),
        Some(CallGrouping::Provider) => row.text(3),
        Some(CallGrouping::Model) => row.text(4),
        Some(CallGrouping::Carrier) => row.text(5),
        Some(CallGrouping::Reason) => row.text(6),
    }
}
