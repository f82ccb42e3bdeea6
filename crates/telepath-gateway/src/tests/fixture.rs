//! Fixtures: an in-memory control plane, a gateway on free ports, scripted agents, and callers.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use telepath_core::address::NetworkList;
use telepath_core::call::{CallEnd, CallStart};
use telepath_core::clock::{SystemClock, Timestamp};
use telepath_core::digest_hash::DigestHashes;
use telepath_core::entropy::{Entropy, SystemEntropy};
use telepath_core::id::{AccountId, CallId, Id as _, TrunkId};
use telepath_core::network_set::NetworkSet;
use telepath_core::ports::{AgentEvent, CallControl, ControlUnavailable, PortFuture};
use telepath_core::secret::SecretText;
use telepath_core::trunk::{
    AgentProtocol, AgentTarget, AgentUrl, AiProvider, SipUsername, Trunk, TrunkForCall, TrunkLookup,
    TrunkMatch, TrunkSettings, TrunkStatus,
};
use telepath_egress::Egress;
use telepath_media::tone::{Hertz, share_at, sine};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::find_trunk::find;
use crate::caller::{CallOutcome, CallerOptions, place_call};
use crate::echo_agent::{EchoAgent, accept_subprotocol};
use crate::{Gateway, GatewayCounts, GatewayHandle, GatewayOptions};

pub(crate) const USER: &str = "support-01";
pub(crate) const PASSWORD: &str = "correct horse battery";
/// Four periods fit into ten milliseconds.
pub(super) const TONE: Hertz = Hertz(400.0);
/// Exceeded only by a failing test.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TEST_TIMEOUT, future).await.expect("the test timed out")
}

#[derive(Debug, Clone)]
pub(super) enum ControlReport {
    Started(Box<CallStart>),
    Agent(CallId, AgentEvent),
    Ended(Box<CallEnd>),
}

/// An in-memory control plane. `changed` counts the reports of the gateway, so that tests can wait for them.
pub(crate) struct TestControl {
    pub(crate) trunks: Mutex<HashMap<String, TrunkForCall>>,
    reports: Mutex<Vec<ControlReport>>,
    changed: watch::Sender<usize>,
    /// How many more calls of `call_ended` fail.
    pub(super) end_failures: Mutex<u32>,
    pub(super) unavailable: Mutex<bool>,
    /// Calls of `find_trunk`.
    pub(crate) lookups: Mutex<usize>,
    /// Calls of `trusted_networks`.
    pub(crate) network_reads: watch::Sender<usize>,
    networks_changed: Notify,
}

impl TestControl {
    /// One trunk, [`USER`], whose agent has this URL.
    pub(crate) fn new(agent_url: &str) -> Self {
        Self {
            trunks: Mutex::new(HashMap::from([(USER.to_owned(), trunk(agent_url))])),
            reports: Mutex::default(),
            changed: watch::Sender::new(0),
            end_failures: Mutex::default(),
            unavailable: Mutex::default(),
            lookups: Mutex::default(),
            network_reads: watch::Sender::new(0),
            networks_changed: Notify::new(),
        }
    }

