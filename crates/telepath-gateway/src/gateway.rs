//! The public handle of a gateway: start it, list and hang up its calls, and shut it down so that every call ends
//! properly and every call record is written.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use telepath_core::call::{DisconnectReason, SipStrangers};
use telepath_core::clock::Clock;
use telepath_core::entropy::{Entropy, random_bytes};
use telepath_core::id::{CallId, TrunkId};
use telepath_core::ports::{CallControl, LiveCalls};
use telepath_core::server_status::{MediaUse, SipReach};
use telepath_sip::message::Transport;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::advertised::LocalAddresses;
use crate::command::Command;
use crate::options::GatewayOptions;
use crate::rtp_ports::PortPool;
use crate::shared::Shared;
use crate::signalling::{Signalling, SignallingSeeds};
use crate::start_error::StartError;
use crate::strangers::StrangerTable;
use crate::transport::Transports;
use crate::trusted_networks;

/// Capacity of the command channel; when it is full, calls wait.
const COMMAND_QUEUE: usize = 4_096;
/// Call records that may be retried at the same time while storage is down.
const MAX_UNRECORDED: usize = 4_096;
/// How long the last attempts to write call records may take after a shutdown has timed out.
const LAST_ATTEMPTS: Duration = Duration::from_secs(2);

/// A running gateway.
pub struct Gateway {
    handle: GatewayHandle,
    sip_addr: SocketAddr,
    listeners: Vec<(Transport, SocketAddr)>,
    signalling: JoinHandle<()>,
}

/// A cloneable handle to the live calls of a gateway.
#[derive(Clone)]
pub struct GatewayHandle(Arc<Shared>);

/// Live objects of a gateway, so that tests can detect leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GatewayCounts {
    /// Calls that ring or are connected.
    pub calls: usize,
    /// Tasks of calls, of call records and of trunk look-ups.
    pub tasks: usize,
    /// RTP ports leased to calls.
    pub rtp_ports: usize,
    /// Calls of the SIP endpoint, including those that wait for the response to a BYE.
    pub sip_calls: usize,
    /// Dialogs of the SIP endpoint.
    pub sip_dialogs: usize,
}

/// What a shutdown left unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShutdownReport {
    /// Tasks that were still running.
    pub tasks_left: usize,
}

