//! A PostgreSQL replica that misses the newest commits is promoted while two servers use the database, and an SQLite
//! database is restored from a backup while the server is stopped.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use telepath_core::clock::ManualClock;
use telepath_core::entropy::SystemEntropy;
use telepath_core::key::KeyPatch;
use telepath_core::secret::{HashedKey, SecretText};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Fixture, NOON, admit, limit, new_key, new_vault, on, reading};
use crate::context::StoreContext;
use crate::key_table::Admission;
use crate::limit::{OutagePolicy, SharedWindows, WindowOptions};
use crate::options::{Database, StoreOptions};
use crate::store::Store;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
/// Much longer than any step takes.
const TIMEOUT: Duration = Duration::from_mins(2);

/// A PostgreSQL of this test; killed on drop.
struct Instance {
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

/// A command that may not run as root.
fn unprivileged(program: &str) -> Command {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--", program]);
    command
}

fn run(command: &mut Command) {
    let output = command.current_dir("/").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn free_port() -> u16 {
    StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Instance {
    fn new(folder: &Path, name: &str) -> Self {
        Self { folder: folder.join(name), port: free_port(), process: None }
    }

    fn start(&mut self) {
        let mut command = unprivileged("postgres");
        command.arg("-D").arg(&self.folder).args(["-p", &self.port.to_string()]).args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
            "-c",
            "fsync=off",
        ]);
        let process = command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.process = Some(process);
    }

    /// As in the loss of a machine.
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Immediate shutdown, which also ends the children.
            let _ = Command::new("kill").arg("-QUIT").arg(process.id().to_string()).status();
            let _ = process.wait();
        }
    }

    /// Runs a statement, as soon as the instance accepts connections.
    async fn run(&self, sql: &str) -> String {
        let url = format!("postgres://telepath@127.0.0.1:{}/postgres", self.port);
        let asked = async {
            loop {
                let answer = Command::new("psql").args(["-XAtq", "-c", sql, &url]).output().unwrap();
                if answer.status.success() {
                    return String::from_utf8(answer.stdout).unwrap().trim().to_owned();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(TIMEOUT, asked).await.unwrap_or_else(|_| panic!("{sql} succeeds"))
    }

    async fn run_until(&self, sql: &str, expected: &str) {
        let reached = async { while self.run(sql).await != expected {} };
        tokio::time::timeout(TIMEOUT, reached).await.unwrap_or_else(|_| panic!("{sql} is {expected}"));
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The address under which the servers know the database.
#[derive(Clone)]
struct Proxy {
    target: Arc<Mutex<u16>>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Proxy {
    async fn start(target: u16) -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Self { target: Arc::new(Mutex::new(target)), connections: Arc::default() };
        let own = proxy.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let port = *own.target.lock().unwrap();
                own.connections.lock().unwrap().spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        (proxy, address)
    }

    fn switch(&self, target: u16) {
        *self.target.lock().unwrap() = target;
        self.connections.lock().unwrap().abort_all();
    }
}

async fn open(url: &str, redis: &str) -> Arc<Store> {
    let context = StoreContext {
        vault: VAULT.with(Arc::clone),
        clock: Arc::new(ManualClock::at(NOON)),
        entropy: Arc::new(SystemEntropy::default()),
    };
    let windows = WindowOptions::Shared(SharedWindows {
        url: SecretText::new(redis.to_owned()),
        prefix: format!("{}:", super::unique_name()),
        outage: OutagePolicy::Local,
    });
    let database = Database::Postgres { url: SecretText::new(url.to_owned()) };
    Store::open(StoreOptions { windows, ..StoreOptions::new(database) }, context).await.unwrap()
}

thread_local! {
    /// All servers have the same master key.
    static VAULT: Arc<telepath_core::vault::Vault> = new_vault();
}

async fn admission(store: &Store, hash: &HashedKey) -> Option<Admission> {
    let handle = store.keys().find(hash)?;
    Some(store.admit(&handle, hash, ADDRESS, store.clock().read()).await)
}

fn is_admitted(admission: Option<&Admission>) -> bool {
    matches!(admission, Some(Admission::Admitted { .. }))
}

#[tokio::test]
async fn after_a_failover_that_loses_commits_a_revocation_is_effective_on_every_server() {
    let Ok(redis) = std::env::var("TELEPATH_TEST_REDIS_URL") else { return };
    if std::env::var("TELEPATH_TEST_POSTGRES_URL").is_err() {
        return;
    }
    let folder = std::env::temp_dir().join(super::unique_name());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let (mut primary, mut replica) = (Instance::new(&folder, "primary"), Instance::new(&folder, "replica"));
    run(unprivileged("initdb")
        .args(["--username=telepath", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8", "-D"])
        .arg(&primary.folder));
    primary.start();
    primary.run("SELECT 1").await;
    let (proxy, address) = Proxy::start(primary.port).await;
    let url = format!("postgres://telepath@{address}/postgres");
    Store::migrate(&Database::Postgres { url: SecretText::new(url.clone()) }).await.unwrap();
    let (one, other) = (open(&url, &redis).await, open(&url, &redis).await);
    let origin = || telepath_core::audit::Origin::local(NOON);
    let account =
        one.ensure_account("Example", telepath_core::secret::KeyMode::Live, origin()).await.unwrap().id;
    let create = async |name: &str| {
        let created = one.create_key(account, new_key(name), origin()).await.unwrap();
        (created.record.id, one.vault().hash_key(&created.secret))
    };
    let (kept, kept_hash) = create("kept").await;
    run(unprivileged("pg_basebackup")
        .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D"])
        .arg(&replica.folder)
        .args(["-d", &format!("postgres://telepath@127.0.0.1:{}/postgres", primary.port)]));
    replica.start();
    replica.run_until("SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'", "1").await;
    // The replica is cut off, and the primary goes on: two changes of one key and a new key.
    replica.kill();
    for requests in [100, 200] {
        let patch = KeyPatch { rate_limit: Some(limit(requests)), ..KeyPatch::default() };
        one.update_key(account, kept, patch, origin()).await.unwrap();
    }
    let (_, lost_hash) = create("lost").await;
    for store in [&one, &other] {
        assert!(
            is_admitted(admission(store, &kept_hash).await.as_ref())
                && is_admitted(admission(store, &lost_hash).await.as_ref())
        );
    }
    primary.kill();
    replica.start();
    replica.run("SELECT pg_promote()").await;
    replica.run_until("SELECT pg_is_in_recovery()", "f").await;
    proxy.switch(replica.port);
    // As soon as the database can be reached.
    let revoked = async {
        while let Err(error) = other.revoke_key(account, kept, None, origin()).await {
            assert!(matches!(error, crate::key::KeyChangeError::Store(_)), "{error}");
        }
    };
    tokio::time::timeout(TIMEOUT, revoked).await.expect("the revocation succeeds");
    for store in [&one, &other] {
        assert!(!is_admitted(admission(store, &kept_hash).await.as_ref()));
    }
    // Once each server has loaded the keys, it refuses for the right reason, and forgets what the database never had.
    for store in [&one, &other] {
        let recovered = async {
            while admission(store, &kept_hash).await != Some(Admission::Unusable) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(TIMEOUT, recovered).await.expect("the server gets a lease");
        assert_eq!(admission(store, &lost_hash).await, None);
    }
    // Versions that were used twice do not hide later changes.
    let (_, new_hash) = create("new").await;
    assert!(is_admitted(admission(&other, &new_hash).await.as_ref()));
    one.close().await;
    other.close().await;
    drop((primary, replica));
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_sqlite_backup_decides_which_keys_work() {
    on(Fixture::sqlite(), async |fixture: Arc<Fixture>| {
        let Database::Sqlite { path } = &fixture.database else { unreachable!("the fixture is a file") };
        let store = fixture.open().await;
        let account = fixture.account(&store).await.id;
        let (kept, kept_hash) = fixture.key(&store, account, new_key("kept")).await;
        store.close().await;
        let backup = path.with_extension("copy");
        std::fs::copy(path, &backup).unwrap();
        let store = fixture.open().await;
        let (_, lost_hash) = fixture.key(&store, account, new_key("lost")).await;
        store.revoke_key(account, kept.record.id, None, fixture.origin()).await.unwrap();
        store.close().await;
        std::fs::copy(&backup, path).unwrap();
        let store = fixture.open().await;
        assert!(store.keys().find(&lost_hash).is_none());
        let handle = store.keys().find(&kept_hash).unwrap();
        let admission = admit(&store, &handle, &kept_hash, ADDRESS, reading(NOON));
        assert!(matches!(admission, Admission::Admitted { .. }));
        store.revoke_key(account, kept.record.id, None, fixture.origin()).await.unwrap();
        let admission = admit(&store, &handle, &kept_hash, ADDRESS, reading(NOON));
        assert_eq!(admission, Admission::Unusable);
        store.close().await;
    })
    .await;
}
