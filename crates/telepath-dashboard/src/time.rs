//! Times as pages show them: in one zone per viewer, which is always named, with UTC in the title of every time.

use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;
use telepath_core::clock::Timestamp;
use telepath_core::user::TimeZoneName;

/// The zone in which a viewer sees times.
#[derive(Debug, Clone)]
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// UTC, when nothing is known of the viewer.
    pub(crate) const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The zone with a name of the time zone database; UTC when the database does not have it.
    pub(crate) fn named(name: &TimeZoneName) -> Self {
        TimeZone::get(name.as_str()).map_or_else(|_| Self::utc(), Self)
    }

    /// Whether the time zone database has the name.
    pub(crate) fn is_known(name: &TimeZoneName) -> bool {
        TimeZone::get(name.as_str()).is_ok()
    }

    /// The abbreviation that applies at a moment, such as `CET`.
    pub(crate) fn abbreviation(&self, at: Timestamp) -> String {
        self.format(at, "%Z")
    }

    /// `30 Nov 2026`
    pub(crate) fn date(&self, at: Timestamp) -> String {
        self.format(at, "%-d %b %Y")
    }

    /// `30 Nov 2026, 13:05`
    pub(crate) fn moment(&self, at: Timestamp) -> String {
        self.format(at, "%-d %b %Y, %H:%M")
    }

    /// `13:05`
    pub(crate) fn clock(&self, at: Timestamp) -> String {
        self.format(at, "%H:%M")
    }

    /// `30 Nov`
    pub(crate) fn day(&self, at: Timestamp) -> String {
        self.format(at, "%-d %b")
    }

    /// `30 Nov, 13:05`
    pub(crate) fn day_and_clock(&self, at: Timestamp) -> String {
        self.format(at, "%-d %b, %H:%M")
    }

    /// The minutes that a clock on the wall has counted since 1970.
    pub(crate) fn wall_minutes(&self, at: Timestamp) -> i64 {
        let Ok(instant) = jiff::Timestamp::from_millisecond(at.unix_ms()) else { return 0 };
        let offset = self.0.to_offset(instant).seconds();
        (instant.as_second() + i64::from(offset)).div_euclid(60)
    }

    /// A moment that shows UTC when the pointer is over it.
    pub(crate) fn shown(&self, at: Timestamp) -> Shown {
        Shown { at, text: self.moment(at) }
    }

    /// A day that shows the exact moment in UTC when the pointer is over it.
    pub(crate) fn shown_date(&self, at: Timestamp) -> Shown {
        Shown { at, text: self.date(at) }
    }

    /// A moment with its second.
    pub(crate) fn shown_second(&self, at: Timestamp) -> Shown {
        Shown { at, text: self.format(at, "%-d %b %Y, %H:%M:%S") }
    }

    /// A moment with its milliseconds; without its day if that is today's.
    pub(crate) fn shown_instant(&self, at: Timestamp, now: Timestamp) -> Shown {
        let form = if self.date(at) == self.date(now) { "%H:%M:%S%.3f" } else { "%-d %b, %H:%M:%S%.3f" };
        Shown { at, text: self.format(at, form) }
    }

    /// `Saturday, 27 February 2027, at 13:04 CET (12:04 UTC)`
    pub(crate) fn exact(&self, at: Timestamp) -> String {
        let here = self.format(at, "%A, %-d %B %Y, at %H:%M %Z");
        if self.0 == TimeZone::UTC {
            return here;
        }
        let is_same_day = self.date_field(at) == Self::utc().date_field(at);
        let there = Self::utc().format(at, if is_same_day { "%H:%M UTC" } else { "%-d %b, %H:%M UTC" });
        format!("{here} ({there})")
    }

    /// `2026-11-30`, as a field for a date holds it.
    pub(crate) fn date_field(&self, at: Timestamp) -> String {
        self.format(at, "%F")
    }

    /// `Friday, 27 Nov`
    pub(crate) fn weekday(&self, at: Timestamp) -> String {
        self.format(at, "%A, %-d %b")
    }

    /// `13:05:12`
    pub(crate) fn clock_second(&self, at: Timestamp) -> String {
        self.format(at, "%H:%M:%S")
    }

    /// The start of a day such as `2026-11-30`; `None` if the text is not a day.
    pub(crate) fn start_of_day(&self, day: &str) -> Option<Timestamp> {
        let day: jiff::civil::Date = day.parse().ok()?;
        let start = day.to_zoned_datetime(self.0.clone()).ok()?;
        Some(Timestamp::from_unix_ms(start.timestamp().as_millisecond()))
    }

    /// The end of a day such as `2026-11-30`; `None` if the text is not a day.
    pub(crate) fn end_of_day(&self, day: &str) -> Option<Timestamp> {
        let day: jiff::civil::Date = day.parse().ok()?;
        let end = day.tomorrow().ok()?.to_zoned_datetime(self.0.clone()).ok()?;
        Some(Timestamp::from_unix_ms(end.timestamp().as_millisecond()))
    }

    /// The time of a moment whose day is known.
    pub(crate) fn shown_clock(&self, at: Timestamp) -> Shown {
        Shown { at, text: self.clock_second(at) }
    }

    fn format(&self, at: Timestamp, form: &str) -> String {
        let Ok(instant) = jiff::Timestamp::from_millisecond(at.unix_ms()) else { return at.to_string() };
        instant.to_zoned_datetime(self.0.clone()).strftime(form).to_string()
    }
}

