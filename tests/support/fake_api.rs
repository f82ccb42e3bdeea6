//! An API that answers what a test says, for what a real server does not do when a test wants it: a broken audit trail,
//! a window that is full, a request that comes in at a certain moment.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::cli;

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    /// The secret in the `Authorization` header.
    pub(crate) key: String,
    pub(crate) body: String,
}

type Handler = dyn Fn(&Asked) -> (u16, Value) + Send + Sync;

pub(crate) struct FakeApi {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeApi {
    pub(crate) async fn answering(
        handler: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, asked) = (listener.local_addr()?, Arc::<Mutex<Vec<Asked>>>::default());
        let (handler, seen): (Arc<Handler>, _) = (Arc::new(handler), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, handler.clone(), seen.clone()));
            }
        });
        Ok(Self { address, asked })
    }

    /// A command on this API.
    pub(crate) fn command(&self, key: &str, words: &[&str]) -> Command {
        let mut command = cli::command();
        command.args(words).arg("--insecure-http").env("TELEPATH_API_KEY", key);
        command.env("TELEPATH_API_URL", format!("http://{}", self.address));
        command
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().map(|asked| asked.clone()).unwrap_or_default()
    }
}

async fn serve(mut stream: TcpStream, handler: Arc<Handler>, seen: Arc<Mutex<Vec<Asked>>>) -> Option<()> {
    loop {
        let asked = read(&mut stream).await?;
        let (status, body) = handler(&asked);
        seen.lock().ok()?.push(asked);
        // A text is sent as it is, anything else as JSON.
        let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// The next request; `None` when the caller has gone.
async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8(bytes.clone()).ok()?;
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= header(head, "content-length").parse().unwrap_or(0)
        {
            let mut line = head.split(' ');
            let (method, target) = (line.next()?.to_owned(), line.next()?);
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let key = header(head, "authorization").trim_start_matches("Bearer ").to_owned();
            let (path, query) = (path.to_owned(), query.to_owned());
            return Some(Asked { method, path, query, key, body: body.to_owned() });
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await.ok()? {
            0 => return None,
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}

fn header(head: &str, name: &str) -> String {
    let value = head.lines().skip(1).find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    });
    value.unwrap_or_default()
}
