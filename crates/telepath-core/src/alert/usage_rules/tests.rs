//! Weeks of virtual time: steady keys raise nothing, and everything unusual is found within the delay that is promised.

mod month;

use std::net::IpAddr;

use super::*;
use month::{DAY, LIMIT, Life, Rng, SHAPES, Shape, at, live};

/// Any seed will do; a failure names the one that it happened with.
const SEEDS: std::ops::Range<u64> = 1..4;

#[test]
fn a_steady_month_raises_no_alert() {
    for shape in SHAPES {
        for seed in SEEDS {
            let (alarms, state) = live(shape, seed, 31, &mut |_, _, _| {});
            assert!(alarms.is_empty(), "{shape:?}, seed {seed}: {alarms:?}");
            let size = serde_json::to_string(&state).unwrap().len();
            assert!(size < 4096, "{shape:?} takes {size} bytes");
        }
    }
}

/// The first alarm of a rule at or after `from`, and whether there was one before.
fn delay(alarms: &[month::Alarm], rule: AlertRule, from: i64) -> Option<i64> {
    assert!(alarms.iter().all(|(at, _)| *at >= from), "a false alarm: {alarms:?}, planted at {from}");
    alarms.iter().find(|(_, found)| *found == rule).map(|(at, _)| at - from)
}

/// Plants something at a random minute of the fourth week of every key; it must be found within so many minutes.
fn found_within(rule: AlertRule, minutes: i64, plant: impl Fn(i64, &Life, &mut MinuteSummary)) {
    for shape in SHAPES {
        for seed in SEEDS {
            let from = 21 * DAY + i64::from(Rng::of(seed + 100, shape).roll(6 * 24 * 60));
            let (alarms, _) = live(shape, seed, 28, &mut |after, life, summary| {
                if (from..from + 10).contains(&after) {
                    plant(after - from, life, summary);
                }
            });
            let delay = delay(&alarms, rule, from);
            assert!(delay.is_some_and(|delay| delay <= minutes), "{shape:?}, seed {seed}: {delay:?}");
        }
    }
}

#[test]
fn a_spike_is_found_within_five_minutes() {
    found_within(AlertRule::RequestSpike, 5, |_, life, summary| {
        let minute = summary.minute.unix_ms() / MINUTE_MS;
        // Stricter than documented: the baseline includes the adjacent hours.
        let usual = (-180..180).map(|offset| life.mean(minute + offset)).max().unwrap_or(0);
        summary.requests = 500 + usual * 12 + life.surprise();
    });
}

#[test]
fn an_error_burst_is_found_within_five_minutes() {
    found_within(AlertRule::ErrorBurst, 5, |_, _, summary| {
        summary.requests += 1200;
        summary.errors += 1200;
    });
}

#[test]
fn a_new_network_raises_an_alert_and_a_new_host_in_a_known_one_does_not() {
    for new in ["198.51.100.1", "2001:db8:2::1"] {
        let new: IpAddr = new.parse().unwrap();
        found_within(AlertRule::NewAddress, 0, |_, _, summary| {
            summary.requests = summary.requests.max(1);
            summary.addresses.push(new);
        });
    }
}

#[test]
fn limit_riding_is_detected_in_the_fifth_minute() {
    found_within(AlertRule::LimitRiding, 4, |_, _, summary| {
        summary.requests = LIMIT * 95 / 100;
    });
    found_within(AlertRule::LimitRiding, 4, |_, _, summary| {
        summary.requests = 10;
        summary.errors = 0;
        summary.limited = 1;
    });
}

#[test]
fn daytime_request_rates_at_night_raise_an_alert() {
    for seed in SEEDS {
        let life = Life::new(Shape::Office, seed);
        let start = life.key().created_at.unix_ms() / MINUTE_MS;
        // Two in the morning of the first day after three weeks.
        let from = 21 * DAY + (DAY + 120 - start.rem_euclid(DAY)) % DAY;
        let (alarms, _) = live(Shape::Office, seed, 23, &mut |after, _, summary| {
            if (from..from + 10).contains(&after) {
                summary.requests = 140;
            }
        });
        let delay = delay(&alarms, AlertRule::RequestSpike, from);
        assert!(delay.is_some_and(|delay| delay <= 5), "seed {seed}: {delay:?}");
    }
}

#[test]
fn a_new_request_level_raises_one_alert_and_becomes_the_baseline() {
    for seed in SEEDS {
        let (alarms, _) = live(Shape::Service, seed, 40, &mut |after, _, summary| {
            if after >= 20 * DAY {
                summary.requests *= 8;
            }
        });
        assert!(!alarms.is_empty(), "seed {seed}");
        assert!(alarms.iter().all(|(_, rule)| *rule == AlertRule::RequestSpike), "seed {seed}:");
        let last = alarms.last().unwrap().0 - 20 * DAY;
        assert!(last < 180, "seed {seed}: still raised after {last} minutes");
    }
}

#[test]
fn half_of_the_usual_requests_failing_is_a_burst() {
    for seed in SEEDS {
        let from = 9 * DAY + 77;
        let (alarms, _) = live(Shape::Service, seed, 10, &mut |after, _, summary| {
            if after >= from {
                summary.errors = summary.requests / 2;
            }
        });
        let delay = delay(&alarms, AlertRule::ErrorBurst, from);
        assert!(delay.is_some_and(|delay| delay <= 5), "seed {seed}: {delay:?}");
    }
}

fn summary(minute: i64, addresses: &[&str]) -> MinuteSummary {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    MinuteSummary { minute: at(minute), requests: 1, errors: 0, limited: 0, addresses }
}

