use super::*;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const POLICY: RetryPolicy = RetryPolicy::STANDARD;

fn attempt(number: u32) -> FailedAttempt {
    FailedAttempt { number, elapsed: Duration::ZERO, now: NOW }
}

fn wait(idempotence: Idempotence, number: u32, failure: Failure, jitter: f64) -> Option<Duration> {
    match decide(&POLICY, idempotence, attempt(number), failure, jitter) {
        RetryDecision::RetryAfter(pause) => Some(pause),
        RetryDecision::GiveUp => None,
    }
}

#[test]
fn backoff_doubles_with_full_jitter() {
    let longest: Vec<_> = (1..=3).map(|n| wait(Idempotence::Idempotent, n, Failure::Unknown, 1.0)).collect();
    assert_eq!(longest, [500, 1000, 2000].map(|ms| Some(Duration::from_millis(ms))));
    assert_eq!(wait(Idempotence::Idempotent, 3, Failure::Unknown, 0.0), Some(Duration::ZERO));
    assert_eq!(wait(Idempotence::Idempotent, 4, Failure::Unknown, 1.0), None, "there are four attempts");
    let patient = RetryPolicy { attempts: u32::MAX, ..POLICY };
    let late = decide(&patient, Idempotence::Idempotent, attempt(90), Failure::NotSent, 1.0);
    assert_eq!(late, RetryDecision::RetryAfter(POLICY.longest_pause));
}

#[test]
fn a_request_that_is_not_idempotent_is_retried_only_if_it_was_not_carried_out() {
    let unavailable = Failure::Unavailable { retry_after: None };
    for failure in [Failure::Unknown, unavailable] {
        assert!(wait(Idempotence::Idempotent, 1, failure, 0.5).is_some());
        assert_eq!(wait(Idempotence::NotIdempotent, 1, failure, 0.5), None);
    }
    let limited = Failure::RateLimited { retry_after: Some(Duration::from_secs(3)), reset: None };
    for certainly_not_carried_out in [Failure::NotSent, limited] {
        assert!(wait(Idempotence::NotIdempotent, 1, certainly_not_carried_out, 0.5).is_some());
    }
    assert_eq!(wait(Idempotence::Idempotent, 1, Failure::Final, 0.5), None);
}

#[test]
fn retry_after_is_the_shortest_pause() {
    let unavailable = Failure::Unavailable { retry_after: Some(Duration::from_secs(20)) };
    assert_eq!(wait(Idempotence::Idempotent, 1, unavailable, 0.9), Some(Duration::from_secs(20)));
    let too_long = Failure::Unavailable { retry_after: Some(Duration::from_hours(1)) };
    assert_eq!(
        wait(Idempotence::Idempotent, 1, too_long, 0.0),
        None,
        "the retry would begin after the time limit of the call"
    );
}

#[test]
fn rate_limit_reset_is_waited_for_up_to_the_limit_of_the_policy() {
    let until = |seconds: i64| Failure::RateLimited {
        retry_after: None,
        reset: Some(Timestamp::from_unix_seconds(1_800_000_000 + seconds)),
    };
    assert_eq!(wait(Idempotence::Idempotent, 1, until(30), 0.0), Some(Duration::from_secs(30)));
    assert_eq!(wait(Idempotence::Idempotent, 1, until(30), 1.0), Some(Duration::from_secs(31)));
    assert_eq!(
        wait(Idempotence::Idempotent, 1, until(-30), 0.0),
        Some(Duration::ZERO),
        "a reset that has passed"
    );
    assert_eq!(wait(Idempotence::Idempotent, 1, until(66), 0.0), None, "longer than rate_limit_wait");
    // This machine's clock is an hour late: Retry-After wins over the reset time.
    let skewed = Failure::RateLimited {
        retry_after: Some(Duration::from_secs(7)),
        reset: Some(NOW.plus(Duration::from_hours(1))),
    };
    assert_eq!(wait(Idempotence::Idempotent, 1, skewed, 0.0), Some(Duration::from_secs(7)));
    let impatient = RetryPolicy { rate_limit_wait: None, ..POLICY };
    assert_eq!(decide(&impatient, Idempotence::Idempotent, attempt(1), until(1), 0.0), RetryDecision::GiveUp);
}

/// A small generator, so that a run can be repeated from its seed.
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

    fn failure(&mut self, now: Timestamp) -> Failure {
        let seconds = Duration::from_secs(self.below(90));
        match self.below(7) {
            0 => Failure::NotSent,
            1 => Failure::Unknown,
            2 => Failure::RateLimited { retry_after: Some(seconds), reset: None },
            3 => Failure::RateLimited { retry_after: None, reset: Some(now.plus(seconds)) },
            4 => Failure::Unavailable { retry_after: None },
            5 => Failure::Unavailable { retry_after: Some(seconds) },
            _ => Failure::Final,
        }
    }
}

/// Runs whole calls under virtual time against random servers and checks the bounds of the policy.
#[test]
fn decisions_stay_within_the_policy_for_20000_random_servers() {
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let idempotence =
            if random.below(2) == 0 { Idempotence::Idempotent } else { Idempotence::NotIdempotent };
        let (mut elapsed, mut now, mut number) = (Duration::ZERO, NOW, 1);
        loop {
            let took = Duration::from_millis(random.below(30_000));
            (elapsed, now) = (elapsed + took, now.plus(took));
            let failure = random.failure(now);
            let RetryDecision::RetryAfter(pause) = decide(
                &POLICY,
                idempotence,
                FailedAttempt { number, elapsed, now },
                failure,
                random.fraction(),
            ) else {
                break;
            };
            let carried_out = matches!(failure, Failure::Unknown | Failure::Unavailable { .. });
            assert!(
                idempotence == Idempotence::Idempotent || !carried_out,
                "seed {seed}: repeated a request that is not idempotent"
            );
            match failure {
                Failure::RateLimited { retry_after: Some(named), .. }
                | Failure::Unavailable { retry_after: Some(named) } => {
                    assert!(pause >= named, "seed {seed}: retried before Retry-After");
                }
                Failure::RateLimited { reset: Some(reset), .. } => {
                    assert!(now.plus(pause) >= reset, "seed {seed}: retried before the window opened");
                }
                Failure::NotSent
                | Failure::Unknown
                | Failure::RateLimited { .. }
                | Failure::Unavailable { .. } => {
                    assert!(pause <= POLICY.longest_pause, "seed {seed}: paused for {pause:?}");
                }
                Failure::Final => panic!("seed {seed}: retried a final failure"),
            }
            (elapsed, now) = (elapsed + pause, now.plus(pause));
            assert!(
                elapsed < POLICY.whole,
                "seed {seed}: the next attempt would begin after the time limit of the call"
            );
            number += 1;
        }
        assert!(number <= POLICY.attempts, "seed {seed}: {number} attempts");
    }
}
