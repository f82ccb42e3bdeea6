//! Windows in a Redis whose clock is set while it runs, with Debian's libfaketime. Runs if `TELEPATH_TEST_FAKETIME` names
//! the library.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use telepath_core::clock::Clock as _;
use telepath_core::key::NewKey;
use telepath_core::limit::WindowState;
use telepath_core::secret::{HashedKey, SecretText};

use super::{OutagePolicy, SharedWindows, WindowOptions};
use crate::key_table::Admission;
use crate::store::Store;
use crate::suite::{Fixture, limit, new_key};

const LIMIT: u32 = 5;
/// How long a test waits for Redis.
const WITHIN: Duration = Duration::from_secs(20);
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// A Redis with a clock of its own; stopped on drop.
struct SteppedRedis {
    process: Child,
    folder: PathBuf,
    url: String,
}

impl SteppedRedis {
    /// `None` if libfaketime is not configured.
    async fn start(name: &str) -> Option<Self> {
        let library = std::env::var("TELEPATH_TEST_FAKETIME").ok().filter(|library| !library.is_empty())?;
        let folder = std::env::temp_dir().join(format!("telepath-redis-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::write(folder.join("clock"), "+0").unwrap();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(&folder)
            // libc after libfaketime: the allocator of Debian's Redis reads the clock before libfaketime can answer.
            .env("LD_PRELOAD", format!("{library}:libc.so.6"))
            .env("FAKETIME_TIMESTAMP_FILE", folder.join("clock"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let redis = Self { process, folder, url: format!("redis://127.0.0.1:{port}") };
        let answers = async { while redis.try_run("PING").await.is_none() {} };
        tokio::time::timeout(WITHIN, answers).await.expect("Redis answers");
        Some(redis)
    }

    /// A connection that waits as long as the tests do, because the machine may be busy.
    async fn connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let patient = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(WITHIN))
            .set_response_timeout(Some(WITHIN));
        redis::Client::open(self.url.as_str())?.get_multiplexed_async_connection_with_config(&patient).await
    }

    async fn try_run(&self, command: &str) -> Option<redis::Value> {
        tokio::task::yield_now().await;
        let mut connection = self.connect().await.ok()?;
        redis::cmd(command).query_async(&mut connection).await.ok()
    }

    /// Sets Redis's clock to the true time plus an offset, and returns when Redis shows it.
    async fn set_clock(&self, offset_seconds: i64) {
        // Replaced in one step, so that Redis never reads half of it.
        let (new, clock) = (self.folder.join("clock.new"), self.folder.join("clock"));
        std::fs::write(&new, format!("{offset_seconds:+}")).unwrap();
        std::fs::rename(new, clock).unwrap();
        let shown = async {
            loop {
                let mut connection = self.connect().await.unwrap();
                let (seconds, _): (i64, i64) = redis::cmd("TIME").query_async(&mut connection).await.unwrap();
                let now = telepath_core::clock::SystemClock.now().unix_seconds();
                if (seconds - now - offset_seconds).abs() <= 2 {
                    break;
                }
            }
        };
        tokio::time::timeout(WITHIN, shown).await.expect("Redis reads its new clock");
    }
}

impl Drop for SteppedRedis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A server whose windows are in the Redis, with one key.
struct Server {
    store: Arc<Store>,
    hash: HashedKey,
}

impl Server {
    async fn start(fixture: &Fixture, redis: &SteppedRedis) -> Self {
        let windows = WindowOptions::Shared(SharedWindows {
            url: SecretText::new(redis.url.clone()),
            prefix: "stepped:".to_owned(),
            outage: OutagePolicy::Refuse,
        });
        let store = fixture.open_with(|options| options.windows = windows).await;
        let account = fixture.account(&store).await.id;
        let new = NewKey { rate_limit: limit(LIMIT), ..new_key("stepped") };
        let (_, hash) = fixture.key(&store, account, new).await;
        Self { store, hash }
    }

    async fn admit(&self) -> Result<WindowState, WindowState> {
        let handle = self.store.keys().find(&self.hash).unwrap();
        loop {
            match self.store.admit(&handle, &self.hash, ADDRESS, self.store.clock().read()).await {
                Admission::Admitted { window, .. } => return Ok(window),
                Admission::Limited { window } => return Err(window),
                // A busy machine; such a request may have been counted.
                Admission::LimiterUnavailable => {}
                other @ (Admission::WrongAddress
                | Admission::Unusable
                | Admission::InDoubt
                | Admission::NoLease) => panic!("{other:?}"),
            }
        }
    }

    /// Sends requests until one is refused; returns how many were admitted, and the window.
    async fn use_up(&self) -> (u32, WindowState) {
        let mut admitted = 0;
        loop {
            match self.admit().await {
                Ok(_) => admitted += 1,
                Err(window) => return (admitted, window),
            }
        }
    }
}

fn assert_sane(window: WindowState, step: i64) {
    assert!((1..=60).contains(&window.seconds_until_reset()), "step of {step} s: {window:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_of_redis_clock_pins_no_window_in_the_future() {
    let Some(redis) = SteppedRedis::start("steps").await else { return };
    let fixture = Fixture::sqlite();
    let server = Server::start(&fixture, &redis).await;
    // A clock that was wrong at boot, in the future, and is corrected; then steps in both directions and across a day.
    for step in [40 * 365 * 86_400, 0, -600, -4200, 3600, 90_000, 0] {
        redis.set_clock(step).await;
        let (admitted, window) = server.use_up().await;
        // A window may end in between.
        assert!((1..=2 * LIMIT).contains(&admitted), "step of {step} s: {admitted} admitted");
        assert_sane(window, step);
    }
    server.store.close().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_handed_back_after_a_flush_pin_no_window_in_the_future() {
    let Some(redis) = SteppedRedis::start("flush").await else { return };
    let fixture = Fixture::sqlite();
    let server = Server::start(&fixture, &redis).await;
    redis.set_clock(3600).await;
    server.use_up().await;
    redis.try_run("FLUSHALL").await.expect("Redis answers");
    let (admitted, window) = server.use_up().await;
    // Nothing more in the same window; a window may have ended in between.
    assert!(admitted == 0 || admitted == LIMIT, "{admitted}");
    assert_sane(window, 0);
    redis.set_clock(0).await;
    redis.try_run("FLUSHALL").await.expect("Redis answers");
    let (admitted, window) = server.use_up().await;
    assert!((LIMIT..=2 * LIMIT).contains(&admitted), "{admitted}");
    assert_sane(window, -3600);
    server.store.close().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_back_within_a_window_does_not_lengthen_it() {
    let Some(redis) = SteppedRedis::start("within").await else { return };
    let fixture = Fixture::sqlite();
    let server = Server::start(&fixture, &redis).await;
    let (_, window) = server.use_up().await;
    // To ten seconds before the end of the window, or of the next one if that was too late.
    let ahead = i64::try_from(window.seconds_until_reset()).unwrap() - 10;
    redis.set_clock(ahead).await;
    let (_, window) = server.use_up().await;
    assert!(window.seconds_until_reset() <= 11, "{window:?}");
    redis.set_clock(ahead - 40).await;
    let stepped = server.admit().await.expect_err("the window is still open");
    assert!(stepped.seconds_until_reset() > 40, "{stepped:?}");
    // A minute passes on the server; much less passes in Redis.
    fixture.clock.advance(Duration::from_secs(61));
    let next = server.admit().await.expect("a minute has passed");
    assert_eq!(next.remaining, LIMIT - 1);
    server.store.close().await;
    fixture.remove().await;
}
