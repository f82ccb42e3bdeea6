//! The time that retention goes by. A wall clock may be wrong, at the start or later, and what it lets expire is deleted for
//! ever. So a jump of the clock is believed only after a day of running time.

use std::time::Duration;

use crate::clock::{ClockReading, SteadyTime, Timestamp};

/// A jump up to this length is believed at once: a restart, or a clock that is set.
pub const BELIEVED_JUMP: Duration = Duration::from_hours(1);
/// A longer jump is believed once the clock has shown it for this long.
pub const DOUBTED_FOR: Duration = Duration::from_hours(24);

/// The last time that is known to be right, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownTime {
    pub time: Timestamp,
    /// The known time at which the wall clock began to show another one.
    pub doubted_since: Option<Timestamp>,
}

/// A known time at a moment of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownMoment {
    pub known: KnownTime,
    pub steady: SteadyTime,
}

/// What a new reading of the clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockCheck {
    /// The wall clock is as it was: right, or in doubt.
    Unchanged,
    /// The wall clock has jumped.
    Jumped,
    /// A jump was corrected.
    Corrected,
    /// A jump has lasted for [`DOUBTED_FOR`], and is believed.
    Believed,
}

impl KnownTime {
    /// A time that nothing contradicts.
    pub const fn of(time: Timestamp) -> Self {
        Self { time, doubted_since: None }
    }

    /// The known time when `passed` has passed and the wall clock shows `wall`.
    #[must_use]
    pub fn after(self, passed: Duration, wall: Timestamp) -> (Self, ClockCheck) {
        let expected = self.time.plus(passed);
        let jump = wall.since(expected).max(expected.since(wall));
        match self.doubted_since {
            None if jump <= BELIEVED_JUMP => (Self::of(wall), ClockCheck::Unchanged),
            Some(_) if jump <= BELIEVED_JUMP => (Self::of(wall), ClockCheck::Corrected),
            None => (Self { time: expected, doubted_since: Some(expected) }, ClockCheck::Jumped),
            Some(since) if expected.since(since) >= DOUBTED_FOR => (Self::of(wall), ClockCheck::Believed),
            Some(_) => (Self { time: expected, ..self }, ClockCheck::Unchanged),
        }
    }

    /// The time to delete by: nothing that may be needed has expired before it.
    #[must_use]
    pub fn earliest(self, wall: Timestamp) -> Timestamp {
        self.time.min(wall)
    }

    /// The latest time that it can be.
    #[must_use]
    pub fn latest(self, wall: Timestamp) -> Timestamp {
        self.time.max(wall)
    }
}

impl KnownMoment {
    /// The known time at a reading. `stored` is the one in the database: if another process has written it, no time is known to
    /// have passed since.
    #[must_use]
    pub fn advance(self, stored: Option<KnownTime>, reading: ClockReading) -> (Self, ClockCheck) {
        let passed = reading.steady.ms().saturating_sub(self.steady.ms());
        let own = Duration::from_millis(u64::try_from(passed).unwrap_or(0));
        let (base, passed) = match stored {
            Some(stored) if stored != self.known => (stored, Duration::ZERO),
            Some(_) | None => (self.known, own),
        };
        let (known, check) = base.after(passed, reading.wall);
        (Self { known, steady: reading.steady }, check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_unix_seconds(1_800_014_400);
    const HOUR: Duration = Duration::from_hours(1);
    const YEARS: Duration = Duration::from_hours(40 * 365 * 24);

    /// A process that looks at the clock every ten minutes for some hours while the wall clock is off by `offset`.
    fn run(
        mut known: KnownTime,
        hours: u32,
        offset: impl Fn(Timestamp) -> Timestamp,
    ) -> (KnownTime, Vec<ClockCheck>) {
        let mut checks = Vec::new();
        for _ in 0..hours * 6 {
            let real = known.time.plus(HOUR / 6);
            let (next, check) = known.after(HOUR / 6, offset(real));
            known = next;
            checks.extend((check != ClockCheck::Unchanged).then_some(check));
        }
        (known, checks)
    }

    #[test]
    fn a_clock_that_is_right_is_followed_exactly() {
        assert_eq!(run(KnownTime::of(NOON), 30, |real| real), (KnownTime::of(NOON.plus(30 * HOUR)), vec![]));
    }

    #[test]
    fn a_jump_in_either_direction_is_believed_after_a_day_of_running_time() {
        let shown: [fn(Timestamp) -> Timestamp; 2] = [|real| real.plus(YEARS), |real| real.minus(YEARS)];
        for shown in shown {
            let (known, checks) = run(KnownTime::of(NOON), 24, shown);
            assert_eq!(checks, [ClockCheck::Jumped]);
            assert_eq!(known.time, NOON.plus(24 * HOUR), "running time passes");
            let (known, check) = known.after(HOUR, shown(NOON.plus(25 * HOUR)));
            assert_eq!((known.time, check), (shown(NOON.plus(25 * HOUR)), ClockCheck::Believed));
        }
    }

    #[test]
    fn a_corrected_jump_leaves_nothing() {
        let (known, _) = run(KnownTime::of(NOON), 23, |real| real.plus(YEARS));
        let real = NOON.plus(23 * HOUR);
        assert_eq!(known.after(Duration::ZERO, real), (KnownTime::of(real), ClockCheck::Corrected));
    }

    #[test]
    fn jumps_up_to_an_hour_are_believed_at_once_and_longer_ones_are_not() {
        let after = |jump| KnownTime::of(NOON).after(Duration::ZERO, NOON.plus(jump)).1;
        assert_eq!(after(BELIEVED_JUMP), ClockCheck::Unchanged);
        assert_eq!(after(BELIEVED_JUMP + Duration::from_millis(1)), ClockCheck::Jumped);
    }

    #[test]
    fn restarts_do_not_shorten_the_doubt() {
        let (mut known, mut at) = (KnownTime::of(NOON), NOON);
        for restart in 0..100 {
            // The machine is off for a day between two runs without any running time.
            at = at.plus(24 * HOUR);
            let (next, check) = known.after(Duration::ZERO, at);
            assert_ne!(check, ClockCheck::Believed, "restart {restart}");
            known = next;
        }
        assert_eq!(known, KnownTime { time: NOON, doubted_since: Some(NOON) });
    }

    #[test]
    fn of_two_servers_with_the_same_wrong_clock_time_does_not_pass_faster() {
        let start = SteadyTime::from_ms(0);
        let mut stored = KnownTime::of(NOON);
        let mut servers = [KnownMoment { known: stored, steady: start }; 2];
        for minutes in (0..=23 * 60).step_by(5) {
            let passed = Duration::from_secs(minutes * 60);
            let wall = NOON.plus(passed).plus(YEARS);
            let steady = start.plus_ms(i64::try_from(passed.as_millis()).unwrap());
            let server = &mut servers[usize::try_from(minutes / 5 % 2).unwrap()];
            *server = server.advance(Some(stored), ClockReading { wall, steady }).0;
            stored = server.known;
            assert!(stored.time <= NOON.plus(passed), "after {minutes} minutes");
        }
        assert!(stored.time >= NOON.plus(22 * HOUR), "{stored:?}");
    }

    #[test]
    fn the_earliest_time_never_runs_ahead_of_the_wall_clock() {
        let known = KnownTime::of(NOON);
        for wall in [NOON.minus(YEARS), NOON, NOON.plus(YEARS)] {
            assert_eq!((known.earliest(wall), known.latest(wall)), (NOON.min(wall), NOON.max(wall)));
        }
    }
}
