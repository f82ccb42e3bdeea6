//! Where our requests go when the Contact of the peer names an address that cannot be reached from here.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::{Endpoint, EndpointConfig, EndpointSeed, Event, Flow};
use super::harness::{INVITE, tag_of, without_body};
use super::pair::{callee_addr, sdp};

/// An established call whose INVITE had this source, Contact and further headers; the messages that follow its end.
struct EndedCall {
    endpoint: Endpoint,
    now: Instant,
}

impl EndedCall {
    fn new(source: &str, contact: &str, extra: &str) -> Self {
        let now = Instant::now();
        let source: SocketAddr = source.parse().unwrap();
        let mut endpoint = Endpoint::new(EndpointConfig::new(callee_addr()), EndpointSeed([9; 32]));
        let via = format!("SIP/2.0/UDP {source};branch=z9hG4bKone\r\n{extra}");
        let invite = INVITE.text().replace("<sip:probe@192.0.2.10:5070>", &format!("<sip:probe@{contact}>"));
        let invite = invite.replace("SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bKone\r\n", &via);
        endpoint.handle_message(Flow::udp(callee_addr(), source), invite.as_bytes(), now);
        let Some(Event::Incoming(incoming)) = endpoint.poll_event() else { panic!("{invite}") };
        endpoint.accept(incoming.call, &sdp("v=0\r\n"), now).unwrap();
        let sent: Vec<_> = std::iter::from_fn(|| endpoint.poll_transmit()).collect();
        let tag = tag_of(&String::from_utf8_lossy(&sent.last().unwrap().payload));
        let ack = without_body("ACK sip:192.0.2.20 SIP/2.0", "ack", "5 ACK", &tag).text();
        endpoint.handle_message(Flow::udp(callee_addr(), source), ack.as_bytes(), now);
        endpoint.hang_up(incoming.call, now).unwrap();
        Self { endpoint, now }
    }

    /// The destinations of the BYE and its retransmissions within some time.
    fn destinations(&mut self, time: Duration) -> Vec<String> {
        let end = self.now + time;
        let mut destinations = Vec::new();
        loop {
            let sent = std::iter::from_fn(|| self.endpoint.poll_transmit());
            let byes = sent.filter(|transmit| transmit.payload.starts_with(b"BYE "));
            destinations.extend(byes.map(|transmit| transmit.flow.remote.to_string()));
            match self.endpoint.poll_timeout().filter(|at| *at <= end) {
                Some(at) => self.endpoint.handle_timeout(at),
                None => return destinations,
            }
        }
    }
}

const SECOND_VIA: &str = "Via: SIP/2.0/UDP 192.168.1.50:5060;branch=z9hG4bKtwo\r\n";

#[test]
fn a_bye_goes_to_the_proxy_if_the_contact_behind_it_is_private() {
    let mut call = EndedCall::new("10.0.0.5:5060", "192.168.1.50:5060", SECOND_VIA);
    assert_eq!(call.destinations(Duration::ZERO), ["10.0.0.5:5060"]);
    let mut direct = EndedCall::new("10.0.0.5:5060", "192.168.1.50:5060", "");
    assert_eq!(direct.destinations(Duration::ZERO), ["192.168.1.50:5060"]);
    let mut public = EndedCall::new("10.0.0.5:5060", "198.51.100.9:5060", SECOND_VIA);
    assert_eq!(public.destinations(Duration::ZERO), ["198.51.100.9:5060"]);
    let routed = format!("{SECOND_VIA}Record-Route: <sip:10.0.0.6;lr>\r\n");
    let mut routed = EndedCall::new("10.0.0.5:5060", "192.168.1.50:5060", &routed);
    assert_eq!(routed.destinations(Duration::ZERO), ["10.0.0.6:5060"]);
}

#[test]
fn a_contact_cannot_direct_a_bye_to_this_machine_or_to_a_group() {
    for contact in
        ["127.0.0.1:9999", "169.254.169.254:80", "224.0.0.1:5060", "255.255.255.255:5060", "0.0.0.0"]
    {
        let mut call = EndedCall::new("10.0.0.5:5060", contact, "");
        assert_eq!(call.destinations(Duration::ZERO), ["10.0.0.5:5060"], "{contact}");
    }
    let mut local = EndedCall::new("127.0.0.1:5070", "127.0.0.1:5080", "");
    assert_eq!(local.destinations(Duration::ZERO), ["127.0.0.1:5080"], "the host of the peer itself");
}

#[test]
fn a_bye_without_a_response_goes_to_the_source_of_the_last_message_after_two_retransmissions() {
    let mut call = EndedCall::new("192.0.2.10:5070", "198.51.100.9:5060", "");
    let contact = "198.51.100.9:5060";
    let source = "192.0.2.10:5070";
    assert_eq!(call.destinations(Duration::from_secs(8)), [contact, contact, contact, source, source]);
}
