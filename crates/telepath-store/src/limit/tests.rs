//! The behavior of a window, as one suite for both implementations: a key's own memory and, if
//! `TELEPATH_TEST_REDIS_URL` is set, Redis.

use std::sync::{Arc, Mutex};

use telepath_core::clock::{Clock as _, SteadyTime, SystemClock};
use telepath_core::entropy::SystemEntropy;
use telepath_core::id::{Id as _, KeyId};
use telepath_core::limit::{Phase, RateLimit, Take, Window};
use telepath_core::secret::SecretText;

use super::redis::{NoReply, RedisWindows};
use super::{OutagePolicy, SharedWindows};
use crate::key_table::counts::{TakeResult, WindowContext};

/// Counts for a key that only this test uses.
#[derive(Clone)]
enum Counter {
    Memory(Arc<Mutex<Window>>, Phase),
    Redis(Arc<RedisWindows>, KeyId, Phase),
}

/// What a server knows about a key before its first request.
fn context(limit: u32, phase: Phase) -> WindowContext {
    WindowContext {
        limit: RateLimit::per_minute(limit).unwrap(),
        phase,
        known: Window::default(),
        known_end: SteadyTime::default(),
        is_over: false,
        quota: None,
    }
}

impl Counter {
    /// A phase whose windows do not end within the next seconds.
    fn quiet_phase() -> Phase {
        let second = SystemClock.now().unix_seconds();
        let mut id = [0; 16];
        id[8..].copy_from_slice(&u64::try_from(second).unwrap().to_be_bytes());
        Phase::of_id(&id)
    }

    fn memory() -> Self {
        Self::Memory(Arc::default(), Self::quiet_phase())
    }

    async fn redis() -> Option<Self> {
        let key = KeyId::generate(SystemClock.now(), &SystemEntropy::default()).unwrap();
        Some(Self::Redis(Arc::new(open().await?), key, Self::quiet_phase()))
    }

    async fn take(&self, limit: u32) -> TakeResult {
        match self {
            Self::Memory(window, phase) => {
                let mut window = window.lock().unwrap();
                let limit = RateLimit::per_minute(limit).unwrap();
                let admitted = matches!(window.take(limit, *phase, SystemClock.steady()), Take::Admitted(_));
                TakeResult { admitted, window: *window, shared_end: window.end(), quota: None }
            }
            Self::Redis(windows, key, phase) => {
                windows.take(*key, context(limit, *phase), &SystemClock).await.expect("the server answers")
            }
        }
    }

    /// Takes as a server that has seen a window of the limiter; Redis only.
    async fn take_knowing(&self, limit: u32, end: SteadyTime, used: u32, is_over: bool) -> TakeResult {
        let Self::Redis(windows, key, phase) = self else { panic!("windows in memory have one reader") };
        let known = Window::counted(end, used);
        let context = WindowContext { known, known_end: end, is_over, ..context(limit, *phase) };
        windows.take(*key, context, &SystemClock).await.expect("the server answers")
    }
}

async fn open() -> Option<RedisWindows> {
    let url = std::env::var("TELEPATH_TEST_REDIS_URL").ok()?;
    let prefix = format!("telepath-store-test-{}:", std::process::id());
    let options = SharedWindows { url: SecretText::new(url), prefix, outage: OutagePolicy::Refuse };
    Some(RedisWindows::open(&options).await.unwrap())
}

macro_rules! behaviour {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Counter::memory()).await;
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(counter) = super::Counter::redis().await {
                    super::$name(counter).await;
                }
            })+
        }
    };
}

behaviour! {
    many_at_once_are_admitted_exactly_the_limit,
    a_refused_request_does_not_consume_and_a_raised_limit_keeps_the_count,
    the_window_ends_in_time,
}

async fn many_at_once_are_admitted_exactly_the_limit(counter: Counter) {
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let counter = counter.clone();
            tokio::spawn(async move {
                let mut admitted = 0;
                for _ in 0..25 {
                    admitted += u32::from(counter.take(100).await.admitted);
                }
                admitted
            })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.unwrap();
    }
    assert_eq!(admitted, 100);
}

