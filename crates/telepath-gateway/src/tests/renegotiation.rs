//! Offer/answer and renegotiation, with a caller whose SIP messages are written by hand.

use std::time::Duration;

use telepath_core::call::{CallEnd, DisconnectReason};
use tokio::net::UdpSocket;

use super::agent::wait_for_event;
use super::fixture::{ScriptedAgent, TestGateway, USER, echo, loopback, within};
use crate::GatewayOptions;

/// A caller at an address in `allowed_ips`, so that it needs no digest.
pub(super) struct ScriptedCaller {
    pub(super) socket: UdpSocket,
    call_id: &'static str,
    /// Via headers of hops before the gateway's peer.
    pub(super) earlier_hops: &'static str,
    to: String,
    pub(super) gateway: TestGateway,
    /// Further headers of each request.
    pub(super) headers: &'static str,
}

impl ScriptedCaller {
    pub(super) async fn new(agent_url: &str, call_id: &'static str) -> Self {
        Self::with(agent_url, call_id, |_| {}).await
    }

    pub(super) async fn with(
        agent_url: &str,
        call_id: &'static str,
        adjust: impl FnOnce(&mut GatewayOptions),
    ) -> Self {
        let gateway = TestGateway::start_with(agent_url, adjust).await;
        gateway.control.trust("127.0.0.1").await;
        let socket = UdpSocket::bind(loopback(0)).await.unwrap();
        let to = format!("<sip:{USER}@127.0.0.1>");
        Self { socket, call_id, earlier_hops: "", to, gateway, headers: "" }
    }

    pub(super) async fn send(&self, method: &str, cseq: u32, body: &str) {
        self.send_typed(method, cseq, "application/sdp", body).await;
    }

    pub(super) async fn send_typed(&self, method: &str, cseq: u32, content_type: &str, body: &str) {
        let text = self.message(method, cseq, content_type, body);
        self.socket.send_to(text.as_bytes(), self.gateway.sip).await.unwrap();
    }

    pub(super) fn message(&self, method: &str, cseq: u32, content_type: &str, body: &str) -> String {
        let own = self.socket.local_addr().unwrap();
        let kind = if body.is_empty() { String::new() } else { format!("Content-Type: {content_type}\r\n") };
        format!(
            "{method} sip:{USER}@{} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{}{method}{cseq};rport\r\n{}\
             From: <sip:caller@{own}>;tag=caller\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {}\r\nMax-Forwards: 70\r\n\
             Contact: <sip:caller@{own}>\r\n{}{kind}Content-Length: {}\r\n\r\n{body}",
            self.gateway.sip,
            self.call_id,
            self.earlier_hops,
            self.to,
            self.call_id,
            method,
            self.headers,
            body.len(),
        )
    }

    /// Waits for the final response to this request and stores its To header for the dialog.
    pub(super) async fn answer(&mut self, cseq: u32, method: &str) -> String {
        let wanted = format!("CSeq: {cseq} {method}\r\n");
        let mut buffer = vec![0; 65_536];
        loop {
            let (length, _) = within(self.socket.recv_from(&mut buffer)).await.unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.contains(&wanted) && !text.starts_with("SIP/2.0 1") {
                let to = text.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
                to.clone_into(&mut self.to);
                return text;
            }
        }
    }

    /// Waits for the next request from the gateway.
    pub(super) async fn request(&self) -> String {
        let mut buffer = vec![0; 65_536];
        loop {
            let (length, _) = within(self.socket.recv_from(&mut buffer)).await.unwrap();
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if !text.starts_with("SIP/2.0") {
                return text;
            }
        }
    }

