//! How a request reaches the server: over TLS, over TCP to this machine, or over a Unix socket. Whether a key may be sent
//! over a connection is decided here, when the client is built, and not per request.

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::UnixStream;
use tower_service::Service;

use crate::error::{BoxError, Error, causes};
use crate::trust::Trust;

/// A server and the way to it.
#[derive(Clone)]
pub(crate) struct Transport {
    connector: Connector,
    /// Scheme and authority of every request.
    origin: String,
    /// The name of the server in messages.
    peer: String,
}

impl Transport {
    pub(crate) fn https(url: &str, trust: &Trust) -> Result<Self, Error> {
        let base = BaseUrl::parse(url, "https", "must begin with https://")?;
        ServerName::try_from(base.host.as_str()).map_err(|_| Error::BadUrl {
            url: url.to_owned(),
            problem: "names a host that no certificate can name",
        })?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let mut tls = HttpsConnector::from((tcp, trust.tls_config()?));
        tls.enforce_https();
        Ok(base.over(Connector::Https(tls), "https", 443))
    }

    pub(crate) fn loopback_http(url: &str) -> Result<Self, Error> {
        let base = BaseUrl::parse(url, "http", "must begin with http://")?;
        if !is_loopback(&base.host) {
            return Err(Error::BadUrl {
                url: url.to_owned(),
                problem: "is plain HTTP to another machine, which would expose the key to the network; use https://",
            });
        }
        Ok(base.over(Connector::LoopbackHttp(HttpConnector::new()), "http", 80))
    }

    pub(crate) fn unix(path: PathBuf) -> Self {
        let peer = path.display().to_string();
        Self { connector: Connector::Unix(path), origin: "http://localhost".to_owned(), peer }
    }

    #[cfg(test)]
    pub(crate) fn memory(server: tokio::sync::mpsc::Sender<tokio::io::DuplexStream>) -> Self {
        let origin = "http://memory".to_owned();
        Self { connector: Connector::Memory(server), origin, peer: "memory".to_owned() }
    }

    pub(crate) fn connector(&self) -> Connector {
        self.connector.clone()
    }

    /// Scheme and authority, such as `https://voice.example:8443`.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The name of the server in messages.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// Opens a connection and closes it again.
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        let origin = Uri::try_from(&self.origin)
            .map_err(|_| Error::BadUrl { url: self.origin.clone(), problem: "is not a URL" })?;
        self.connector().call(origin).await.map(drop).map_err(|error| self.connect_error(error))
    }

    /// The error of a connection that could not be opened.
    pub(crate) fn connect_error(&self, source: BoxError) -> Error {
        match &self.connector {
            Connector::Unix(path) if is_absent(source.as_ref()) => {
                Error::NoServer { path: path.clone(), source }
            }
            Connector::Https(_) | Connector::LoopbackHttp(_) | Connector::Unix(_) => {
                Error::Connect { peer: self.peer.clone(), source }
            }
            #[cfg(test)]
            Connector::Memory(_) => Error::Connect { peer: self.peer.clone(), source },
        }
    }
}

/// Whether there is no socket, or one that no process listens on.
fn is_absent(error: &(dyn StdError + 'static)) -> bool {
    causes(error)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused))
}

struct BaseUrl {
    /// A name or an address without brackets.
    host: String,
    port: Option<u16>,
}

impl BaseUrl {
    fn parse(url: &str, scheme: &str, wrong_scheme: &'static str) -> Result<Self, Error> {
        let bad = |problem| Error::BadUrl { url: url.to_owned(), problem };
        let uri: Uri = url.parse().map_err(|_| bad("is not a URL"))?;
        if uri.scheme_str() != Some(scheme) {
            return Err(bad(wrong_scheme));
        }
        // People copy the base URL together with its version.
        if !matches!(uri.path(), "" | "/" | "/v1" | "/v1/") || uri.query().is_some() {
            return Err(bad("must have no path but /v1"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| bad("names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: uri.port_u16() })
    }

    fn over(self, connector: Connector, scheme: &str, default_port: u16) -> Transport {
        let port = self.port.unwrap_or(default_port);
        let host = self.host;
        let peer = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Transport { connector, origin: format!("{scheme}://{peer}"), peer }
    }
}

/// Whether a host is this machine: a loopback address, or the reserved name (RFC 6761 section 6.3).
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Opens connections for the pool.
#[derive(Clone)]
pub(crate) enum Connector {
    Https(HttpsConnector<HttpConnector>),
    LoopbackHttp(HttpConnector),
    Unix(PathBuf),
    /// To a server in the same test, without sockets, so that a paused clock does not advance while bytes are in transit.
    #[cfg(test)]
    Memory(tokio::sync::mpsc::Sender<tokio::io::DuplexStream>),
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Connector::Https(connector) => connector.poll_ready(context),
            Connector::LoopbackHttp(connector) => connector.poll_ready(context).map_err(Into::into),
            Connector::Unix(_) => Poll::Ready(Ok(())),
            #[cfg(test)]
            Connector::Memory(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match self {
            Connector::Https(connector) => {
                let connecting = connector.call(uri);
                Box::pin(async move { Ok(Stream(Box::new(connecting.await?))) })
            }
            Connector::LoopbackHttp(connector) => {
                let connecting = connector.call(uri);
                Box::pin(async move { Ok(Stream(Box::new(connecting.await?))) })
            }
            Connector::Unix(path) => {
                let path = path.clone();
                Box::pin(async move { Ok(Stream(Box::new(TokioIo::new(UnixStream::connect(path).await?)))) })
            }
            #[cfg(test)]
            Connector::Memory(server) => {
                let (near, far) = tokio::io::duplex(64 * 1024);
                let accepted = server.try_send(far);
                Box::pin(async move {
                    accepted.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
                    Ok(Stream(Box::new(TokioIo::new(near))))
                })
            }
        }
    }
}

trait ByteStream: Read + Write + Unpin + Send {}
impl<T: Read + Write + Unpin + Send> ByteStream for T {}

/// A connection of any kind.
pub(crate) struct Stream(Box<dyn ByteStream>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
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
            assert!(BaseUrl::parse(url, "https", "scheme").is_err(), "{url}");
        }
        assert!(BaseUrl::parse("https://api.example/v1", "https", "scheme").is_ok());
        let base = BaseUrl::parse("https://[::1]:8443", "https", "scheme").unwrap();
        assert_eq!((base.host.as_str(), base.port), ("::1", Some(8443)));
        let transport = base.over(Connector::Unix(PathBuf::new()), "https", 443);
        assert_eq!((transport.origin(), transport.peer()), ("https://[::1]:8443", "[::1]:8443"));
    }

    #[test]
    fn user_info_is_never_part_of_the_origin() {
        let transport = Transport::loopback_http("http://user:pw@127.0.0.1:8080").unwrap();
        assert_eq!(transport.origin(), "http://127.0.0.1:8080");
    }
}
