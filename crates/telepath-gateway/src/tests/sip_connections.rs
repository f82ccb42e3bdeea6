//! SIP over TCP and TLS: whole calls, and what happens to connections that misbehave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use telepath_sip::message::{StatusCode, Transport};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use super::fixture::{ScriptedAgent, TestGateway, USER, echo, loopback, tone_frames, within};
use crate::caller::{CallerOptions, place_call};
use crate::{GatewayOptions, SipConnectionLimits, SipConnectionTimeouts, SipTls};

/// A certificate authority and what it issues.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, purpose: ExtendedKeyUsagePurpose) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    /// As the API serves it, with ALPN.
    fn server(&self) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(ExtendedKeyUsagePurpose::ServerAuth);
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
        let mut config = config.unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn trust(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
    }

    fn client(&self) -> Arc<ClientConfig> {
        Arc::new(ClientConfig::builder().with_root_certificates(self.trust()).with_no_client_auth())
    }

    fn client_with_certificate(&self, of: &Self) -> Arc<ClientConfig> {
        let (certificate, key) = of.issue(ExtendedKeyUsagePurpose::ClientAuth);
        let config = ClientConfig::builder().with_root_certificates(self.trust());
        Arc::new(config.with_client_auth_cert(vec![certificate], key).unwrap())
    }
}

/// The certificates that a TLS listener serves, which the test can replace.
fn serve(authority: &Authority, options: &mut GatewayOptions) -> watch::Sender<Arc<ServerConfig>> {
    let certificates = watch::Sender::new(authority.server());
    options.sip_tls_listen = vec![loopback(0)];
    options.sip_tls = Some(SipTls::new(certificates.subscribe(), None).unwrap());
    certificates
}

async fn with_tcp(agent: &str, adjust: impl FnOnce(&mut GatewayOptions)) -> TestGateway {
    TestGateway::start_with(agent, |options| {
        options.sip_tcp_listen = vec![loopback(0)];
        adjust(options);
    })
    .await
}

fn listener(gateway: &TestGateway, transport: Transport) -> SocketAddr {
    let listeners = gateway.gateway.sip_listeners();
    listeners.iter().find(|(of, _)| *of == transport).unwrap().1
}

fn caller(gateway: &TestGateway, transport: Transport) -> CallerOptions {
    let address = listener(gateway, transport);
    let uri = format!("sip:{USER}@{address};transport={}", transport.name());
    CallerOptions { target: CallerOptions::new(&uri).unwrap().target, ..gateway.caller() }
}

async fn connect(gateway: &TestGateway) -> TcpStream {
    TcpStream::connect(listener(gateway, Transport::Tcp)).await.unwrap()
}

/// Everything until the other end closes the connection.
async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A reset ends the connection too.
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8(bytes).unwrap()
}

