//! The gateway as its owner sees it: started with its seams, asked for live calls, and shut down so that every call
//! ends properly and every record is written.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use telepath_core::call::DisconnectReason;
use telepath_core::clock::Clock;
use telepath_core::entropy::{Entropy, random_bytes};
use telepath_core::id::{CallId, TrunkId};
use telepath_core::ports::{CallControl, LiveCalls};
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::live::LiveTable;
use crate::options::{GatewayOptions, StartError};
use crate::rtp_ports::PortPool;
use crate::signalling::{Command, Signalling, SignallingSeeds};

/// Commands that may wait for the signalling task; beyond, calls wait.
const COMMAND_QUEUE: usize = 4_096;
/// Bytes of SIP that the kernel holds for us: a burst of some thousand messages.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// Records of calls that may wait for storage to come back.
const MAX_UNRECORDED: usize = 4_096;
/// What is left to last tries of writing records when the time given to a shutdown is over.
const LAST_TRIES: Duration = Duration::from_secs(2);

/// What all tasks of a gateway share.
pub(crate) struct Shared {
    pub(crate) options: GatewayOptions,
    /// The address put into SDP.
    pub(crate) media_ip: IpAddr,
    pub(crate) control: Arc<dyn CallControl>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) live: Arc<LiveTable>,
    pub(crate) ports: Arc<PortPool>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) tasks: TaskTracker,
    /// Records that may be tried again at the same time.
    pub(crate) unrecorded: Semaphore,
    /// Records that cannot be written now are given up.
    pub(crate) give_up: CancellationToken,
}

/// A running gateway.
pub struct Gateway {
    handle: GatewayHandle,
    sip_addr: SocketAddr,
    signalling: JoinHandle<()>,
}

/// A way to a gateway's live calls that can be handed around.
#[derive(Clone)]
pub struct GatewayHandle(Arc<Shared>);

/// How much of a gateway is alive, so that a test can see that nothing is left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GatewayCounts {
    /// Calls that ring or are connected.
    pub calls: usize,
    /// Tasks of calls, of their records and of look-ups.
    pub tasks: usize,
    /// Media ports that calls hold.
    pub rtp_ports: usize,
    /// SIP calls, those that wait for the answer to a BYE included.
    pub sip_calls: usize,
    /// SIP dialogs.
    pub sip_dialogs: usize,
}

/// What a shutdown could not finish in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShutdownReport {
    /// Tasks that had not ended.
    pub tasks_left: usize,
}

impl Gateway {
    /// Opens the SIP socket and starts to take calls. `sip_nonce_secret` is the key of digest nonces; nodes that
    /// share it accept each other's. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    #[expect(
        clippy::unused_async,
        reason = "async says that it needs a runtime, which a plain function would hide"
    )]
    pub async fn start(
        options: GatewayOptions,
        control: Arc<dyn CallControl>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        sip_nonce_secret: [u8; 32],
    ) -> Result<Self, StartError> {
        let listen = options.sip_listen;
        let socket = open_sip_socket(listen).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => StartError::PortTaken(listen),
            _ => StartError::Socket { address: listen, source },
        })?;
        let sip_addr =
            socket.local_addr().map_err(|source| StartError::Socket { address: listen, source })?;
        let media_ip = options.advertise.unwrap_or_else(|| reachable_at(sip_addr.ip()));
        let ports = PortPool::new(sip_addr.ip(), options.rtp_ports.clone(), options.rtp_port_drain)
            .ok_or(StartError::NoRtpPorts)?;
        let seeds = SignallingSeeds {
            endpoint: random_bytes(&*entropy)?,
            nonce_salt: random_bytes(&*entropy)?,
            nonce_secret: sip_nonce_secret,
        };
        let (commands, obeyed) = mpsc::channel(COMMAND_QUEUE);
        let shared = Arc::new(Shared {
            options,
            media_ip,
            control,
            clock,
            entropy,
            live: Arc::default(),
            ports,
            commands,
            tasks: TaskTracker::new(),
            unrecorded: Semaphore::new(MAX_UNRECORDED),
            give_up: CancellationToken::new(),
        });
        let advertised = SocketAddr::new(media_ip, sip_addr.port());
        let signalling = Signalling::new(shared.clone(), socket, advertised, &seeds, obeyed);
        let signalling = tokio::spawn(signalling.run());
        tracing::info!(listen = %sip_addr, %advertised, "SIP is served over UDP");
        Ok(Self { handle: GatewayHandle(shared), sip_addr, signalling })
    }

    /// Where SIP is served.
    pub fn sip_addr(&self) -> SocketAddr {
        self.sip_addr
    }

    /// A way to the live calls.
    pub fn handle(&self) -> GatewayHandle {
        self.handle.clone()
    }

    /// Stops: new calls get 503, live ones a BYE with the reason `server_shutdown`, records are written, tasks end.
    /// What is not done within `patience` is cut off two seconds later.
    pub async fn shutdown(self, patience: Duration) -> ShutdownReport {
        let shared = &self.handle.0;
        let until = Instant::now() + patience;
        // Fails only when the task is gone already.
        let _ = shared.commands.send(Command::Drain).await;
        // Behind this, no call can be on its way from the signalling task into the table.
        let _ = self.handle.count_sip().await;
        shared.live.hang_up_where(|_| true, DisconnectReason::ServerShutdown);
        shared.tasks.close();
        if tokio::time::timeout_at(until, shared.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = shared.tasks.len(), "the time to stop is over; what is left is cut off");
        }
        shared.give_up.cancel();
        let _ = shared.commands.send(Command::Stop).await;
        let _ = self.signalling.await;
        let _ = tokio::time::timeout(LAST_TRIES, shared.tasks.wait()).await;
        ShutdownReport { tasks_left: shared.tasks.len() }
    }
}

