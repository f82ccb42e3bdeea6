//! Name resolution, as a trait: tests provide a resolver whose answers change.

use std::fs;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::read_system_conf;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// Lookups in progress at once. More than a consumer has connections, so that no name waits for another.
const MAX_LOOKUPS: usize = 1024;
/// How long the addresses of the other family are waited for once one family is known (RFC 8305 section 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// How long a name server has for a response, and how often it is asked. Both are less than the system's defaults, because
/// a connection has five seconds.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// Responses that are kept for their time to live.
const CACHED_RESPONSES: u64 = 1024;
/// How often the system's configuration is looked at for changes.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);
/// The files whose change makes the resolver read them again.
const SYSTEM_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// The addresses of a name, in the resolver's order.
pub type ResolveFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Finds the addresses of a host.
pub trait Resolve: Send + Sync + 'static {
    /// Every address of a name; an IP address resolves to itself.
    fn resolve<'a>(&'a self, host: &'a str) -> ResolveFuture<'a>;
}

/// A DNS client with the name servers, search domains and hosts of the system. A lookup occupies no thread, and ends when
/// its future is dropped. Each [`Egress`](crate::dial::Egress) has its own client, so that slow names of one consumer do
/// not delay the others.
pub(crate) struct SystemResolver {
    lookups: Semaphore,
    client: Mutex<Option<Client>>,
}

/// A client and the state of the system files that it was made from.
struct Client {
    resolver: Arc<TokioResolver>,
    files: [Option<SystemTime>; 2],
    checked: Instant,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Semaphore::new(MAX_LOOKUPS), client: Mutex::default() }
    }
}

impl SystemResolver {
    /// A resolver that asks this client only.
    #[cfg(test)]
    fn fixed(resolver: TokioResolver, lookups: usize) -> Self {
        let far = Instant::now() + Duration::from_hours(1);
        let client = Client { resolver: Arc::new(resolver), files: modified(), checked: far };
        Self { lookups: Semaphore::new(lookups), client: Mutex::new(Some(client)) }
    }

    /// The client, made again if the system's configuration has changed.
    fn client(&self) -> io::Result<Arc<TokioResolver>> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(client) = client.as_mut() {
            if now < client.checked + RELOAD_INTERVAL {
                return Ok(Arc::clone(&client.resolver));
            }
            client.checked = now;
            if client.files == modified() {
                return Ok(Arc::clone(&client.resolver));
            }
        }
        let files = modified();
        let (config, options) = read_system_conf().unwrap_or_else(|error| {
            tracing::warn!(%error, "could not read /etc/resolv.conf; asking the name server at 127.0.0.1");
            let local = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
            (ResolverConfig::from_name_servers(vec![local]), ResolverOpts::default())
        });
        let resolver = Arc::new(build(config, options, QUERY_TIMEOUT)?);
        *client = Some(Client { resolver: Arc::clone(&resolver), files, checked: now });
        Ok(resolver)
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> ResolveFuture<'a> {
        Box::pin(async move {
            if let Ok(address) = host.parse() {
                return Ok(vec![address]);
            }
            let _permit = self.lookups.acquire().await.map_err(io::Error::other)?;
            let client = self.client()?;
            look_up(&client, host).await
        })
    }
}

fn modified() -> [Option<SystemTime>; 2] {
    SYSTEM_FILES.map(|path| fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn build(
    config: ResolverConfig,
    mut options: ResolverOpts,
    query_timeout: Duration,
) -> io::Result<TokioResolver> {
    options.timeout = query_timeout;
    options.attempts = options.attempts.min(ATTEMPTS);
    options.cache_size = CACHED_RESPONSES;
    options.max_active_requests = MAX_LOOKUPS;
    let provider = TokioRuntimeProvider::default();
    TokioResolver::builder_with_config(config, provider)
        .with_options(options)
        .build()
        .map_err(io::Error::other)
}

/// Asks for both families at once. When one is known, the other has [`RESOLUTION_DELAY`] left, so a name server that never
/// responds to one kind of question does not hold up the connection.
async fn look_up(resolver: &TokioResolver, host: &str) -> io::Result<Vec<IpAddr>> {
    let (v6, v4) = (resolver.ipv6_lookup(host), resolver.ipv4_lookup(host));
    tokio::pin!(v6, v4);
    let (first, second) = tokio::select! {
        first = &mut v6 => { let second = rest(&first, v4).await; (first, second) }
        first = &mut v4 => { let second = rest(&first, v6).await; (first, second) }
    };
    let mut found = addresses(&first);
    found.extend(second.as_ref().map(addresses).unwrap_or_default());
    if !found.is_empty() {
        return Ok(found);
    }
    match (first, second) {
        (Err(error), _) | (Ok(_), Some(Err(error))) => Err(io::Error::other(error)),
        (Ok(_), Some(Ok(_)) | None) => Err(io::ErrorKind::NotFound.into()),
    }
}

type LookupResult = Result<Lookup, NetError>;

/// The second response. `None` if the first one has addresses and the second one takes too long.
async fn rest(first: &LookupResult, second: impl Future<Output = LookupResult>) -> Option<LookupResult> {
    if addresses(first).is_empty() {
        return Some(second.await);
    }
    timeout(RESOLUTION_DELAY, second).await.ok()
}

fn addresses(found: &LookupResult) -> Vec<IpAddr> {
    let answers = found.as_ref().map(Lookup::answers).unwrap_or_default();
    answers.iter().filter_map(|record| record.data.ip_addr()).collect()
}

#[cfg(test)]
mod tests;
