//! PostgreSQL: a bounded connection pool and explicit transactions.

mod change_thread;

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use change_thread::ChangeThread;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions};
use telepath_core::secret::SecretText;
use tokio::task::JoinHandle;

use crate::error::{DatabaseError, StoreError};
use crate::sql::{Connection, TransactionFuture};

/// The oldest supported release, in the format of `server_version_num`.
const MIN_VERSION: i64 = 140_000;
/// Connections of one process.
const MAX_CONNECTIONS: u32 = 16;
/// Further connections of one process, for the admission of calls.
const MAX_CALL_CONNECTIONS: u32 = 4;
/// How long a caller waits for a connection before the database counts as unavailable. Tests wait longer, because what they
/// expect of a database must not depend on how busy the machine is.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 5 });

/// Begins a transaction. PostgreSQL aborts it after this many milliseconds without a statement, so a server that is
/// cut off mid-transaction does not block the others: together with the wait for leases, a change of a key still
/// returns within a second. All transactions have this limit, because key changes wait for the same account rows; key
/// changes themselves run on a thread of their own, so that a busy server does not exceed it.
///
/// Tests of this crate wait longer: a database that gets no time on a busy machine must not fail them.
const BEGIN: &str = if cfg!(test) {
    "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 5000"
} else {
    "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 350"
};

/// Raises a setting of the database or the role with which a confirmed commit could still be lost.
const SYNCHRONOUS_COMMIT: &str = "SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')";

#[derive(Clone)]
pub(crate) struct PostgresBackend {
    pool: PgPool,
    calls: PgPool,
    change_thread: Arc<ChangeThread>,
}

impl PostgresBackend {
    pub(crate) async fn open(url: &SecretText) -> Result<Self, StoreError> {
        // The driver's error may quote the URL, including its password.
        let options = PgConnectOptions::from_str(url.expose())
            .map_err(|_| StoreError::Unavailable(configuration("the database URL is not a PostgreSQL URL")))?
            .application_name("telepath");
        let change_thread = Arc::new(ChangeThread::start(options.clone()).await?);
        let pool = pool_options().max_connections(MAX_CONNECTIONS).connect_with(options.clone()).await?;
        let calls = pool_options().max_connections(MAX_CALL_CONNECTIONS).connect_lazy_with(options);
        let backend = Self { pool, calls, change_thread };
        check_version(&mut backend.connection().await?).await?;
        Ok(backend)
    }

    /// Runs a change of keys on its own thread, with that thread's connections.
    pub(crate) fn spawn_key_change<T, F>(&self, change: impl FnOnce(Self) -> F) -> JoinHandle<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let own = Self { pool: self.change_thread.pool.clone(), ..self.clone() };
        self.change_thread.handle().spawn(change(own))
    }

    /// A connection outside the pool; dropping it closes it.
    pub(crate) async fn own_connection(&self) -> Result<Connection, StoreError> {
        let mut connection = PgConnection::connect_with(&self.pool.connect_options()).await?;
        require_synchronous_commit(&mut connection).await?;
        Ok(Connection::PostgresOwn(Box::new(connection)))
    }

    /// Listens on notification channels of the database.
    pub(crate) async fn listener(&self, channels: &[&str]) -> Result<PgListener, StoreError> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen_all(channels.iter().copied()).await?;
        Ok(listener)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }

    pub(crate) async fn connection(&self) -> Result<Connection, StoreError> {
        Ok(Connection::Postgres(self.pool.acquire().await?))
    }

    pub(crate) async fn connection_for_calls(&self) -> Result<Connection, StoreError> {
        Ok(Connection::Postgres(self.calls.acquire().await?))
    }

    pub(crate) async fn write<T, E, F>(&self, change: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c mut Connection) -> TransactionFuture<'c, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let pool = self.pool.clone();
        // Runs in its own task: a caller that is cancelled must not leave a connection inside a transaction.
        let task = tokio::spawn(async move {
            let mut transaction = Transaction::begin(&pool).await?;
            let result = change(&mut transaction.connection).await;
            match result {
                Ok(value) => {
                    transaction.commit().await?;
                    Ok(value)
                }
                Err(error) => {
                    transaction.roll_back().await;
                    Err(error)
                }
            }
        });
        task.await.unwrap_or_else(|_| Err(StoreError::Broken.into()))
    }

    pub(crate) async fn close(&self) {
        self.calls.close().await;
        self.change_thread.pool.close().await;
        self.pool.close().await;
    }
}

/// A connection inside a transaction. A connection whose transaction did not end cleanly is closed instead of reused.
struct Transaction {
    connection: Connection,
    ended: bool,
}

impl Transaction {
    async fn begin(pool: &PgPool) -> Result<Self, StoreError> {
        let mut transaction = Self { connection: Connection::Postgres(pool.acquire().await?), ended: false };
        transaction.connection.script(BEGIN).await?;
        Ok(transaction)
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        match self.connection.execute("COMMIT", vec![]).await {
            Ok(_) => {
                self.ended = true;
                Ok(())
            }
            Err(StoreError::Unavailable(error)) if !error.is_rollback() => {
                Err(StoreError::OutcomeUnknown(error))
            }
            Err(error) => Err(error),
        }
    }

    async fn roll_back(mut self) {
        self.ended = self.connection.execute("ROLLBACK", vec![]).await.is_ok();
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.ended
            && let Connection::Postgres(connection) = &mut self.connection
        {
            connection.close_on_drop();
        }
    }
}

fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| Box::pin(require_synchronous_commit(connection)))
}

async fn require_synchronous_commit(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(SYNCHRONOUS_COMMIT).execute(connection).await.map(drop)
}

async fn check_version(connection: &mut Connection) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('server_version_num')::bigint AS number, \
               current_setting('server_version') AS version";
    let row = connection.fetch_one(sql, vec![]).await?;
    if row.integer("number")? >= MIN_VERSION {
        return Ok(());
    }
    Err(StoreError::DatabaseTooOld { found: format!("PostgreSQL {}", row.text("version")?), needed: "14" })
}

fn configuration(message: &str) -> DatabaseError {
    sqlx::Error::Configuration(message.to_owned().into()).into()
}
