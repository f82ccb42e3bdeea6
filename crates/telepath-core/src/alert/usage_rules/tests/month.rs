//! Synthetic keys: each has a pattern of days and weeks, noise, and a few networks of its own.

use std::net::IpAddr;
use std::time::Duration;

use crate::alert::{AlertRule, AlertSettings, KeyUsageState, MinuteSummary, WatchedKey};
use crate::clock::Timestamp;
use crate::id::{Id as _, KeyId};
use crate::limit::RateLimit;

pub(super) const DAY: i64 = 24 * 60;
/// A Thursday at midnight, in minutes since the epoch.
const THURSDAY: i64 = 1_800_000_000 / 60 / (7 * DAY) * (7 * DAY);
pub(super) const LIMIT: u32 = 6000;

/// `SplitMix64`: small, good enough, and the same everywhere for the same seed.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn of(seed: u64, shape: Shape) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9) ^ (shape as u64) << 32)
    }

    pub(super) fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((z ^ (z >> 31)) % u64::from(sides.max(1))).unwrap_or(0)
    }

    /// A count around `mean`: a fifth of it up or down, and the noise of rare independent requests.
    fn around(&mut self, mean: u32) -> u32 {
        let broad = mean / 5;
        let rare = mean.isqrt() * 2 + u32::from(mean > 0);
        let sum = mean + self.roll(2 * broad + 1) + self.roll(2 * rare + 1);
        sum.saturating_sub(broad + rare)
    }
}

/// How a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Busy in office hours, nearly silent at night and on two days of the week.
    Office,
    /// A constant rate, day and night.
    Service,
    /// A quarter of an hour each night, at about the same time, with many errors.
    NightlyBatch,
    /// Half an hour once a week, at about the same time.
    WeeklyJob,
    /// A few short bursts a day at random times.
    Bursts,
    /// Asks for things that are mostly not there.
    Poller,
    /// Once a minute, from two networks in turn.
    Monitor,
    /// Evenings and weekends.
    Shop,
}

pub(super) const SHAPES: [Shape; 8] = [
    Shape::Office,
    Shape::Service,
    Shape::NightlyBatch,
    Shape::WeeklyJob,
    Shape::Bursts,
    Shape::Poller,
    Shape::Monitor,
    Shape::Shop,
];

/// A day's rise and fall between two hours, highest in the middle.
fn hill(minute_of_day: i64, from_hour: i64, to_hour: i64, top: u32) -> u32 {
    let (from, to) = (from_hour * 60, to_hour * 60);
    if !(from..to).contains(&minute_of_day) {
        return 0;
    }
    let way = (minute_of_day - from).min(to - minute_of_day);
    u32::try_from(i64::from(top) * 2 * way / (to - from)).unwrap_or(0)
}

/// The simulated use of a key.
pub(super) struct Life {
    shape: Shape,
    rng: Rng,
    start: i64,
    /// Minutes left of a burst, and its size per minute.
    burst: (u32, u32),
    /// By how many minutes today's job is late.
    late: i64,
}

impl Life {
    pub(super) fn new(shape: Shape, seed: u64) -> Self {
        let mut rng = Rng::of(seed, shape);
        let start = THURSDAY + i64::from(rng.roll(7 * 24 * 60));
        Self { shape, rng, start, burst: (0, 0), late: 0 }
    }

    pub(super) fn key(&self) -> WatchedKey {
        WatchedKey {
            id: KeyId::from_bytes([9; 16]),
            name: format!("{:?}", self.shape),
            created_at: at(self.start),
            rate_limit: RateLimit::per_minute(LIMIT).unwrap(),
        }
    }

    /// The mean number of requests at a minute, without noise and bursts.
    pub(super) fn mean(&self, minute: i64) -> u32 {
        let (day, of_day) = (minute.div_euclid(DAY).rem_euclid(7), minute.rem_euclid(DAY));
        let weekend = matches!(day, 2 | 3);
        let job = |hour: i64, length: i64, rate: u32| {
            let begin = hour * 60 + self.late;
            if (begin..begin + length).contains(&of_day) { rate } else { 0 }
        };
        match self.shape {
            Shape::Office if weekend => 2,
            Shape::Office => 2 + hill(of_day, 7, 19, 150),
            Shape::Service => 300,
            Shape::NightlyBatch => job(3, 15, 800),
            Shape::WeeklyJob if day == 3 => 1 + job(2, 30, 2000),
            Shape::Bursts => 0,
            Shape::Poller => 10 + hill(of_day, 0, 24, 30),
            Shape::WeeklyJob | Shape::Monitor => 1,
            Shape::Shop if weekend => 20 + hill(of_day, 8, 24, 400),
            Shape::Shop => 5 + hill(of_day, 16, 24, 200),
        }
    }