fn rules(alerts: &[NewAlert]) -> Vec<AlertRule> {
    alerts.iter().map(|alert| alert.rule).collect()
}

#[test]
fn the_first_use_after_thirty_idle_days_raises_an_alert() {
    let key = Life::new(Shape::Monitor, 1).key();
    let (mut state, settings) = (KeyUsageState::default(), AlertSettings::default());
    let start = key.created_at.unix_ms() / MINUTE_MS;
    let mut observe = |minute: i64| {
        let minute = start + minute;
        state.observe(&key, &summary(minute, &["192.0.2.1"]), &settings, at(minute))
    };
    assert_eq!(observe(30 * DAY - 1), []);
    assert_eq!(observe(60 * DAY - 2), []);
    let awake = observe(90 * DAY - 2);
    assert_eq!(rules(&awake), [AlertRule::IdleAwake]);
    assert_eq!(awake[0].figures["idle_days"], 30);
    assert_eq!(observe(90 * DAY - 1), []);
    let mut fresh = KeyUsageState::default();
    let late = fresh.observe(&key, &summary(start + 31 * DAY, &["192.0.2.1"]), &settings, at(start));
    assert_eq!(rules(&late), [AlertRule::IdleAwake]);
    assert!(late[0].message.contains("for the first time"), "{}", late[0].message);
}

#[test]
fn new_networks_during_a_cooldown_are_reported_when_it_ends() {
    let key = Life::new(Shape::Monitor, 1).key();
    let (mut state, settings) = (KeyUsageState::default(), AlertSettings::default());
    let start = key.created_at.unix_ms() / MINUTE_MS;
    let mut minute = start + 20 * DAY;
    state.observe(&key, &summary(start, &["192.0.2.1"]), &settings, at(start));
    let first = state.observe(&key, &summary(minute, &["198.51.100.7"]), &settings, at(minute));
    assert_eq!(rules(&first), [AlertRule::NewAddress]);
    assert_eq!(state.wake_at(&settings), None);
    for block in 1..=9 {
        minute += 1;
        let address = format!("203.0.{block}.1");
        assert_eq!(state.observe(&key, &summary(minute, &[&address]), &settings, at(minute)), []);
    }
    let wake = state.wake_at(&settings).unwrap();
    assert_eq!(wake, at(start + 20 * DAY).plus(settings.cooldown(AlertRule::NewAddress)));
    assert_eq!(state.wake(&key, &settings, Timestamp::from_unix_ms(wake.unix_ms() - 1)), []);
    let alerts = state.wake(&key, &settings, wake);
    assert_eq!(alerts[0].figures["count"], 9);
    assert_eq!(alerts[0].figures["networks"].as_array().unwrap().len(), 8);
    assert_eq!(state.wake_at(&settings), None);
}

#[test]
fn a_mobile_key_raises_no_alert_and_its_state_stays_small() {
    let key = Life::new(Shape::Monitor, 1).key();
    let (mut state, settings) = (KeyUsageState::default(), AlertSettings::default());
    let start = key.created_at.unix_ms() / MINUTE_MS;
    let mut alerts = 0;
    for step in 0..5000 {
        let minute = start + step * 30;
        let address = format!("198.{}.{}.1", 18 + step / 256 % 2, step % 256);
        alerts += state.observe(&key, &summary(minute, &[&address]), &settings, at(minute)).len();
        assert!(serde_json::to_string(&state).unwrap().len() < 8192);
    }
    assert_eq!(alerts, 0);
}

#[test]
fn late_and_duplicate_minutes_are_ignored() {
    let key = Life::new(Shape::Monitor, 1).key();
    let (mut state, settings) = (KeyUsageState::default(), AlertSettings::default());
    let start = key.created_at.unix_ms() / MINUTE_MS;
    state.observe(&key, &summary(start + 5, &["192.0.2.1"]), &settings, at(start + 5));
    let before = state.clone();
    for late in [5, 4, 0] {
        let minute = summary(start + late, &["198.51.100.1"]);
        assert_eq!(state.observe(&key, &minute, &settings, at(start + 6)), []);
        assert_eq!(state, before);
    }
}

#[test]
fn the_stored_state_keeps_its_member_names() {
    let names = |value: &serde_json::Value| {
        let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        names
    };
    let stored = serde_json::to_value(KeyUsageState::default()).unwrap();
    let members = ["errors", "last_active_ms", "networks", "pace", "recent", "ridden", "since_ms"];
    assert_eq!(names(&stored), members);
    let requests = ["foreseen", "hour", "last_foreseen", "last_peak", "peak", "surprise", "usual"];
    assert_eq!(names(&stored["pace"]), requests);
}

#[test]
fn a_threshold_of_zero_disables_the_rule() {
    let off = AlertSettings {
        spike_factor: 0,
        burst_errors: 0,
        riding_minutes: 0,
        idle: std::time::Duration::ZERO,
        ..AlertSettings::default()
    };
    let key = Life::new(Shape::Monitor, 1).key();
    let mut state = KeyUsageState::default();
    let start = key.created_at.unix_ms() / MINUTE_MS;
    for minute in (start..start + 10).chain(start + 60 * DAY..start + 60 * DAY + 20) {
        let wild =
            MinuteSummary { requests: LIMIT, errors: LIMIT, limited: 9, ..summary(minute, &["192.0.2.1"]) };
        assert_eq!(state.observe(&key, &wild, &off, at(minute)), []);
    }
}
