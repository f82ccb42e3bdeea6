//! The requests of a key over a range, by the class of their status.

use telepath_core::clock::Timestamp;
use telepath_core::id::KeyId;
use telepath_core::usage::UsageRow;

use crate::call_series::Range;
use crate::chart::stacked::{Column, STATUS, Shape, Stacked, class_of};
use crate::chart::{Chart, Unit};
use crate::form::encoded;
use crate::time::Zone;

/// The ranges that the page offers.
pub(super) const RANGES: [Range; 5] = [Range::Hour, Range::Day, Range::Week, Range::Month, Range::Quarter];

/// Requests by class, in the order of the chart.
pub(super) type Classes = [u64; STATUS.len()];

/// The requests of each slot.
fn slots(rows: &[UsageRow], starts: &[Timestamp]) -> Vec<Classes> {
    let mut slots = vec![Classes::default(); starts.len()];
    for row in rows {
        let place = starts.partition_point(|start| *start <= row.start);
        if let Some(slot) = place.checked_sub(1).and_then(|place| slots.get_mut(place)) {
            slot[class_of(row.status)] += row.sum.requests;
        }
    }
    slots
}

/// The requests of all slots together.
pub(super) fn totals(rows: &[UsageRow]) -> Classes {
    rows.iter().fold(Classes::default(), |mut sum, row| {
        sum[class_of(row.status)] += row.sum.requests;
        sum
    })
}

/// Draws the chart. Each column leads to the requests of its slot.
pub(super) fn draw(
    key: (KeyId, &str),
    range: Range,
    rows: &[UsageRow],
    zone: &Zone,
    now: Timestamp,
) -> Chart {
    let (id, name) = key;
    let starts = range.starts(now);
    let ends = starts.iter().skip(1).copied().chain([now]);
    let columns: Vec<Column> = starts
        .iter()
        .zip(ends)
        .zip(slots(rows, &starts))
        .map(|((start, end), classes)| Column {
            start: *start,
            link: classes.iter().any(|count| *count > 0).then(|| requests(id, *start, end)),
            counts: Some(classes.to_vec()),
        })
        .collect();
    let title = format!("Requests of {name}");
    Stacked {
        id: "requests",
        title: &title,
        unit: Unit::Count("request", "requests"),
        classes: &STATUS,
        columns: &columns,
        zone,
        shape: Shape::Full,
    }
    .draw()
}

/// The requests of a key in a range.
fn requests(key: KeyId, start: Timestamp, end: Timestamp) -> String {
    let (start, end) = (start.to_string(), end.to_string());
    format!("/requests?key_id={key}&start_date={}&end_date={}", encoded(&start), encoded(&end))
}

#[cfg(test)]
mod tests {
    use telepath_core::usage::BucketSum;

    use super::*;

    fn row(start: i64, status: u16, requests: u64) -> UsageRow {
        let sum = BucketSum { requests, ..BucketSum::default() };
        UsageRow { start: Timestamp::from_unix_seconds(start), route: "/v1/calls".to_owned(), status, sum }
    }

    #[test]
    fn requests_are_counted_in_the_slot_that_contains_them() {
        let starts = [100, 200, 300].map(Timestamp::from_unix_seconds);
        let rows = [row(99, 200, 7), row(100, 200, 1), row(199, 404, 2), row(200, 429, 3), row(1000, 503, 4)];
        assert_eq!(slots(&rows, &starts), [[1, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 4]]);
        assert_eq!(totals(&rows), [8, 2, 3, 4]);
    }
}