async fn a_refused_request_does_not_consume_and_a_raised_limit_keeps_the_count(counter: Counter) {
    let counts = [counter.take(2).await, counter.take(2).await].map(|taken| taken.window.used());
    assert_eq!(counts, [1, 2]);
    for _ in 0..3 {
        let full = counter.take(2).await;
        assert_eq!((full.admitted, full.window.used()), (false, 2));
    }
    let raised = counter.take(4).await;
    assert_eq!((raised.admitted, raised.window.used()), (true, 3));
    assert!(!counter.take(1).await.admitted, "a lowered limit is full at once");
}

async fn the_window_ends_in_time(counter: Counter) {
    let before = SystemClock.steady();
    let end = counter.take(10).await.window.end();
    assert!(end > before && end <= SystemClock.steady().plus_ms(60_000), "{end:?}, asked at {before:?}");
}

#[tokio::test]
async fn a_count_that_a_server_has_seen_is_continued_if_redis_lost_it() {
    let Some(counter) = Counter::redis().await else { return };
    let end = counter.take(10).await.shared_end;
    let used = async |known_end, known_used| {
        let taken = counter.take_knowing(10, known_end, known_used, false).await;
        (taken.admitted, taken.window.used())
    };
    assert_eq!(used(end, 8).await, (true, 9));
    assert_eq!(used(end, 3).await, (true, 10), "the higher count wins");
    assert_eq!(used(end.plus_ms(-60_000), 1).await, (false, 10), "a past window is ignored");
    let Some(other) = Counter::redis().await else { return };
    let restored = other.take_knowing(10, end, 9, false).await;
    assert_eq!((restored.shared_end, restored.window.used()), (end, 10));
}

#[tokio::test]
async fn a_window_that_ends_more_than_a_minute_from_now_is_discarded() {
    let Some(counter) = Counter::redis().await else { return };
    let end = counter.take(2).await.shared_end;
    for ahead_ms in [60_000, 3_600_000, 40 * 365 * 86_400_000] {
        let taken = counter.take_knowing(1000, end.plus_ms(ahead_ms), 999, false).await;
        assert_eq!((taken.admitted, taken.shared_end), (true, end), "{ahead_ms} ms ahead");
    }
    let Some(other) = Counter::redis().await else { return };
    let taken = other.take_knowing(2, end.plus_ms(3_600_000), 2, false).await;
    assert_eq!((taken.admitted, taken.window.used()), (true, 1), "nothing is stored for this key yet");
}

#[tokio::test]
async fn a_window_that_has_lasted_a_minute_by_a_servers_clock_ends_once() {
    let Some(counter) = Counter::redis().await else { return };
    let end = counter.take(1).await.shared_end;
    assert!(!counter.take(1).await.admitted);
    let next = counter.take_knowing(1, end, 1, true).await;
    assert_eq!((next.admitted, next.window.used()), (true, 1));
    assert!(next.shared_end > end);
    let late = counter.take_knowing(1, end, 1, true).await;
    assert_eq!((late.admitted, late.shared_end), (false, next.shared_end), "another server notices later");
}

#[tokio::test]
async fn an_unreachable_redis_is_an_outage_and_a_bad_url_is_reported_without_its_password() {
    let options = |url: &str| SharedWindows {
        url: SecretText::new(url.to_owned()),
        prefix: String::new(),
        outage: OutagePolicy::Refuse,
    };
    let Err(error) = RedisWindows::open(&options("http://:hush@example")).await else {
        panic!("the URL is of another kind");
    };
    assert!(!error.to_string().contains("hush"), "{error}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let windows = RedisWindows::open(&options(&format!("redis://{closed}"))).await.unwrap();
    let taken = windows.take(KeyId::from_bytes([1; 16]), context(5, Phase::default()), &SystemClock).await;
    assert_eq!(taken, Err(NoReply));
    assert!(!windows.is_connected());
}
