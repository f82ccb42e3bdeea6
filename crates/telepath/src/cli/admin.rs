//! Local administration: access to the API of a data folder without a key. If a server runs on the folder, the command uses
//! its administration socket, so that the server's key table is never stale. Otherwise the command opens the store, serves
//! the same API on its own socket while it runs, and uses that.

use std::time::Duration;

use telepath_client::{AccountId, Client, Error};

use super::arguments::{CommonArgs, LocalArgs};
use crate::config::{Config, DatabaseConfig};
use crate::data_dir::DataDir;
use crate::exit::{Exit, Failure};
use crate::wire::LocalServer;

/// How often and how many times to retry while another process holds the folder but does not respond: another command, or a
/// server that is starting or stopping.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LOOKS: u32 = 200;

/// Access to the API of a data folder.
pub(crate) struct Admin {
    client: Client,
    local: Option<LocalServer>,
}

impl Admin {
    /// Connects to the server of the folder, or serves the API itself.
    pub(crate) async fn open(args: &CommonArgs) -> Result<Self, Failure> {
        let layers = args.quiet_layers(None)?;
        let config = Config::check(&layers)?;
        let data = DataDir::open(&config.storage.data_dir)?;
        Self::of(&config, &data).await
    }

    async fn of(config: &Config, data: &DataDir) -> Result<Self, Failure> {
        let server = Client::unix(&data.admin_socket()?);
        for _ in 0..LOOKS {
            match server.reach().await {
                Ok(()) => return Ok(Self { client: server, local: None }),
                Err(Error::NoServer { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(lock) = data.try_lock()? {
                if matches!(config.storage.database, DatabaseConfig::Embedded) {
                    data.require_database()?;
                }
                let local = LocalServer::start(config, data, lock).await?;
                return Ok(Self { client: Client::unix(local.socket()), local: Some(local) });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err(Failure::new(Exit::Busy, format!("{} and does not respond on admin.sock", data.in_use().message))
            .remedy("It may be starting or stopping. Try again in a moment, or stop it."))
    }

    /// Whether no other server runs on the folder.
    pub(crate) fn is_alone(&self) -> bool {
        self.local.is_some()
    }

    /// Works on this account instead of the first one.
    pub(crate) fn with_account(mut self, account: Option<AccountId>) -> Self {
        if let Some(account) = account {
            self.client = self.client.with_account(account);
        }
        self
    }

    /// A client of that API.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Stops the server that was started for this command.
    pub(crate) async fn close(self) {
        if let Some(local) = self.local {
            local.stop().await;
        }
    }
}

/// Runs `work` with the API of a data folder, and stops what was started for it, also on failure.
pub(crate) async fn with_admin<T>(
    args: &LocalArgs,
    work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let admin = Admin::open(&args.common).await?.with_account(args.account);
    let done = work(admin.client()).await;
    admin.close().await;
    done
}
