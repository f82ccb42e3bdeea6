//! TCP and TLS: no retransmissions, responses over the connection of their request, and connections that end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::{
    AdvertisedAddress, CallHandle, DialogEnd, Endpoint, EndpointConfig, EndpointCounts, EndpointSeed, Event,
    Flow, FlowId, InviteRejection, NextHop, OutgoingCall, Transmit,
};
use super::harness::{INVITE, TestRequest, status, tag_of, without_body};
use super::pair::{callee_addr, caller_addr, sdp};
use crate::message::{Host, HostPort, SipUri, StatusCode, Transport};

/// The source port of the caller's connection, on which it does not listen.
fn ephemeral() -> SocketAddr {
    "192.0.2.10:49152".parse().unwrap()
}

fn accepted(transport: Transport, id: u64) -> Flow {
    Flow { transport, local: callee_addr(), remote: ephemeral(), id: FlowId::Accepted(id) }
}

/// A request as the caller sends it over a connection.
fn over(transport: Transport, request: &TestRequest<'_>) -> String {
    let name = transport.name();
    let text = request.text().replace("SIP/2.0/UDP", &format!("SIP/2.0/{}", name.to_uppercase()));
    text.replace("<sip:probe@192.0.2.10:5070>", &format!("<sip:probe@192.0.2.10:5070;transport={name}>"))
}

struct Callee {
    endpoint: Endpoint,
    now: Instant,
    flow: Flow,
}

impl Callee {
    fn new(transport: Transport) -> Self {
        let endpoint = Endpoint::new(EndpointConfig::new(callee_addr()), EndpointSeed([9; 32]));
        Self { endpoint, now: Instant::now(), flow: accepted(transport, 1) }
    }

    fn receive(&mut self, request: &TestRequest<'_>) -> Vec<Transmit> {
        let text = over(self.flow.transport, request);
        self.endpoint.handle_message(self.flow, text.as_bytes(), self.now);
        self.sent()
    }

    fn sent(&mut self) -> Vec<Transmit> {
        std::iter::from_fn(|| self.endpoint.poll_transmit()).collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }

    fn ended(&mut self) -> Option<DialogEnd> {
        self.events().into_iter().find_map(|event| match event {
            Event::Ended { end, .. } => Some(end),
            _ => None,
        })
    }

    /// Advances the time and returns what is sent meanwhile.
    fn advance(&mut self, span: Duration) -> Vec<Transmit> {
        let end = self.now + span;
        let mut sent = Vec::new();
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            sent.extend(self.sent());
        }
        self.now = end;
        sent
    }

    fn invited(transport: Transport) -> (Self, CallHandle) {
        let mut callee = Self::new(transport);
        callee.receive(&INVITE);
        let Some(Event::Incoming(incoming)) = callee.endpoint.poll_event() else { panic!("no call") };
        (callee, incoming.call)
    }

    fn established(transport: Transport) -> (Self, CallHandle, String) {
        let (mut callee, call) = Self::invited(transport);
        callee.endpoint.accept(call, &sdp("v=0\r\n"), callee.now).unwrap();
        let tag = tag_of(&text(&callee.sent()[0]));
        callee.receive(&without_body("ACK sip:192.0.2.20 SIP/2.0", "ack", "5 ACK", &tag));
        callee.events();
        (callee, call, tag)
    }

    fn close(&mut self, flow: &Flow) {
        self.endpoint.handle_flow_closed(flow, self.now);
    }
}

fn text(transmit: &Transmit) -> String {
    String::from_utf8_lossy(&transmit.payload).into_owned()
}

