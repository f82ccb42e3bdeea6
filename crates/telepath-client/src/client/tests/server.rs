//! A small HTTP server that follows a script: each request, on any connection, gets the next step. It listens on TCP, or is
//! connected in memory for tests with a paused clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use telepath_core::entropy::EntropyError;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::*;
use super::{KEY, response};

/// The reaction to one request.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Sends these bytes.
    Respond(String),
    /// Sends these bytes and closes the connection.
    RespondAndClose(String),
    /// Closes the connection without a response.
    Close,
    /// Never responds.
    NoResponse,
}

impl Step {
    pub(super) fn ok() -> Self {
        Self::Respond(response("200 OK", "", r#"{"items":[],"newer":{"member":1}}"#))
    }

    pub(super) fn status(status: &str, headers: &str) -> Self {
        let body = r#"{"error":{"code":"X","message":"no"}}"#;
        Self::Respond(response(status, headers, body))
    }
}

/// What the server received.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) requests: Vec<String>,
    pub(super) connections: usize,
}

pub(super) struct Server {
    script: Arc<Mutex<VecDeque<Step>>>,
    received: Arc<Mutex<Received>>,
}

impl Server {
    fn following(steps: impl IntoIterator<Item = Step>) -> Self {
        let script = Arc::new(Mutex::new(steps.into_iter().collect()));
        Self { script, received: Arc::default() }
    }

    /// A server on a loopback port, and its client, whose backoff is zero.
    pub(super) async fn tcp(steps: impl IntoIterator<Item = Step>) -> (Self, Client) {
        let server = Self::following(steps);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (script, received) = (server.script.clone(), server.received.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                received.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, script.clone(), received.clone()));
            }
        });
        let mut client = Client::loopback_http(&url, SecretText::new(KEY.to_owned())).unwrap();
        client.entropy = Arc::new(Counting::default());
        (server, client)
    }

    /// The same without sockets, for a paused clock; the jitter is always the whole backoff.
    pub(super) fn memory(steps: impl IntoIterator<Item = Step>) -> (Self, Client) {
        let server = Self::following(steps);
        let (sender, mut accepted) = tokio::sync::mpsc::channel(8);
        let (script, received) = (server.script.clone(), server.received.clone());
        tokio::spawn(async move {
            while let Some(stream) = accepted.recv().await {
                received.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, script.clone(), received.clone()));
            }
        });
        let key = bearer(&SecretText::new(KEY.to_owned())).unwrap();
        let mut client = Client::over(Transport::memory(sender), Some(key));
        client.entropy = Arc::new(AllOnes);
        (server, client)
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.received.lock().unwrap().requests.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.received.lock().unwrap().connections
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: Arc<Mutex<VecDeque<Step>>>,
    received: Arc<Mutex<Received>>,
) {
    while let Some(request) = read_request(&mut stream).await {
        received.lock().unwrap().requests.push(request);
        let step = script.lock().unwrap().pop_front().expect("the script has no step for this request");
        match step {
            Step::Respond(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Step::RespondAndClose(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                return;
            }
            Step::Close => return,
            Step::NoResponse => std::future::pending().await,
        }
    }
}

/// One complete request; `None` if the peer closed the connection.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= content_length(head)
        {
            return Some(text);
        }
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => read.extend_from_slice(&buffer[..length]),
        }
    }
}

fn content_length(head: &str) -> usize {
    header_of(head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// A header of a recorded request.
pub(super) fn header_of(request: &str, name: &str) -> Option<String> {
    request.lines().skip(1).find_map(|line| {
        let (known, value) = line.split_once(": ")?;
        known.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

/// Counts in the last byte: each draw differs, and as jitter each is almost zero.
#[derive(Debug, Default)]
struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.fill(0);
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        buffer.last_mut().map(|last| *last = number).ok_or(EntropyError)
    }
}

/// The maximum jitter.
#[derive(Debug)]
struct AllOnes;

impl Entropy for AllOnes {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.fill(0xff);
        Ok(())
    }
}
