//! Windows of keys in one Redis or Valkey: one atomic script call per request. Every wait is bounded, and a
//! connection that stops replying is replaced.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, RedisError, Script, ScriptInvocation, ServerErrorKind,
};
use telepath_core::clock::{Clock, SteadyTime};
use telepath_core::id::KeyId;
use telepath_core::limit::quota::CalendarPeriod;
use telepath_core::limit::{WINDOW_MS, Window};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};

use super::SharedWindows;
use super::link_health::LinkHealth;
use crate::error::StoreError;
use crate::key_table::counts::{QuotaContext, QuotaUse, TakeResult, WindowContext};

/// How long a request waits for its count.
const REPLY_TIMEOUT: Duration = Duration::from_millis(250);
/// How long a new connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a start waits for the first connection.
const FIRST_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The delay between two attempts to connect.
pub(super) const RECONNECT_DELAY: Duration = Duration::from_millis(100);
/// How long a count is kept after its day or month, in milliseconds.
const QUOTA_KEPT_MS: u64 = 2 * 86_400_000;
/// Calls in flight; further calls wait within their timeout.
const MAX_IN_FLIGHT: usize = 1024;

/// There was no reply in time, or no connection. The request may have been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoReply;

/// The reply of the script: whether there was room (1), the window is full (0) or a quota is used up (2); the end and the
/// count of the window, milliseconds until its end; the counts of the day and the month.
type Reply = (u8, i64, u32, i64, u32, u32);

/// A connection, and whether it still works. Requests that use an earlier connection do not affect a later one.
#[derive(Clone)]
struct Link {
    connection: MultiplexedConnection,
    health: Arc<LinkHealth>,
}

/// Windows shared by all servers.
pub(crate) struct RedisWindows {
    script: Script,
    prefix: String,
    link: watch::Receiver<Option<Link>>,
    /// How long the last reply took.
    latency_us: AtomicU64,
    reconnect_task: JoinHandle<()>,
}

impl RedisWindows {
    /// Connects. Without a reply the server starts anyway, and requests are handled as in any outage.
    pub(crate) async fn open(options: &SharedWindows) -> Result<Self, StoreError> {
        // The library's error may quote the URL, including its password.
        let client = Client::open(options.url.expose())
            .map_err(|_| StoreError::SharedLimits("the URL is not a redis:// or rediss:// URL".to_owned()))?;
        let (connected, link) = watch::channel(None);
        let reconnect_task = tokio::spawn(maintain_connection(client, connected));
        let mut watching = link.clone();
        let first = timeout(FIRST_CONNECT_TIMEOUT, watching.wait_for(Option::is_some)).await;
        if !matches!(first, Ok(Ok(_))) {
            tracing::warn!("no connection to the shared limiter yet; still connecting");
        }
        Ok(Self {
            script: Script::new(include_str!("take.lua")),
            prefix: options.prefix.clone(),
            link,
            latency_us: AtomicU64::new(0),
            reconnect_task,
        })
    }

