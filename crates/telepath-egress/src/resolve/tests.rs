//! The resolver against a name server that never responds to some questions.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::config::ConnectionConfig;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::*;

/// So long that only a fault, not a busy machine, exceeds it.
const PATIENCE: Duration = Duration::from_mins(3);
/// Few enough that their questions fit into the buffer of the name server's socket.
const DEAD_NAMES: usize = 100;
const A: u16 = 1;
const AAAA: u16 = 28;

/// A name server that knows every name as 192.0.2.7. It never responds about names below `dead`, nor to questions for AAAA
/// records of names below `v4only`.
struct NameServer {
    address: SocketAddr,
    /// The names that were asked for and not responded to.
    ignored: mpsc::Receiver<String>,
}

impl NameServer {
    async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let (tell, ignored) = mpsc::channel(1024);
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let (name, kind, end) = question(&buffer[..length]);
                if name.ends_with("dead.") || name.ends_with("v4only.") && kind == AAAA {
                    let _ = tell.try_send(name);
                } else {
                    let _ = socket.send_to(&response(&buffer[..end], kind), from).await;
                }
            }
        });
        Self { address, ignored }
    }

    fn resolver(&self, lookups: usize) -> SystemResolver {
        let mut server = NameServerConfig::udp(self.address.ip());
        let mut connection = ConnectionConfig::udp();
        connection.port = self.address.port();
        server.connections = vec![connection];
        let mut options = ResolverOpts::default();
        options.use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
        options.edns0 = false;
        let resolver = build(ResolverConfig::from_name_servers(vec![server]), options, PATIENCE).unwrap();
        SystemResolver::fixed(resolver, lookups)
    }
}

/// The name and the kind of the only question (RFC 1035 section 4.1), and where it ends.
fn question(message: &[u8]) -> (String, u16, usize) {
    let (mut at, mut name) = (12, String::new());
    while message[at] > 0 {
        let end = at + 1 + usize::from(message[at]);
        name.push_str(&String::from_utf8_lossy(&message[at + 1..end]).to_ascii_lowercase());
        name.push('.');
        at = end;
    }
    (name, u16::from_be_bytes([message[at + 1], message[at + 2]]), at + 5)
}

/// A response with one address for A, and without records for AAAA.
fn response(question: &[u8], kind: u16) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2..4].copy_from_slice(&[0x81, 0x80]);
    message[7] = u8::from(kind == A);
    message[8..12].fill(0);
    if kind == A {
        // The name of the question, class IN, a time to live of 60 seconds.
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    }
    message
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("this should have happened long ago")
}

fn known() -> Vec<IpAddr> {
    vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))]
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_never_resolve_do_not_delay_another_name() {
    let mut server = NameServer::start().await;
    let resolver = Arc::new(server.resolver(MAX_LOOKUPS));
    let mut dead = tokio::task::JoinSet::new();
    for number in 0..DEAD_NAMES {
        let resolver = Arc::clone(&resolver);
        dead.spawn(async move { resolver.resolve(&format!("n{number}.dead")).await });
    }
    let mut asked = std::collections::BTreeSet::new();
    while asked.len() < DEAD_NAMES {
        asked.insert(within(server.ignored.recv()).await.unwrap());
    }
    assert_eq!(within(resolver.resolve("good.example")).await.unwrap(), known());
    assert!(dead.try_join_next().is_none(), "all of them still wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_ends_when_its_caller_gives_up() {
    let mut server = NameServer::start().await;
    let resolver = server.resolver(1);
    tokio::select! {
        _ = resolver.resolve("one.dead") => panic!("nobody responded"),
        _ = server.ignored.recv() => {}
    }
    assert_eq!(within(resolver.resolve("good.example")).await.unwrap(), known(), "the only place is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_aaaa_question_does_not_hold_up_the_a_record() {
    let server = NameServer::start().await;
    let resolver = server.resolver(MAX_LOOKUPS);
    assert_eq!(within(resolver.resolve("host.v4only")).await.unwrap(), known());
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_and_localhost_need_no_name_server() {
    let resolver = SystemResolver::default();
    assert_eq!(resolver.resolve("203.0.113.7").await.unwrap(), ["203.0.113.7".parse::<IpAddr>().unwrap()]);
    let local = within(resolver.resolve("localhost")).await.unwrap();
    assert!(!local.is_empty() && local.iter().all(IpAddr::is_loopback), "{local:?}");
}
