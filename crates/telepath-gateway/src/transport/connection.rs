//! One SIP connection over TCP or TLS: a task that reads messages, writes what is queued for it, and ends it when its peer is
//! silent, slow, or not a SIP peer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use telepath_sip::Flow;
use telepath_sip::message::{FramingReason, StreamFramer, StreamItem};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection_table::Displaceable;

/// Bytes read at once.
const READ_BUFFER: usize = 16 * 1024;
/// Messages that may wait to be written.
const WRITE_QUEUE: usize = 256;
/// Bytes that may wait to be written; a peer that reads so little is disconnected.
const MAX_QUEUED_BYTES: usize = 256 * 1024;

/// The times after which a connection is closed.
#[derive(Debug, Clone, Copy)]
pub struct SipConnectionTimeouts {
    /// Opening a connection, and the TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a message to its last.
    pub message: Duration,
    /// Writing a message.
    pub write: Duration,
    /// Without a message or keep-alive, if no call uses the connection.
    pub idle: Duration,
}

impl Default for SipConnectionTimeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            message: Duration::from_secs(10),
            write: Duration::from_secs(10),
            idle: Duration::from_mins(5),
        }
    }
}

/// What a connection reports to the signalling task.
#[derive(Debug)]
pub(crate) enum ConnectionEvent {
    /// A peer has opened it.
    Opened(Flow, ConnectionHandle),
    /// A message arrived.
    Message(Flow, Vec<u8>),
    /// It has ended. What is queued is still written, until its handle is dropped.
    Closed(Flow, CloseReason),
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The peer closed it.
    Peer,
    /// An error of the operating system, or a reset.
    Error,
    /// It could not be opened.
    Unreachable,
    /// The TLS handshake failed.
    Handshake,
    /// The stream cannot be read any further.
    Framing(FramingReason),
    /// A message did not arrive completely in time.
    SlowMessage,
    /// The peer did not read in time.
    SlowReader,
    /// Nothing arrived for a long time.
    Idle,
    /// It made room for another one.
    Displaced,
}

impl CloseReason {
    /// The names of all reasons in metrics.
    pub(crate) const NAMES: [&'static str; 9] = [
        "peer",
        "error",
        "unreachable",
        "handshake",
        "framing",
        "slow_message",
        "slow_reader",
        "idle",
        "displaced",
    ];

    /// The name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Error => "error",
            Self::Unreachable => "unreachable",
            Self::Handshake => "handshake",
            Self::Framing(_) => "framing",
            Self::SlowMessage => "slow_message",
            Self::SlowReader => "slow_reader",
            Self::Idle => "idle",
            Self::Displaced => "displaced",
        }
    }
}

/// What the tasks that use a connection know of it.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    /// Calls that use the connection.
    calls: AtomicUsize,
    queued_bytes: AtomicUsize,
    /// Milliseconds from the start of the server to the last use.
    last_use: AtomicU64,
    /// Cancelled when the connection makes room for another one, or when the server stops.
    pub(super) displaced: CancellationToken,
    /// Cancelled when the peer reads too little.
    overfull: CancellationToken,
}

impl Displaceable for Arc<ConnectionState> {
    fn is_free(&self) -> bool {
        self.calls.load(Ordering::Relaxed) == 0
    }

    fn last_use(&self) -> u64 {
        self.last_use.load(Ordering::Relaxed)
    }
}

/// The way to write to a connection.
#[derive(Debug)]
pub(crate) struct ConnectionHandle {
    queue: mpsc::Sender<Arc<[u8]>>,
    pub(super) state: Arc<ConnectionState>,
}

impl ConnectionHandle {
    pub(super) fn new(state: Arc<ConnectionState>) -> (Self, mpsc::Receiver<Arc<[u8]>>) {
        let (queue, queued) = mpsc::channel(WRITE_QUEUE);
        (Self { queue, state }, queued)
    }

    /// Queues a message. If too much waits already, the connection is closed.
    pub(super) fn send(&self, payload: Arc<[u8]>) -> bool {
        let waiting = self.state.queued_bytes.fetch_add(payload.len(), Ordering::Relaxed);
        let sent = waiting <= MAX_QUEUED_BYTES && self.queue.try_send(payload).is_ok();
        if !sent {
            self.state.overfull.cancel();
        }
        sent
    }

    /// Notes that a call uses the connection, until the hold is dropped.
    pub(super) fn hold(&self) -> ConnectionHold {
        self.state.calls.fetch_add(1, Ordering::Relaxed);
        ConnectionHold(Arc::clone(&self.state))
    }
}

/// While it exists, a connection is neither idle nor closed for another one.
#[derive(Debug)]
pub(crate) struct ConnectionHold(Arc<ConnectionState>);

