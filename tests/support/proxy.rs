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
pub(crate) enum Weather {
    /// Forwards them.
    Clear,
    /// Delays each chunk.
    Slow(Duration),
    /// Holds them until the link is restored.
    Held,
    /// Closes existing and new connections and drops what was in flight.
    Cut,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    weather: watch::Sender<Weather>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A link to `target`, which is `host:port`.
    pub(crate) async fn to(target: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (weather, seen) = watch::channel(Weather::Clear);
        let task = tokio::spawn(serve(listener, target.to_owned(), seen));
        Ok(Self { address, weather, task })
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, target: String, weather: watch::Receiver<Weather>) {
    while let Ok((client, _)) = listener.accept().await {
        if *weather.borrow() != Weather::Cut {
            tokio::spawn(carry(client, target.clone(), weather.clone()));
        }
    }
}

/// Forwards one connection until either side ends it or the link is cut.
async fn carry(client: TcpStream, target: String, mut weather: watch::Receiver<Weather>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (there, back) = (weather.clone(), weather.clone());
    tokio::select! {
        _ = weather.wait_for(|weather| *weather == Weather::Cut) => {}
        () = pump(from_client, to_server, there) => {}
        () = pump(from_server, to_client, back) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if !let_through(&mut weather).await || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Waits as long as the link requires. Returns whether the bytes are forwarded.
async fn let_through(weather: &mut watch::Receiver<Weather>) -> bool {
    loop {
        let now = *weather.borrow_and_update();
        match now {
            Weather::Clear => return true,
            Weather::Cut => return false,
            Weather::Slow(delay) => {
                super::waiting::pass(delay).await;
                return true;
            }
            Weather::Held => {
                if weather.changed().await.is_err() {
                    return false;
                }
            }
        }
    }
}
