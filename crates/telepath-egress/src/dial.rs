//! Dialing: resolve once, check every address, dial a checked one, verify the peer.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::allow::AllowList;
use crate::error::EgressError;
use crate::happy_eyeballs::race;
use crate::host::Host;
use crate::resolve::{Resolve, SystemResolver};
use crate::trust::{Authorities, Trust};

/// Addresses tried per name; further ones are ignored.
const MAX_ADDRESSES: usize = 16;

/// Whether the connection will be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS follows.
    Tls,
    /// No encryption: only services of this machine that the configuration lists.
    Plain,
}

/// The policy for outbound connections. Cheap to clone; clones share the policy and the bound on DNS lookups.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    allow: AllowList,
    resolver: Arc<dyn Resolve>,
    trust: Arc<Trust>,
}

/// Allows public addresses only.
impl Default for Egress {
    fn default() -> Self {
        Self::new(AllowList::default())
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("allow", &self.0.allow.to_string()).finish_non_exhaustive()
    }
}

impl Egress {
    /// Allows public addresses and the list.
    pub fn new(allow: AllowList) -> Self {
        Self(Arc::new(Inner { allow, resolver: Arc::new(SystemResolver::default()), trust: Arc::default() }))
    }

    /// The same policy and trust with separate DNS lookups, for another consumer: its slow names delay only itself.
    #[must_use]
    pub fn with_own_lookups(&self) -> Self {
        let Inner { allow, trust, .. } = &*self.0;
        Self(Arc::new(Inner {
            allow: allow.clone(),
            resolver: Arc::new(SystemResolver::default()),
            trust: Arc::clone(trust),
        }))
    }

    /// The policy with a custom resolver.
    pub fn with_resolver(allow: AllowList, resolver: Arc<dyn Resolve>) -> Self {
        Self(Arc::new(Inner { allow, resolver, trust: Arc::default() }))
    }

    /// The policy with a custom resolver and custom certificate authorities.
    pub fn with_resolver_and_trust(
        allow: AllowList,
        resolver: Arc<dyn Resolve>,
        trust: Arc<ClientConfig>,
    ) -> Self {
        Self(Arc::new(Inner { allow, resolver, trust: Arc::new(Trust::given(trust)) }))
    }

    /// Checks a host of a URL that is being saved, as far as it is known without a lookup. Names are looked up and their
    /// addresses checked at each connection: they change, and the result of a lookup would tell names of an internal
    /// network apart.
    pub fn check(&self, host: &str, port: u16, security: Security) -> Result<(), EgressError> {
        let allow = &self.0.allow;
        if security == Security::Plain && !allow.allows_service(host, port) {
            return Err(EgressError::Plain);
        }
        match Host::parse(host).ok_or(EgressError::Name)? {
            Host::Address(address) => allow.check(host, port, address).map_err(EgressError::Refused),
            Host::Name => Ok(()),
        }
    }

    /// Connects to a host that may be reached.
    pub async fn dial(&self, host: &str, port: u16, security: Security) -> Result<TcpStream, EgressError> {
        race(self.allowed(host, port, security).await?).await
    }

    /// Connects with TLS and verifies the host name. The certificate must be issued by one of `authorities`; `None` stands
    /// for those of the system.
    pub async fn dial_tls(
        &self,
        host: &str,
        port: u16,
        authorities: Option<&Authorities>,
    ) -> Result<TlsStream<TcpStream>, EgressError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| EgressError::Name)?;
        let config = match authorities {
            Some(authorities) => authorities.config(),
            None => self.tls_config()?,
        };
        let stream = self.dial(host, port, Security::Tls).await?;
        stream.set_nodelay(true).map_err(EgressError::Connect)?;
        TlsConnector::from(config).connect(name, stream).await.map_err(EgressError::Tls)
    }

    /// The TLS configuration, for a library that performs the handshake itself.
    pub fn tls_config(&self) -> Result<Arc<ClientConfig>, EgressError> {
        self.0.trust.config().ok_or(EgressError::NoRoots)
    }

    /// The allowed addresses of a host, from one lookup.
    async fn allowed(
        &self,
        host: &str,
        port: u16,
        security: Security,
    ) -> Result<Vec<SocketAddr>, EgressError> {
        let Inner { allow, resolver, .. } = &*self.0;
        if security == Security::Plain && !allow.allows_service(host, port) {
            return Err(EgressError::Plain);
        }
        let known = Host::parse(host).ok_or(EgressError::Name)?;
        let found = resolver.resolve(host).await.map_err(|error| {
            tracing::debug!(%error, "a host name could not be resolved");
            EgressError::Resolve
        })?;
        let mut refused = None;
        let mut allowed = Vec::new();
        for address in found.into_iter().take(MAX_ADDRESSES) {
            match allow.check(host, port, address) {
                Ok(()) if security == Security::Plain && !address.to_canonical().is_loopback() => {
                    return Err(EgressError::Plain);
                }
                Ok(()) => allowed.push(SocketAddr::new(address, port)),
                Err(why) => refused = Some(why),
            }
        }
        match (known, refused) {
            _ if !allowed.is_empty() => Ok(allowed),
            (Host::Address(_), Some(why)) => Err(EgressError::Refused(why)),
            (Host::Name, Some(why)) => {
                tracing::debug!(%why, "a host name resolves to addresses that are not allowed");
                Err(EgressError::Resolve)
            }
            (Host::Address(_) | Host::Name, None) => Err(EgressError::Resolve),
        }
    }
}

#[cfg(test)]
mod tests;
