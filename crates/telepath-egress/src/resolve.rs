//! Name resolution, as a trait: tests provide a resolver whose answers change.

use std::future::Future;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// Lookups in progress at once. Each occupies a thread of the blocking pool until the operating system's resolver answers
/// or gives up, which it does after up to half a minute.
const MAX_LOOKUPS: usize = 32;

/// The addresses of a name, in the resolver's order.
pub type ResolveFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Finds the addresses of a host.
pub trait Resolve: Send + Sync + 'static {
    /// Every address of a name; an IP address resolves to itself.
    fn resolve<'a>(&'a self, host: &'a str) -> ResolveFuture<'a>;
}

/// The operating system's resolver, with a bounded number of lookups. Each [`Egress`](crate::dial::Egress) has its own
/// bound, so that slow names of one consumer do not delay the others.
#[derive(Debug)]
pub(crate) struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> ResolveFuture<'a> {
        Box::pin(async move {
            if let Ok(address) = host.parse() {
                return Ok(vec![address]);
            }
            let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
            let host = host.to_owned();
            // The permit moves into the lookup: a caller that gives up does not end it, and so does not free its place.
            let lookup = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                // The port plays no part in the lookup.
                Ok((host.as_str(), 0).to_socket_addrs()?.map(|found| found.ip()).collect())
            });
            lookup.await.map_err(io::Error::other)?
        })
    }
}