impl Gateway {
    /// Opens the SIP sockets and starts to accept calls. `sip_nonce_secret` is the key of digest nonces; servers with the
    /// same key take each other's nonces for proof of an address. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        options: GatewayOptions,
        control: Arc<dyn CallControl>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        sip_nonce_secret: [u8; 32],
    ) -> Result<Self, StartError> {
        let transports = Transports::open(&options.transports())?;
        let listeners = transports.listeners();
        let sip_addr = listeners.first().map(|(_, address)| *address).ok_or(StartError::NoUdp)?;
        let addresses = LocalAddresses::find(options.advertise.as_deref(), sip_addr.ip()).await?;
        let mut advertised = Vec::new();
        for (transport, listener) in &listeners {
            let addresses = LocalAddresses::find(options.advertise.as_deref(), listener.ip()).await?;
            advertised.extend(addresses.of_listener(*transport, *listener));
        }
        if let Some(address) = addresses.unreachable(sip_addr.ip()) {
            tracing::warn!(
                %address,
                "SIP and SDP advertise an address that carriers on the Internet cannot reach; \
                 if they are to call this server, set sip.public_host to its public address or name"
            );
        }
        let ports = PortPool::new(sip_addr.ip(), options.rtp_ports.clone(), options.rtp_port_drain)
            .ok_or(StartError::NoRtpPorts)?;
        let seeds = SignallingSeeds {
            endpoint: random_bytes(&*entropy)?,
            nonce_issuer: u32::from_le_bytes(random_bytes(&*entropy)?),
            nonce_secret: sip_nonce_secret,
        };
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        let shared = Arc::new(Shared {
            options,
            addresses,
            control,
            clock,
            entropy,
            live: Arc::default(),
            transfer_limits: Arc::default(),
            strangers: StrangerTable::default(),
            ports,
            commands,
            tasks: TaskTracker::new(),
            unrecorded: Semaphore::new(MAX_UNRECORDED),
            give_up: CancellationToken::new(),
        });
        let signalling =
            Signalling::new(shared.clone(), transports, advertised.into_iter().collect(), &seeds, receiver);
        // Before the first datagram is read, so that no carrier in `allowed_ips` is challenged after a start.
        let read = trusted_networks::refresh(&shared).await;
        if let Err(error) = &read {
            tracing::warn!(
                error,
                "could not read the allowed_ips of the trunks; all callers need digest until then"
            );
        }
        tokio::spawn(trusted_networks::keep_current(shared.clone(), read.is_ok()));
        let signalling = tokio::spawn(signalling.run());
        for (transport, listen) in &listeners {
            tracing::info!(%listen, advertised = %addresses, "listening for SIP over {}", transport.name().to_uppercase());
        }
        Ok(Self { handle: GatewayHandle(shared), sip_addr, listeners, signalling })
    }

    /// The address of the first UDP socket for SIP.
    pub fn sip_addr(&self) -> SocketAddr {
        self.sip_addr
    }

    /// The addresses of all SIP sockets and listeners, those of UDP first.
    pub fn sip_listeners(&self) -> &[(Transport, SocketAddr)] {
        &self.listeners
    }

    /// A handle to the live calls.
    pub fn handle(&self) -> GatewayHandle {
        self.handle.clone()
    }

    /// Shuts down: new calls get 503, live calls a BYE and the reason `server_shutdown`, call records are written and
    /// all tasks end. Tasks still running two seconds after `timeout` are abandoned.
    pub async fn shutdown(self, timeout: Duration) -> ShutdownReport {
        let shared = &self.handle.0;
        let deadline = Instant::now() + timeout;
        // Fails only when the signalling task has already stopped.
        let _ = shared.commands.send(Command::Drain).await;
        // Commands are processed in order: when this one returns, no new call can enter the table.
        let _ = self.handle.count_sip().await;
        shared.live.hang_up_where(|_| true, DisconnectReason::ServerShutdown);
        shared.tasks.close();
        if tokio::time::timeout_at(deadline, shared.tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = shared.tasks.len(),
                "shutdown timed out; giving up on the remaining tasks"
            );
        }
        shared.give_up.cancel();
        let _ = shared.commands.send(Command::Stop).await;
        let _ = self.signalling.await;
        let _ = tokio::time::timeout(LAST_ATTEMPTS, shared.tasks.wait()).await;
        ShutdownReport { tasks_left: shared.tasks.len() }
    }
}

impl GatewayHandle {
    /// Waits until SIP is no longer served: after a shutdown, or when the signalling task fails. The process should then
    /// exit.
    pub async fn until_stopped(&self) {
        self.0.commands.closed().await;
    }

    /// The number of live objects.
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

    /// The live calls, and the RTP ports that they use.
    pub fn media_use(&self) -> MediaUse {
        let options = &self.0.options;
        MediaUse {
            calls: self.0.live.len(),
            max_calls: options.max_calls,
            ports: (*options.rtp_ports.start(), *options.rtp_ports.end()),
            ports_in_use: self.0.ports.leased(),
            ports_total: self.0.ports.total(),
        }
    }

    /// How carriers reach the SIP socket, which has the address `listen`.
    pub fn sip_reach(&self, listen: SocketAddr) -> SipReach {
        let addresses = self.0.addresses;
        SipReach {
            listen,
            advertised: addresses.to_string(),
            unreachable: addresses.unreachable(listen.ip()),
        }
    }

    async fn count_sip(&self) -> Option<telepath_sip::EndpointCounts> {
        let (reply, counts) = oneshot::channel();
        self.0.commands.send(Command::Count(reply)).await.ok()?;
        counts.await.ok()
    }
}

impl LiveCalls for GatewayHandle {
    fn is_live(&self, call: CallId) -> bool {
        self.0.live.is_live(call)
    }

    fn hang_up(&self, call: CallId, reason: DisconnectReason) -> bool {
        self.0.live.hang_up(call, reason)
    }

    fn hang_up_trunk(&self, trunk: TrunkId, reason: DisconnectReason) -> usize {
        self.0.live.hang_up_where(|of| of == trunk, reason)
    }

    fn sip_strangers(&self) -> SipStrangers {
        self.0.strangers.list()
    }
}
