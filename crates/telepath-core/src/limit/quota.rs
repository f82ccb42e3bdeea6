//! Quotas: requests of a key per calendar day and month, in UTC. Unlike a window, a period ends when the wall clock says so.

use std::num::NonZeroU32;

use super::{Period, RateLimit, WindowState};
use crate::clock::{SteadyTime, Timestamp};
use crate::validation::Invalid;

const DAY_MS: i64 = 86_400_000;

/// Requests allowed per calendar day and month (UTC); `None` is any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quotas {
    pub per_day: Option<NonZeroU32>,
    pub per_month: Option<NonZeroU32>,
}

/// The quotas in a request, not yet checked.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct QuotasDraft {
    pub per_day: Option<u32>,
    pub per_month: Option<u32>,
}

impl QuotasDraft {
    /// Checks the numbers, and reports every problem under `quotas`.
    pub fn check(self, problems: &mut Invalid) -> Quotas {
        let mut checked =
            |field: &str, requests: Option<u32>| problems.optional(field, requests, checked_quota);
        Quotas {
            per_day: checked("quotas.per_day", self.per_day),
            per_month: checked("quotas.per_month", self.per_month),
        }
    }
}

/// A quota of at least one request.
pub fn checked_quota(requests: u32) -> Result<NonZeroU32, &'static str> {
    NonZeroU32::new(requests).ok_or("must be at least 1, or null for no quota")
}

impl Quotas {
    /// Whether there is none.
    pub const fn are_unlimited(self) -> bool {
        self.per_day.is_none() && self.per_month.is_none()
    }

    /// Notes the members that allow more than `self`.
    pub fn check_encloses(self, other: Self, of: &str, problems: &mut Invalid) {
        for (field, own, asked) in [
            ("quotas.per_day", self.per_day, other.per_day),
            ("quotas.per_month", self.per_month, other.per_month),
        ] {
            if let Some(own) = own
                && asked.is_none_or(|asked| asked > own)
            {
                problems.wrong(field, format!("must be at most {own}, the quota of {of}"));
            }
        }
    }
}

/// One day or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CalendarPeriod {
    pub period: Period,
    /// The first moment, which identifies the period.
    pub start: Timestamp,
    /// The first moment of the next period.
    pub end: Timestamp,
}

impl CalendarPeriod {
    /// The day of a moment.
    pub const fn day_of(now: Timestamp) -> Self {
        let start = now.unix_ms().div_euclid(DAY_MS) * DAY_MS;
        Self {
            period: Period::Day,
            start: Timestamp::from_unix_ms(start),
            end: Timestamp::from_unix_ms(start + DAY_MS),
        }
    }

    /// The month of a moment.
    pub const fn month_of(now: Timestamp) -> Self {
        let (year, month) = year_and_month(now.unix_ms().div_euclid(DAY_MS));
        let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        Self {
            period: Period::Month,
            start: Timestamp::from_unix_ms(first_day(year, month) * DAY_MS),
            end: Timestamp::from_unix_ms(first_day(next.0, next.1) * DAY_MS),
        }
    }

    /// What the headers say of a quota of which this many requests were used.
    pub fn state(self, quota: NonZeroU32, used: u32, now: Timestamp) -> WindowState {
        WindowState {
            limit: RateLimit(quota.get()),
            remaining: quota.get().saturating_sub(used),
            end: SteadyTime::from_ms(self.end.unix_ms()),
            left_ms: self.end.unix_ms().saturating_sub(now.unix_ms()).max(0),
            period: self.period,
        }
    }
}

/// The year and the month, 1–12, of a day since the Unix epoch. Days are counted from 1 March of the year 0, so that the
/// leap day is the last one of a year; 400 years have 146,097 days.
const fn year_and_month(day: i64) -> (i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let year = year + era * 400;
    if from_march < 10 { (year, from_march + 3) } else { (year + 1, from_march - 9) }
}

/// The first day of a month, since the Unix epoch.
const fn first_day(year: i64, month: i64) -> i64 {
    let (year, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * from_march + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The count of one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeriodCount {
    /// The first moment of the period, in Unix milliseconds.
    pub start: i64,
    pub used: u32,
}

/// The counts of the current period and of the one before, which is current again when the wall clock was ahead and is set
/// back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeriodCounts {
    pub current: PeriodCount,
    pub other: PeriodCount,
}

impl PeriodCounts {
    /// Requests counted in a period.
    pub const fn used_in(&self, period: CalendarPeriod) -> u32 {
        let start = period.start.unix_ms();
        if self.current.start == start {
            self.current.used
        } else if self.other.start == start {
            self.other.used
        } else {
            0
        }
    }

    /// Notes that at least this many requests were counted in a period.
    pub fn learn(&mut self, period: CalendarPeriod, used: u32) {
        let start = period.start.unix_ms();
        if self.current.start != start {
            std::mem::swap(&mut self.current, &mut self.other);
        }
        if self.current.start != start {
            self.current = PeriodCount { start, used: 0 };
        }
        self.current.used = self.current.used.max(used);
    }
}

/// The requests of a key in the periods that have quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotaCounts {
    pub day: PeriodCounts,
    pub month: PeriodCounts,
}

impl QuotaCounts {
    /// The quota that is used up, if any; of two, the one that ends later, or the month if both end together.
    pub fn exhausted(&self, quotas: Quotas, now: Timestamp) -> Option<WindowState> {
        let (day, month) = (CalendarPeriod::day_of(now), CalendarPeriod::month_of(now));
        let state = |quota: Option<NonZeroU32>, counts: PeriodCounts, period: CalendarPeriod| {
            quota.map(|quota| period.state(quota, counts.used_in(period), now))
        };
        let states = [state(quotas.per_day, self.day, day), state(quotas.per_month, self.month, month)];
        let exhausted = states.into_iter().flatten().filter(|state| state.remaining == 0);
        exhausted.max_by_key(|state| state.left_ms)
    }

