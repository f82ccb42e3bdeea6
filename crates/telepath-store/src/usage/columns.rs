//! The columns of `usage_buckets` that hold the histogram of durations: `duration_0`, `duration_1`, … with one for each
//! bucket of the histogram.

use std::sync::LazyLock;

use telepath_core::usage::{DURATION_BUCKETS, DurationHistogram};

use crate::error::StoreError;
use crate::sql::Row;

/// The columns.
pub(super) static DURATIONS: LazyLock<String> = LazyLock::new(|| list(|number| format!("duration_{number}")));

/// The assignments that add the columns of another row.
pub(super) static DURATIONS_ADDED: LazyLock<String> = LazyLock::new(|| {
    list(|number| format!("duration_{number} = usage_buckets.duration_{number} + excluded.duration_{number}"))
});

/// The sums of the columns over several rows.
pub(super) static DURATIONS_SUMMED: LazyLock<String> =
    LazyLock::new(|| list(|number| format!("CAST(sum(duration_{number}) AS BIGINT)")));

fn list(column: impl Fn(usize) -> String) -> String {
    (0..DURATION_BUCKETS).map(column).collect::<Vec<_>>().join(", ")
}

/// The histogram in the columns of a row, of which the first is at `place`.
pub(super) fn histogram(row: &Row, place: usize) -> Result<DurationHistogram, StoreError> {
    let mut counts = [0; DURATION_BUCKETS];
    for (bucket, count) in counts.iter_mut().enumerate() {
        *count = row.number(place + bucket)?;
    }
    Ok(DurationHistogram::from_counts(counts))
}
