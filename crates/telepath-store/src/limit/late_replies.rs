//! A Redis whose replies are late, or errors, played by the test.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use telepath_core::clock::{SteadyTime, SystemClock};
use telepath_core::id::{Id as _, KeyId};
use telepath_core::limit::{Phase, RateLimit, Window};
use telepath_core::secret::SecretText;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::redis::{NoReply, RECONNECT_DELAY, RedisWindows};
use super::{OutagePolicy, SharedWindows};
use crate::key_table::counts::{TakeResult, WindowContext};

/// What the test controls.
struct FakeRedis {
    connections: AtomicUsize,
    /// One permit per reply to a script call.
    replies: Semaphore,
    /// The reply to a script call, if it is an error.
    error: Mutex<Option<&'static str>>,
}

/// Reads one command in the Redis protocol; returns its name. `None` at the end of the connection.
async fn read_command(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let arguments: usize = line.trim().strip_prefix('*')?.parse().ok()?;
    let mut first = None;
    for _ in 0..arguments {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let length: usize = line.trim().strip_prefix('$')?.parse().ok()?;
        let mut text = vec![0; length + 2];
        stream.read_exact(&mut text).await.ok()?;
        text.truncate(length);
        first.get_or_insert(String::from_utf8_lossy(&text).to_ascii_uppercase());
    }
    first
}

impl FakeRedis {
    async fn start() -> (Arc<Self>, RedisWindows) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let fake = Arc::new(Self {
            connections: AtomicUsize::new(0),
            replies: Semaphore::new(0),
            error: Mutex::default(),
        });
        let serving = Arc::clone(&fake);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(Arc::clone(&serving).serve(stream));
            }
        });
        let options =
            SharedWindows { url: SecretText::new(url), prefix: String::new(), outage: OutagePolicy::Refuse };
        (fake, RedisWindows::open(&options).await.unwrap())
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let mut used = 0;
        while let Some(command) = read_command(&mut stream).await {
            let reply = if command == "EVALSHA" || command == "EVAL" {
                self.replies.acquire().await.unwrap().forget();
                used += 1;
                let error = *self.error.lock().unwrap();
                error.map_or_else(|| counted(used), |error| format!("-{error}\r\n"))
            } else {
                "+OK\r\n".to_owned()
            };
            if stream.get_mut().write_all(reply.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// The reply of the script to a request that is admitted.
fn counted(used: u32) -> String {
    format!("*6\r\n:1\r\n:60000\r\n:{used}\r\n:30000\r\n:0\r\n:0\r\n")
}

async fn take(windows: &RedisWindows) -> Result<TakeResult, NoReply> {
    let context = WindowContext {
        limit: RateLimit::per_minute(5).unwrap(),
        phase: Phase::default(),
        known: Window::default(),
        known_end: SteadyTime::default(),
        is_over: false,
        quota: None,
    };
    windows.take(KeyId::from_bytes([1; 16]), context, &SystemClock).await
}

#[tokio::test]
async fn one_pause_of_redis_keeps_the_connection() {
    let (fake, windows) = FakeRedis::start().await;
    let waiting = futures_util::future::join_all((0..50).map(|_| take(&windows))).await;
    assert!(waiting.iter().all(|taken| *taken == Err(NoReply)));
    assert!(windows.is_connected());
    fake.replies.add_permits(51);
    let taken = take(&windows).await.expect("Redis replies again");
    assert_eq!(taken.window.used(), 51, "the late replies were skipped, not mistaken for this one");
    assert_eq!(fake.connections(), 1);
}

#[tokio::test]
async fn a_connection_without_replies_is_replaced_while_it_is_in_use() {
    let (fake, windows) = FakeRedis::start().await;
    let replaced = async {
        while fake.connections() == 1 {
            assert_eq!(take(&windows).await, Err(NoReply));
            assert!(windows.is_connected(), "requests are never left without a connection");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), replaced).await.expect("a second connection");
    fake.replies.add_permits(100);
    let works = async { while take(&windows).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), works).await.expect("the new connection works");
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn error_replies_keep_the_connection() {
    let errors = [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "LOADING Redis is loading the dataset in memory",
        "ERR the script failed",
        "BUSY Redis is busy running a script.",
        "MISCONF Redis is configured to save RDB snapshots, but it is unable to persist on disk.",
    ];
    let (fake, windows) = FakeRedis::start().await;
    fake.replies.add_permits(1000);
    for error in errors {
        *fake.error.lock().unwrap() = Some(error);
        for _ in 0..20 {
            assert_eq!(take(&windows).await, Err(NoReply), "{error}");
        }
    }
    *fake.error.lock().unwrap() = None;
    take(&windows).await.expect("Redis counts again");
    assert_eq!(fake.connections(), 1);
}

#[tokio::test]
async fn connections_to_a_replica_are_replaced_with_a_delay_between_them() {
    let (fake, windows) = FakeRedis::start().await;
    fake.replies.add_permits(1000);
    *fake.error.lock().unwrap() = Some("READONLY You can't write against a read only replica.");
    let start = Instant::now();
    let replaced = async {
        while fake.connections() < 5 {
            assert_eq!(take(&windows).await, Err(NoReply));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), replaced).await.expect("four more connections");
    assert!(start.elapsed() >= RECONNECT_DELAY * 4, "{:?}", start.elapsed());
}