    pub(super) fn sdp(&self, formats: &str, direction: &str) -> String {
        let port = self.socket.local_addr().unwrap().port() + 1;
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {formats}\r\na={direction}\r\n"
        )
    }

    /// The next INVITE is outside a dialog again.
    pub(super) fn forget_dialog(&mut self) {
        self.to = format!("<sip:{USER}@127.0.0.1>");
    }

    pub(super) async fn bye(mut self, cseq: u32) -> CallEnd {
        self.send("BYE", cseq, "").await;
        assert!(self.answer(cseq, "BYE").await.starts_with("SIP/2.0 200"));
        let end = self.gateway.control.wait_for_ends(1).await.remove(0);
        assert_eq!(end.reason, DisconnectReason::NormalDisconnect);
        self.gateway.wait_until_idle().await;
        self.gateway.stop().await;
        end
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_and_resume_by_reinvite_are_answered_and_sent_to_the_agent() {
    let mut agent = ScriptedAgent::start().await;
    let mut caller = ScriptedCaller::new(&agent.url, "hold").await;
    caller.send("INVITE", 1, &caller.sdp("0", "sendrecv")).await;
    let answer = caller.answer(1, "INVITE").await;
    assert!(answer.starts_with("SIP/2.0 200") && answer.contains("a=sendrecv"), "{answer}");
    caller.send("ACK", 1, "").await;
    let mut socket = agent.connection().await;
    caller.send("INVITE", 2, &caller.sdp("0", "sendonly")).await;
    let held = caller.answer(2, "INVITE").await;
    assert!(held.starts_with("SIP/2.0 200") && held.contains("a=recvonly"), "{held}");
    caller.send("ACK", 2, "").await;
    wait_for_event(&mut socket, "hold").await;
    caller.send("INVITE", 3, &caller.sdp("0", "sendrecv")).await;
    assert!(caller.answer(3, "INVITE").await.contains("a=sendrecv"));
    caller.send("ACK", 3, "").await;
    wait_for_event(&mut socket, "resume").await;
    // A rejected re-INVITE leaves the session unchanged.
    caller.send("INVITE", 4, &caller.sdp("18", "sendrecv")).await;
    assert!(caller.answer(4, "INVITE").await.starts_with("SIP/2.0 488"));
    caller.send("ACK", 4, "").await;
    caller.bye(5).await;
    drop(socket);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_without_sdp_gets_an_offer_in_200_and_answers_in_ack() {
    let echo = echo().await;
    let mut caller = ScriptedCaller::new(&echo.url(), "late").await;
    caller.send("INVITE", 1, "").await;
    let answer = caller.answer(1, "INVITE").await;
    assert!(
        answer.starts_with("SIP/2.0 200") && answer.contains("m=audio ") && answer.contains("PCMA"),
        "{answer}"
    );
    caller.send("ACK", 1, &caller.sdp("8", "sendrecv")).await;
    // A re-INVITE without SDP gets a new offer.
    caller.send("INVITE", 2, "").await;
    assert!(caller.answer(2, "INVITE").await.contains("m=audio "));
    caller.send("ACK", 2, &caller.sdp("8", "sendrecv")).await;
    caller.bye(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_without_the_sdp_answer_ends_the_call_with_bye() {
    let echo = echo().await;
    let mut caller = ScriptedCaller::new(&echo.url(), "silent_listener").await;
    caller.send("INVITE", 1, "").await;
    caller.answer(1, "INVITE").await;
    caller.send("ACK", 1, "").await;
    assert!(caller.request().await.starts_with("BYE "));
    let ends = caller.gateway.control.wait_for_ends(1).await;
    assert_eq!(ends[0].reason, DisconnectReason::CarrierError);
    let report = within(caller.gateway.gateway.shutdown(Duration::from_secs(10))).await;
    assert_eq!(report.tasks_left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_sdp_offer_is_refused_with_400() {
    let echo = echo().await;
    let mut caller = ScriptedCaller::new(&echo.url(), "bad").await;
    caller.send("INVITE", 1, "v=0\r\nthis is no SDP\r\n").await;
    assert!(caller.answer(1, "INVITE").await.starts_with("SIP/2.0 400"));
    caller.gateway.wait_until_idle().await;
    caller.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_488_has_the_warning_code_of_its_reason() {
    let echo = echo().await;
    let mut caller = ScriptedCaller::new(&echo.url(), "warning").await;
    let good = caller.sdp("0", "sendrecv");
    let refused = [
        ("301", "address_family", good.replace("IN IP4 127.0.0.1", "IN IP6 ::1")),
        ("302", "rtp_profile", good.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF")),
        ("302", "no_common_suite", good.replace("RTP/AVP", "RTP/SAVP")),
        ("304", "no_audio", good.replace("m=audio", "m=video")),
        ("305", "no_common_codec", caller.sdp("18", "sendrecv")),
        ("330", "multicast", good.replace("c=IN IP4 127.0.0.1", "c=IN IP4 224.2.1.1/127")),
    ];
    let mut cseq = 0;
    for (code, reason, offer) in &refused {
        cseq += 1;
        caller.send("INVITE", cseq, offer).await;
        let answer = caller.answer(cseq, "INVITE").await;
        let warning = format!("\r\nWarning: {code} {} \"{reason}\"\r\n", caller.gateway.sip);
        assert!(answer.starts_with("SIP/2.0 488") && answer.contains(&warning), "{answer}");
        caller.send("ACK", cseq, "").await;
        caller.to = format!("<sip:{USER}@127.0.0.1>");
    }
    // A re-INVITE is refused for the same reasons, and the call goes on.
    cseq += 1;
    caller.send("INVITE", cseq, &good).await;
    assert!(caller.answer(cseq, "INVITE").await.starts_with("SIP/2.0 200"));
    caller.send("ACK", cseq, "").await;
    for (code, reason, offer) in &refused {
        cseq += 1;
        caller.send("INVITE", cseq, offer).await;
        let answer = caller.answer(cseq, "INVITE").await;
        let warning = format!("\r\nWarning: {code} {} \"{reason}\"\r\n", caller.gateway.sip);
        assert!(answer.starts_with("SIP/2.0 488") && answer.contains(&warning), "{answer}");
        caller.send("ACK", cseq, "").await;
    }
    caller.send("BYE", cseq + 1, "").await;
    assert!(caller.answer(cseq + 1, "BYE").await.starts_with("SIP/2.0 200"));
    caller.gateway.control.wait_for_ends(refused.len() + 1).await;
    caller.gateway.wait_until_idle().await;
    caller.gateway.stop().await;
}
