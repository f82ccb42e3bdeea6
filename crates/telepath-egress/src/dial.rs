//! Reaching out: resolve once, judge every address, dial one that passed, look who answered.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::address::Forbidden;
use crate::allow::AllowList;
use crate::resolve::{Resolve, SystemResolver};
use crate::trust::Trust;

/// Addresses of one name that are tried; a name with more is served by its first ones.
const MAX_ADDRESSES: usize = 16;

/// Whether a connection will be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS will follow.
    Tls,
    /// Nothing will: only services of this machine that the configuration names.
    Plain,
}

/// Why nothing was reached. No text holds a host or a URL, because either may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The address may not be reached.
    #[error("the host leads to {0}, which may not be reached unless egress.allow opens it")]
    Refused(Forbidden),
    /// An unencrypted connection to anything but a named service of this machine.
    #[error("without TLS only a loopback host:port that egress.allow names may be reached")]
    Plain,
    /// The name cannot be a host's.
    #[error("the host name cannot be used")]
    Name,
    /// The resolver failed, or knows no address.
    #[error("the host name could not be resolved: {0}")]
    Resolve(io::Error),
    /// No address could be connected to.
    #[error("no connection could be made: {0}")]
    Connect(io::Error),
    /// The peer is not the one that was dialled.
    #[error("the connection leads to another address than the one that was checked")]
    OtherPeer,
    /// No certificate authority is installed.
    #[error("no certificate authorities are installed on this system, so nobody can be trusted")]
    NoRoots,
    /// The handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
}

/// The way out. Cheap to clone; all clones share the policy.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    allow: AllowList,
    resolver: Arc<dyn Resolve>,
    trust: Trust,
}

/// A way out to public addresses only.
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
    /// A way out to public addresses and to what the list opens.
    pub fn new(allow: AllowList) -> Self {
        Self(Arc::new(Inner { allow, resolver: Arc::new(SystemResolver), trust: Trust::default() }))
    }

    /// The same with a resolver of one's own.
    pub fn resolving(allow: AllowList, resolver: Arc<dyn Resolve>) -> Self {
        Self(Arc::new(Inner { allow, resolver, trust: Trust::default() }))
    }

    /// The same with a resolver and certificate authorities of one's own.
    pub fn with(allow: AllowList, resolver: Arc<dyn Resolve>, trust: Arc<ClientConfig>) -> Self {
        Self(Arc::new(Inner { allow, resolver, trust: Trust::given(trust) }))
    }

    /// Whether a host could be reached now; what is asked when a URL is saved. The answer is asked for anew at every
    /// connection, because names change where they lead.
    pub async fn check(&self, host: &str, port: u16, security: Security) -> Result<(), EgressError> {
        self.vetted(host, port, security).await.map(drop)
    }

    /// A connection to a host that may be reached.
    pub async fn dial(&self, host: &str, port: u16, security: Security) -> Result<TcpStream, EgressError> {
        let vetted = self.vetted(host, port, security).await?;
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in vetted {
            match TcpStream::connect(address).await {
                Ok(stream) => return same_peer(stream, address),
                Err(error) => last = error,
            }
        }
        Err(EgressError::Connect(last))
    }

    /// The same with TLS on top, which proves the host's name.
    pub async fn dial_tls(&self, host: &str, port: u16) -> Result<TlsStream<TcpStream>, EgressError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| EgressError::Name)?;
        let config = self.tls_config()?;
        let stream = self.dial(host, port, Security::Tls).await?;
        stream.set_nodelay(true).map_err(EgressError::Connect)?;
        TlsConnector::from(config).connect(name, stream).await.map_err(EgressError::Tls)
    }

    /// Whom to trust, for a library that does the handshake itself.
    pub fn tls_config(&self) -> Result<Arc<ClientConfig>, EgressError> {
        self.0.trust.config().ok_or(EgressError::NoRoots)
    }

    /// The addresses of a host that may be dialled, of one look-up.
    async fn vetted(
        &self,
        host: &str,
        port: u16,
        security: Security,
    ) -> Result<Vec<SocketAddr>, EgressError> {
        let Inner { allow, resolver, .. } = &*self.0;
        if security == Security::Plain && !allow.names(host, port) {
            return Err(EgressError::Plain);
        }
        let found = resolver.resolve(host).await.map_err(EgressError::Resolve)?;
        let mut refused = None;
        let mut vetted = Vec::new();
        for address in found.into_iter().take(MAX_ADDRESSES) {
            match allow.judge(host, port, address) {
                Ok(()) if security == Security::Plain && !address.to_canonical().is_loopback() => {
                    return Err(EgressError::Plain);
                }
                Ok(()) => vetted.push(SocketAddr::new(address, port)),
                Err(why) => refused = Some(why),
            }
        }
        match (vetted.is_empty(), refused) {
            (false, _) => Ok(vetted),
            (true, Some(why)) => Err(EgressError::Refused(why)),
            (true, None) => Err(EgressError::Resolve(io::ErrorKind::NotFound.into())),
        }
    }
}

/// A kernel that redirects connections must not be able to lead a vetted one elsewhere unnoticed.
fn same_peer(stream: TcpStream, dialled: SocketAddr) -> Result<TcpStream, EgressError> {
    let peer = stream.peer_addr().map_err(EgressError::Connect)?;
    let same = peer.ip().to_canonical() == dialled.ip().to_canonical() && peer.port() == dialled.port();
    if same { Ok(stream) } else { Err(EgressError::OtherPeer) }
}

#[cfg(test)]
mod tests;