    /// Requests per minute that a spike needs beyond the baseline of the adjacent hours, because of earlier deviations.
    pub(super) fn surprise(&self) -> u32 {
        match self.shape {
            // Any hour may have had a burst of 160 a minute; a spike is five times as much.
            Shape::NightlyBatch | Shape::Bursts => 800,
            Shape::WeeklyJob => 2000,
            Shape::Office | Shape::Service | Shape::Poller | Shape::Monitor | Shape::Shop => 0,
        }
    }

    /// The minute so many minutes after the start; minutes without requests are not seen by a state.
    pub(super) fn minute(&mut self, after: i64) -> MinuteSummary {
        let minute = self.start + after;
        if minute.rem_euclid(DAY) == 0 {
            self.late = i64::from(self.rng.roll(40)) - 20;
        }
        let mut requests = self.rng.around(self.mean(minute));
        if self.shape == Shape::Bursts {
            requests = self.bursts();
        }
        let percent = match self.shape {
            Shape::NightlyBatch => 40,
            Shape::Poller => 60,
            Shape::Office
            | Shape::Service
            | Shape::WeeklyJob
            | Shape::Bursts
            | Shape::Monitor
            | Shape::Shop => 1,
        };
        let errors = if requests == 0 { 0 } else { self.rng.around(requests * percent / 100).min(requests) };
        let addresses = vec![self.address(after)];
        MinuteSummary { minute: at(minute), requests, errors, limited: 0, addresses }
    }

    fn bursts(&mut self) -> u32 {
        if self.burst.0 == 0 && self.rng.roll(u32::try_from(DAY).unwrap() / 4) == 0 {
            self.burst = (5, 80 + self.rng.roll(80));
        }
        if self.burst.0 == 0 {
            return 0;
        }
        self.burst.0 -= 1;
        self.burst.1
    }

    /// Mostly one network; a second one from the third day on, now and then; always other hosts.
    fn address(&mut self, after: i64) -> IpAddr {
        let host = 1 + u8::try_from(self.rng.roll(200)).unwrap();
        let second = self.shape == Shape::Monitor || after > 3 * DAY && self.rng.roll(4) == 0;
        if second && after % 2 == 1 {
            format!("2001:db8:1:{host:x}::{host:x}").parse().unwrap()
        } else {
            IpAddr::from([192, 0, 2, host])
        }
    }
}

pub(super) fn at(minute: i64) -> Timestamp {
    Timestamp::from_unix_seconds(minute * 60)
}

/// A change of the usage from some minute on, counted from the start.
pub(super) type Plant<'p> = &'p mut dyn FnMut(i64, &Life, &mut MinuteSummary);

/// An alert: minutes after the start, and the rule.
pub(super) type Alarm = (i64, AlertRule);

/// Simulates some days and returns every alert, without any cooldown except that of the rules.
pub(super) fn live(shape: Shape, seed: u64, days: i64, plant: Plant<'_>) -> (Vec<Alarm>, KeyUsageState) {
    let settings = AlertSettings::default();
    let mut life = Life::new(shape, seed);
    let key = life.key();
    let mut state = KeyUsageState::default();
    let mut alarms = Vec::new();
    for after in 0..days * DAY {
        let mut summary = life.minute(after);
        plant(after, &life, &mut summary);
        if summary.requests == 0 {
            continue;
        }
        if after % DAY == 0 {
            // As between two looks at the database.
            let text = serde_json::to_string(&state).unwrap();
            state = serde_json::from_str(&text).unwrap();
        }
        let now = summary.minute.plus(Duration::from_mins(2));
        let due = state.observe(&key, &summary, &settings, now);
        alarms.extend(due.into_iter().map(|alert| (after, alert.rule)));
    }
    (alarms, state)
}