/// Reads until the text contains this.
async fn read_until(stream: &mut (impl AsyncRead + Unpin), what: &str) -> String {
    let mut text = String::new();
    while !text.contains(what) {
        let mut buffer = [0; 4096];
        let length = within(stream.read(&mut buffer)).await.unwrap();
        assert_ne!(length, 0, "closed after {text}");
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    text
}

fn options(branch: &str) -> String {
    format!(
        "OPTIONS sip:{USER}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5070;branch=z9hG4bK{branch}\r\n\
         From: <sip:probe@caller.test>;tag=pt\r\nTo: <sip:{USER}@callee.test>\r\nCall-ID: {branch}\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_tcp_gets_its_echo() {
    let echo = echo().await;
    let gateway = with_tcp(&echo.url(), |_| {}).await;
    let outcome = within(place_call(caller(&gateway, Transport::Tcp))).await.unwrap();
    assert_eq!((outcome.status, outcome.rang), (StatusCode::OK, true));
    assert!(tone_frames(&outcome.recording) > 0);
    let ends = gateway.control.wait_for_ends(1).await;
    for text in ["SIP/2.0/TCP 127.0.0.1:", ";transport=tcp>", "SIP/2.0 200 OK", "BYE sip:", "[redacted]"] {
        assert!(ends[0].sip_trace.contains(text), "{text} in {}", ends[0].sip_trace);
    }
    gateway.wait_until_idle().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_tls_gets_its_echo_and_new_certificates_are_served_at_once() {
    let (echo, first, second) = (echo().await, Authority::new(), Authority::new());
    let mut certificates = None;
    let gateway =
        TestGateway::start_with(&echo.url(), |options| certificates = Some(serve(&first, options))).await;
    let call = |authority: &Authority| {
        place_call(CallerOptions { tls: Some(authority.client()), ..caller(&gateway, Transport::Tls) })
    };
    let outcome = within(call(&first)).await.unwrap();
    assert!(outcome.answered() && tone_frames(&outcome.recording) > 0);
    assert!(within(call(&second)).await.is_err(), "an unknown certificate authority");
    certificates.unwrap().send_replace(second.server());
    assert!(within(call(&second)).await.unwrap().answered());
    assert!(within(call(&first)).await.is_err());
    let ends = gateway.control.wait_for_ends(2).await;
    assert!(ends[0].sip_trace.contains("SIP/2.0/TLS 127.0.0.1:"), "{}", ends[0].sip_trace);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_need_a_certificate_if_an_authority_for_them_is_configured() {
    let (echo, server, clients, others) =
        (echo().await, Authority::new(), Authority::new(), Authority::new());
    let gateway = TestGateway::start_with(&echo.url(), |options| {
        let certificates = watch::Sender::new(server.server()).subscribe();
        options.sip_tls_listen = vec![loopback(0)];
        options.sip_tls = Some(SipTls::new(certificates, Some(&clients.0.pem())).unwrap());
    })
    .await;
    let call = |tls| place_call(CallerOptions { tls: Some(tls), ..caller(&gateway, Transport::Tls) });
    assert!(!within(call(server.client())).await.is_ok_and(|outcome| outcome.answered()));
    let wrong = server.client_with_certificate(&others);
    assert!(!within(call(wrong)).await.is_ok_and(|outcome| outcome.answered()));
    assert!(within(call(server.client_with_certificate(&clients))).await.unwrap().answered());
    assert!(SipTls::new(watch::Sender::new(server.server()).subscribe(), Some("nothing")).is_err());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_offers_an_alpn_protocol_of_sip_is_served() {
    let (echo, authority) = (echo().await, Authority::new());
    let mut certificates = None;
    let gateway =
        TestGateway::start_with(&echo.url(), |options| certificates = Some(serve(&authority, options))).await;
    let mut client = (*authority.client()).clone();
    client.alpn_protocols = vec![b"sip/2".to_vec()];
    let stream = TcpStream::connect(listener(&gateway, Transport::Tls)).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = within(TlsConnector::from(Arc::new(client)).connect(name, stream)).await.unwrap();
    stream.write_all(options("alpn").as_bytes()).await.unwrap();
    read_until(&mut stream, "SIP/2.0 200 OK").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_pings_of_one_connection_are_answered_in_order() {
    let echo = echo().await;
    let gateway = with_tcp(&echo.url(), |_| {}).await;
    let mut stream = connect(&gateway).await;
    let text = format!("\r\n\r\n{}{}\r\n\r\n", options("one"), options("two"));
    let (first, rest) = text.split_at(100);
    stream.write_all(first.as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n").await;
    stream.write_all(rest.as_bytes()).await.unwrap();
    let answers = read_until(&mut stream, "Call-ID: two").await;
    assert_eq!(answers.matches("SIP/2.0 200 OK").count(), 2, "{answers}");
    assert!(answers.find("Call-ID: one") < answers.find("Call-ID: two"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_content_length_gets_400_and_the_connection_is_closed() {
    let echo = echo().await;
    let gateway = with_tcp(&echo.url(), |_| {}).await;
    let mut stream = connect(&gateway).await;
    let request = options("none").replace("Content-Length: 0\r\n", "");
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("SIP/2.0 400 Missing Content-Length Header\r\n"), "{answer}");
    let strangers = telepath_core::ports::LiveCalls::sip_strangers(&gateway.handle);
    assert!(format!("{strangers:?}").contains("no_content_length"), "{strangers:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sip_is_disconnected_without_an_answer() {
    let echo = echo().await;
    let gateway = with_tcp(&echo.url(), |_| {}).await;
    for garbage in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}", "hello\r\n"] {
        let mut stream = connect(&gateway).await;
        stream.write_all(garbage.as_bytes()).await.unwrap();
        assert_eq!(read_to_end(&mut stream).await, "", "{garbage:?}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_message_and_a_silent_connection_are_closed_in_time() {
    let echo = echo().await;
    let gateway = with_tcp(&echo.url(), |options| {
        options.sip_timeouts.message = Duration::from_millis(50);
    })
    .await;
    let mut half = connect(&gateway).await;
    half.write_all(&options("half").as_bytes()[..60]).await.unwrap();
    assert_eq!(read_to_end(&mut half).await, "");
    gateway.stop().await;
    let gateway = with_tcp(&echo.url(), |options| {
        options.sip_timeouts.idle = Duration::from_millis(50);
    })
    .await;
    assert_eq!(read_to_end(&mut connect(&gateway).await).await, "");
    // The connection of a call may be silent.
    let outcome = within(place_call(caller(&gateway, Transport::Tcp))).await.unwrap();
    assert!(outcome.answered() && outcome.ended_by == Some(crate::caller::EndedBy::Caller));
    gateway.control.wait_for_ends(1).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_end_is_cut_off() {
    let (echo, authority) = (echo().await, Authority::new());
    let mut certificates = None;
    let gateway = TestGateway::start_with(&echo.url(), |options| {
        certificates = Some(serve(&authority, options));
        options.sip_timeouts.handshake = Duration::from_millis(50);
    })
    .await;
    let mut stream = TcpStream::connect(listener(&gateway, Transport::Tls)).await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_read_is_disconnected() {
    let echo = echo().await;
    let gateway = with_tcp(&echo.url(), |options| {
        options.sip_timeouts.write = Duration::from_millis(100);
    })
    .await;
    let mut stream = connect(&gateway).await;
    let requests = options("flood").repeat(100);
    // Ends when the gateway has reset the connection.
    let flood = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
    within(flood).await;
    // Others are served.
    let mut other = connect(&gateway).await;
    other.write_all(options("other").as_bytes()).await.unwrap();
    read_until(&mut other, "SIP/2.0 200 OK").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_silent_connection_of_an_address_makes_room_for_a_new_one() {
    let echo = echo().await;
    let gateway = with_tcp(&echo.url(), |options| {
        options.sip_connections = SipConnectionLimits { total: 10, per_address: 2 };
    })
    .await;
    let mut streams = Vec::new();
    for name in ["first", "second"] {
        let mut stream = connect(&gateway).await;
        stream.write_all(options(name).as_bytes()).await.unwrap();
        read_until(&mut stream, "SIP/2.0 200 OK").await;
        streams.push(stream);
    }
    let mut third = connect(&gateway).await;
    third.write_all(options("third").as_bytes()).await.unwrap();
    read_until(&mut third, "SIP/2.0 200 OK").await;
    assert_eq!(read_to_end(&mut streams[0]).await, "");
    streams[1].write_all(options("fourth").as_bytes()).await.unwrap();
    read_until(&mut streams[1], "SIP/2.0 200 OK").await;
    gateway.stop().await;
}

/// An INVITE over a connection from a caller that listens on this port.
fn invite(call_id: &str, port: u16) -> String {
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";
    format!(
        "INVITE sip:{USER}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:{port};branch=z9hG4bK{call_id}\r\n\
         From: <sip:probe@caller.test>;tag=pt\r\nTo: <sip:{USER}@callee.test>\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:probe@127.0.0.1:{port};transport=tcp>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_proves_the_return_path_so_that_the_agent_is_opened_before_the_ack() {
    let mut agent = ScriptedAgent::start().await;
    let gateway = with_tcp(&agent.url, |_| {}).await;
    gateway.control.trust("127.0.0.1/32").await;
    let mut stream = connect(&gateway).await;
    stream.write_all(invite("proved", 5070).as_bytes()).await.unwrap();
    agent.connection().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bye_goes_to_the_contact_when_the_connection_of_the_call_has_been_closed() {
    let echo = echo().await;
    let gateway = with_tcp(&echo.url(), |_| {}).await;
    gateway.control.trust("127.0.0.1/32").await;
    let contact = TcpListener::bind(loopback(0)).await.unwrap();
    let port = contact.local_addr().unwrap().port();
    let mut stream = connect(&gateway).await;
    stream.write_all(invite("closed", port).as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "m=audio").await;
    let ok = &answer[answer.find("SIP/2.0 200 OK").unwrap()..];
    let tag = ok.lines().find(|line| line.starts_with("To: ")).unwrap();
    let ack = format!(
        "ACK sip:{USER}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:{port};branch=z9hG4bKack\r\n\
         From: <sip:probe@caller.test>;tag=pt\r\n{tag}\r\nCall-ID: closed\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(ack.as_bytes()).await.unwrap();
    // The answer to a request proves that the ACK has been processed.
    stream.write_all(options("after").as_bytes()).await.unwrap();
    read_until(&mut stream, "Call-ID: after").await;
    drop(stream);
    let started = gateway.control.wait_for_start().await;
    assert!(telepath_core::ports::LiveCalls::hang_up(
        &gateway.handle,
        started.id,
        telepath_core::call::DisconnectReason::ApiHangup
    ));
    let (mut opened, _) = within(contact.accept()).await.unwrap();
    let bye = read_until(&mut opened, "Content-Length: 0\r\n\r\n").await;
    assert!(
        bye.starts_with(&format!(
            "BYE sip:probe@127.0.0.1:{port};transport=tcp SIP/2.0\r\nVia: SIP/2.0/TCP "
        )),
        "{bye}"
    );
    let ok = bye.replacen(bye.lines().next().unwrap(), "SIP/2.0 200 OK", 1);
    opened.write_all(ok.as_bytes()).await.unwrap();
    gateway.control.wait_for_ends(1).await;
    gateway.wait_until_idle().await;
    gateway.stop().await;
}

#[test]
fn the_times_of_a_connection_fit_those_of_sip() {
    let timeouts = SipConnectionTimeouts::default();
    // A carrier that sends a keep-alive every two minutes (RFC 5626 section 4.4.1) keeps its connection.
    assert!(timeouts.idle > Duration::from_mins(2));
    // A peer that reads too slowly is given up before timer F fires.
    assert!(timeouts.handshake + timeouts.write < Duration::from_secs(32));
}
