//! Several servers on one PostgreSQL database, each a store of its own, with windows in Redis if one is configured.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use telepath_core::account::AccountPatch;
use telepath_core::call::CallStatus;
use telepath_core::clock::Clock as _;
use telepath_core::key::{KeyPatch, NewKey};
use telepath_core::network_set::NetworkSet;
use telepath_core::ports::CallControl as _;
use telepath_core::secret::{HashedKey, SecretText};
use telepath_core::trunk::NewTrunk;

use super::admission::an_open_response_loses_its_authorization_on_every_server;
use super::calls::start;
use super::hangups::a_call_is_hung_up_by_the_server_that_carries_it;
use super::trunks::{custom, make};
use super::{Fixture, behaviour, execute, limit, new_key, on, select, webhooks};
use crate::cluster::Heartbeats;
use crate::cluster::ProcessRole;
use crate::cluster::lease::{BARRIER_TIMEOUT, LEASE};
use crate::error::StoreError;
use crate::key_table::Admission;
use crate::limit::{OutagePolicy, SharedWindows, WindowOptions};
use crate::options::StoreOptions;
use crate::sql::binds;
use crate::store::Store;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
/// Much longer than any step takes.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Generates a test with two servers of each function.
macro_rules! with_two_servers {
    ($($name:ident),+ $(,)?) => {
        mod together {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::with_two(super::$name).await;
            })+
        }
    };
}

with_two_servers! {
    an_answered_change_of_a_key_is_effective_on_every_server,
    an_answered_change_of_an_account_is_effective_on_every_server,
    an_open_response_loses_its_authorization_on_every_server,
    servers_share_one_window,
    a_change_of_allowed_ips_is_announced_to_every_server,
    a_server_without_its_database_admits_no_request_and_delays_no_change,
    an_evicted_server_joins_again,
    only_calls_of_dead_servers_are_closed,
    a_call_is_hung_up_by_the_server_that_carries_it,
}

behaviour! {
    an_outage_of_the_limiter_refuses_or_admits_the_share,
    an_admin_process_changes_keys_and_admits_no_requests,
}

fn windows(url: String, outage: OutagePolicy) -> WindowOptions {
    let prefix = format!("{}:", super::unique_name());
    WindowOptions::Shared(SharedWindows { url: SecretText::new(url), prefix, outage })
}

async fn open(fixture: &Fixture, windows: &WindowOptions) -> Result<Arc<Store>, StoreError> {
    let options = StoreOptions { windows: windows.clone(), ..StoreOptions::new(fixture.database.clone()) };
    Store::open(options, fixture.context.clone()).await
}

/// Runs a test with two servers, if both PostgreSQL and Redis are configured.
pub(super) async fn with_two<F, T>(test: F)
where
    F: FnOnce(Arc<Fixture>, Arc<Store>, Arc<Store>) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let Ok(redis) = std::env::var("TELEPATH_TEST_REDIS_URL") else { return };
    let Some(fixture) = Fixture::postgres().await else { return };
    on(fixture, async move |fixture: Arc<Fixture>| {
        let windows = windows(redis, OutagePolicy::Refuse);
        let one = open(&fixture, &windows).await.unwrap();
        let other = open(&fixture, &windows).await.unwrap();
        test(fixture, one, other).await;
    })
    .await;
}

/// Waits until the condition holds, while other tasks run.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// The decision about a request. A busy machine may lose its lease for a moment, which decides nothing.
pub(super) async fn admission(store: &Store, hash: &HashedKey) -> Admission {
    let decided = async {
        loop {
            let handle = store.keys().find(hash).expect("the key is known");
            match store.admit(&handle, hash, ADDRESS, store.clock().read()).await {
                Admission::NoLease => tokio::task::yield_now().await,
                decided => return decided,
            }
        }
    };
    tokio::time::timeout(TIMEOUT, decided).await.expect("the server gets a lease")
}

fn is_admitted(admission: &Admission) -> bool {
    matches!(admission, Admission::Admitted { .. })
}