fn header(transmit: &Transmit, name: &str) -> String {
    let text = text(transmit);
    let line = text.lines().find(|line| line.starts_with(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("{name} in {text}")).to_owned()
}

#[test]
fn via_and_contact_name_the_transport_of_the_flow() {
    for (transport, via, contact) in [
        (Transport::Tcp, "Via: SIP/2.0/TCP 192.0.2.20:5060;", "<sip:192.0.2.20:5060;transport=tcp>"),
        (Transport::Tls, "Via: SIP/2.0/TLS 192.0.2.20:5060;", "<sip:192.0.2.20:5060;transport=tls>"),
    ] {
        let (mut callee, call) = Callee::invited(transport);
        callee.endpoint.accept(call, &sdp("v=0\r\n"), callee.now).unwrap();
        let ok = callee.sent().remove(0);
        assert_eq!(header(&ok, "Contact"), format!("Contact: {contact}"));
        let tag = tag_of(&text(&ok));
        callee.receive(&without_body("ACK sip:192.0.2.20 SIP/2.0", "ack", "5 ACK", &tag));
        callee.endpoint.hang_up(call, callee.now).unwrap();
        let bye = callee.sent().remove(0);
        assert!(header(&bye, "Via").starts_with(via), "{}", text(&bye));
        assert!(
            text(&bye).starts_with(&format!("BYE sip:probe@192.0.2.10:5070;transport={}", transport.name()))
        );
        assert_eq!((bye.flow, bye.open), (callee.flow, None), "over the connection of the call");
    }
}

#[test]
fn each_listener_has_the_address_that_is_advertised_for_it() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let entry = |transport, listener, advertised| AdvertisedAddress {
        transport,
        listener: address(listener),
        address: address(advertised),
    };
    let advertised = [
        entry(Transport::Udp, "10.0.0.1:5060", "192.0.2.20:5060"),
        entry(Transport::Tcp, "10.0.0.1:5060", "192.0.2.20:5060"),
        entry(Transport::Tcp, "10.0.0.1:5070", "192.0.2.20:5070"),
        entry(Transport::Tls, "[::]:5061", "192.0.2.20:5061"),
        entry(Transport::Tls, "[::]:5061", "[2001:db8::20]:5061"),
    ];
    let config = EndpointConfig::new(advertised.into_iter().collect::<super::super::AdvertisedAddresses>());
    for (transport, local, remote, expected) in [
        (Transport::Udp, "10.0.0.1:5060", "192.0.2.10:5060", "192.0.2.20:5060"),
        (Transport::Tcp, "10.0.0.1:5070", "192.0.2.10:40000", "192.0.2.20:5070"),
        (Transport::Tls, "[::]:5061", "192.0.2.10:40000", "192.0.2.20:5061"),
        (Transport::Tls, "[::]:5061", "[2001:db8::10]:40000", "[2001:db8::20]:5061"),
    ] {
        let flow = Flow {
            transport,
            local: address(local),
            remote: address(remote),
            id: if transport == Transport::Udp { FlowId::Datagrams } else { FlowId::Accepted(1) },
        };
        let mut endpoint = Endpoint::new(config.clone(), EndpointSeed([9; 32]));
        let options = without_body("OPTIONS sip:192.0.2.20 SIP/2.0", "o", "1 OPTIONS", "").text();
        endpoint.handle_message(flow, options.as_bytes(), Instant::now());
        let ok = endpoint.poll_transmit().unwrap();
        assert!(header(&ok, "Contact").starts_with(&format!("Contact: <sip:{expected}")), "{}", text(&ok));
    }
}

#[test]
fn a_final_response_to_an_invite_is_not_retransmitted_over_tcp() {
    let (mut callee, call) = Callee::invited(Transport::Tcp);
    callee.endpoint.reject_with(call, InviteRejection::of(StatusCode::BUSY_HERE), callee.now).unwrap();
    let tag = tag_of(&text(&callee.sent()[0]));
    assert!(callee.advance(Duration::from_secs(20)).is_empty(), "no timer G");
    assert_eq!(callee.endpoint.counts().server_transactions, 1, "timer H still waits for the ACK");
    callee.receive(&without_body("ACK sip:192.0.2.20 SIP/2.0", "one", "5 ACK", &tag));
    callee.advance(Duration::ZERO);
    assert_eq!(callee.endpoint.counts().server_transactions, 0, "timer I is zero");
}

#[test]
fn our_2xx_is_retransmitted_until_its_ack_over_tcp_too() {
    let (mut callee, call) = Callee::invited(Transport::Tcp);
    callee.endpoint.accept(call, &sdp("v=0\r\n"), callee.now).unwrap();
    assert_eq!(callee.sent().len(), 1);
    let repeated = callee.advance(Duration::from_secs(4));
    assert_eq!(repeated.iter().map(|sent| status(&text(sent))).collect::<Vec<_>>(), [200; 3]);
    assert!(repeated.iter().all(|sent| sent.flow == callee.flow));
}

#[test]
fn timers_j_and_k_are_zero_over_tcp() {
    let (mut callee, call, tag) = Callee::established(Transport::Tcp);
    callee.receive(&without_body("OPTIONS sip:192.0.2.20 SIP/2.0", "opt", "6 OPTIONS", &tag));
    callee.advance(Duration::ZERO);
    // What is left is the INVITE, whose 2xx timer L absorbs.
    assert_eq!(callee.endpoint.counts().server_transactions, 1);
    callee.endpoint.hang_up(call, callee.now).unwrap();
    let bye = callee.sent().remove(0);
    assert!(callee.advance(Duration::from_secs(20)).is_empty(), "no timer E");
    let ok = text(&bye).replacen(text(&bye).lines().next().unwrap(), "SIP/2.0 200 OK", 1);
    callee.endpoint.handle_message(callee.flow, ok.as_bytes(), callee.now);
    callee.advance(Duration::ZERO);
    assert_eq!(callee.ended(), Some(DialogEnd::ByeSent { confirmed: true }));
    assert_eq!(callee.endpoint.counts().client_transactions, 0);
}

