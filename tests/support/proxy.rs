//! A TCP proxy whose link a test can delay, stall, cut and restore.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the link treats bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// Forwards them.
    Open,
    /// Delays each chunk.
    Delayed(Duration),
    /// Holds them until the link is restored.
    Stalled,
    /// Closes existing and new connections and drops what was in flight.
    Cut,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: watch::Sender<LinkState>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A link to `target`, which is `host:port`.
    pub(crate) async fn to(target: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (state, seen) = watch::channel(LinkState::Open);
        let task = tokio::spawn(serve(listener, target.to_owned(), seen));
        Ok(Self { address, state, task })
    }

    pub(crate) fn set(&self, state: LinkState) {
        self.state.send_replace(state);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, target: String, state: watch::Receiver<LinkState>) {
    while let Ok((client, _)) = listener.accept().await {
        if *state.borrow() != LinkState::Cut {
            tokio::spawn(carry(client, target.clone(), state.clone()));
        }
    }
}

/// Forwards one connection until either side ends it or the link is cut.
async fn carry(client: TcpStream, target: String, mut state: watch::Receiver<LinkState>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (there, back) = (state.clone(), state.clone());
    tokio::select! {
        _ = state.wait_for(|state| *state == LinkState::Cut) => {}
        () = pump(from_client, to_server, there) => {}
        () = pump(from_server, to_client, back) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<LinkState>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if !wait_until_forwarded(&mut state).await || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Waits as long as the link requires. Returns whether the bytes are forwarded.
async fn wait_until_forwarded(state: &mut watch::Receiver<LinkState>) -> bool {
    loop {
        let now = *state.borrow_and_update();
        match now {
            LinkState::Open => return true,
            LinkState::Cut => return false,
            LinkState::Delayed(delay) => {
                super::waiting::pass(delay).await;
                return true;
            }
            LinkState::Stalled => {
                if state.changed().await.is_err() {
                    return false;
                }
            }
        }
    }
}
