use super::*;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const POLICY: RetryPolicy = RetryPolicy::STANDARD;

fn attempt(number: u32) -> Attempt {
    Attempt { number, elapsed: Duration::ZERO, now: NOW }
}

fn wait(repeat: Repeat, number: u32, outcome: Outcome, jitter: f64) -> Option<Duration> {
    match decide(&POLICY, repeat, attempt(number), outcome, jitter) {
        Decision::Wait(pause) => Some(pause),
        Decision::GiveUp => None,
    }
}

#[test]
fn pauses_double_and_the_jitter_is_full() {
    let longest: Vec<_> = (1..=3).map(|n| wait(Repeat::Harmless, n, Outcome::Unknown, 1.0)).collect();
    assert_eq!(longest, [500, 1000, 2000].map(|ms| Some(Duration::from_millis(ms))));
    assert_eq!(wait(Repeat::Harmless, 3, Outcome::Unknown, 0.0), Some(Duration::ZERO));
    assert_eq!(wait(Repeat::Harmless, 4, Outcome::Unknown, 1.0), None, "the last attempt is the last");
    let patient = RetryPolicy { attempts: u32::MAX, ..POLICY };
    let late = decide(&patient, Repeat::Harmless, attempt(90), Outcome::NotSent, 1.0);
    assert_eq!(late, Decision::Wait(POLICY.longest_pause));
}

#[test]
fn what_may_have_been_carried_out_is_not_repeated_when_that_does_harm() {
    let trouble = Outcome::Trouble { retry_after: None };
    for outcome in [Outcome::Unknown, trouble] {
        assert!(wait(Repeat::Harmless, 1, outcome, 0.5).is_some());
        assert_eq!(wait(Repeat::Harmful, 1, outcome, 0.5), None);
    }
    let limited = Outcome::RateLimited { retry_after: Some(Duration::from_secs(3)), reset: None };
    for certainly_not_carried_out in [Outcome::NotSent, limited] {
        assert!(wait(Repeat::Harmful, 1, certainly_not_carried_out, 0.5).is_some());
    }
    assert_eq!(wait(Repeat::Harmless, 1, Outcome::Final, 0.5), None);
}

#[test]
fn a_server_that_names_a_time_is_not_asked_earlier() {
    let trouble = Outcome::Trouble { retry_after: Some(Duration::from_secs(20)) };
    assert_eq!(wait(Repeat::Harmless, 1, trouble, 0.9), Some(Duration::from_secs(20)));
    let too_long = Outcome::Trouble { retry_after: Some(Duration::from_hours(1)) };
    assert_eq!(wait(Repeat::Harmless, 1, too_long, 0.0), None, "it would end after the whole time");
}

#[test]
fn a_full_window_is_waited_for_within_the_bound() {
    let until = |seconds: i64| Outcome::RateLimited {
        retry_after: None,
        reset: Some(Timestamp::from_unix_seconds(1_800_000_000 + seconds)),
    };
    assert_eq!(wait(Repeat::Harmless, 1, until(30), 0.0), Some(Duration::from_secs(30)));
    assert_eq!(wait(Repeat::Harmless, 1, until(30), 1.0), Some(Duration::from_secs(31)));
    assert_eq!(wait(Repeat::Harmless, 1, until(-30), 0.0), Some(Duration::ZERO), "a reset that has passed");
    assert_eq!(wait(Repeat::Harmless, 1, until(66), 0.0), None, "longer than a caller wants to wait");
    // This machine's clock is an hour late: what counts from now is believed.
    let skewed = Outcome::RateLimited {
        retry_after: Some(Duration::from_secs(7)),
        reset: Some(NOW.plus(Duration::from_hours(1))),
    };
    assert_eq!(wait(Repeat::Harmless, 1, skewed, 0.0), Some(Duration::from_secs(7)));
    let impatient = RetryPolicy { rate_limit_wait: None, ..POLICY };
    assert_eq!(decide(&impatient, Repeat::Harmless, attempt(1), until(1), 0.0), Decision::GiveUp);
}

/// A small generator, so that a run is made again from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn fraction(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap()) / f64::from(u32::MAX)
    }

    fn outcome(&mut self, now: Timestamp) -> Outcome {
        let seconds = Duration::from_secs(self.below(90));
        match self.below(7) {
            0 => Outcome::NotSent,
            1 => Outcome::Unknown,
            2 => Outcome::RateLimited { retry_after: Some(seconds), reset: None },
            3 => Outcome::RateLimited { retry_after: None, reset: Some(now.plus(seconds)) },
            4 => Outcome::Trouble { retry_after: None },
            5 => Outcome::Trouble { retry_after: Some(seconds) },
            _ => Outcome::Final,
        }
    }
}

/// Plays whole calls under virtual time and checks what must hold of each, whatever the server does.
#[test]
fn no_course_of_events_breaks_a_bound() {
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let repeat = if random.below(2) == 0 { Repeat::Harmless } else { Repeat::Harmful };
        let (mut elapsed, mut now, mut number) = (Duration::ZERO, NOW, 1);
        loop {
            let took = Duration::from_millis(random.below(30_000));
            (elapsed, now) = (elapsed + took, now.plus(took));
            let outcome = random.outcome(now);
            let Decision::Wait(pause) =
                decide(&POLICY, repeat, Attempt { number, elapsed, now }, outcome, random.fraction())
            else {
                break;
            };
            let carried_out = matches!(outcome, Outcome::Unknown | Outcome::Trouble { .. });
            assert!(repeat == Repeat::Harmless || !carried_out, "seed {seed}: repeated what does harm twice");
            match outcome {
                Outcome::RateLimited { retry_after: Some(named), .. }
                | Outcome::Trouble { retry_after: Some(named) } => {
                    assert!(pause >= named, "seed {seed}: asked earlier than told");
                }
                Outcome::RateLimited { reset: Some(reset), .. } => {
                    assert!(now.plus(pause) >= reset, "seed {seed}: asked before the window opened");
                }
                Outcome::NotSent
                | Outcome::Unknown
                | Outcome::RateLimited { .. }
                | Outcome::Trouble { .. } => {
                    assert!(pause <= POLICY.longest_pause, "seed {seed}: paused for {pause:?}");
                }
                Outcome::Final => panic!("seed {seed}: went on after the end"),
            }
            (elapsed, now) = (elapsed + pause, now.plus(pause));
            assert!(elapsed < POLICY.whole, "seed {seed}: the next attempt would begin after the whole time");
            number += 1;
        }
        assert!(number <= POLICY.attempts, "seed {seed}: {number} attempts");
    }
}
