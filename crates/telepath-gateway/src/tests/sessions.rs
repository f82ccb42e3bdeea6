//! Sessions that change, told by a caller whose every message is written by hand.

use std::time::Duration;

use telepath_core::call::DisconnectReason;
use tokio::net::UdpSocket;

use super::agents::text_of;
use super::world::{Puppet, USER, World, echo, loopback, within};

/// A caller at a listed address, so that it needs no digest.
struct Hand {
    socket: UdpSocket,
    call_id: &'static str,
    to: String,
    world: World,
}

impl Hand {
    async fn new(agent_url: &str, call_id: &'static str) -> Self {
        let world = World::start(agent_url).await;
        world.control.change(|found| found.trunk.allowed_ips = "127.0.0.1".parse().unwrap());
        let socket = UdpSocket::bind(loopback(0)).await.unwrap();
        Self { socket, call_id, to: format!("<sip:{USER}@127.0.0.1>"), world }
    }

    async fn send(&self, method: &str, cseq: u32, body: &str) {
        let own = self.socket.local_addr().unwrap();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} sip:{USER}@{} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{}{method}{cseq};rport\r\n\
             From: <sip:caller@{own}>;tag=hand\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {}\r\nMax-Forwards: 70\r\n\
             Contact: <sip:caller@{own}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            self.world.sip,
            self.call_id,
            self.to,
            self.call_id,
            method,
            body.len(),
        );
        self.socket.send_to(text.as_bytes(), self.world.sip).await.unwrap();
    }

    /// The next final answer to this request; the dialog's To is learnt from it.
    async fn answer(&mut self, cseq: u32, method: &str) -> String {
        let wanted = format!("CSeq: {cseq} {method}\r\n");
        let mut buffer = vec![0; 65_536];
        loop {
            let (length, _) = within(self.socket.recv_from(&mut buffer)).await.unwrap();
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if text.contains(&wanted) && !text.starts_with("SIP/2.0 1") {
                let to = text.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
                to.clone_into(&mut self.to);
                return text;
            }
        }
    }

    /// The next request of the gateway.
    async fn request(&self) -> String {
        let mut buffer = vec![0; 65_536];
        loop {
            let (length, _) = within(self.socket.recv_from(&mut buffer)).await.unwrap();
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if !text.starts_with("SIP/2.0") {
                return text;
            }
        }
    }

    fn sdp(&self, formats: &str, direction: &str) -> String {
        let port = self.socket.local_addr().unwrap().port() + 1;
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {formats}\r\na={direction}\r\n"
        )
    }

    async fn bye(mut self, cseq: u32) {
        self.send("BYE", cseq, "").await;
        assert!(self.answer(cseq, "BYE").await.starts_with("SIP/2.0 200"));
        let ends = self.world.control.until_ends(1).await;
        assert_eq!(ends[0].reason, DisconnectReason::NormalDisconnect);
        self.world.until_idle().await;
        self.world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_answered_rightly_and_the_agent_is_told() {
    let mut puppet = Puppet::start().await;
    let mut hand = Hand::new(&puppet.url, "hold").await;
    hand.send("INVITE", 1, &hand.sdp("0", "sendrecv")).await;
    let (answer, mut socket) = tokio::join!(hand.answer(1, "INVITE"), puppet.connection());
    assert!(answer.starts_with("SIP/2.0 200") && answer.contains("a=sendrecv"), "{answer}");
    hand.send("ACK", 1, "").await;
    hand.send("INVITE", 2, &hand.sdp("0", "sendonly")).await;
    let held = hand.answer(2, "INVITE").await;
    assert!(held.starts_with("SIP/2.0 200") && held.contains("a=recvonly"), "{held}");
    hand.send("ACK", 2, "").await;
    text_of(&mut socket, "hold").await;
    hand.send("INVITE", 3, &hand.sdp("0", "sendrecv")).await;
    assert!(hand.answer(3, "INVITE").await.contains("a=sendrecv"));
    hand.send("ACK", 3, "").await;
    text_of(&mut socket, "resume").await;
    // What cannot be agreed on leaves the session as it was.
    hand.send("INVITE", 4, &hand.sdp("18", "sendrecv")).await;
    assert!(hand.answer(4, "INVITE").await.starts_with("SIP/2.0 488"));
    hand.send("ACK", 4, "").await;
    hand.bye(5).await;
    drop(socket);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_without_offer_gets_ours_and_the_ack_answers_it() {
    let echo = echo().await;
    let mut hand = Hand::new(&echo.url(), "late").await;
    hand.send("INVITE", 1, "").await;
    let answer = hand.answer(1, "INVITE").await;
    assert!(
        answer.starts_with("SIP/2.0 200") && answer.contains("m=audio ") && answer.contains("PCMA"),
        "{answer}"
    );
    hand.send("ACK", 1, &hand.sdp("8", "sendrecv")).await;
    // A session refresh without an offer gets a new version of ours.
    hand.send("INVITE", 2, "").await;
    assert!(hand.answer(2, "INVITE").await.contains("m=audio "));
    hand.send("ACK", 2, &hand.sdp("8", "sendrecv")).await;
    hand.bye(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_never_answers_our_offer_is_hung_up() {
    let echo = echo().await;
    let mut hand = Hand::new(&echo.url(), "mute").await;
    hand.send("INVITE", 1, "").await;
    hand.answer(1, "INVITE").await;
    hand.send("ACK", 1, "").await;
    assert!(hand.request().await.starts_with("BYE "));
    let ends = hand.world.control.until_ends(1).await;
    assert_eq!(ends[0].reason, DisconnectReason::CarrierError);
    let report = within(hand.world.gateway.shutdown(Duration::from_secs(10))).await;
    assert_eq!(report.tasks_left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_offer_is_400() {
    let echo = echo().await;
    let mut hand = Hand::new(&echo.url(), "bad").await;
    hand.send("INVITE", 1, "v=0\r\nthis is no SDP\r\n").await;
    assert!(hand.answer(1, "INVITE").await.starts_with("SIP/2.0 400"));
    hand.world.until_idle().await;
    hand.world.stop().await;
}