#[test]
fn a_request_without_a_response_over_tcp_ends_with_timer_f() {
    let (mut callee, call, _) = Callee::established(Transport::Tcp);
    callee.endpoint.hang_up(call, callee.now).unwrap();
    assert_eq!(callee.sent().len(), 1);
    assert!(callee.advance(Duration::from_secs(31)).is_empty());
    assert_eq!(callee.ended(), None);
    callee.advance(Duration::from_secs(2));
    assert_eq!(callee.ended(), Some(DialogEnd::ByeSent { confirmed: false }));
}

#[test]
fn responses_go_over_the_connection_of_their_request() {
    let (mut callee, call) = Callee::invited(Transport::Tls);
    let second = accepted(Transport::Tls, 2);
    let options = without_body("OPTIONS sip:192.0.2.20 SIP/2.0", "o", "1 OPTIONS", "");
    callee.endpoint.handle_message(second, over(Transport::Tls, &options).as_bytes(), callee.now);
    assert_eq!(callee.sent().iter().map(|sent| sent.flow).collect::<Vec<_>>(), [second]);
    callee.endpoint.ring(call, callee.now).unwrap();
    assert_eq!(callee.sent().iter().map(|sent| sent.flow).collect::<Vec<_>>(), [callee.flow]);
}

#[test]
fn a_response_whose_connection_is_closed_goes_to_the_port_in_sent_by() {
    let (mut callee, call) = Callee::invited(Transport::Tcp);
    let closed = callee.flow;
    callee.close(&closed);
    callee.endpoint.reject_with(call, InviteRejection::of(StatusCode::BUSY_HERE), callee.now).unwrap();
    let sent = callee.sent().remove(0);
    assert_eq!((sent.flow.id, sent.flow.remote), (FlowId::Opened(1), caller_addr()));
    let hop = NextHop { transport: Transport::Tcp, address: caller_addr(), host: None };
    assert_eq!(sent.open, Some(hop));
}

#[test]
fn a_closed_connection_does_not_end_the_call() {
    let (mut callee, call, tag) = Callee::established(Transport::Tls);
    let closed = callee.flow;
    callee.close(&closed);
    assert!(callee.events().is_empty() && callee.sent().is_empty());
    assert_eq!(callee.endpoint.counts().calls, 1);
    // The peer goes on over another connection, which the call then uses.
    callee.flow = accepted(Transport::Tls, 2);
    let info = TestRequest {
        extra: "Content-Type: application/dtmf-relay\r\n",
        body: "Signal=5\r\n",
        ..without_body("INFO sip:192.0.2.20 SIP/2.0", "info", "6 INFO", &tag)
    };
    let ok = callee.receive(&info).remove(0);
    assert_eq!((status(&text(&ok)), ok.flow), (200, callee.flow));
    let offer = TestRequest { branch: "re", to_tag: &tag, cseq: "7 INVITE", ..INVITE };
    callee.receive(&offer);
    callee.endpoint.hang_up(call, callee.now).unwrap();
    assert!(callee.sent().iter().all(|sent| sent.flow == callee.flow));
}

#[test]
fn a_request_of_a_call_whose_connection_is_closed_goes_to_the_contact() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let (mut callee, call, _) = Callee::established(transport);
        let closed = callee.flow;
        callee.close(&closed);
        callee.endpoint.hang_up(call, callee.now).unwrap();
        let bye = callee.sent().remove(0);
        let hop = NextHop { transport, address: caller_addr(), host: Some(Host::Ip(caller_addr().ip())) };
        assert_eq!(bye.open, Some(hop), "the Contact");
        assert_eq!((bye.flow.id, bye.flow.local), (FlowId::Opened(1), callee_addr()));
        // The connection cannot be opened.
        callee.close(&bye.flow);
        assert_eq!(callee.ended(), Some(DialogEnd::ByeSent { confirmed: false }));
        assert_eq!(callee.endpoint.counts().client_transactions, 0);
    }
}