async fn an_answered_change_of_a_key_is_effective_on_every_server(
    fixture: Arc<Fixture>,
    one: Arc<Store>,
    other: Arc<Store>,
) {
    let account = fixture.account(&one).await.id;
    for _ in 0..10 {
        let (created, hash) = fixture.key(&one, account, new_key("shared")).await;
        assert!(is_admitted(&admission(&other, &hash).await), "a new key is known when it is answered");
        let patch = KeyPatch { rate_limit: Some(limit(7)), ..KeyPatch::default() };
        one.update_key(account, created.record.id, patch, fixture.origin()).await.unwrap();
        let Admission::Admitted { window, .. } = admission(&other, &hash).await else {
            panic!("the key is still valid");
        };
        // A window may have ended in between.
        assert!(window.limit == limit(7) && [5, 6].contains(&window.remaining), "{window:?}");
        one.pause_key(account, created.record.id, fixture.origin()).await.unwrap();
        assert_eq!(admission(&other, &hash).await, Admission::Unusable);
        one.resume_key(account, created.record.id, fixture.origin()).await.unwrap();
        assert!(is_admitted(&admission(&other, &hash).await));
        other.revoke_key(account, created.record.id, None, fixture.origin()).await.unwrap();
        assert_eq!(admission(&one, &hash).await, Admission::Unusable);
    }
    assert_eq!(one.cluster().unwrap().nodes, 2);
    let nodes = one.installation().await.unwrap().nodes;
    let is_self: Vec<bool> = nodes.iter().map(|node| node.is_self).collect();
    assert!(is_self == [true, false] || is_self == [false, true], "{nodes:?}");
    one.close().await;
    until("the other server is the only node", || async { other.cluster().unwrap().nodes == 1 }).await;
    other.close().await;
}

async fn an_answered_change_of_an_account_is_effective_on_every_server(
    fixture: Arc<Fixture>,
    one: Arc<Store>,
    other: Arc<Store>,
) {
    let account = fixture.account(&one).await.id;
    for number in 0..10 {
        let (changing, reading) = if number % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let before = reading.account(account).await.unwrap().unwrap();
        let name = format!("Renamed {number}");
        assert_ne!(before.name, name);
        let patch = AccountPatch { name: Some(name.clone()), ..AccountPatch::default() };
        changing.update_account(account, patch, fixture.origin()).await.unwrap();
        for store in [changing, reading] {
            assert_eq!(store.account(account).await.unwrap().unwrap().name, name);
        }
    }
    one.close().await;
    other.close().await;
}

async fn a_change_of_allowed_ips_is_announced_to_every_server(
    fixture: Arc<Fixture>,
    one: Arc<Store>,
    other: Arc<Store>,
) {
    let account = fixture.account(&one).await.id;
    let new = NewTrunk { allowed_ips: "203.0.113.7".parse().unwrap(), ..custom("net-01") };
    let trunk = one.create_trunk(account, new, fixture.origin()).await.unwrap().trunk.id;
    let shared = [&one, &other];
    for store in shared {
        tokio::time::timeout(TIMEOUT, store.trusted_networks_changed()).await.unwrap();
        assert_ne!(store.trusted_networks().await.unwrap(), NetworkSet::default());
    }
    other.delete_trunk(account, trunk, fixture.origin()).await.unwrap();
    for store in shared {
        let emptied = async {
            while store.trusted_networks().await.unwrap() != NetworkSet::default() {
                store.trusted_networks_changed().await;
            }
        };
        tokio::time::timeout(TIMEOUT, emptied).await.unwrap();
    }
    one.close().await;
    other.close().await;
}

