//! A server for one command: it opens the store of a folder that no other process uses, and serves the API on a socket for
//! that command. It has no network listener and takes no calls.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use telepath_api::ApiOptions;
use telepath_core::call::{DisconnectReason, SipStrangers};
use telepath_core::id::{CallId, TrunkId};
use telepath_core::ports::LiveCalls;
use telepath_egress::Egress;
use telepath_http::{Dispatcher, HttpServer, ServerOptions};
use telepath_metrics::Registry;
use telepath_store::{ProcessRole, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{listeners, new_api, sip_host, storage};
use crate::config::Config;
use crate::data_dir::{DataDir, Lock};
use crate::exit::Failure;
use crate::workers;

/// A process that runs no gateway has no live calls.
#[derive(Debug)]
struct NoCallsHere;

impl LiveCalls for NoCallsHere {
    fn is_live(&self, _call: CallId) -> bool {
        false
    }

    fn hang_up(&self, _call: CallId, _reason: DisconnectReason) -> bool {
        false
    }

    fn hang_up_trunk(&self, _trunk: TrunkId, _reason: DisconnectReason) -> usize {
        0
    }

    fn sip_strangers(&self) -> SipStrangers {
        SipStrangers::default()
    }
}

/// The API of a folder on a Unix socket.
pub struct LocalServer {
    store: Arc<Store>,
    socket: PathBuf,
    stop: CancellationToken,
    tasks: TaskTracker,
    _lock: Lock,
}

impl LocalServer {
    /// The socket that serves the API.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Opens the store and serves the socket.
    pub async fn start(config: &Config, data: &DataDir, lock: Lock) -> Result<Self, Failure> {
        let socket = data.command_socket()?;
        let store = storage::open(config, ProcessRole::Admin, data).await?;
        match Self::serve(config, data, &store, &socket).await {
            Ok((stop, tasks)) => Ok(Self { store, socket, stop, tasks, _lock: lock }),
            Err(failure) => {
                store.close().await;
                Err(failure)
            }
        }
    }

    async fn serve(
        config: &Config,
        data: &DataDir,
        store: &Arc<Store>,
        socket: &Path,
    ) -> Result<(CancellationToken, TaskTracker), Failure> {
        let account = storage::first_account(store, &super::database(&config.storage.database, data)).await?;
        // Trunks have the same SIP endpoint as on a server with this configuration.
        let host = sip_host(config.sip.public_host.as_deref(), config.sip.first_listen());
        let egress = Egress::new(config.egress.allow.clone());
        let options = ApiOptions { egress, ..ApiOptions::new(host, account) };
        // Not installed as the recorder of the process: nobody scrapes a command.
        let api = new_api(options, store, Arc::new(NoCallsHere), Registry::default())?;
        let listener = listeners::bind_admin(socket)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let server = HttpServer::new(Dispatcher::new(api), ServerOptions::default());
        tasks.spawn(server.serve_unix(listener, stop.clone()));
        tasks.spawn(workers::maintain_keyring(Arc::clone(store), stop.clone()));
        Ok((stop, tasks))
    }

    /// Waits for running requests, closes the store, removes the socket and releases the folder.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.store.close().await;
        // Only this process can own the socket, because it still holds the lock.
        let _ = std::fs::remove_file(&self.socket);
    }
}

#[cfg(test)]
mod tests {
    use telepath_client::{Client, CreateKey, KeysQuery};

    use super::*;
    use crate::config::{Environment, Layers};
    use crate::temporary::TemporaryFolder;

    async fn with_server<T>(folder: &Path, work: impl AsyncFnOnce(Client) -> T) -> T {
        let flags = vec![("storage.data_dir", folder.to_string_lossy().into_owned())];
        let config = Config::check(&Layers::gather(&flags, &Environment::new(), None).unwrap()).unwrap();
        let data = DataDir::create(folder).unwrap();
        let local = LocalServer::start(&config, &data, data.lock().unwrap()).await.unwrap();
        let done = work(Client::unix(local.socket())).await;
        local.stop().await;
        assert!(!data.command_socket().unwrap().exists());
        done
    }

    #[tokio::test]
    async fn a_command_sees_the_changes_of_an_earlier_command() {
        let folder = TemporaryFolder::new();
        let data = DataDir::create(folder.path()).unwrap();
        data.create_master_key(&telepath_core::entropy::SystemEntropy::default()).unwrap();
        let request = CreateKey::new("Test", "testing");
        let made =
            with_server(folder.path(), async |client| client.create_key(&request).await.unwrap()).await;
        let revoked = with_server(folder.path(), async |client| {
            client.revoke_key(made.key.id, Some("test")).await.unwrap()
        })
        .await;
        assert_eq!(revoked.status, "revoked");
        let keys =
            with_server(folder.path(), async |client| client.list_keys(&KeysQuery::default()).await.unwrap())
                .await;
        assert_eq!(keys.items.len(), 1);
        assert_eq!(keys.items[0].revoke_reason.as_deref(), Some("test"));
    }
}
