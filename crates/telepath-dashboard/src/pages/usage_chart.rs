//! The requests of a range as columns by class of status, each of which leads to its requests in the log.

use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_store::KeyRequests;

use crate::chart::stacked::{Column, STATUS, Shape, Stacked, class_of};
use crate::chart::{Chart, Unit};
use crate::time::Zone;

/// A range of equal slots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) length: Duration,
}

/// One column per slot, also for slots without requests.
fn columns(rows: &[KeyRequests], slots: Slots, link: &dyn Fn(Timestamp, Timestamp) -> String) -> Vec<Column> {
    let length = i64::try_from(slots.length.as_millis()).unwrap_or(i64::MAX).max(1);
    let span = slots.end.unix_ms().saturating_sub(slots.start.unix_ms());
    let count = usize::try_from(span.div_euclid(length)).unwrap_or_default();
    let mut sums = vec![vec![0_u64; STATUS.len()]; count];
    for row in rows {
        let place = row.start.unix_ms().saturating_sub(slots.start.unix_ms()).div_euclid(length);
        let slot = usize::try_from(place).ok().and_then(|place| sums.get_mut(place));
        if let Some(sum) = slot.and_then(|slot| slot.get_mut(class_of(row.status))) {
            *sum = sum.saturating_add(row.requests);
        }
    }
    let mut start = slots.start;
    let column = |counts| {
        let (from, to) = (start, start.plus(slots.length));
        start = to;
        let last = to.minus(Duration::from_millis(1));
        Column { start: from, counts: Some(counts), link: Some(link(from, last)) }
    };
    sums.into_iter().map(column).collect()
}

/// Draws the chart.
pub(super) fn draw(
    id: &'static str,
    title: &str,
    rows: &[KeyRequests],
    slots: Slots,
    zone: &Zone,
    link: &dyn Fn(Timestamp, Timestamp) -> String,
) -> Chart {
    let columns = columns(rows, slots, link);
    let unit = Unit::Count("request", "requests");
    Stacked { id, title, unit, classes: &STATUS, columns: &columns, zone, shape: Shape::Strip }.draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_slot_and_class() {
        let at = |minute: i64| Timestamp::from_unix_seconds(minute * 60);
        let row = |minute, status, requests| KeyRequests { start: at(minute), status, requests };
        let rows =
            [row(0, 200, 5), row(1, 204, 2), row(2, 429, 1), row(3, 404, 4), row(3, 503, 1), row(9, 200, 7)];
        let slots = Slots { start: at(0), end: at(6), length: Duration::from_mins(2) };
        let drawn = columns(&rows, slots, &|from, to| format!("{from}/{to}"));
        let counts: Vec<_> = drawn.iter().map(|column| column.counts.clone().unwrap()).collect();
        assert_eq!(counts, [[7, 0, 0, 0], [0, 4, 1, 1], [0, 0, 0, 0]]);
        assert_eq!(drawn[1].link.as_deref(), Some("1970-01-01T00:02:00.000Z/1970-01-01T00:03:59.999Z"));
    }
}