    /// Counts a request in the current day and month.
    pub fn count(&mut self, now: Timestamp) {
        let (day, month) = (CalendarPeriod::day_of(now), CalendarPeriod::month_of(now));
        self.day.learn(day, self.day.used_in(day).saturating_add(1));
        self.month.learn(month, self.month.used_in(month).saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn quotas(per_day: u32, per_month: u32) -> Quotas {
        Quotas { per_day: NonZeroU32::new(per_day), per_month: NonZeroU32::new(per_month) }
    }

    #[test]
    fn days_and_months_begin_at_midnight_utc() {
        for (now, day, next_day, month, next_month) in [
            ("2026-11-29T21:20:00Z", "2026-11-29", "2026-11-30", "2026-11-01", "2026-12-01"),
            ("2026-12-31T23:59:59.999Z", "2026-12-31", "2027-01-01", "2026-12-01", "2027-01-01"),
            ("2028-02-29T00:00:00Z", "2028-02-29", "2028-03-01", "2028-02-01", "2028-03-01"),
            ("2100-02-28T12:00:00Z", "2100-02-28", "2100-03-01", "2100-02-01", "2100-03-01"),
            ("2000-02-29T12:00:00Z", "2000-02-29", "2000-03-01", "2000-02-01", "2000-03-01"),
            ("1970-01-01T00:00:00Z", "1970-01-01", "1970-01-02", "1970-01-01", "1970-02-01"),
        ] {
            let midnight = |date: &str| at(&format!("{date}T00:00:00Z"));
            let (of_day, of_month) = (CalendarPeriod::day_of(at(now)), CalendarPeriod::month_of(at(now)));
            assert_eq!((of_day.start, of_day.end), (midnight(day), midnight(next_day)), "{now}");
            assert_eq!((of_month.start, of_month.end), (midnight(month), midnight(next_month)), "{now}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_in_the_month_that_a_calendar_says() {
        let mut expected = (2000_i64, 1_i64, 1_i64);
        let first = at("2000-01-01T00:00:00Z").unix_ms() / DAY_MS;
        for day in first..first + 146_097 {
            assert_eq!(year_and_month(day), (expected.0, expected.1));
            assert_eq!(first_day(expected.0, expected.1), day - (expected.2 - 1));
            let leap = expected.0 % 4 == 0 && (expected.0 % 100 != 0 || expected.0 % 400 == 0);
            let length = match expected.1 {
                4 | 6 | 9 | 11 => 30,
                2 => 28 + i64::from(leap),
                _ => 31,
            };
            expected = match expected {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if day == length => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
        }
    }

    #[test]
    fn a_quota_is_exhausted_until_its_period_ends() {
        let noon = at("2026-11-29T12:00:00Z");
        let mut counts = QuotaCounts::default();
        for _ in 0..3 {
            assert_eq!(counts.exhausted(quotas(3, 5), noon), None);
            counts.count(noon);
        }
        let state = counts.exhausted(quotas(3, 5), noon).unwrap();
        assert_eq!((state.period, state.limit.get(), state.remaining), (Period::Day, 3, 0));
        assert_eq!(state.reset_at(noon), at("2026-11-30T00:00:00Z").unix_seconds());
        assert_eq!(state.seconds_until_reset(), 12 * 3600);
        let next = at("2026-11-30T00:00:00Z");
        for _ in 0..2 {
            assert_eq!(counts.exhausted(quotas(3, 5), next), None);
            counts.count(next);
        }
        let state = counts.exhausted(quotas(3, 5), next).unwrap();
        assert_eq!((state.period, state.limit.get()), (Period::Month, 5));
        assert_eq!(state.reset_at(next), at("2026-12-01T00:00:00Z").unix_seconds());
        assert_eq!(counts.exhausted(quotas(2, 5), next).unwrap().period, Period::Month, "the later reset");
        assert_eq!(counts.exhausted(quotas(3, 5), at("2026-12-01T00:00:00Z")), None);
    }

    #[test]
    fn changing_a_quota_keeps_the_count() {
        let now = at("2026-11-29T12:00:00Z");
        let mut counts = QuotaCounts::default();
        (0..4).for_each(|_| counts.count(now));
        assert_eq!(counts.exhausted(quotas(4, 9), now).map(|state| state.remaining), Some(0));
        assert_eq!(counts.exhausted(quotas(5, 9), now), None);
        assert_eq!(counts.exhausted(quotas(1, 9), now).map(|state| state.remaining), Some(0));
        assert_eq!(counts.exhausted(Quotas::default(), now), None);
    }

    #[test]
    fn a_clock_that_was_ahead_does_not_lose_the_count_of_the_true_day() {
        let (today, tomorrow) = (at("2026-11-29T12:00:00Z"), at("2026-11-30T12:00:00Z"));
        let mut counts = QuotaCounts::default();
        (0..3).for_each(|_| counts.count(today));
        counts.count(tomorrow);
        assert_eq!(counts.day.used_in(CalendarPeriod::day_of(today)), 3);
        counts.count(today);
        assert_eq!(counts.day.used_in(CalendarPeriod::day_of(today)), 4);
        assert_eq!(counts.day.used_in(CalendarPeriod::day_of(tomorrow)), 1);
    }

    #[test]
    fn quotas_are_at_least_one() {
        let mut problems = Invalid::default();
        QuotasDraft { per_day: Some(0), per_month: Some(7) }.check(&mut problems);
        assert!(!problems.is_empty());
    }
}
