//! Names whose answers change, and numbers written in unusual forms.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use super::*;
use crate::resolve::ResolveFuture;

/// Answers each lookup with its next answer, and then repeats the last one.
struct Rebinding {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Rebinding {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self { answers: answers.iter().map(parse).collect(), asked: AtomicUsize::new(0) })
    }
}

impl Resolve for Rebinding {
    fn resolve<'a>(&'a self, _host: &'a str) -> ResolveFuture<'a> {
        let turn = self.asked.fetch_add(1, Ordering::Relaxed).min(self.answers.len() - 1);
        Box::pin(async move { Ok(self.answers[turn].clone()) })
    }
}

fn trust() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(versions.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

fn with(allow: &str, resolver: &Arc<Rebinding>) -> Egress {
    Egress::with_resolver_and_trust(allow.parse().unwrap(), resolver.clone(), trust())
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test]
async fn dns_rebinding_between_check_and_dial_is_refused() {
    let (listener, port) = listener().await;
    let resolver = Rebinding::new(&[&["93.184.215.14"], &["127.0.0.1"]]);
    let egress = with("", &resolver);
    egress.allowed("rebound.example", port, Security::Tls).await.unwrap();
    let refused = egress.dial("rebound.example", port, Security::Tls).await;
    assert!(matches!(refused, Err(EgressError::Resolve)), "{refused:?}");
    assert_eq!(resolver.asked.load(Ordering::Relaxed), 2, "a connection resolves once");
    let nobody = tokio::time::timeout(std::time::Duration::ZERO, listener.accept()).await;
    assert!(nobody.is_err(), "nothing was sent to it");
}

#[tokio::test]
async fn the_checked_address_is_the_one_dialed() {
    let (listener, port) = listener().await;
    // A second lookup would return a host that never answers.
    let resolver = Rebinding::new(&[&["127.0.0.1"], &["192.0.2.1"]]);
    let egress = with(&format!("localhost:{port}"), &resolver);
    let stream = egress.dial("localhost", port, Security::Plain).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    assert_eq!(resolver.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn only_allowed_addresses_of_a_name_are_dialed() {
    let resolver = Rebinding::new(&[&["169.254.169.254", "10.0.0.1", "::1", "8.8.8.8"]]);
    let allowed = with("", &resolver).allowed("mixed.example", 443, Security::Tls).await.unwrap();
    assert_eq!(allowed, ["8.8.8.8:443".parse().unwrap()]);
}

/// A resolver that knows no name.
struct Nothing;

impl Resolve for Nothing {
    fn resolve<'a>(&'a self, _host: &'a str) -> ResolveFuture<'a> {
        Box::pin(async { Err(io::ErrorKind::NotFound.into()) })
    }
}

#[tokio::test]
async fn a_name_of_a_private_network_and_an_unknown_name_fail_in_the_same_way() {
    let unknown = Egress::with_resolver_and_trust(AllowList::default(), Arc::new(Nothing), trust());
    let empty = with("", &Rebinding::new(&[&[]]));
    let private = with("", &Rebinding::new(&[&["10.0.0.1", "fd00::1"]]));
    let local = with("", &Rebinding::new(&[&["127.0.0.1"]]));
    let metadata = with("", &Rebinding::new(&[&["169.254.169.254"]]));
    let mut texts = std::collections::BTreeSet::new();
    for egress in [unknown, empty, private, local, metadata] {
        egress.check("db.example", 443, Security::Tls).unwrap();
        let error = egress.dial("db.example", 443, Security::Tls).await.unwrap_err();
        assert!(matches!(error, EgressError::Resolve), "{error:?}");
        texts.insert(error.to_string());
    }
    assert_eq!(texts.len(), 1, "{texts:?}");
}

#[tokio::test]
async fn numeric_hosts_are_refused_in_every_spelling() {
    let egress = Egress::default();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "localhost",
        "::1",
        "::ffff:127.0.0.1",
        "0:0:0:0:0:ffff:7f00:1",
    ] {
        let refused = egress.check(host, 443, Security::Tls);
        assert!(matches!(refused, Err(EgressError::Refused(_) | EgressError::Name)), "{host}: {refused:?}");
        let refused = egress.dial(host, 443, Security::Tls).await;
        assert!(matches!(refused, Err(EgressError::Refused(_) | EgressError::Name)), "{host}: {refused:?}");
    }
    for host in ["10.0.0.1", "0", "169.254.169.254", "0xa9fea9fe", "[::1]", "fe80::1%lo"] {
        assert!(egress.check(host, 443, Security::Tls).is_err(), "{host}");
    }
}

#[tokio::test]
async fn plain_connections_reach_only_listed_loopback_services() {
    let (_listener, port) = listener().await;
    let named = format!("127.0.0.1:{port},10.0.0.0/8");
    let to = async |answer: &str, host: &str, port: u16| {
        with(&named, &Rebinding::new(&[&[answer]])).dial(host, port, Security::Plain).await.err()
    };
    assert!(to("127.0.0.1", "127.0.0.1", port).await.is_none());
    let egress = with(&named, &Rebinding::new(&[&[]]));
    egress.check("127.0.0.1", port, Security::Plain).unwrap();
    for host in ["localhost", "10.0.0.1", "8.8.8.8", "agent.example"] {
        assert!(matches!(egress.check(host, port, Security::Plain), Err(EgressError::Plain)), "{host}");
    }
    for (answer, host, port) in
        [("127.0.0.1", "localhost", port), ("127.0.0.1", "127.0.0.1", 1), ("8.8.8.8", "agent.example", 80)]
    {
        assert!(matches!(to(answer, host, port).await, Some(EgressError::Plain)), "{host}:{port}");
    }
    for answer in ["10.0.0.1", "8.8.8.8"] {
        let refused = to(answer, "127.0.0.1", port).await;
        assert!(matches!(refused, Some(EgressError::Plain)), "{answer}: {refused:?}");
    }
}

#[tokio::test]
async fn an_untrusted_certificate_fails_the_tls_handshake() {
    let (listener, port) = listener().await;
    let egress = with(&format!("127.0.0.1:{port}"), &Rebinding::new(&[&["127.0.0.1"]]));
    let peer = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        drop(stream);
    });
    let refused = egress.dial_tls("127.0.0.1", port, None).await.err();
    assert!(matches!(refused, Some(EgressError::Tls(_))), "{refused:?}");
    peer.await.unwrap();
}