    fn record(&self, report: ControlReport) {
        self.reports.lock().unwrap().push(report);
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn reports(&self) -> Vec<ControlReport> {
        self.reports.lock().unwrap().clone()
    }

    pub(super) fn ends(&self) -> Vec<CallEnd> {
        let ends = self.reports().into_iter().filter_map(|report| match report {
            ControlReport::Ended(end) => Some(*end),
            ControlReport::Started(_) | ControlReport::Agent(..) => None,
        });
        ends.collect()
    }

    pub(crate) async fn wait_for_ends(&self, count: usize) -> Vec<CallEnd> {
        within(self.changed.subscribe().wait_for(|_| self.ends().len() >= count)).await.unwrap();
        self.ends()
    }

    /// Forgets all reports.
    pub(super) fn forget(&self) {
        self.reports.lock().unwrap().clear();
    }

    pub(crate) async fn wait_for_start(&self) -> CallStart {
        let started = || {
            self.reports().into_iter().find_map(|report| match report {
                ControlReport::Started(start) => Some(*start),
                ControlReport::Agent(..) | ControlReport::Ended(_) => None,
            })
        };
        within(self.changed.subscribe().wait_for(|_| started().is_some())).await.unwrap();
        started().unwrap()
    }

    /// Sets `allowed_ips` and waits until the gateway has applied it. It applies what it has read before it reads again.
    pub(super) async fn trust(&self, networks: &str) {
        self.change_trunk(|found| found.trunk.allowed_ips = networks.parse().unwrap());
        for _ in 0..2 {
            let mut reads = self.network_reads.subscribe();
            let before = *reads.borrow_and_update();
            self.announce_networks();
            within(reads.wait_for(|count| *count > before)).await.unwrap();
        }
    }

    /// Reports that the trusted networks may have changed.
    pub(crate) fn announce_networks(&self) {
        self.networks_changed.notify_one();
    }

    pub(crate) fn set_unavailable(&self, unavailable: bool) {
        *self.unavailable.lock().unwrap() = unavailable;
    }

    pub(crate) fn change_trunk(&self, change_trunk: impl FnOnce(&mut TrunkForCall)) {
        change_trunk(self.trunks.lock().unwrap().get_mut(USER).unwrap());
    }
}

impl CallControl for TestControl {
    fn find_trunk<'a>(
        &'a self,
        lookup: &'a TrunkLookup,
    ) -> PortFuture<'a, Result<TrunkMatch, ControlUnavailable>> {
        Box::pin(async move {
            *self.lookups.lock().unwrap() += 1;
            if *self.unavailable.lock().unwrap() {
                return Err(ControlUnavailable("switched off".to_owned()));
            }
            Ok(find(&self.trunks.lock().unwrap(), lookup))
        })
    }

    fn trusted_networks(&self) -> PortFuture<'_, Result<NetworkSet, ControlUnavailable>> {
        Box::pin(async move {
            if *self.unavailable.lock().unwrap() {
                self.network_reads.send_modify(|count| *count += 1);
                return Err(ControlUnavailable("switched off".to_owned()));
            }
            let trunks = self.trunks.lock().unwrap();
            let networks = trunks.values().map(|found| found.trunk.allowed_ips.clone()).collect();
            drop(trunks);
            self.network_reads.send_modify(|count| *count += 1);
            Ok(networks)
        })
    }

    fn trusted_networks_changed(&self) -> PortFuture<'_, ()> {
        Box::pin(self.networks_changed.notified())
    }

    fn call_started<'a>(&'a self, start: &'a CallStart) -> PortFuture<'a, Result<(), ControlUnavailable>> {
        Box::pin(async move {
            self.record(ControlReport::Started(Box::new(start.clone())));
            Ok(())
        })
    }

    fn agent_event<'a>(
        &'a self,
        _account: AccountId,
        call: CallId,
        _trunk: TrunkId,
        event: &'a AgentEvent,
    ) -> PortFuture<'a, Result<(), ControlUnavailable>> {
        Box::pin(async move {
            self.record(ControlReport::Agent(call, event.clone()));
            Ok(())
        })
    }

    fn call_ended<'a>(&'a self, end: &'a CallEnd) -> PortFuture<'a, Result<(), ControlUnavailable>> {
        Box::pin(async move {
            let mut failures = self.end_failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(ControlUnavailable("the disk is full".to_owned()));
            }
            drop(failures);
            self.record(ControlReport::Ended(Box::new(end.clone())));
            Ok(())
        })
    }
}

pub(super) fn trunk(agent_url: &str) -> TrunkForCall {
    TrunkForCall {
        trunk: Trunk {
            id: TrunkId::from_bytes([7; 16]),
            account_id: AccountId::from_bytes([3; 16]),
            name: "Support".to_owned(),
            status: TrunkStatus::Active,
            status_reason: None,
            ai_provider: AiProvider::Custom,
            agent_protocol: AgentProtocol::TelepathV1,
            sip_username: SipUsername::try_from(USER.to_owned()).unwrap(),
            allowed_ips: NetworkList::default(),
            settings: TrunkSettings::default(),
            credentials: BTreeMap::new(),
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        },
        digest: DigestHashes::of(USER, &SecretText::new(PASSWORD.to_owned())),
        agent: AgentTarget::Custom {
            url: AgentUrl::try_from(agent_url.to_owned()).unwrap(),
            protocol: AgentProtocol::TelepathV1,
            headers: Vec::new(),
        },
    }
}

