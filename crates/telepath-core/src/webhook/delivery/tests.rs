//! Days of trying again, in no time.

use super::*;

const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn outcome(error: Option<ErrorClass>, retry_after: Option<u64>) -> Outcome {
    Outcome {
        status: None,
        error,
        retry_after: retry_after.map(Duration::from_secs),
        duration: Duration::ZERO,
        response_body: Vec::new(),
    }
}

/// A small generator (xorshift), so that a failing seed can be tried again.
struct Rng(u64);

impl Rng {
    fn jitter(&mut self) -> Jitter {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Jitter(u16::try_from(self.0 >> 48).unwrap())
    }
}

#[test]
fn a_failing_delivery_is_attempted_ten_times_over_three_days() {
    for seed in 1..=200_u64 {
        println!("seed {seed}");
        let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (mut now, mut tries) = (START, 1);
        while let RetryDecision::RetryAt(at) =
            decide_retry(&outcome(Some(ErrorClass::Connect), None), tries, now, rng.jitter())
        {
            let planned = SCHEDULE[tries as usize - 1];
            let waited = at.since(now);
            assert!(waited >= planned * 8 / 10 && waited <= planned * 12 / 10, "{waited:?} for {planned:?}");
            (now, tries) = (at, tries + 1);
        }
        assert_eq!(tries, 10);
        let whole = now.since(START);
        assert!(whole > Duration::from_hours(60) && whole < Duration::from_hours(91), "{whole:?}");
    }
}

#[test]
fn success_completes_the_delivery_after_any_number_of_tries() {
    for tries in [1, 5, 10, 1000] {
        assert_eq!(decide_retry(&outcome(None, Some(5)), tries, START, Jitter(0)), RetryDecision::Delivered);
    }
    assert_eq!(
        decide_retry(&outcome(Some(ErrorClass::Tls), None), 1000, START, Jitter(0)),
        RetryDecision::Exhausted
    );
}

/// The seconds until the next attempt after failure number `tries`.
fn waited(tries: u32, asked: Option<u64>, jitter: Jitter) -> u64 {
    match decide_retry(&outcome(Some(ErrorClass::TooMany), asked), tries, START, jitter) {
        RetryDecision::RetryAt(at) => at.since(START).as_secs(),
        RetryDecision::Delivered | RetryDecision::Exhausted => panic!("the delivery is retried"),
    }
}

#[test]
fn retry_after_is_honored_up_to_one_hour_or_the_planned_wait_whichever_is_longer() {
    for jitter in [Jitter(0), Jitter(u16::MAX)] {
        assert_eq!(waited(1, Some(60), jitter), 60, "planned: 5 s");
        assert_eq!(waited(1, Some(3600), jitter), 3600);
        assert_eq!(waited(1, Some(3601), jitter), 3600);
        assert_eq!(waited(1, Some(u64::MAX), jitter), 3600);
        assert_eq!(waited(2, Some(450), jitter), 450, "planned: 5 min");
        assert_eq!(waited(2, Some(86_400), jitter), 3600);
    }
    // Planned: 2 h ± 24 min.
    assert_eq!(waited(4, Some(3 * 3600), Jitter(0)), 2 * 3600);
    assert_eq!(waited(4, Some(3 * 3600), Jitter(u16::MAX)), 144 * 60);
}

#[test]
fn retry_after_does_not_shorten_the_planned_wait() {
    assert_eq!(waited(2, None, Jitter(0)), 240);
    assert_eq!(waited(2, None, Jitter(u16::MAX)), 360);
    assert_eq!(waited(2, Some(1), Jitter(0)), 300);
    assert_eq!(waited(2, Some(0), Jitter(u16::MAX)), 360);
}

#[test]
fn retry_after_accepts_seconds_and_the_three_date_forms_of_rfc_9110() {
    assert_eq!(retry_after(" 120 ", START), Some(Duration::from_mins(2)));
    let huge = retry_after("99999999999999999999999", START);
    assert!(huge.is_some_and(|delay| delay > MAX_RETRY_AFTER), "{huge:?}");
    for date in
        ["Fri, 15 Jan 2027 08:01:00 GMT", "Friday, 15-Jan-27 08:01:00 GMT", "Fri Jan 15 08:01:00 2027"]
    {
        assert_eq!(retry_after(date, START), Some(Duration::from_mins(1)), "{date}");
    }
    assert_eq!(retry_after("Fri, 15 Jan 2027 07:00:00 GMT", START), Some(Duration::ZERO));
    assert_eq!(retry_after("Fri Jan  1 08:00:00 2027", START), Some(Duration::ZERO));
    for wrong in ["", "-1", "+5", "1.5", "soon", "Fri, 32 Jan 2027 08:01:00 GMT", "Fri Jan 15 08:01:00"] {
        assert_eq!(retry_after(wrong, START), None, "{wrong}");
    }
}

#[test]
fn statuses_map_to_error_classes() {
    for (status, class) in [
        (200, None),
        (204, None),
        (101, Some(ErrorClass::Redirect)),
        (301, Some(ErrorClass::Redirect)),
        (308, Some(ErrorClass::Redirect)),
        (400, Some(ErrorClass::ClientError)),
        (410, Some(ErrorClass::Gone)),
        (429, Some(ErrorClass::TooMany)),
        (500, Some(ErrorClass::ServerError)),
        (599, Some(ErrorClass::ServerError)),
    ] {
        assert_eq!(ErrorClass::of_status(status), class, "{status}");
    }
    for class in ErrorClass::ALL {
        assert_eq!(ErrorClass::from_name(class.name()), Some(*class));
    }
}

#[test]
fn ids_are_derived_from_event_and_endpoint_and_sort_by_event() {
    let entropy = crate::entropy::SystemEntropy::default();
    let event =
        |ms: i64| EventId::generate(Timestamp::from_unix_ms(1_800_000_000_000 + ms), &entropy).unwrap();
    let [first, second] = [event(0), event(1)];
    let [mine, other] = [WebhookId::from_bytes([1; 16]), WebhookId::from_bytes([2; 16])];
    assert_eq!(id_of(first, mine), id_of(first, mine));
    assert_ne!(id_of(first, mine), id_of(first, other));
    assert!(id_of(first, mine) < id_of(second, mine));
}
