//! Connections that are kept for the next request. Few are kept and not for long: a server or a proxy closes idle ones by
//! itself, and a request that runs into that moment is not known to have been carried out or not.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::Error;
use crate::retry::Repeat;
use crate::transport::Transport;

/// Idle connections kept for one client.
const MOST_IDLE: usize = 4;
/// How long a connection is kept idle. Shorter than the time after which servers usually close.
const LONGEST_IDLE: Duration = Duration::from_secs(15);

type Sender = SendRequest<Full<Bytes>>;

/// The way to one server.
pub(crate) struct Connections {
    transport: Transport,
    idle: Mutex<Vec<(Sender, Instant)>>,
}

/// A connection in use. Dropped, it is closed.
pub(crate) struct Connection(Sender);

impl Connections {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport, idle: Mutex::new(Vec::new()) }
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Sends a request and gives the head of the answer. What may not be carried out twice gets a connection of its own.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        repeat: Repeat,
    ) -> Result<(Response<Incoming>, Connection), Error> {
        while let (Repeat::Harmless, Some(mut sender)) = (repeat, self.take_idle()) {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(answer) => return Ok((answer, Connection(sender))),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(self.broke(failed.into_error())),
                },
            }
        }
        let mut sender = self.open().await?;
        let answer = sender.send_request(request).await.map_err(|error| self.broke(error))?;
        Ok((answer, Connection(sender)))
    }

    /// Keeps a connection whose answer was read to its end.
    pub(crate) fn give_back(&self, Connection(sender): Connection) {
        if sender.is_closed() {
            return;
        }
        if let Ok(mut idle) = self.idle.lock() {
            if idle.len() == MOST_IDLE {
                idle.remove(0);
            }
            idle.push((sender, Instant::now()));
        }
    }

    /// The one that was used last: the others get a chance to grow old.
    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().ok()?;
        idle.retain(|(sender, since)| since.elapsed() < LONGEST_IDLE && !sender.is_closed());
        idle.pop().map(|(sender, _)| sender)
    }

    async fn open(&self) -> Result<Sender, Error> {
        let stream = TokioIo::new(self.transport.connect().await?);
        let (sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(|error| self.broke(error))?;
        // It ends when its sender is dropped or the peer closes; what went wrong is told to whoever waits for an answer.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    pub(crate) fn broke(&self, source: hyper::Error) -> Error {
        Error::Http { peer: self.transport.peer(), source }
    }
}