impl GatewayHandle {
    /// Whether SIP is served. It ends with a shutdown, or when the signalling task broke.
    pub fn is_serving(&self) -> bool {
        !self.0.commands.is_closed()
    }

    /// Waits until SIP is not served any more, see [`GatewayHandle::is_serving`]; the process should then end.
    pub async fn until_stopped(&self) {
        self.0.commands.closed().await;
    }

    /// How much is alive.
    pub async fn counts(&self) -> GatewayCounts {
        let sip = self.count_sip().await.unwrap_or_default();
        GatewayCounts {
            calls: self.0.live.len(),
            tasks: self.0.tasks.len(),
            rtp_ports: self.0.ports.leased(),
            sip_calls: sip.calls,
            sip_dialogs: sip.dialogs,
        }
    }

    async fn count_sip(&self) -> Option<telepath_sip::Counts> {
        let (reply, answer) = oneshot::channel();
        self.0.commands.send(Command::Count(reply)).await.ok()?;
        answer.await.ok()
    }
}

impl LiveCalls for GatewayHandle {
    fn hang_up(&self, call: CallId, reason: DisconnectReason) -> bool {
        self.0.live.hang_up(call, reason)
    }

    fn hang_up_trunk(&self, trunk: TrunkId, reason: DisconnectReason) -> usize {
        self.0.live.hang_up_where(|of| of == trunk, reason)
    }
}

fn open_sip_socket(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    if listen.is_ipv6() {
        // Addresses stay honest: an IPv4 caller is never seen as an IPv6 one.
        socket.set_only_v6(true)?;
    }
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%error, "the SIP socket keeps its default receive buffer");
    }
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    UdpSocket::from_std(socket.into())
}

/// The address under which peers reach a socket bound here. For an unspecified address the system's routing table is
/// asked which one it would use toward the Internet; no packet is sent for that.
pub(crate) fn reachable_at(bound: IpAddr) -> IpAddr {
    if !bound.is_unspecified() {
        return bound;
    }
    // Addresses of the documentation ranges: routed like any other, and nobody's.
    let (from, toward): (SocketAddr, SocketAddr) = match bound {
        IpAddr::V4(_) => ((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into()),
        IpAddr::V6(_) => {
            ((Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into())
        }
    };
    let probed = StdUdpSocket::bind(from).and_then(|socket| socket.connect(toward).and(socket.local_addr()));
    probed.map_or_else(
        |_| match bound {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        },
        |address| address.ip(),
    )
}
