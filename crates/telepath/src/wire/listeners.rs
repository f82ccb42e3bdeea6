//! The HTTP listeners. They are bound first, so that a port in use is reported before any storage is opened, and served
//! later.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use telepath_http::{App, HttpServer, LoopbackError, LoopbackListener};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{ApiConfig, MetricsConfig};
use crate::data_dir::{DataDir, unusable};
use crate::exit::{Exit, Failure};

/// The bound listeners.
pub(super) struct Listeners {
    api: TcpListener,
    pub(super) api_address: SocketAddr,
    http: Option<LoopbackListener>,
    pub(super) http_address: Option<SocketAddr>,
    metrics: Option<TcpListener>,
    pub(super) metrics_address: Option<SocketAddr>,
    admin: UnixListener,
}

impl Listeners {
    /// Binds all of them. The caller must hold the lock of the data directory.
    pub(super) async fn bind(
        config: &ApiConfig,
        metrics: MetricsConfig,
        data: &DataDir,
    ) -> Result<Self, Failure> {
        let api = TcpListener::bind(config.listen)
            .await
            .map_err(|error| bind_failure(config.listen, "--api-listen", &error))?;
        let api_address =
            api.local_addr().map_err(|error| bind_failure(config.listen, "--api-listen", &error))?;
        let http = match config.insecure_http_listen {
            None => None,
            Some(address) => {
                Some(LoopbackListener::bind(address).await.map_err(|error| http_failure(&error))?)
            }
        };
        let http_address = http.as_ref().and_then(|listener| listener.local_addr().ok());
        let metrics = bind_metrics(metrics).await?;
        let metrics_address = metrics.as_ref().and_then(|listener| listener.local_addr().ok());
        let admin = bind_admin(&data.admin_socket()?)?;
        Ok(Self { api, api_address, http, http_address, metrics, metrics_address, admin })
    }

    /// Serves HTTP on all of them until `stop`.
    pub(super) fn serve<A: App, M: App>(
        self,
        server: &Arc<HttpServer<A>>,
        metrics: Arc<HttpServer<M>>,
        tls: watch::Receiver<Arc<ServerConfig>>,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        tasks.spawn(Arc::clone(server).serve_tls(self.api, tls, stop.clone()));
        if let Some(http) = self.http {
            tracing::warn!(address = ?self.http_address, "the API is also served over plain HTTP, to this machine only");
            tasks.spawn(Arc::clone(server).serve_loopback(http, stop.clone()));
        }
        if let Some(listener) = self.metrics {
            tasks.spawn(metrics.serve_public(listener, stop.clone()));
        }
        tasks.spawn(Arc::clone(server).serve_unix(self.admin, stop.clone()));
    }
}

/// Binds the listener of `/metrics`. Nobody asked for the default address, so the server starts without it if it is in use.
async fn bind_metrics(config: MetricsConfig) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = config.listen else { return Ok(None) };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if config.is_default => {
            tracing::warn!(%address, %error, "metrics have no listener of their own; set metrics.listen to another address, or to off");
            Ok(None)
        }
        Err(error) => Err(bind_failure(address, "metrics.listen", &error)),
    }
}

/// Binds the administration socket, for its owner only. The caller holds the lock of the data directory, so an existing
/// file was left behind by a process that has ended, and is replaced.
pub(super) fn bind_admin(path: &Path) -> Result<UnixListener, Failure> {
    let bound = || -> io::Result<UnixListener> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bound().map_err(|error| unusable(path, &error))
}

fn http_failure(error: &LoopbackError) -> Failure {
    match error {
        LoopbackError::NotLoopback(_) => Failure::new(Exit::Config, error.to_string())
            .remedy("Give --insecure-http-listen a loopback address such as 127.0.0.1:8080."),
        LoopbackError::Bind { address, source } => bind_failure(*address, "--insecure-http-listen", source),
    }
}

fn bind_failure(address: SocketAddr, flag: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AddrInUse => Failure::new(
            Exit::Busy,
            format!("TCP port {} on {} is in use by another program", address.port(), address.ip()),
        )
        .remedy(format!("Stop that program, or choose another port with {flag}.")),
        io::ErrorKind::PermissionDenied => {
            Failure::plain(format!("no permission to listen on {address}: {error}")).remedy(format!(
                "Choose a port of 1024 or higher with {flag}, or give the program CAP_NET_BIND_SERVICE."
            ))
        }
        io::ErrorKind::AddrNotAvailable => {
            Failure::new(Exit::Config, format!("{} is not an address of this machine", address.ip()))
                .remedy(format!("Choose another address with {flag}; 0.0.0.0 means all."))
        }
        _ => Failure::plain(format!("cannot listen on {address}: {error}"))
            .remedy(format!("Choose another address with {flag}.")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::temporary::TemporaryFolder;

    #[tokio::test]
    async fn a_port_in_use_is_reported_with_its_number_and_the_flag_to_change() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = TcpListener::bind(address).await.unwrap_err();
        let failure = bind_failure(address, "--api-listen", &error);
        assert_eq!(failure.exit, Exit::Busy);
        let line = failure.to_string();
        assert!(line.contains(&address.port().to_string()) && line.contains("--api-listen"), "{line}");
    }

    #[tokio::test]
    async fn a_metrics_address_in_use_is_an_error_only_if_it_was_chosen() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = Some(taken.local_addr().unwrap());
        assert!(bind_metrics(MetricsConfig { listen, is_default: true }).await.unwrap().is_none());
        let failure = bind_metrics(MetricsConfig { listen, is_default: false }).await.unwrap_err();
        assert!(failure.to_string().contains("metrics.listen"), "{failure}");
        assert!(bind_metrics(MetricsConfig { listen: None, is_default: false }).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_has_mode_600() {
        let folder = TemporaryFolder::new();
        let path = folder.path().join("admin.sock");
        drop(bind_admin(&path).unwrap());
        assert!(path.exists(), "the socket file remains after its listener");
        let _listener = bind_admin(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
