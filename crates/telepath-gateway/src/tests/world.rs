//! What every test stands on: a control plane in memory, a gateway on free ports, agents, and callers.

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
use telepath_core::ports::{AgentNews, CallControl, ControlUnavailable, PortFuture};
use telepath_core::secret::SecretText;
use telepath_core::trunk::{
    AgentProtocol, AgentTarget, AgentUrl, AiProvider, SipUsername, Trunk, TrunkForCall, TrunkSettings,
    TrunkStatus,
};
use telepath_egress::Egress;
use telepath_media::dialect::SUBPROTOCOL;
use telepath_media::tone::{Hertz, share_at, sine};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::caller::{CallOutcome, CallerOptions, place_call};
use crate::echo_agent::{EchoAgent, agree};
use crate::{Gateway, GatewayCounts, GatewayHandle, GatewayOptions};

pub(super) const USER: &str = "support-01";
pub(super) const PASSWORD: &str = "correct horse battery";
/// Four periods fit into ten milliseconds.
pub(super) const TONE: Hertz = Hertz(400.0);
/// A bound on waiting that only a failure meets.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("this should have happened long ago")
}

#[derive(Debug, Clone)]
pub(super) enum Said {
    Started(CallStart),
    Agent(CallId, AgentNews),
    Ended(Box<CallEnd>),
}

/// A control plane in memory. `changed` counts what was said, so that tests can wait for it.
pub(super) struct TestControl {
    pub(super) trunks: Mutex<HashMap<String, TrunkForCall>>,
    said: Mutex<Vec<Said>>,
    changed: watch::Sender<usize>,
    /// How many more times recording an end fails.
    pub(super) end_failures: Mutex<u32>,
    pub(super) unavailable: Mutex<bool>,
}

impl TestControl {
    fn say(&self, what: Said) {
        self.said.lock().unwrap().push(what);
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn said(&self) -> Vec<Said> {
        self.said.lock().unwrap().clone()
    }

    pub(super) fn ends(&self) -> Vec<CallEnd> {
        let ends = self.said().into_iter().filter_map(|said| match said {
            Said::Ended(end) => Some(*end),
            Said::Started(_) | Said::Agent(..) => None,
        });
        ends.collect()
    }

    pub(super) async fn until_ends(&self, count: usize) -> Vec<CallEnd> {
        within(self.changed.subscribe().wait_for(|_| self.ends().len() >= count)).await.unwrap();
        self.ends()
    }

    pub(super) async fn until_started(&self) -> CallStart {
        let started = || {
            self.said().into_iter().find_map(|said| match said {
                Said::Started(start) => Some(start),
                Said::Agent(..) | Said::Ended(_) => None,
            })
        };
        within(self.changed.subscribe().wait_for(|_| started().is_some())).await.unwrap();
        started().unwrap()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut TrunkForCall)) {
        change(self.trunks.lock().unwrap().get_mut(USER).unwrap());
    }
}

impl CallControl for TestControl {
    fn find_trunk<'a>(
        &'a self,
        sip_username: &'a SipUsername,
    ) -> PortFuture<'a, Result<Option<TrunkForCall>, ControlUnavailable>> {
        Box::pin(async move {
            if *self.unavailable.lock().unwrap() {
                return Err(ControlUnavailable("switched off".to_owned()));
            }
            Ok(self.trunks.lock().unwrap().get(&sip_username.as_str().to_ascii_lowercase()).cloned())
        })
    }

    fn call_started<'a>(&'a self, start: &'a CallStart) -> PortFuture<'a, Result<(), ControlUnavailable>> {
        Box::pin(async move {
            self.say(Said::Started(start.clone()));
            Ok(())
        })
    }

    fn agent_news<'a>(
        &'a self,
        _account: AccountId,
        call: CallId,
        _trunk: TrunkId,
        news: &'a AgentNews,
    ) -> PortFuture<'a, Result<(), ControlUnavailable>> {
        Box::pin(async move {
            self.say(Said::Agent(call, news.clone()));
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
            self.say(Said::Ended(Box::new(end.clone())));
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

/// A way out to this agent of the test and to no other service of this machine.
pub(super) fn way_to(agent_url: &str) -> Egress {
    let authority = agent_url.split('/').nth(2).unwrap();
    Egress::new(authority.parse().unwrap())
}

pub(super) struct World {
    pub(super) gateway: Gateway,
    pub(super) handle: GatewayHandle,
    pub(super) control: Arc<TestControl>,
    pub(super) sip: SocketAddr,
}

pub(super) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl World {
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
        options.egress = way_to(agent_url);
        adjust(&mut options);
        let control = Arc::new(TestControl {
            trunks: Mutex::new(HashMap::from([(USER.to_owned(), trunk(agent_url))])),
            said: Mutex::default(),
            changed: watch::Sender::new(0),
            end_failures: Mutex::default(),
            unavailable: Mutex::default(),
        });
        let gateway =
            Gateway::start(options, control.clone(), Arc::new(SystemClock), entropy, [9; 32]).await.unwrap();
        Self { handle: gateway.handle(), sip: gateway.sip_addr(), gateway, control }
    }

    /// A caller who knows the password, plays a tone of 400 ms and listens until it must be back.
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

    /// Waits until nothing of any call is left, which each count can only reach by falling.
    pub(super) async fn until_idle(&self) {
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

/// How many stretches of ten milliseconds are the tone and little else. A busy machine may delay packets and so put
/// silence between two of them, but it cannot change what is in them.
pub(super) fn tone_heard(recording: &[i16]) -> usize {
    recording.chunks_exact(80).filter(|part| share_at(TONE, part) > 0.9).count()
}

pub(super) async fn echo() -> EchoAgent {
    EchoAgent::start(loopback(0)).await.unwrap()
}

/// An agent whose connections the test holds.
pub(super) struct Puppet {
    pub(super) url: String,
    connections: mpsc::Receiver<WebSocketStream<TcpStream>>,
}

impl Puppet {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(loopback(0)).await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let (give, connections) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let socket = accept_hdr_async(stream, agree).await.unwrap();
                if give.send(socket).await.is_err() {
                    return;
                }
            }
        });
        Self { url, connections }
    }

    pub(super) async fn connection(&mut self) -> WebSocketStream<TcpStream> {
        within(self.connections.recv()).await.unwrap()
    }
}

/// An address that takes TCP connections and never says a word.
pub(super) async fn mute() -> (TcpListener, String) {
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    assert_eq!(SUBPROTOCOL, "telepath.v1");
    (listener, url)
}

/// An address on which nothing listens.
pub(super) async fn nowhere() -> String {
    let (listener, url) = mute().await;
    drop(listener);
    url
}