#[test]
fn a_bye_that_a_closing_connection_may_have_lost_is_sent_over_a_new_one() {
    let (mut callee, call, _) = Callee::established(Transport::Tcp);
    callee.endpoint.hang_up(call, callee.now).unwrap();
    let first = callee.sent().remove(0);
    callee.close(&first.flow);
    let second = callee.sent().remove(0);
    assert!(text(&second).starts_with("BYE "));
    assert_eq!(second.flow.id, FlowId::Opened(1));
    assert_ne!(header(&first, "CSeq"), header(&second, "CSeq"), "a request of its own");
    let ok = text(&second).replacen(text(&second).lines().next().unwrap(), "SIP/2.0 200 OK", 1);
    callee.endpoint.handle_message(second.flow, ok.as_bytes(), callee.now);
    assert_eq!(callee.ended(), Some(DialogEnd::ByeSent { confirmed: true }));
}

#[test]
fn a_request_of_a_tls_call_is_never_sent_in_clear() {
    let mut callee = Callee::new(Transport::Tls);
    let invite =
        INVITE.text().replace("<sip:probe@192.0.2.10:5070>", "<sip:probe@192.0.2.10:5070;transport=udp>");
    callee.endpoint.handle_message(callee.flow, invite.as_bytes(), callee.now);
    let Some(Event::Incoming(incoming)) = callee.endpoint.poll_event() else { panic!("no call") };
    callee.endpoint.accept(incoming.call, &sdp("v=0\r\n"), callee.now).unwrap();
    let tag = tag_of(&text(&callee.sent().pop().unwrap()));
    callee.receive(&without_body("ACK sip:192.0.2.20 SIP/2.0", "ack", "5 ACK", &tag));
    let closed = callee.flow;
    callee.close(&closed);
    callee.endpoint.hang_up(incoming.call, callee.now).unwrap();
    assert_eq!(callee.sent().remove(0).flow.transport, Transport::Tls);
}

/// A caller whose INVITE is sent over a connection that it opens.
fn calling(host: Option<Host>) -> (Endpoint, CallHandle, Transmit, Instant) {
    let mut caller = Endpoint::new(EndpointConfig::new(caller_addr()), EndpointSeed([1; 32]));
    let now = Instant::now();
    let uri = |user, address| SipUri::new(Some(user), HostPort::from(address)).unwrap();
    let next_hop = NextHop { transport: Transport::Tls, address: callee_addr(), host };
    let outgoing = OutgoingCall {
        target: uri("support", callee_addr()),
        next_hop,
        from: uri("alice", caller_addr()),
        offer: None,
        credentials: None,
    };
    let call = caller.invite(outgoing, now).unwrap();
    let invite = caller.poll_transmit().unwrap();
    (caller, call, invite, now)
}

#[test]
fn an_invite_whose_connection_fails_is_treated_like_a_503() {
    let host = Host::parse("callee.test").unwrap();
    let (mut caller, call, invite, now) = calling(Some(host.clone()));
    assert!(header(&invite, "Via").starts_with("Via: SIP/2.0/TLS 192.0.2.10:5070;"));
    assert_eq!(invite.open.as_ref().and_then(|hop| hop.host.clone()), Some(host));
    caller.handle_flow_closed(&invite.flow, now);
    let Some(Event::Ended { call: ended, end, .. }) = caller.poll_event() else { panic!("no end") };
    assert_eq!((ended, end), (call, DialogEnd::ConnectionFailed));
    assert_eq!(caller.counts(), EndpointCounts::default());
}

#[test]
fn connections_that_we_opened_are_used_again_for_the_same_destination_only() {
    let (mut caller, _, first, now) = calling(None);
    let mut dial = |address: SocketAddr, host: Option<Host>| {
        let uri = |user, address| SipUri::new(Some(user), HostPort::from(address)).unwrap();
        let next_hop = NextHop { transport: Transport::Tls, address, host };
        let outgoing = OutgoingCall {
            target: uri("support", address),
            next_hop,
            from: uri("alice", caller_addr()),
            offer: None,
            credentials: None,
        };
        caller.invite(outgoing, now).unwrap();
        caller.poll_transmit().unwrap().flow
    };
    assert_eq!(dial(callee_addr(), None), first.flow);
    assert_ne!(dial(callee_addr(), Host::parse("other.test")), first.flow, "another name in its certificate");
    assert_ne!(dial("192.0.2.21:5060".parse().unwrap(), None), first.flow);
}

#[test]
fn an_invite_is_not_retransmitted_over_tls_and_ends_with_timer_b() {
    let (mut caller, _, _, now) = calling(None);
    caller.handle_timeout(now + Duration::from_secs(31));
    assert_eq!(caller.poll_transmit(), None);
    caller.handle_timeout(now + Duration::from_secs(32));
    assert!(matches!(caller.poll_event(), Some(Event::Ended { end: DialogEnd::InviteTimeout, .. })));
}
