//! A whole server in the process of the test.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::exposition::{Family, label_names, parse};
use super::*;

async fn started(folder: &Path) -> Server {
    let flags = vec![
        ("storage.data_dir", folder.to_string_lossy().into_owned()),
        ("api.listen", "127.0.0.1:0".to_owned()),
        ("metrics.listen", "127.0.0.1:0".to_owned()),
        ("sip.listen", "127.0.0.1:0".to_owned()),
    ];
    let layers = crate::config::Layers::gather(&flags, &crate::config::Environment::new(), None).unwrap();
    let config = Config::check(&layers).unwrap();
    Server::start(&config, DataDir::create(folder).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_server_is_reached_by_its_socket_and_by_https_and_leaves_nothing_behind() {
    let folder = crate::temporary::TemporaryFolder::new();
    let server = started(folder.path()).await;
    let addresses = server.addresses().clone();
    let local = telepath_client::Client::unix(&addresses.admin_socket);
    let request = telepath_client::CreateKey::new("Test", "testing");
    let created = local.create_key(&request).await.unwrap();
    let trust = telepath_client::Trust::CaFile(addresses.ca.unwrap());
    let url = format!("https://{}", addresses.api);
    let remote = telepath_client::Client::https(&url, created.secret, trust).unwrap();
    assert_eq!(remote.whoami().await.unwrap().id, Some(created.key.id));
    let data = DataDir::create(folder.path()).unwrap();
    assert!(data.try_lock().unwrap().is_none(), "a running server holds its folder");
    server.stop().await;
    assert!(!addresses.admin_socket.exists());
    assert!(data.try_lock().unwrap().is_some());
    assert!(remote.whoami().await.is_err());
}

#[test]
fn the_sip_host_names_the_port_only_when_it_is_not_the_usual_one() {
    let listen = |text: &str| text.parse::<SocketAddr>().unwrap();
    assert_eq!(sip_host(None, listen("127.0.0.1:5060")), "127.0.0.1");
    assert_eq!(sip_host(None, listen("[::1]:5062")), "[::1]:5062");
    assert_eq!(sip_host(Some("voice.example"), listen("0.0.0.0:5060")), "voice.example");
    assert_eq!(sip_host(Some("2001:db8::1"), listen("[::]:5070")), "[2001:db8::1]:5070");
}
/// The answer to one request over plain HTTP: the head and the body.
async fn get(address: SocketAddr, target: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

const METRICS_PAGE: &str = "\
# Metrics

Generated from the metrics of a running server; do not edit by hand.

The server serves its metrics in the Prometheus text format 0.0.4, in two places:

- `GET /metrics` on `metrics.listen`, over plain HTTP and without a key. The default is `127.0.0.1:9464`.
- `GET /metrics` on the API, over HTTPS, to keys of the server's first account with the scope `metrics:read`. No preset has this scope.

Every series exists from the start, with the value 0 until its first event. Histograms count seconds; all have the same bounds, so
they can be added up across servers and compared. Figures about the database are read every 15 seconds.

Several servers on one database also have the gauges `telepath_cluster_lease_left_seconds` (how long keys are still admitted without
the database), `telepath_cluster_nodes` (servers on the database), `telepath_cluster_confirmation_seconds` (how long the last change of a
key waited for the other servers) and `telepath_shared_window_seconds` (how long the last request waited for its shared rate window).

| metric | type | labels | meaning |
|---|---|---|---|
";

fn metrics_page(families: &BTreeMap<String, Family>) -> String {
    let mut page = METRICS_PAGE.to_owned();
    for (name, family) in families {
        let labels: Vec<String> = label_names(family).iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(page, "| `{name}` | {} | {} | {} |", family.kind, labels.join(", "), family.help);
    }
    page
}

#[tokio::test]
async fn the_metrics_of_a_server_are_valid_and_exist_before_the_first_event() {
    let folder = crate::temporary::TemporaryFolder::new();
    let server = started(folder.path()).await;
    let address = server.addresses().metrics.unwrap();
    let (head, body) = get(address, "GET /metrics").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    let families = parse(&body).unwrap();
    let value = |name: &str| families[name].samples[0].value;
    assert!(value("telepath_certificate_expiry_timestamp_seconds") > value("process_start_time_seconds"));
    assert_eq!(families["telepath_build_info"].samples[0].labels["version"], env!("CARGO_PKG_VERSION"));
    assert!(families["telepath_calls_ended_total"].samples.iter().all(|sample| sample.value == 0.0));
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/metrics.md");
    crate::snapshot::check(&page, &metrics_page(&families));

    for (target, status) in [
        ("GET /", "404 Not Found"),
        ("GET /v1/whoami", "404 Not Found"),
        ("POST /metrics", "405 Method Not Allowed"),
        ("HEAD /metrics", "200 OK"),
    ] {
        let (head, _) = get(address, target).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{target}: {head}");
    }
    server.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
}