/// A `<time>` element. Templates write `{{ time|safe }}`; its text holds no character that HTML escapes.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    at: Timestamp,
    text: String,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = Zone::utc().format(self.at, "%-d %b %Y, %H:%M:%S UTC");
        write!(f, r#"<time datetime="{}" title="{utc}">{}</time>"#, self.at, self.text)
    }
}

/// A length of time as a clock counts it: `3:42`, `1:03:42`.
pub(crate) fn minutes_of(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

/// A length of time in its two largest units: `42 s`, `3 min 42 s`, `1 h 3 min`.
pub(crate) fn length(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes} min {rest} s"),
        _ => format!("{hours} h {minutes} min"),
    }
}

/// How long ago a moment was, or how far ahead it is.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    match (span(now.since(at)), span(at.since(now))) {
        (Some(ago), _) => format!("{ago} ago"),
        (None, Some(ahead)) => format!("in {ahead}"),
        (None, None) => "just now".to_owned(),
    }
}

/// A length of time in its largest unit; `None` below a second.
pub(crate) fn span(length: Duration) -> Option<String> {
    let seconds = length.as_secs();
    let counted = |number: u64, one: &str| {
        Some(if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") })
    };
    match seconds {
        0 => None,
        1..60 => Some(format!("{seconds} s")),
        60..3600 => Some(format!("{} min", seconds / 60)),
        3600..86_400 => Some(format!("{} h", seconds / 3600)),
        86_400..5_184_000 => counted(seconds / 86_400, "day"),
        5_184_000..63_072_000 => counted(seconds / 2_592_000, "month"),
        _ => counted(seconds / 31_536_000, "year"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-30T12:05:07Z
    const NOON: Timestamp = Timestamp::from_unix_seconds(1_796_040_307);

    fn berlin() -> Zone {
        Zone::named(&"Europe/Berlin".parse().unwrap())
    }

    #[test]
    fn times_are_shown_in_the_zone_of_the_viewer() {
        assert_eq!(Zone::utc().moment(NOON), "30 Nov 2026, 12:05");
        assert_eq!(berlin().moment(NOON), "30 Nov 2026, 13:05");
        assert_eq!(berlin().date(NOON), "30 Nov 2026");
        assert_eq!(
            (berlin().abbreviation(NOON), Zone::utc().abbreviation(NOON)),
            ("CET".into(), "UTC".into())
        );
        let summer = NOON.plus(Duration::from_hours(200 * 24));
        assert_eq!(berlin().abbreviation(summer), "CEST");
    }

    #[test]
    fn every_time_carries_utc_and_its_rfc_3339_form() {
        assert_eq!(
            berlin().shown(NOON).to_string(),
            "<time datetime=\"2026-11-30T12:05:07.000Z\" title=\"30 Nov 2026, 12:05:07 UTC\">30 Nov 2026, 13:05</time>"
        );
    }

    #[test]
    fn instants_have_milliseconds_and_name_another_day() {
        let text = |at: Timestamp| berlin().shown_instant(at, NOON).text;
        assert_eq!(text(NOON), "13:05:07.000");
        assert_eq!(text(NOON.minus(Duration::from_millis(86_400_001))), "29 Nov, 13:05:06.999");
    }

    #[test]
    fn a_moment_in_full_names_its_zone_and_utc() {
        assert_eq!(berlin().exact(NOON), "Monday, 30 November 2026, at 13:05 CET (12:05 UTC)");
        assert_eq!(Zone::utc().exact(NOON), "Monday, 30 November 2026, at 12:05 UTC");
        let midnight = berlin().end_of_day("2026-11-30").unwrap();
        assert_eq!(berlin().exact(midnight), "Tuesday, 1 December 2026, at 00:00 CET (30 Nov, 23:00 UTC)");
        assert_eq!(berlin().end_of_day("2026-02-30"), None);
    }

    #[test]
    fn lengths_are_counted_and_read() {
        assert_eq!([0, 5_900, 222_000, 3_822_000].map(minutes_of), ["0:00", "0:05", "3:42", "1:03:42"]);
        assert_eq!([0, 42, 222, 3822].map(length), ["0 s", "42 s", "3 min 42 s", "1 h 3 min"]);
    }

    #[test]
    fn an_unknown_zone_is_utc() {
        let name: TimeZoneName = "Mars/Olympus".parse().unwrap();
        assert!(!Zone::is_known(&name) && Zone::is_known(&"America/New_York".parse().unwrap()));
        assert_eq!(Zone::named(&name).abbreviation(NOON), "UTC");
    }

    #[test]
    fn relative_times_have_one_unit() {
        let ago = |seconds: u64| relative(NOON.minus(Duration::from_secs(seconds)), NOON);
        assert_eq!(ago(0), "just now");
        assert_eq!(
            [ago(2), ago(61), ago(7200), ago(86_400), ago(172_800)],
            ["2 s ago", "1 min ago", "2 h ago", "1 day ago", "2 days ago"]
        );
        assert_eq!([ago(90 * 86_400), ago(800 * 86_400)], ["3 months ago", "2 years ago"]);
        assert_eq!(relative(NOON.plus(Duration::from_hours(13 * 24)), NOON), "in 13 days");
    }
}
