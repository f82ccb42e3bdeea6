//! Time as a value. The domain never reads a clock: it is handed a [`Timestamp`] or a [`SteadyTime`], and only the shell
//! owns a [`Clock`]. Everything that is stored or shown is UTC with millisecond precision; what must take a certain time
//! is measured on the steady timeline, which nobody can set.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How much the wall clocks of servers that share a database may differ.
pub const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// A moment in UTC, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The text is not a time that can be represented.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimestamp {
    /// It is not an RFC 3339 date-time with an offset.
    #[error("must be an RFC 3339 date-time such as 2026-01-31T12:00:00Z")]
    Form,
    /// It is too far away.
    #[error("must be between -9999-01-02T01:59:59Z and 9999-12-30T22:00:00Z")]
    Range,
}

impl InvalidTimestamp {
    /// Why a text could not be read.
    fn of(text: &str) -> Self {
        let is_date_time = jiff::fmt::temporal::Pieces::parse(text)
            .is_ok_and(|pieces| pieces.time().is_some() && pieces.offset().is_some());
        if is_date_time { Self::Range } else { Self::Form }
    }
}

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// From whole seconds since the Unix epoch.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment plus a length of time; saturates at the end of representable time.
    #[must_use]
    pub fn plus(self, length: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment minus a length of time; saturates.
    #[must_use]
    pub fn minus(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(length.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to this moment, or zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The latest time that a correct clock can have stored until this moment, for something at most `longest` ahead of the
    /// moment it was stored. A later time was stored while the clock was ahead; it is not waited for.
    #[must_use]
    pub fn horizon(self, longest: Duration) -> Self {
        self.plus(longest).plus(CLOCK_TOLERANCE)
    }

    /// Midnight UTC of the day that holds this moment.
    #[must_use]
    pub const fn start_of_utc_day(self) -> Self {
        Self(self.0.div_euclid(86_400_000) * 86_400_000)
    }

    /// Parses RFC 3339 with any offset, to millisecond precision.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidTimestamp> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp::of(text))?;
        Ok(Self(instant.as_millisecond()))
    }
}

/// RFC 3339 in UTC with `Z` and three fractional digits.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse_rfc3339(&text).map_err(serde::de::Error::custom)
    }
}

/// A moment on a timeline that never runs backward and that nobody can set, in milliseconds. Moments of two processes
/// must not be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SteadyTime(i64);

impl SteadyTime {
    /// From milliseconds on the timeline.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds on the timeline.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// This moment plus a number of milliseconds, which may be negative; saturates.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Both timelines at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// What the wall clock shows. It may be wrong, and it may be corrected at any time.
    pub wall: Timestamp,
    /// The same moment on the steady timeline.
    pub steady: SteadyTime,
}

impl ClockReading {
    /// A reading while both timelines show the same.
    pub const fn in_step(wall: Timestamp) -> Self {
        Self { wall, steady: SteadyTime(wall.0) }
    }
}

/// Where the shell takes the time from; tests hand in one that they move by hand.
pub trait Clock: Send + Sync + 'static {
    /// The present moment by the wall clock.
    fn now(&self) -> Timestamp;

    /// The present moment on the steady timeline.
    fn steady(&self) -> SteadyTime;

    /// The present moment on both timelines.
    fn read(&self) -> ClockReading {
        let wall = self.now();
        ClockReading { wall, steady: self.steady() }
    }
}

/// The clocks of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// Shows what the wall clock would show if nobody had set it since this process first asked.
    fn steady(&self) -> SteadyTime {
        static OFFSET: LazyLock<i64> = LazyLock::new(|| SystemClock.now().0 - boot_ms());
        // Evaluated first, so that the first reading is not before the origin.
        let offset = *OFFSET;
        SteadyTime(offset + boot_ms())
    }
}

fn boot_ms() -> i64 {
    i64::try_from(boot_time().as_millis()).unwrap_or(i64::MAX)
}

