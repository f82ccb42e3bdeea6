//! The chart above the log: requests by class of status, in 60 to 120 columns that lead to their requests.

use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::request::RequestFilter;
use telepath_store::{RequestCounts, RequestSlots};

use super::query::Query;
use crate::chart::stacked::{Column, STATUS, Shape, Stacked, class_of};
use crate::chart::{Chart, Unit};
use crate::time::Zone;

/// The most columns, apart from one more if the range does not begin with a slot.
const COLUMNS: u64 = 96;
/// The lengths that slots can have, in seconds.
const LENGTHS: [u64; 16] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 900, 1800, 3600, 7200, 4 * 3600, 8 * 3600, 24 * 3600];

/// The slots of the range of a page; `None` for a range that is too long or empty.
pub(super) fn slots(query: &Query, filter: &RequestFilter, now: Timestamp) -> Option<RequestSlots> {
    let end = filter.end.map_or(now, |end| end.min(now));
    let start = match (filter.start, query.has_dates()) {
        (Some(start), _) => start,
        (None, true) => end.minus(query.range.length()),
        (None, false) => now.minus(query.range.length()),
    };
    let seconds = end.since(start).as_secs();
    let length = LENGTHS.into_iter().find(|length| seconds.div_ceil(*length) <= COLUMNS)?;
    if end <= start {
        return None;
    }
    let length = Duration::from_secs(length);
    let length_ms = i64::try_from(length.as_millis()).ok()?;
    let first = start.unix_ms().div_euclid(length_ms);
    let last = end.unix_ms().div_euclid(length_ms);
    let count = u32::try_from(last - first + 1).ok()?;
    Some(RequestSlots { start: Timestamp::from_unix_ms(first * length_ms), length, count })
}

/// Draws the chart.
pub(super) fn draw(counts: &RequestCounts, slots: RequestSlots, query: &Query, zone: &Zone) -> Chart {
    let columns = columns(counts, slots, query);
    Stacked {
        id: "requests",
        title: "Requests",
        unit: Unit::Count("request", "requests"),
        classes: &STATUS,
        columns: &columns,
        zone,
        shape: Shape::Strip,
    }
    .draw()
}

fn columns(counts: &RequestCounts, slots: RequestSlots, query: &Query) -> Vec<Column> {
    let mut sums = vec![vec![0_u64; STATUS.len()]; usize::try_from(slots.count).unwrap_or_default()];
    for row in &counts.rows {
        let slot = usize::try_from(row.slot).ok().and_then(|place| sums.get_mut(place));
        if let Some(sum) = slot.and_then(|slot| slot.get_mut(class_of(row.status))) {
            *sum = sum.saturating_add(row.requests);
        }
    }
    let mut start = slots.start;
    let column = |classes: Vec<u64>| {
        let (from, next) = (start, start.plus(slots.length));
        start = next;
        let has_requests = classes.iter().any(|count| *count > 0);
        let is_known = counts.since.is_none_or(|since| from >= since);
        Column {
            start: from,
            link: has_requests.then(|| query.interval(from, next.minus(Duration::from_millis(1)))),
            counts: (is_known || has_requests).then_some(classes),
        }
    };
    sums.into_iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use telepath_store::SlotRequests;

    use super::*;
    use crate::form::Fields;

    /// 2026-11-30T12:05:07Z
    const NOW: Timestamp = Timestamp::from_unix_seconds(1_796_040_307);

    fn query(text: &str) -> Query {
        Query::read(&Fields::parse(text)).0
    }

    #[test]
    fn every_range_has_60_to_120_columns_and_the_last_one_contains_now() {
        for (range, length) in [("1h", 60), ("24h", 900), ("7d", 7200), ("30d", 28_800)] {
            let slots = slots(&query(&format!("range={range}")), &RequestFilter::default(), NOW).unwrap();
            assert_eq!(slots.length.as_secs(), length, "{range}");
            assert!((60..=120).contains(&slots.count), "{range}: {}", slots.count);
            assert!(slots.end() > NOW && slots.end().minus(slots.length) <= NOW, "{range}");
        }
    }

    #[test]
    fn a_range_of_its_own_has_slots_of_a_round_length() {
        let filter = |start, end| RequestFilter { start, end, ..RequestFilter::default() };
        let dated = query("start_date=2026-11-30");
        let from = |seconds| Some(NOW.minus(Duration::from_secs(seconds)));
        let length = |filter| slots(&dated, &filter, NOW).map(|slots| slots.length.as_secs());
        assert_eq!(length(filter(from(900), None)), Some(10));
        assert_eq!(length(filter(from(3600), from(3540))), Some(1));
        assert_eq!(length(filter(from(86_400 * 400), None)), None, "a range that is too long");
        assert_eq!(length(filter(from(10), from(20))), None, "an empty range");
    }

    #[test]
    fn a_slot_that_was_not_counted_is_unknown_and_one_without_requests_leads_nowhere() {
        let start = NOW.minus(Duration::from_secs(4));
        let slots = RequestSlots { start, length: Duration::from_secs(1), count: 4 };
        let rows = vec![SlotRequests { slot: 2, status: 429, requests: 3 }];
        let counts = RequestCounts { rows, since: Some(start.plus(Duration::from_secs(1))) };
        let drawn = columns(&counts, slots, &query("status=4xx"));
        let shown: Vec<_> = drawn.iter().map(|column| column.counts.clone()).collect();
        assert_eq!(shown, [None, Some(vec![0; 4]), Some(vec![0, 0, 3, 0]), Some(vec![0; 4])]);
        let links: Vec<_> = drawn.into_iter().map(|column| column.link).collect();
        let only = "/requests?status=4xx&start_date=2026-11-30T12%3A05%3A05.000Z&end_date=2026-11-30T12%3A05%3A05.999Z";
        assert_eq!(links, [None, None, Some(only.to_owned()), None]);
    }
}