/// Egress that allows this agent and no other loopback service.
pub(crate) fn egress_to(agent_url: &str) -> Egress {
    let authority = agent_url.split('/').nth(2).unwrap();
    Egress::new(authority.parse().unwrap())
}

pub(super) struct TestGateway {
    pub(super) gateway: Gateway,
    pub(super) handle: GatewayHandle,
    pub(super) control: Arc<TestControl>,
    pub(super) sip: SocketAddr,
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl TestGateway {
    pub(super) async fn start(agent_url: &str) -> Self {
        Self::start_with(agent_url, |_| {}).await
    }

    pub(super) async fn start_with(agent_url: &str, adjust: impl FnOnce(&mut GatewayOptions)) -> Self {
        Self::start_from(agent_url, Arc::new(SystemEntropy::default()), adjust).await
    }

    pub(super) async fn start_from(
        agent_url: &str,
        entropy: Arc<dyn Entropy>,
        adjust: impl FnOnce(&mut GatewayOptions),
    ) -> Self {
        let mut options = GatewayOptions::new(loopback(0));
        options.rtp_port_drain = Duration::ZERO;
        options.egress = egress_to(agent_url);
        adjust(&mut options);
        let control = Arc::new(TestControl::new(agent_url));
        let gateway =
            Gateway::start(options, control.clone(), Arc::new(SystemClock), entropy, [9; 32]).await.unwrap();
        Self { handle: gateway.handle(), sip: gateway.sip_addr(), gateway, control }
    }

    /// A caller with valid credentials that plays a tone of 400 ms and listens for its echo.
    pub(super) fn caller(&self) -> CallerOptions {
        self.caller_as(USER, PASSWORD)
    }

    pub(super) fn caller_as(&self, user: &str, password: &str) -> CallerOptions {
        let mut options = CallerOptions::new(&format!("sip:{user}@{}", self.sip)).unwrap();
        options.credentials = Some((user.to_owned(), SecretText::new(password.to_owned())));
        options.play = sine(TONE, 8_000, 3_200);
        options.listen = Duration::from_millis(200);
        options
    }

    pub(super) async fn call(&self) -> CallOutcome {
        within(place_call(self.caller())).await.unwrap()
    }

    /// Waits until no call, task, port or dialog is left.
    pub(super) async fn wait_until_idle(&self) {
        let idle = async {
            while self.handle.counts().await != GatewayCounts::default() {
                tokio::task::yield_now().await;
            }
        };
        within(idle).await;
    }

    pub(super) async fn stop(self) {
        let report = within(self.gateway.shutdown(Duration::from_secs(10))).await;
        assert_eq!(report.tasks_left, 0);
    }
}

/// The number of 10 ms frames that contain the tone. On a busy machine there may be silence between packets, but the
/// packets themselves are unchanged.
pub(super) fn tone_frames(recording: &[i16]) -> usize {
    recording.chunks_exact(80).filter(|part| share_at(TONE, part) > 0.9).count()
}

pub(super) async fn echo() -> EchoAgent {
    EchoAgent::start(loopback(0)).await.unwrap()
}

/// An agent that hands its connections to the test.
pub(crate) struct ScriptedAgent {
    pub(crate) url: String,
    connections: mpsc::Receiver<WebSocketStream<TcpStream>>,
}

impl ScriptedAgent {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(loopback(0)).await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let (sender, connections) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let socket = accept_hdr_async(stream, accept_subprotocol).await.unwrap();
                if sender.send(socket).await.is_err() {
                    return;
                }
            }
        });
        Self { url, connections }
    }

    /// A connection that is already open.
    pub(super) fn try_connection(&mut self) -> Option<WebSocketStream<TcpStream>> {
        self.connections.try_recv().ok()
    }

    pub(crate) async fn connection(&mut self) -> WebSocketStream<TcpStream> {
        within(self.connections.recv()).await.unwrap()
    }
}

/// A listener that accepts TCP connections and never sends anything.
pub(super) async fn silent_listener() -> (TcpListener, String) {
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    (listener, url)
}

/// The URL of a port on which nothing listens.
pub(super) async fn closed_port_url() -> String {
    let (listener, url) = silent_listener().await;
    drop(listener);
    url
}