async fn servers_share_one_window(fixture: Arc<Fixture>, one: Arc<Store>, other: Arc<Store>) {
    let account = fixture.account(&one).await.id;
    let new = NewKey { rate_limit: limit(50), ..new_key("counted") };
    let (_, hash) = fixture.key(&one, account, new).await;
    let tasks: Vec<_> = [&one, &other, &one, &other]
        .into_iter()
        .cloned()
        .map(|store| {
            tokio::spawn(async move {
                let mut admitted = 0;
                for _ in 0..25 {
                    admitted += u32::from(is_admitted(&admission(&store, &hash).await));
                }
                admitted
            })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.unwrap();
    }
    // A window may have ended in between.
    assert!(admitted == 50 || admitted == 100, "{admitted}");
    one.close().await;
    other.close().await;
}

async fn a_server_without_its_database_admits_no_request_and_delays_no_change(
    fixture: Arc<Fixture>,
    one: Arc<Store>,
    other: Arc<Store>,
) {
    let account = fixture.account(&one).await.id;
    let (created, hash) = fixture.key(&one, account, new_key("deaf")).await;
    let handle = other.keys().find(&hash).unwrap();
    other.cluster.isolate().await;
    let begun = Instant::now();
    one.revoke_key(account, created.record.id, None, fixture.origin()).await.unwrap();
    let took = begun.elapsed();
    let admission = other.admit(&handle, &hash, ADDRESS, other.clock().read()).await;
    assert_eq!(admission, Admission::NoLease, "its view is from before the revocation");
    assert!(took > LEASE, "the revocation was answered while the other could still admit: {took:?}");
    assert!(one.cluster().unwrap().confirmation >= BARRIER_TIMEOUT);
    assert!(matches!(other.ping().await, Err(StoreError::NoLease)));
    one.close().await;
    other.close().await;
}

async fn an_evicted_server_joins_again(fixture: Arc<Fixture>, one: Arc<Store>, other: Arc<Store>) {
    let account = fixture.account(&one).await.id;
    let (created, hash) = fixture.key(&one, account, new_key("rejoined")).await;
    let id = other.cluster.node_id().unwrap().to_string();
    execute(&one, "DELETE FROM nodes WHERE id = $1", binds![id]).await;
    one.revoke_key(account, created.record.id, None, fixture.origin()).await.unwrap();
    until("both have a row", || async {
        select(&one, "SELECT id FROM nodes", vec![]).await.len() == 2 && other.cluster.lease().holds()
    })
    .await;
    assert_eq!(admission(&other, &hash).await, Admission::Unusable);
    one.close().await;
    other.close().await;
}

async fn only_calls_of_dead_servers_are_closed(fixture: Arc<Fixture>, one: Arc<Store>, other: Arc<Store>) {
    let account = fixture.account(&one).await.id;
    let trunk = make(&fixture, &one, account, "two").await.trunk.id;
    let (kept, lost) = (start(&one, account, trunk), start(&other, account, trunk));
    one.call_started(&kept).await.unwrap();
    other.call_started(&lost).await.unwrap();
    fixture.clock.advance(Duration::from_secs(30));
    other.flush_usage().await.unwrap();
    let alive = fixture.clock.now();
    fixture.clock.advance(Duration::from_mins(30));
    let look = async |earlier: Heartbeats| {
        one.cluster.evict_dead_nodes(&one.backend, &one.context, earlier).await.unwrap()
    };
    let status = async |id| one.get_call(account, id).await.unwrap().unwrap().call;
    let seen = look(Heartbeats::new()).await;
    let beats = async || {
        let sql = "SELECT beats FROM nodes WHERE id = $1";
        let id = other.cluster.node_id().unwrap().to_string();
        select(&one, sql, binds![id]).await[0].integer("beats").unwrap()
    };
    let before = beats().await;
    until("the other moves", || async { beats().await > before + 1 }).await;
    look(seen).await;
    assert_eq!(status(lost.id).await.status, CallStatus::Connected, "its server is running");
    // As in a kill, nothing is released.
    other.cluster.isolate().await;
    drop(other);
    let gone = async {
        let mut earlier = look(Heartbeats::new()).await;
        while !earlier.is_empty() {
            earlier = look(earlier).await;
        }
    };
    tokio::time::timeout(TIMEOUT, gone).await.expect("the other server is found to be dead");
    let closed = status(lost.id).await;
    assert_eq!((closed.status, closed.end_time), (CallStatus::Disconnected, Some(alive)));
    assert_eq!(status(kept.id).await.status, CallStatus::Connected);
    one.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_without_a_shared_limiter_is_refused() {
    let Some(fixture) = Fixture::postgres().await else { return };
    on(fixture, async |fixture: Arc<Fixture>| {
        let first = fixture.open().await;
        let second = fixture.try_open().await;
        assert!(matches!(second, Err(StoreError::OtherServer { .. })));
        first.cluster.isolate().await;
        let second = fixture.try_open().await.expect("the first delivery does not change any more");
        first.close().await;
        second.close().await;
        assert!(select_nodes(&fixture).await == 0, "a stopped server has no row");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_another_process_wakes_the_sender() {
    let Some(fixture) = Fixture::postgres().await else { return };
    on(fixture, async |fixture: Arc<Fixture>| {
        let (server, non_member) = (fixture.open().await, fixture.open_admin().await);
        let account = fixture.account(&non_member).await.id;
        webhooks::make(&fixture, &non_member, account, webhooks::draft("announced")).await;
        // The server may also be notified when it starts to listen and at its first check of the others. Each
        // notification is consumed, so the last iterations have only the one under test.
        for _ in 0..8 {
            fixture.key(&non_member, account, new_key("announced")).await;
            tokio::time::timeout(TIMEOUT, server.wait_for_commit()).await.expect("the event is announced");
        }
        non_member.close().await;
        server.close().await;
    })
    .await;
}

async fn select_nodes(fixture: &Fixture) -> usize {
    let options = StoreOptions { role: ProcessRole::Admin, ..StoreOptions::new(fixture.database.clone()) };
    let non_member = Store::open(options, fixture.context.clone()).await.unwrap();
    let rows = select(&non_member, "SELECT id FROM nodes", vec![]).await.len();
    non_member.close().await;
    rows
}

async fn an_admin_process_changes_keys_and_admits_no_requests(fixture: Arc<Fixture>) {
    let options = StoreOptions { role: ProcessRole::Admin, ..StoreOptions::new(fixture.database.clone()) };
    let non_member = Store::open(options, fixture.context.clone()).await.unwrap();
    let account = fixture.account(&non_member).await.id;
    let (created, hash) = fixture.key(&non_member, account, new_key("made by a non_member")).await;
    if non_member.cluster().is_some() {
        let handle = non_member.keys().find(&hash).unwrap();
        assert_eq!(
            non_member.admit(&handle, &hash, ADDRESS, non_member.clock().read()).await,
            Admission::NoLease
        );
        let server = fixture.open().await;
        non_member.revoke_key(account, created.record.id, None, fixture.origin()).await.unwrap();
        assert_eq!(admission(&server, &hash).await, Admission::Unusable);
        server.close().await;
    }
    non_member.close().await;
}

/// An address without a listener.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn an_outage_of_the_limiter_refuses_or_admits_the_share(fixture: Arc<Fixture>) {
    for (outage, expected) in [(OutagePolicy::Refuse, 0), (OutagePolicy::Local, 5)] {
        let store = open(&fixture, &windows(format!("redis://{}", nobody()), outage)).await.unwrap();
        let account = fixture.account(&store).await.id;
        let new = NewKey { rate_limit: limit(5), ..new_key("alone") };
        let (_, hash) = fixture.key(&store, account, new).await;
        let mut admitted = 0;
        for _ in 0..20 {
            match admission(&store, &hash).await {
                Admission::Admitted { .. } => admitted += 1,
                Admission::LimiterUnavailable => assert_eq!(outage, OutagePolicy::Refuse),
                Admission::Limited { window } => {
                    assert_eq!((outage, window.remaining), (OutagePolicy::Local, 0));
                }
                other @ (Admission::WrongAddress
                | Admission::Unusable
                | Admission::InDoubt
                | Admission::NoLease) => panic!("{other:?}"),
            }
        }
        assert_eq!(admitted, expected, "{outage:?}");
        assert_eq!(store.ping().await.is_ok(), outage == OutagePolicy::Local);
        store.close().await;
    }
}
