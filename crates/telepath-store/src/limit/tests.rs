//! The behavior of a window, as one suite for both implementations: a key's own memory and, if
//! `TELEPATH_TEST_REDIS_URL` is set, Redis.

use std::sync::{Arc, Mutex};

use telepath_core::clock::{Clock as _, SystemClock};
use telepath_core::entropy::SystemEntropy;
use telepath_core::id::{Id as _, KeyId};
use telepath_core::limit::{Phase, RateLimit, Take, Window};
use telepath_core::secret::SecretText;

use super::redis::{NoReply, RedisWindows};
use super::{OutagePolicy, SharedWindows};
use crate::key_table::entry::{TakeResult, WindowContext};

/// Counts for a key that only this test uses.
#[derive(Clone)]
enum Counter {
    Memory(Arc<Mutex<Window>>, Phase),
    Redis(Arc<RedisWindows>, KeyId, Phase),
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
        self.take_knowing(limit, Window::default()).await
    }

    async fn take_knowing(&self, limit: u32, known: Window) -> TakeResult {
        let limit = RateLimit::per_minute(limit).unwrap();
        match self {
            Self::Memory(window, phase) => {
                let mut window = window.lock().unwrap();
                window.learn(known);
                let admitted = matches!(window.take(limit, *phase, SystemClock.now()), Take::Admitted(_));
                TakeResult { admitted, window: *window }
            }
            Self::Redis(windows, key, phase) => {
                let window = WindowContext { limit, phase: *phase, known };
                windows.take(*key, window).await.expect("the server answers")
            }
        }
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
    what_somebody_else_has_seen_counts,
    a_later_window_than_the_clock_says_is_kept,
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

async fn what_somebody_else_has_seen_counts(counter: Counter) {
    let start = counter.take(10).await.window.start();
    let told = counter.take_knowing(10, Window::counted(start, 8)).await;
    assert_eq!((told.admitted, told.window.used()), (true, 9));
    let behind = counter.take_knowing(10, Window::counted(start, 3)).await;
    assert_eq!((behind.admitted, behind.window.used()), (true, 10));
    let old = counter.take_knowing(10, Window::counted(start - 60, 1)).await;
    assert_eq!((old.admitted, old.window.used()), (false, 10));
}

async fn a_later_window_than_the_clock_says_is_kept(counter: Counter) {
    let start = counter.take(10).await.window.start();
    let later = counter.take_knowing(2, Window::counted(start + 60, 1)).await;
    assert_eq!((later.admitted, later.window), (true, Window::counted(start + 60, 2)));
    assert!(!counter.take(2).await.admitted);
}

async fn the_window_ends_in_time(counter: Counter) {
    let start = counter.take(10).await.window.start();
    let now = SystemClock.now().unix_seconds();
    assert!(start <= now + 1 && now < start + 61, "the window {start} holds the second {now}");
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
    let window = WindowContext {
        limit: RateLimit::per_minute(5).unwrap(),
        phase: Phase::default(),
        known: Window::default(),
    };
    assert_eq!(windows.take(KeyId::from_bytes([1; 16]), window).await, Err(NoReply));
    assert!(!windows.is_connected());
}
