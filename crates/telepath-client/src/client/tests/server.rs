//! A small HTTP server that plays a script: each request, on whichever connection it comes, gets the next step. It speaks
//! over real TCP, or over memory for tests that stop the clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use telepath_core::entropy::EntropyError;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::*;
use super::{KEY, answer};

/// What happens to a request.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// It is answered with these bytes.
    Answer(String),
    /// It is answered with these bytes, and the connection is closed.
    Last(String),
    /// The connection is closed without an answer.
    HangUp,
    /// Nothing comes.
    Silence,
}

impl Step {
    pub(super) fn ok() -> Self {
        Self::Answer(answer("200 OK", "", r#"{"items":[],"newer":{"member":1}}"#))
    }

    pub(super) fn status(status: &str, headers: &str) -> Self {
        let body = r#"{"error":{"code":"X","message":"no"}}"#;
        Self::Answer(answer(status, headers, body))
    }
}

/// What a server has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) requests: Vec<String>,
    pub(super) connections: usize,
}

pub(super) struct Server {
    script: Arc<Mutex<VecDeque<Step>>>,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    fn playing(steps: impl IntoIterator<Item = Step>) -> Self {
        let script = Arc::new(Mutex::new(steps.into_iter().collect()));
        Self { script, seen: Arc::default() }
    }

    /// A server on a port of this machine, and a client of it whose pauses are all of length zero.
    pub(super) async fn tcp(steps: impl IntoIterator<Item = Step>) -> (Self, Client) {
        let server = Self::playing(steps);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (script, seen) = (server.script.clone(), server.seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, script.clone(), seen.clone()));
            }
        });
        let mut client = Client::loopback_http(&url, SecretText::new(KEY.to_owned())).unwrap();
        client.entropy = Arc::new(Counting::default());
        (server, client)
    }

    /// The same without sockets, for a paused clock; the jitter is always the whole pause.
    pub(super) fn memory(steps: impl IntoIterator<Item = Step>) -> (Self, Client) {
        let server = Self::playing(steps);
        let (sender, mut accepted) = tokio::sync::mpsc::channel(8);
        let (script, seen) = (server.script.clone(), server.seen.clone());
        tokio::spawn(async move {
            while let Some(stream) = accepted.recv().await {
                seen.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, script.clone(), seen.clone()));
            }
        });
        let key = bearer(&SecretText::new(KEY.to_owned())).unwrap();
        let mut client = Client::over(Transport::memory(sender), Some(key));
        client.entropy = Arc::new(AllOnes);
        (server, client)
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: Arc<Mutex<VecDeque<Step>>>,
    seen: Arc<Mutex<Seen>>,
) {
    while let Some(request) = read_request(&mut stream).await {
        seen.lock().unwrap().requests.push(request);
        let step = script.lock().unwrap().pop_front().expect("no request beyond the script");
        match step {
            Step::Answer(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Step::Last(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                return;
            }
            Step::HangUp => return,
            Step::Silence => std::future::pending().await,
        }
    }
}

/// A whole request; `None` when the peer has closed.
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

/// Counts in the last bytes: each draw differs, and as jitter each is next to nothing.
#[derive(Debug, Default)]
struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.fill(0);
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        buffer.last_mut().map(|last| *last = number).ok_or(EntropyError)
    }
}

/// As jitter: one.
#[derive(Debug)]
struct AllOnes;

impl Entropy for AllOnes {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.fill(0xff);
        Ok(())
    }
}