    /// Counts one request of a key if its window has room.
    pub(crate) async fn take(
        &self,
        key: KeyId,
        window: WindowContext,
        clock: &dyn Clock,
    ) -> Result<TakeResult, NoReply> {
        let Link { mut connection, health } = self.link.borrow().clone().ok_or(NoReply)?;
        let mut call = self.script.key(format!("{}window:{key}", self.prefix));
        call.arg(window.limit.get())
            .arg(window.phase.seconds())
            .arg(window.known_end.ms())
            .arg(window.known.used())
            .arg(u8::from(window.is_over));
        if let Some(quota) = &window.quota {
            self.add_quota(&mut call, key, quota);
        }
        let asked = Instant::now();
        let answered = timeout(REPLY_TIMEOUT, call.invoke_async::<Reply>(&mut connection)).await;
        let took = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.latency_us.store(took, Ordering::Relaxed);
        match answered {
            Ok(Ok((room, end, used, left, day, month))) => {
                health.succeeded();
                let own_end = clock.steady().plus_ms(left.clamp(0, WINDOW_MS));
                Ok(TakeResult {
                    admitted: room == 1,
                    window: Window::counted(own_end, used),
                    shared_end: SteadyTime::from_ms(end),
                    quota: window.quota.map(|quota| QuotaUse {
                        at: quota.at,
                        day,
                        month,
                        is_exhausted: room == 2,
                    }),
                })
            }
            Ok(Err(error)) if is_lost(&error) => {
                health.broke();
                Err(NoReply)
            }
            // Out of memory, loading, or another error of the server: the connection works.
            Ok(Err(error)) if error.code().is_some() => {
                health.succeeded();
                Err(NoReply)
            }
            Ok(Err(_)) | Err(_) => {
                health.failed(asked, Instant::now());
                Err(NoReply)
            }
        }
    }

    /// Adds a key and three arguments for each of day and month. The time of the request names the count, so that a count
    /// is found again after a clock was wrong.
    fn add_quota(&self, call: &mut ScriptInvocation<'_>, key: KeyId, quota: &QuotaContext) {
        let QuotaContext { quotas, known, at } = quota;
        let periods = [
            (CalendarPeriod::day_of(*at), quotas.per_day, known.day),
            (CalendarPeriod::month_of(*at), quotas.per_month, known.month),
        ];
        for (period, limit, counts) in periods {
            let name = period.period.name();
            call.key(format!("{}quota:{key}:{name}:{}", self.prefix, period.start.unix_ms()));
            let left = u64::try_from(period.end.unix_ms() - at.unix_ms()).unwrap_or(0);
            call.arg(limit.map_or(0, NonZeroU32::get)).arg(counts.used_in(period)).arg(left + QUOTA_KEPT_MS);
        }
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.link.borrow().is_some()
    }

    /// How long the last reply took, or was waited for.
    pub(crate) fn latency(&self) -> Duration {
        Duration::from_micros(self.latency_us.load(Ordering::Relaxed))
    }
}

impl Drop for RedisWindows {
    fn drop(&mut self) {
        self.reconnect_task.abort();
    }
}

/// Whether the connection is closed, or leads to a server that has become a replica.
fn is_lost(error: &RedisError) -> bool {
    let read_only = ErrorKind::Server(ServerErrorKind::ReadOnly);
    error.kind() == read_only || (error.is_unrecoverable_error() && !error.is_timeout())
}

/// Keeps one connection open. One that no longer works stays in use until its successor is connected.
async fn maintain_connection(client: Client, connected: watch::Sender<Option<Link>>) {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(REPLY_TIMEOUT))
        .set_concurrency_limit(MAX_IN_FLIGHT);
    let mut failing = false;
    loop {
        // A server that breaks each connection is not flooded with new ones.
        let next = Instant::now() + RECONNECT_DELAY;
        let made =
            timeout(CONNECT_TIMEOUT, client.get_multiplexed_async_connection_with_config(&config)).await;
        match made {
            Ok(Ok(connection)) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("connected to the shared limiter again");
                }
                let health = Arc::new(LinkHealth::default());
                connected.send_replace(Some(Link { connection, health: Arc::clone(&health) }));
                health.until_broken().await;
                sleep_until(next.into()).await;
                continue;
            }
            // Logged once per outage. The library's error may contain the address but no password.
            Ok(Err(error)) if !std::mem::replace(&mut failing, true) => {
                tracing::warn!(%error, "could not connect to the shared limiter; retrying");
            }
            Err(_) if !std::mem::replace(&mut failing, true) => {
                tracing::warn!("could not connect to the shared limiter in time; retrying");
            }
            Ok(Err(_)) | Err(_) => {}
        }
        connected.send_replace(None);
        sleep(RECONNECT_DELAY).await;
    }
}
