use std::time::Duration;

use super::*;
use crate::clock::{Clock as _, ClockReading, ManualClock};

const LIMIT: RateLimit = RateLimit(3);
/// A full minute.
const MINUTE: i64 = 1_700_000_040_000;

fn at(seconds: i64) -> SteadyTime {
    SteadyTime::from_ms(MINUTE + seconds * 1000)
}

fn admitted(take: Take) -> Option<u32> {
    match take {
        Take::Admitted(state) => Some(state.remaining),
        Take::Full(_) => None,
    }
}

fn state_of(take: Take) -> WindowState {
    match take {
        Take::Admitted(state) | Take::Full(state) => state,
    }
}

#[test]
fn admits_exactly_the_limit_and_resets_on_time() {
    let mut window = Window::default();
    let taken = [0, 1, 2, 59, 60].map(|second| admitted(window.take(LIMIT, Phase(0), at(second))));
    assert_eq!(taken, [Some(2), Some(1), Some(0), None, Some(2)]);
}

#[test]
fn a_refused_request_does_not_consume() {
    let mut window = Window::default();
    for _ in 0..10 {
        let _ = window.take(LIMIT, Phase(7), at(0));
    }
    assert_eq!(window.used(), 3);
}

#[test]
fn a_changed_limit_keeps_the_count() {
    let mut window = Window::default();
    for _ in 0..3 {
        let _ = window.take(LIMIT, Phase(0), at(0));
    }
    assert_eq!(admitted(window.take(RateLimit(5), Phase(0), at(1))), Some(1));
    assert_eq!(admitted(window.take(RateLimit(2), Phase(0), at(2))), None);
}

#[test]
fn an_older_reading_of_another_thread_frees_no_window() {
    let mut window = Window::default();
    for _ in 0..3 {
        let _ = window.take(LIMIT, Phase(0), at(61));
    }
    assert_eq!(admitted(window.take(LIMIT, Phase(0), at(59))), None);
}

#[test]
fn phases_shift_windows_within_the_minute() {
    for phase in 0..60 {
        let end = Phase(phase).window_end(at(0)).ms();
        assert_eq!(end.rem_euclid(WINDOW_MS), i64::from(phase) * 1000);
        assert!(end > at(0).ms() && end <= at(60).ms());
    }
}

#[test]
fn windows_follow_each_other_without_a_gap_and_are_aligned_again_after_an_idle_minute() {
    let mut window = Window::counted(at(17).plus_ms(250), 2);
    let _ = window.take(LIMIT, Phase(0), at(18));
    assert_eq!(window, Window::counted(at(77).plus_ms(250), 1));
    let _ = window.take(LIMIT, Phase(0), at(200));
    assert_eq!(window, Window::counted(at(240), 1));
}

#[test]
fn retry_after_is_between_one_and_sixty_seconds_and_never_too_short() {
    let window = Window::counted(at(60), 3);
    let after = |ms| window.state(LIMIT, SteadyTime::from_ms(MINUTE + ms)).seconds_until_reset();
    assert_eq!([0, 1, 58_999, 59_000, 59_999, 60_500].map(after), [60, 60, 2, 1, 1, 1]);
    // A reading from before the window began.
    assert_eq!(after(-500), 60);
}

#[test]
fn reset_is_stated_in_the_time_of_the_wall_clock() {
    let window = Window::counted(at(60), 3);
    let reset = |wall_ms| window.state(LIMIT, at(10)).reset_at(Timestamp::from_unix_ms(wall_ms));
    let in_step = at(10).ms();
    // The readings need not be simultaneous for all responses of a window to state the same second.
    assert_eq!([-900, -1, 0, 1, 900].map(|skew| reset(in_step + skew)), [at(60).ms() / 1000; 5]);
    assert_eq!(reset(in_step - 3_600_000), at(60).ms() / 1000 - 3600);
    assert_eq!(reset(in_step + 86_400_000), at(60).ms() / 1000 + 86_400);
    // Rounded up: the next window has begun by then.
    assert_eq!(reset(in_step + 10_001), at(60).ms() / 1000 + 11);
}

#[test]
fn a_window_lasts_sixty_seconds_whatever_the_wall_clock_does() {
    for step_seconds in [-86_400, -3600, -600, -61, -60, -1, 1, 59, 60, 3600, 86_400, 40 * 365 * 86_400] {
        let clock = ManualClock::at(Timestamp::from_unix_ms(at(0).ms()));
        let mut window = Window::default();
        let mut take = |reading: ClockReading| window.take(LIMIT, Phase(0), reading.steady);
        clock.advance(Duration::from_secs(20));
        assert_eq!([0; 3].map(|_| admitted(take(clock.read()))), [Some(2), Some(1), Some(0)]);
        clock.set_wall(Timestamp::from_unix_ms(clock.now().unix_ms() + step_seconds * 1000));
        let full = state_of(take(clock.read()));
        assert_eq!((full.remaining, full.seconds_until_reset()), (0, 40), "step of {step_seconds} s");
        assert_eq!(full.reset_at(clock.now()) - clock.now().unix_seconds(), 40, "step of {step_seconds} s");
        clock.advance(Duration::from_millis(39_999));
        assert_eq!(admitted(take(clock.read())), None, "step of {step_seconds} s");
        clock.advance(Duration::from_millis(1));
        assert_eq!(admitted(take(clock.read())), Some(2), "step of {step_seconds} s");
    }
}

/// A small generator, so that a failure is reproduced by its seed.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn under_random_clock_steps_no_window_admits_more_than_the_limit_or_lasts_longer_than_a_minute() {
    for seed in 0..200 {
        let mut rng = Rng(seed);
        let clock =
            ManualClock::at(Timestamp::from_unix_ms(MINUTE + i64::try_from(rng.below(60_000)).unwrap()));
        let phase = Phase(u8::try_from(rng.below(60)).unwrap());
        let mut window = Window::default();
        let mut current = (SteadyTime::default(), 0);
        let mut refused_since = None;
        for _ in 0..500 {
            clock.advance(Duration::from_millis(rng.below(4000)));
            if rng.below(5) == 0 {
                let step = i64::try_from(rng.below(400_000_000)).unwrap() - 200_000_000;
                clock.set_wall(Timestamp::from_unix_ms(clock.now().unix_ms() + step));
            }
            let now = clock.steady();
            let take = window.take(LIMIT, phase, now);
            assert!((1..=60).contains(&state_of(take).seconds_until_reset()), "seed {seed}");
            if window.end() != current.0 {
                current = (window.end(), 0);
            }
            match take {
                Take::Admitted(_) => {
                    current.1 += 1;
                    refused_since = None;
                }
                Take::Full(_) => {
                    let since: SteadyTime = *refused_since.get_or_insert(now);
                    assert!(now.ms() - since.ms() < WINDOW_MS, "seed {seed}: refused for a minute");
                }
            }
            assert!(current.1 <= LIMIT.get(), "seed {seed}: {} admitted", current.1);
        }
    }
}
