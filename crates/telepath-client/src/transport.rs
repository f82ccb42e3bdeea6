//! How a request reaches the server: a TLS, a loopback TCP or a Unix socket connection. What makes a
//! connection safe for a key is decided here, when the client is built, and not per request.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hyper::Uri;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::Error;

/// Which certificate authorities vouch for the server.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those of the operating system.
    SystemRoots,
    /// Only those of a PEM file, such as `DATA/tls/ca.pem`.
    CaFile(PathBuf),
}

impl Trust {
    fn describe(&self) -> String {
        match self {
            Trust::SystemRoots => "system".to_owned(),
            Trust::CaFile(path) => path.display().to_string(),
        }
    }

    fn failed(&self, problem: &dyn std::fmt::Display) -> Error {
        Error::Trust { place: self.describe(), problem: problem.to_string() }
    }

    fn roots(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        match self {
            Trust::SystemRoots => {
                // A few unusable certificates in a system's store are common; none at all is an error.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Trust::CaFile(path) => {
                for certificate in CertificateDer::pem_file_iter(path).map_err(|e| self.failed(&e))? {
                    let certificate = certificate.map_err(|e| self.failed(&e))?;
                    roots.add(certificate).map_err(|e| self.failed(&e))?;
                }
            }
        }
        if roots.is_empty() { Err(self.failed(&"there is no certificate in it")) } else { Ok(roots) }
    }

    fn config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| self.failed(&e))?
            .with_root_certificates(self.roots()?)
            .with_no_client_auth())
    }
}

/// Any connected stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Where to connect, and how.
#[derive(Clone)]
pub(crate) enum Transport {
    Https {
        host: String,
        port: u16,
        name: ServerName<'static>,
        tls: TlsConnector,
    },
    LoopbackHttp {
        host: String,
        port: u16,
    },
    Unix {
        path: PathBuf,
    },
    /// To a server in the same test: with no socket in between, a paused clock stands still while bytes are on their way.
    #[cfg(test)]
    Memory {
        server: tokio::sync::mpsc::Sender<tokio::io::DuplexStream>,
    },
}

struct Base {
    host: String,
    port: Option<u16>,
}

fn parse_base(url: &str, scheme: &str, wrong_scheme: &'static str) -> Result<Base, Error> {
    let bad = |problem| Error::BadUrl { url: url.to_owned(), problem };
    let uri: Uri = url.parse().map_err(|_| bad("is not a URL"))?;
    if uri.scheme_str() != Some(scheme) {
        return Err(bad(wrong_scheme));
    }
    // People copy the base from where it stands with its version.
    if !matches!(uri.path(), "" | "/" | "/v1" | "/v1/") || uri.query().is_some() {
        return Err(bad("must have no path but /v1"));
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| bad("names no host"))?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    Ok(Base { host: bare.to_owned(), port: uri.port_u16() })
}

/// Whether a host is this machine: a loopback address, or the reserved name (RFC 6761 section 6.3).
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

impl Transport {
    pub(crate) fn https(url: &str, trust: &Trust) -> Result<Self, Error> {
        let base = parse_base(url, "https", "must begin with https://")?;
        let name = ServerName::try_from(base.host.clone()).map_err(|_| Error::BadUrl {
            url: url.to_owned(),
            problem: "names a host that no certificate can name",
        })?;
        let tls = TlsConnector::from(Arc::new(trust.config()?));
        Ok(Transport::Https { host: base.host, port: base.port.unwrap_or(443), name, tls })
    }

    pub(crate) fn loopback_http(url: &str) -> Result<Self, Error> {
        let base = parse_base(url, "http", "must begin with http://")?;
        if !is_loopback(&base.host) {
            return Err(Error::BadUrl {
                url: url.to_owned(),
                problem: "is plain HTTP to another machine, which would show the key to the network; use https://",
            });
        }
        Ok(Transport::LoopbackHttp { host: base.host, port: base.port.unwrap_or(80) })
    }

    /// The value of the `Host` header.
    pub(crate) fn authority(&self) -> String {
        match self {
            Transport::Https { host, port, .. } | Transport::LoopbackHttp { host, port } => {
                if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
            }
            Transport::Unix { .. } => "localhost".to_owned(),
            #[cfg(test)]
            Transport::Memory { .. } => "memory".to_owned(),
        }
    }

    /// What errors call the other side.
    pub(crate) fn peer(&self) -> String {
        match self {
            Transport::Https { .. } | Transport::LoopbackHttp { .. } => self.authority(),
            Transport::Unix { path } => path.display().to_string(),
            #[cfg(test)]
            Transport::Memory { .. } => "memory".to_owned(),
        }
    }

    pub(crate) async fn connect(&self) -> Result<Box<dyn Stream>, Error> {
        let failed = |source| Error::Connect { peer: self.peer(), source };
        match self {
            Transport::Https { host, port, name, tls } => {
                let tcp = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
                Ok(Box::new(tls.connect(name.clone(), tcp).await.map_err(failed)?))
            }
            Transport::LoopbackHttp { host, port } => {
                Ok(Box::new(TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?))
            }
            Transport::Unix { path } => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(source) if is_absent(&source) => Err(Error::NoServer { path: path.clone(), source }),
                Err(source) => Err(failed(source)),
            },
            #[cfg(test)]
            Transport::Memory { server } => {
                let (near, far) = tokio::io::duplex(64 * 1024);
                let refused = |_| failed(std::io::ErrorKind::ConnectionRefused.into());
                server.try_send(far).map_err(refused)?;
                Ok(Box::new(near))
            }
        }
    }
}

/// Whether there is no socket, or one that nobody listens on any more.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_refused_to_other_machines() {
        for url in ["http://api.example:8080", "http://203.0.113.7", "http://localhost.example/"] {
            assert!(matches!(Transport::loopback_http(url), Err(Error::BadUrl { .. })), "{url}");
        }
        for url in ["http://127.0.0.1:8080", "http://[::1]:8080/", "http://localhost:1"] {
            assert!(Transport::loopback_http(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_base_url_with_a_path_or_another_scheme_is_refused() {
        for url in
            ["https://api.example/v2", "http://api.example", "api.example", "https://", "https://a/?b=c"]
        {
            assert!(parse_base(url, "https", "scheme").is_err(), "{url}");
        }
        assert!(parse_base("https://api.example/v1", "https", "scheme").is_ok());
        let base = parse_base("https://[::1]:8443", "https", "scheme").unwrap();
        assert_eq!((base.host.as_str(), base.port), ("::1", Some(8443)));
    }

    #[test]
    fn a_file_without_certificates_is_not_trusted() {
        let trust = Trust::CaFile("/dev/null".into());
        assert!(matches!(trust.roots(), Err(Error::Trust { .. })));
    }
}
