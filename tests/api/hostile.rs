//! Hostile input on every listener: the server keeps running and responding.

use std::net::SocketAddr;

use anyhow::Context as _;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::http::Call;
use crate::support::waiting::soon;
use crate::support::{Outcome, Server};

/// Deterministic random bytes from a seed (xorshift64*).
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn bytes(&mut self, most: u64) -> Vec<u8> {
        let length = self.next() % most + 1;
        (0..length).map(|_| self.next().to_be_bytes()[0]).collect()
    }

    /// Mutates text: bytes changed, duplicated or truncated.
    pub(crate) fn mutate(&mut self, text: &[u8]) -> Vec<u8> {
        let mut bytes = text.to_vec();
        for _ in 0..=self.next() % 6 {
            let at = usize::try_from(self.next()).unwrap_or(0) % bytes.len().max(1);
            match self.next() % 4 {
                0 => bytes[at] = self.next().to_be_bytes()[0],
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, self.next().to_be_bytes()[0]),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes
    }
}

/// Sends bytes and reads the response until the server closes the connection or a limit is reached.
async fn throw(address: SocketAddr, bytes: &[u8]) -> Outcome {
    let mut stream = TcpStream::connect(address).await.context("the server takes connections")?;
    // The server may close the connection before everything is written.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut sink = Vec::new();
    let _ = soon("an end", stream.read_to_end(&mut sink)).await?;
    Ok(())
}

#[tokio::test]
async fn random_bytes_on_every_listener_do_not_stop_the_server() -> Outcome {
    let mut server = Server::start().await?;
    let key = server.create_key(&["--name", "calm", "--preset", "testing"]).await?;
    let plain = server.addresses.insecure_http.context("plain HTTP on loopback")?;
    let request = b"POST /v1/keys HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\n{\"name\": 12}";
    let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 0x55, 0x66, 0x77];
    for seed in 1..=60_u64 {
        let mut noise = Noise::new(seed);
        for address in [server.addresses.api, plain] {
            throw(address, &noise.bytes(4096)).await.with_context(|| format!("seed {seed}"))?;
            throw(address, &noise.mutate(request)).await.with_context(|| format!("seed {seed}"))?;
            throw(address, &noise.mutate(&hello)).await.with_context(|| format!("seed {seed}"))?;
        }
        assert!(server.is_alive()?, "seed {seed}");
    }
    assert_eq!(server.client()?.get("/v1/whoami", &key.secret).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn random_bytes_inside_tls_and_json_are_answered_with_errors() -> Outcome {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let key = server.admin_key().await?.secret;
    let good =
        br#"{"name": "Support", "ai_provider": "custom", "sip_username": "s-01", "metadata": {"a": "b"}}"#;
    for seed in 1..=200_u64 {
        let mut noise = Noise::new(seed);
        let call = Call::new(Method::POST, "/v1/trunks").key(&key).header(CONTENT_TYPE, "application/json");
        let answer =
            client.send(call.body(noise.mutate(good))).await.with_context(|| format!("seed {seed}"))?;
        assert!((400..500).contains(&answer.status), "seed {seed}: {}", answer.text());
    }
    for seed in 1..=40_u64 {
        let mut tls = client.tls().await?;
        let _ = tls.write_all(&Noise::new(seed).bytes(8192)).await;
        let _ = tls.shutdown().await;
    }
    let mut deep = "[".repeat(30_000);
    deep.push_str(&"]".repeat(30_000));
    let call = Call::new(Method::POST, "/v1/trunks").key(&key).header(CONTENT_TYPE, "application/json");
    assert_eq!(client.send(call.body(deep)).await?.error(400)?, "INVALID_JSON");
    assert!(server.is_alive()?);
    assert_eq!(client.get("/v1/whoami", &key).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn endless_headers_are_rejected() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let key = server.create_key(&["--name", "calm", "--preset", "testing"]).await?;
    let large = Call::get("/v1/whoami").header(HeaderName::from_static("x-filler"), &"a".repeat(60 * 1024));
    // Answered with an error or closed, never accepted.
    if let Ok(answer) = client.send(large.key(&key.secret)).await {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    let mut tls = client.tls().await?;
    tls.write_all(b"GET /v1/whoami HTTP/1.1\r\n").await?;
    let line = format!("X-Filler: {}\r\n", "a".repeat(1000));
    let mut written = 0;
    // A server without a limit would read all of it.
    while written < 64 * 1024 * 1024 {
        match soon("room for more", tls.write_all(line.as_bytes())).await? {
            Ok(()) => written += line.len(),
            Err(_closed) => break,
        }
    }
    assert!(written < 64 * 1024 * 1024, "the server reads headers without end");
    assert_eq!(client.get("/v1/whoami", &key.secret).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn stalled_connections_time_out_without_delaying_others() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let key = server.create_key(&["--name", "calm", "--preset", "testing"]).await?;
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(TcpStream::connect(server.addresses.api).await?);
    }
    let mut half_a_request = client.tls().await?;
    half_a_request.write_all(b"GET /v1/whoami HTTP/1.1\r\nHost: loc").await?;
    assert_eq!(client.get("/v1/whoami", &key.secret).await?.status, 200);
    let mut rest = Vec::new();
    let _ = soon("the end of half a request", half_a_request.read_to_end(&mut rest)).await?;
    let mut first = silent.swap_remove(0);
    let _ = soon("the end of a silent connection", first.read_to_end(&mut rest)).await?;
    Ok(())
}