/// The time since the machine started, including the time it was suspended (`CLOCK_BOOTTIME`).
pub fn boot_time() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(CLOCK);
    // Both are never negative, and the second is below 10^9.
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A clock that moves only when a test moves it.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall: std::sync::atomic::AtomicI64,
    steady: std::sync::atomic::AtomicI64,
}

impl ManualClock {
    /// A clock that shows `start` on both timelines.
    pub fn at(start: Timestamp) -> Self {
        Self { wall: start.0.into(), steady: start.0.into() }
    }

    /// Lets time pass.
    pub fn advance(&self, length: Duration) {
        let ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        self.wall.fetch_add(ms, std::sync::atomic::Ordering::SeqCst);
        self.steady.fetch_add(ms, std::sync::atomic::Ordering::SeqCst);
    }

    /// Sets the wall clock, as an administrator or NTP does; no time passes.
    pub fn set_wall(&self, wall: Timestamp) {
        self.wall.store(wall.0, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn steady(&self) -> SteadyTime {
        SteadyTime(self.steady.load(std::sync::atomic::Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_utc_with_z_and_reads_any_offset() {
        let moment = Timestamp::parse_rfc3339("2026-01-31T14:00:00.25+02:00").unwrap();
        assert_eq!(moment.to_string(), "2026-01-31T12:00:00.250Z");
        assert_eq!(Timestamp::from_unix_seconds(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::parse_rfc3339("2026-01-31"), Err(InvalidTimestamp::Form));
        assert_eq!(Timestamp::parse_rfc3339("2026-01-31T12:00:00"), Err(InvalidTimestamp::Form));
    }

    #[test]
    fn setting_the_wall_clock_moves_no_steady_time() {
        let clock = ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000));
        clock.advance(Duration::from_secs(5));
        clock.set_wall(Timestamp::from_unix_seconds(1_000_000_000));
        clock.advance(Duration::from_secs(1));
        let reading = clock.read();
        assert_eq!(reading.wall, Timestamp::from_unix_seconds(1_000_000_001));
        assert_eq!(reading.steady, SteadyTime::from_ms(1_800_000_006_000));
    }

    #[test]
    fn the_system_clock_starts_with_both_timelines_in_step() {
        let (before, reading) = (SystemClock.steady(), SystemClock.read());
        assert!(reading.steady >= before);
        // A minute is much more than the machine needs between two readings, and much less than a wrong origin.
        assert!((reading.wall.unix_ms() - reading.steady.ms()).abs() < 60_000, "{reading:?}");
    }

    #[test]
    fn the_horizon_is_the_longest_wait_and_the_tolerance_ahead() {
        let noon = Timestamp::from_unix_seconds(1_800_014_400);
        let hour = Duration::from_hours(1);
        assert_eq!(noon.horizon(hour), noon.plus(hour).plus(CLOCK_TOLERANCE));
        let end = Timestamp::from_unix_ms(i64::MAX);
        assert_eq!(end.horizon(hour), end);
    }

    #[test]
    fn days_start_at_midnight_utc_before_and_after_the_epoch() {
        assert_eq!(
            Timestamp::from_unix_ms(86_400_001).start_of_utc_day(),
            Timestamp::from_unix_ms(86_400_000)
        );
        assert_eq!(Timestamp::from_unix_ms(-1).start_of_utc_day(), Timestamp::from_unix_ms(-86_400_000));
    }

    #[test]
    fn a_time_beyond_the_range_is_told_from_one_of_another_form() {
        let problem = |text: &str| Timestamp::parse_rfc3339(text).err();
        assert_eq!(problem("9999-12-30T22:00:00Z"), None);
        for text in ["9999-12-31T23:59:59Z", "9999-12-31T00:00:00+00:00"] {
            assert_eq!(problem(text), Some(InvalidTimestamp::Range), "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "2027-02-30T00:00:00Z",
            "2027-01-15",
            "2027-01-15T08:00:00",
            "10000-01-01T00:00:00Z",
        ] {
            assert_eq!(problem(text), Some(InvalidTimestamp::Form), "{text}");
        }
    }
}
