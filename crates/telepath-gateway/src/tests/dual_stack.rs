//! A SIP socket on `[::]`, which serves IPv4 and IPv6 peers.

use std::net::{Ipv6Addr, SocketAddr};

use telepath_core::call::DisconnectReason;
use telepath_core::ports::LiveCalls as _;
use telepath_sip::message::{SipUri, Uri};
use tokio::net::UdpSocket;

use super::fixture::{ScriptedAgent, TestGateway, USER, echo, loopback, tone_frames, within};
use super::renegotiation::ScriptedCaller;
use crate::GatewayOptions;
use crate::advertised::LocalAddresses;
use crate::caller::place_call;

fn listen_on_both(options: &mut GatewayOptions) {
    options.sip_listen = vec![(Ipv6Addr::UNSPECIFIED, 0).into()];
    options.advertise = Some("localhost".to_owned());
}

/// Whether this machine has IPv6. Without it, a socket cannot serve both versions.
fn has_ipv6() -> bool {
    std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn sip_uri(text: &str) -> SipUri {
    match Uri::parse(text) {
        Some(Uri::Sip(uri)) => uri,
        other => panic!("not a SIP URI: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_both_ip_versions_are_answered_and_recorded_in_their_own() {
    if !has_ipv6() {
        return;
    }
    let echo = echo().await;
    let gateway = TestGateway::start_with(&echo.url(), listen_on_both).await;
    let port = gateway.sip.port();
    let advertised = LocalAddresses::find(Some("localhost"), Ipv6Addr::UNSPECIFIED.into()).await.unwrap();
    let LocalAddresses::Both(v4, v6) = advertised else { panic!("{advertised}") };
    for (host, contact, connection) in [
        ("127.0.0.1", v4.to_string(), format!("IN IP4 {v4}")),
        ("[::1]", format!("[{v6}]"), format!("IN IP6 {v6}")),
    ] {
        let mut caller = gateway.caller();
        caller.target = sip_uri(&format!("sip:{USER}@{host}:{port}"));
        let outcome = within(place_call(caller)).await.unwrap();
        assert!(outcome.answered(), "{host}: {:?}", outcome.status);
        assert!(tone_frames(&outcome.recording) > 0, "{host}: no audio");
        let ends = gateway.control.wait_for_ends(1).await;
        let end = ends.last().unwrap();
        let source: SocketAddr = end.sip.source.as_deref().unwrap().parse().unwrap();
        assert_eq!(
            source.ip().to_string(),
            host.trim_matches(['[', ']']),
            "shown in the version of the peer"
        );
        let answer = end.sip_trace.split("sent to").find(|sent| sent.contains("SIP/2.0 200 OK\r\n")).unwrap();
        for part in [
            format!("Contact: <sip:{contact}:{port}>"),
            format!("c={connection}"),
            format!("{connection}\r\ns=-"),
        ] {
            assert!(answer.contains(&part), "{part} in {answer}");
        }
        gateway.control.forget();
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ipv4_peer_of_a_dual_stack_socket_is_compared_with_allowed_ips_as_ipv4() {
    if !has_ipv6() {
        return;
    }
    let mut agent = ScriptedAgent::start().await;
    let mut caller = ScriptedCaller::with(&agent.url, "dual", listen_on_both).await;
    let port = caller.gateway.sip.port();
    caller.gateway.sip = loopback(port);
    let from_v6 = caller.message("INVITE", 1, "application/sdp", "").replace("dual", "six");
    let advertised = LocalAddresses::find(Some("localhost"), Ipv6Addr::UNSPECIFIED.into()).await.unwrap();
    let LocalAddresses::Both(_, v6) = advertised else { panic!("{advertised}") };
    let own = caller.socket.local_addr().unwrap();
    // SIP over IPv4, media over IPv6.
    let offer = caller.sdp("0", "sendrecv").replace("IN IP4 127.0.0.1", "IN IP6 ::1");
    caller.send("INVITE", 1, &offer).await;
    let answer = caller.answer(1, "INVITE").await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    for part in [
        "received=127.0.0.1".to_owned(),
        format!("rport={}", own.port()),
        format!("Contact: <sip:127.0.0.1:{port}>"),
        format!("c=IN IP6 {v6}"),
    ] {
        assert!(answer.contains(&part), "{part} in {answer}");
    }
    caller.send("ACK", 1, "").await;
    let socket = agent.connection().await;
    let start = caller.gateway.control.wait_for_start().await;
    assert!(caller.gateway.handle.hang_up(start.id, DisconnectReason::ApiHangup));
    let bye = caller.request().await;
    assert!(
        bye.starts_with("BYE ") && bye.contains(&format!("\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};")),
        "{bye}"
    );
    // An IPv6 address is not in `allowed_ips`.
    let stranger = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
    stranger.send_to(from_v6.as_bytes(), (Ipv6Addr::LOCALHOST, port)).await.unwrap();
    let mut buffer = vec![0; 65_536];
    let (length, _) = within(stranger.recv_from(&mut buffer)).await.unwrap();
    let refused = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert!(refused.starts_with("SIP/2.0 401"), "{refused}");
    drop(socket);
    let report = within(caller.gateway.gateway.shutdown(std::time::Duration::from_secs(10))).await;
    assert_eq!(report.tasks_left, 0);
}
