//! What stands along the axes: round numbers and times.

use telepath_core::clock::Timestamp;

use crate::time::Zone;

/// An axis from zero to a round number that no value exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) most: u128,
    /// The distance between grid lines; at most five of them stand above zero.
    pub(super) step: u128,
}

impl Scale {
    /// The axis for values up to `most`: it ends at 1, 2, 2.5, 4, 5, 6 or 8 times a power of ten.
    pub(super) fn up_to(most: u64) -> Self {
        /// Ends in tenths of a power of ten, with the number of parts.
        const ENDS: [(u128, u128); 7] = [(10, 5), (20, 4), (25, 5), (40, 4), (50, 5), (60, 3), (80, 4)];
        let mut power = 1_u128;
        loop {
            for (tenths, parts) in ENDS {
                let end = tenths * power;
                let whole = end / 10;
                if end.is_multiple_of(10) && whole >= u128::from(most) {
                    // Parts of a thing cannot be counted.
                    let parts = if whole.is_multiple_of(parts) { parts } else { whole };
                    return Self { most: whole, step: whole / parts };
                }
            }
            power *= 10;
        }
    }

    /// The numbers at the grid lines, without zero.
    pub(super) fn lines(self) -> impl Iterator<Item = u128> {
        (1..=self.most / self.step).map(move |line| line * self.step)
    }

    /// The height of a value on an axis of a length.
    pub(super) fn height(self, value: u64, length: u32) -> u32 {
        let height = u128::from(value) * u128::from(length) / self.most;
        u32::try_from(height).unwrap_or(length).min(length)
    }
}

/// Distances between labels of a time axis, in minutes.
const STEPS: [i64; 14] =
    [1, 5, 10, 15, 30, 60, 180, 360, 720, 1440, 2 * 1440, 7 * 1440, 14 * 1440, 28 * 1440];
const DAY: i64 = 1440;

/// The labels below slots of time, at most `most`. Labels stand at round times of the zone; midnight is shown as a date.
pub(super) fn time_labels(starts: &[Timestamp], zone: &Zone, most: usize) -> Vec<Option<String>> {
    let minutes: Vec<i64> = starts.iter().map(|start| zone.wall_minutes(*start)).collect();
    let labels = |step: i64| {
        let mut before = None;
        let labels = minutes.iter().zip(starts).map(|(minute, start)| {
            let begins = match before.replace(*minute) {
                None => minute.rem_euclid(step) == 0,
                Some(before) => minute.div_euclid(step) > i64::div_euclid(before, step),
            };
            // The first slot of a day need not begin at midnight.
            let first = before.is_some() && minute.rem_euclid(DAY) < width(&minutes);
            begins.then(|| if step >= DAY || first { zone.day(*start) } else { zone.clock(*start) })
        });
        labels.collect::<Vec<_>>()
    };
    let fits = |labels: &Vec<Option<String>>| labels.iter().flatten().count() <= most;
    STEPS.iter().map(|step| labels(*step)).find(fits).unwrap_or_else(|| vec![None; starts.len()])
}

/// The minutes from one slot to the next.
fn width(minutes: &[i64]) -> i64 {
    match minutes {
        [first, second, ..] => (second - first).max(1),
        [_] | [] => 1,
    }
}

/// What a slot of time is called.
pub(super) fn slot_name(starts: &[Timestamp]) -> &'static str {
    match starts {
        [first, second, ..] => match second.since(*first).as_secs() {
            60 => "minute",
            900 => "15 minutes",
            7200 => "2 hours",
            28_800 => "8 hours",
            3600 => "hour",
            21_600 => "6 hours",
            86_400 => "day",
            _ => "interval",
        },
        [_] | [] => "interval",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 2026-11-30T12:00:00Z
    const NOON: Timestamp = Timestamp::from_unix_seconds(1_796_040_000);

    fn shown(first: Timestamp, slots: u64, slot: Duration, zone: &Zone, most: usize) -> Vec<String> {
        let starts: Vec<Timestamp> =
            (0..slots).map(|place| first.plus(slot * u32::try_from(place).unwrap())).collect();
        time_labels(&starts, zone, most).into_iter().flatten().collect()
    }

    #[test]
    fn an_axis_ends_at_a_round_number_that_holds_every_value() {
        let most = |value| Scale::up_to(value).most;
        assert_eq!([0, 1, 2, 3, 5, 6, 7, 9].map(most), [1, 1, 2, 4, 5, 6, 8, 10]);
        assert_eq!([11, 21, 26, 41, 51, 61, 81].map(most), [20, 25, 40, 50, 60, 80, 100]);
        assert_eq!(most(6845), 8000);
        assert_eq!(most(u64::MAX), 20_000_000_000_000_000_000);
    }

    #[test]
    fn there_are_at_most_five_grid_lines_at_whole_numbers() {
        for value in (0..20_000).chain([u64::MAX]) {
            let scale = Scale::up_to(value);
            let lines: Vec<u128> = scale.lines().collect();
            assert!((1..=5).contains(&lines.len()), "{value}: {lines:?}");
            assert_eq!(lines.last(), Some(&scale.most), "{value}");
        }
        assert_eq!(Scale::up_to(6845).lines().collect::<Vec<_>>(), [2000, 4000, 6000, 8000]);
    }

    #[test]
    fn heights_stay_on_the_axis() {
        let scale = Scale::up_to(80);
        assert_eq!([scale.height(0, 100), scale.height(20, 100), scale.height(80, 100)], [0, 25, 100]);
        assert_eq!(Scale::up_to(5).height(u64::MAX, 100), 100);
    }

    #[test]
    fn hours_are_labelled_at_round_times_of_the_viewer() {
        let first = NOON.minus(Duration::from_hours(22));
        let hour = Duration::from_hours(1);
        assert_eq!(
            shown(first, 24, hour, &Zone::utc(), 9),
            ["15:00", "18:00", "21:00", "30 Nov", "03:00", "06:00", "09:00", "12:00"]
        );
        assert_eq!(shown(first, 24, hour, &Zone::utc(), 5), ["18:00", "30 Nov", "06:00", "12:00"]);
        let berlin = Zone::named(&"Europe/Berlin".parse().unwrap());
        assert_eq!(shown(first, 24, hour, &berlin, 5), ["18:00", "30 Nov", "06:00", "12:00"]);
        let delhi = Zone::named(&"Asia/Kolkata".parse().unwrap());
        assert_eq!(shown(first, 24, hour, &delhi, 5), ["30 Nov", "06:30", "12:30", "18:30"]);
    }

    #[test]
    fn minutes_and_days_have_their_own_distances() {
        let minutes = shown(NOON.minus(Duration::from_mins(59)), 60, Duration::from_mins(1), &Zone::utc(), 9);
        assert_eq!(minutes, ["11:10", "11:20", "11:30", "11:40", "11:50", "12:00"]);
        let day = Duration::from_hours(24);
        let midnight = NOON.minus(Duration::from_hours(12));
        assert_eq!(shown(midnight.minus(day * 2), 3, day, &Zone::utc(), 9), ["28 Nov", "29 Nov", "30 Nov"]);
        assert!(shown(midnight.minus(day * 89), 90, day, &Zone::utc(), 5).len() <= 5);
    }

    #[test]
    fn a_slot_is_called_after_its_length() {
        let name = |seconds| slot_name(&[NOON, NOON.plus(Duration::from_secs(seconds))]);
        assert_eq!([60, 900, 3600, 86_400, 7].map(name), ["minute", "15 minutes", "hour", "day", "interval"]);
        assert_eq!(slot_name(&[NOON]), "interval");
    }
}
