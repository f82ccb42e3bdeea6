//! Where audio is sent, with callers whose SDP names an address other than their own.

use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::time::Duration;

use telepath_media::rtp::{Datagram, PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use tokio::net::UdpSocket;
use tokio::time::interval;

use super::fixture::{ScriptedAgent, loopback, within};
use super::renegotiation::ScriptedCaller;

fn offer(address: &str, port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n\
         a=sendrecv\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_sent_to_the_address_in_sdp_from_the_answer_on() {
    let agent = ScriptedAgent::start().await;
    let mut caller = ScriptedCaller::new(&agent.url, "named").await;
    let named = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    caller.send("INVITE", 1, &offer("127.0.0.2", named.local_addr().unwrap().port())).await;
    assert!(caller.answer(1, "INVITE").await.starts_with("SIP/2.0 200"));
    caller.send("ACK", 1, "").await;
    let mut packet = [0; 2048];
    for _ in 0..3 {
        let (length, _) = within(named.recv_from(&mut packet)).await.unwrap();
        assert_eq!((length, packet[1] & 0x7f), (172, 0));
    }
    caller.bye(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sdp_of_a_caller_behind_a_proxy_cannot_direct_rtp_to_a_loopback_service() {
    let agent = ScriptedAgent::start().await;
    let mut caller = ScriptedCaller::new(&agent.url, "proxied").await;
    caller.earlier_hops = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKupstream\r\n";
    let service = StdUdpSocket::bind("127.0.0.2:0").unwrap();
    service.set_nonblocking(true).unwrap();
    caller.send("INVITE", 1, &offer("127.0.0.2", service.local_addr().unwrap().port())).await;
    let answer = caller.answer(1, "INVITE").await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    caller.send("ACK", 1, "").await;
    let media = answer.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap();
    let port: u16 = media.split(' ').next().unwrap().parse().unwrap();
    // Audio goes to where the caller's packets come from.
    let rtp = UdpSocket::bind(loopback(0)).await.unwrap();
    let mut packet = [0; 2048];
    let (length, _) = within(speak_until_heard(&rtp, port, &mut packet)).await;
    assert_eq!((length, packet[1] & 0x7f), (172, 0));
    assert!(service.recv_from(&mut packet).is_err(), "the service got a packet");
    caller.bye(2).await;
}

/// Sends silence to a port every 20 ms, as a phone does, until a packet comes back, and returns its length and sender.
async fn speak_until_heard(rtp: &UdpSocket, port: u16, packet: &mut [u8]) -> (usize, SocketAddr) {
    let mut pace = interval(Duration::from_millis(20));
    for n in 0.. {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::PCMU,
            sequence: SequenceNumber(n),
            timestamp: RtpTimestamp(160 * u32::from(n)),
            ssrc: Ssrc(77),
        };
        rtp.send_to(Datagram::new(header, &[0xff; 160]).as_bytes(), loopback(port)).await.unwrap();
        tokio::select! {
            received = rtp.recv_from(packet) => return received.unwrap(),
            _ = pace.tick() => {}
        }
    }
    unreachable!("no packet came back")
}