impl Drop for ConnectionHold {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The task of one connection.
pub(super) struct Connection<S> {
    pub(super) stream: S,
    pub(super) flow: Flow,
    pub(super) state: Arc<ConnectionState>,
    pub(super) queued: mpsc::Receiver<Arc<[u8]>>,
    pub(super) events: mpsc::Sender<ConnectionEvent>,
    pub(super) timeouts: SipConnectionTimeouts,
    /// The start of the server.
    pub(super) epoch: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Runs until the connection ends, and reports its end.
    pub(super) async fn run(mut self) {
        let reason = match self.exchange().await {
            Ok(()) => return self.shut_down().await,
            Err(reason) => reason,
        };
        // Fails only when the signalling task has stopped.
        let _ = self.events.send(ConnectionEvent::Closed(self.flow, reason)).await;
        match reason {
            // A response may be on its way: what could not be read is answered before the end.
            CloseReason::Peer | CloseReason::Framing(_) | CloseReason::Idle => {
                while let Some(payload) = self.queued.recv().await {
                    if self.write_queued(&payload).await.is_err() {
                        return;
                    }
                }
                self.shut_down().await;
            }
            CloseReason::Error
            | CloseReason::Unreachable
            | CloseReason::Handshake
            | CloseReason::SlowMessage
            | CloseReason::SlowReader
            | CloseReason::Displaced => {}
        }
    }

    /// Reads and writes. `Ok` when the signalling task has dropped the connection.
    async fn exchange(&mut self) -> Result<(), CloseReason> {
        let mut framer = StreamFramer::default();
        let mut buffer = vec![0; READ_BUFFER];
        let mut incomplete_since = None;
        let mut silent_since = self.touch();
        loop {
            let deadline = incomplete_since
                .map_or(silent_since + self.timeouts.idle, |since| since + self.timeouts.message);
            tokio::select! {
                biased;
                () = self.state.displaced.cancelled() => return Err(CloseReason::Displaced),
                () = self.state.overfull.cancelled() => return Err(CloseReason::SlowReader),
                payload = self.queued.recv() => match payload {
                    Some(payload) => {
                        self.write_queued(&payload).await?;
                        silent_since = self.touch();
                    }
                    None => return Ok(()),
                },
                read = self.stream.read(&mut buffer) => {
                    let length = read.map_err(|_| CloseReason::Error)?;
                    if length == 0 {
                        return Err(CloseReason::Peer);
                    }
                    silent_since = self.touch();
                    framer.push(buffer.get(..length).unwrap_or_default());
                    let complete = self.deliver(&mut framer).await?;
                    let partial = framer.is_partial();
                    // The time counts from the first byte of a message, however often another one arrives.
                    incomplete_since = incomplete_since.filter(|_| !complete).or(Some(silent_since)).filter(|_| partial);
                }
                () = tokio::time::sleep_until(deadline) => {
                    if incomplete_since.is_some() {
                        return Err(CloseReason::SlowMessage);
                    }
                    if self.state.is_free() {
                        return Err(CloseReason::Idle);
                    }
                    silent_since = Instant::now();
                }
            }
        }
    }

    /// Hands over what is complete; whether anything was.
    async fn deliver(&mut self, framer: &mut StreamFramer) -> Result<bool, CloseReason> {
        let mut complete = false;
        loop {
            match framer.poll() {
                Ok(Some(StreamItem::Message(message))) => {
                    self.report(ConnectionEvent::Message(self.flow, message)).await?;
                    complete = true;
                }
                Ok(Some(StreamItem::Ping)) => {
                    metrics::counter!("telepath_sip_keep_alives_total").increment(1);
                    self.write(b"\r\n").await?;
                    complete = true;
                }
                Ok(None) => return Ok(complete),
                Err(error) => {
                    if let Some(head) = error.head {
                        self.report(ConnectionEvent::Message(self.flow, head)).await?;
                    }
                    return Err(CloseReason::Framing(error.reason));
                }
            }
        }
    }

    async fn report(&self, event: ConnectionEvent) -> Result<(), CloseReason> {
        self.events.send(event).await.map_err(|_| CloseReason::Error)
    }

    async fn write_queued(&mut self, payload: &[u8]) -> Result<(), CloseReason> {
        let written = self.write(payload).await;
        self.state.queued_bytes.fetch_sub(payload.len(), Ordering::Relaxed);
        written
    }

    async fn write(&mut self, payload: &[u8]) -> Result<(), CloseReason> {
        match tokio::time::timeout(self.timeouts.write, write_all(&mut self.stream, payload)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(CloseReason::Error),
            Err(_elapsed) => Err(CloseReason::SlowReader),
        }
    }

    /// Tells the peer that nothing follows; over TLS with `close_notify`.
    async fn shut_down(&mut self) {
        let _ = tokio::time::timeout(self.timeouts.write, self.stream.shutdown()).await;
    }

    fn touch(&self) -> Instant {
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(self.epoch).as_millis();
        self.state.last_use.store(u64::try_from(elapsed).unwrap_or(u64::MAX), Ordering::Relaxed);
        now
    }
}

async fn write_all(stream: &mut (impl AsyncWrite + Unpin), payload: &[u8]) -> io::Result<()> {
    stream.write_all(payload).await?;
    stream.flush().await
}
