//! The signalling task without its loop: turns at chosen times, so that no test depends on the speed of the machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use telepath_core::clock::SystemClock;
use telepath_core::entropy::SystemEntropy;
use telepath_sip::Event;
use telepath_sip::message::StatusCode;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Signalling, SignallingSeeds, Wakeup};
use crate::options::GatewayOptions;
use crate::rtp_ports::PortPool;
use crate::shared::Shared;
use crate::tests::fixture::{TestControl, USER, loopback};

const AGENT: &str = "ws://127.0.0.1:9/";

fn carrier() -> SocketAddr {
    "192.0.2.10:5070".parse().unwrap()
}

/// A signalling task that is not running; the test takes its turns.
async fn signalling(adjust: impl FnOnce(&mut GatewayOptions)) -> (Signalling, Arc<TestControl>) {
    let socket = UdpSocket::bind(loopback(0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let mut options = GatewayOptions::new(address);
    adjust(&mut options);
    let (commands, receiver) = mpsc::channel(64);
    let control = Arc::new(TestControl::new(AGENT));
    let shared = Arc::new(Shared {
        ports: PortPool::new(address.ip(), options.rtp_ports.clone(), options.rtp_port_drain).unwrap(),
        options,
        media_ip: address.ip(),
        control: control.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
        live: Arc::default(),
        commands,
        tasks: TaskTracker::new(),
        unrecorded: Semaphore::new(1),
        give_up: CancellationToken::new(),
    });
    let seeds = SignallingSeeds { endpoint: [1; 32], nonce_salt: [2; 32], nonce_secret: [3; 32] };
    (Signalling::new(shared, socket, address, &seeds, receiver), control)
}

fn invite(call_id: &str, extra: &str) -> String {
    format!(
        "INVITE sip:{USER}@192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bK{call_id}\r\n\
         From: <sip:probe@caller.test>;tag=pt\r\nTo: <sip:{USER}@callee.test>\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:probe@192.0.2.10:5070>\r\n{extra}\
         Content-Length: 0\r\n\r\n"
    )
}

#[tokio::test]
async fn sip_timers_fire_in_a_turn_that_reads_datagrams() {
    let (mut signalling, _) = signalling(|_| {}).await;
    let now = Instant::now();
    signalling.endpoint.handle_datagram(carrier(), invite("timers", "").as_bytes(), now);
    let Some(Event::Incoming(incoming)) = signalling.endpoint.poll_event() else { panic!("no INVITE") };
    signalling.endpoint.reject(incoming.call, StatusCode::BUSY_HERE, None, now).unwrap();
    while signalling.endpoint.poll_transmit().is_some() {}
    // Timer G is due after 500 ms (RFC 3261 section 17.2.1), and the socket always has a datagram.
    let mut keep_alive = *b"\r\n\r\n";
    let wakeup = Wakeup::Datagram(Ok((keep_alive.len(), carrier())));
    signalling.take_turn(wakeup, &mut keep_alive, now + Duration::from_millis(600));
    let sent = signalling.endpoint.poll_transmit().expect("486 is retransmitted during a flood");
    assert!(sent.payload.starts_with(b"SIP/2.0 486 "));
}
