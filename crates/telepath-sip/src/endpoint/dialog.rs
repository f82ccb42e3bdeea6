//! The state of a dialog (RFC 3261 section 12): tags, sequence numbers, route set and remote target. From and To are
//! stored exactly as first received, so they stay the same during the call.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::config::AdvertisedAddresses;
use super::failure_ack::FailureAck;
use super::flow::{Flow, FlowTable, NextHop};
use super::tokens::Tokens;
use crate::message::{
    Headers, KnownHeader, Method, NameAddr, Request, RequestWriter, Response, SipCallId, SipUri, Tag,
    Transport, Uri, Via,
};

/// Matches a request to its dialog (section 12).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DialogKey {
    call_id: SipCallId,
    local_tag: Tag,
    remote_tag: Tag,
}

impl DialogKey {
    /// The dialog that a request names; `None` if its To has no tag.
    pub(super) fn of(request: &Request) -> Option<Self> {
        Some(Self {
            call_id: request.call_id().clone(),
            local_tag: Tag::new(request.to().tag()?),
            remote_tag: Tag::new(request.from().tag().unwrap_or_default()),
        })
    }

    /// The dialog that the headers of a malformed request name.
    pub(super) fn of_headers(headers: &Headers) -> Option<Self> {
        let address = |name| headers.first(name).and_then(NameAddr::parse_from);
        Some(Self {
            call_id: SipCallId::new(headers.first(KnownHeader::CallId)?),
            local_tag: Tag::new(address(KnownHeader::To)?.tag()?),
            remote_tag: Tag::new(address(KnownHeader::From)?.tag().unwrap_or_default()),
        })
    }
}

/// Whether our requests must not be sent to an address, although the peer names it. It may be private to a network that the
/// peer, as we see it, is not in: a Contact behind NAT whose INVITE came through a proxy, or a Record-Route of an inner
/// network. Or no peer elsewhere can mean it, such as a loopback address: the caller chooses texts of our BYE, so its Contact
/// must not direct the BYE to a service of this machine.
fn is_hidden_from(hop: IpAddr, peer: IpAddr, behind_proxy: bool) -> bool {
    let (hop, peer) = (hop.to_canonical(), peer.to_canonical());
    hop != peer
        && (is_never_remote(hop)
            || (is_local(hop) && (behind_proxy || !is_local(peer)))
            || hop.is_ipv4() != peer.is_ipv4())
}

/// Addresses of this machine or link, and those of no single host.
fn is_never_remote(address: IpAddr) -> bool {
    let of_link = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    of_link || address.is_loopback() || address.is_unspecified() || address.is_multicast()
}

/// Addresses without a meaning on the Internet: private, shared, link-local and loopback.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && (64..128).contains(&second);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

pub(super) struct Dialog {
    pub(super) call_id: SipCallId,
    pub(super) local_tag: Tag,
    pub(super) remote_tag: Option<Tag>,
    /// The From of our requests.
    local: String,
    /// The To of our requests.
    remote: String,
    local_seq: u32,
    pub(super) remote_seq: Option<u32>,
    routes: Vec<NameAddr>,
    target: Uri,
    /// The flow of the peer's last request or response.
    flow: Flow,
    /// The Via of the INVITE does not name its source address, so its Contact may be unreachable too.
    behind_nat: bool,
    /// The INVITE came through a proxy that does not stay on the path, so its source says nothing about the network of the
    /// Contact.
    behind_proxy: bool,
}

/// What a request within a dialog is made of, besides what the dialog adds.
pub(super) struct RequestParts<'a> {
    pub(super) method: Method,
    /// The `CSeq` number of an ACK is that of its INVITE (section 13.2.2.4); any other request gets the next one.
    pub(super) acknowledged: Option<u32>,
    pub(super) headers: Headers,
    pub(super) body: &'a [u8],
}

impl RequestParts<'static> {
    pub(super) fn bodiless(method: Method, headers: Headers) -> Self {
        Self { method, acknowledged: None, headers, body: &[] }
    }

    /// The ACK of a 2xx.
    pub(super) fn ack(cseq: u32) -> Self {
        Self { method: Method::Ack, acknowledged: Some(cseq), headers: Headers::default(), body: &[] }
    }
}

/// What the requests of all dialogs share.
pub(super) struct RequestContext<'a> {
    pub(super) tokens: &'a mut Tokens,
    pub(super) flows: &'a mut FlowTable,
    pub(super) advertised: &'a AdvertisedAddresses,
}

/// A request within a dialog, ready to send.
pub(super) struct OutgoingRequest {
    pub(super) payload: Arc<[u8]>,
    pub(super) branch: String,
    pub(super) flow: Flow,
    pub(super) cseq: u32,
    /// For a re-INVITE.
    pub(super) failure_ack: Option<Box<FailureAck>>,
}

impl Dialog {
    /// The dialog of an incoming INVITE (section 12.1.1).
    pub(super) fn of_uas(invite: &Request, local_tag: Tag, flow: Flow) -> Option<Self> {
        let text = |name| invite.headers().first(name).map(str::to_owned);
        let sender = invite.vias().first()?.sent_by();
        Some(Self {
            call_id: invite.call_id().clone(),
            remote_tag: invite.from().tag().map(Tag::new),
            local: format!("{};tag={local_tag}", text(KnownHeader::To)?),
            remote: text(KnownHeader::From)?,
            local_tag,
            local_seq: 0,
            remote_seq: Some(invite.cseq().number),
            routes: invite.record_routes().to_vec(),
            target: invite.contacts().first()?.uri().clone(),
            flow,
            behind_nat: sender.host.ip().is_some_and(|ip| ip != flow.remote.ip()),
            behind_proxy: invite.vias().len() > 1 && invite.record_routes().is_empty(),
        })
    }

    /// The state of a UAC before a response arrives.
    pub(super) fn of_uac(call_id: SipCallId, local_tag: Tag, from: &Uri, target: Uri, flow: Flow) -> Self {
        Self {
            call_id,
            remote_tag: None,
            local: format!("<{from}>;tag={local_tag}"),
            remote: format!("<{target}>"),
            local_tag,
            local_seq: 0,
            remote_seq: None,
            routes: Vec::new(),
            target,
            flow,
            behind_nat: false,
            behind_proxy: false,
        }
    }

    /// The dialog that a 2xx of the callee creates (section 12.1.2).
    pub(super) fn confirmed_by(&self, response: &Response, flow: Flow) -> Self {
        let target = response.contacts().first().map_or(&self.target, NameAddr::uri);
        Self {
            call_id: self.call_id.clone(),
            local_tag: self.local_tag.clone(),
            remote_tag: Some(Tag::new(response.to().tag().unwrap_or_default())),
            local: self.local.clone(),
            remote: response.headers().first(KnownHeader::To).unwrap_or(&self.remote).to_owned(),
            local_seq: self.local_seq,
            remote_seq: None,
            routes: response.record_routes().iter().rev().cloned().collect(),
            target: target.clone(),
            flow,
            behind_nat: false,
            behind_proxy: false,
        }
    }

    /// Continues the `CSeq` numbers of the early dialog that became this one (section 12.1).
    pub(super) fn continue_from<'a>(&mut self, mut early: impl Iterator<Item = &'a Self>) {
        if let Some(early) = early.find(|early| early.remote_tag == self.remote_tag) {
            self.local_seq = early.local_seq;
        }
    }

    pub(super) fn key(&self) -> Option<DialogKey> {
        Some(DialogKey {
            call_id: self.call_id.clone(),
            local_tag: self.local_tag.clone(),
            remote_tag: self.remote_tag.clone()?,
        })
    }

    /// Processes a target refresh request (section 12.2.2).
    pub(super) fn refresh_target(&mut self, request: &Request, flow: Flow) {
        if let Some(contact) = request.contacts().first() {
            self.target = contact.uri().clone();
        }
        self.flow = flow;
    }

    /// Processes the 2xx to a target refresh request of ours (section 12.2.1.2).
    pub(super) fn refresh_target_by(&mut self, response: &Response, flow: Flow) {
        if let Some(contact) = response.contacts().first() {
            self.target = contact.uri().clone();
        }
        self.flow = flow;
    }

    /// The flow of the peer's last message.
    pub(super) fn flow(&self) -> Flow {
        self.flow
    }

    pub(super) fn local_seq(&self) -> u32 {
        self.local_seq
    }

    /// Our URI in this dialog.
    pub(super) fn local_uri(&self) -> Option<Uri> {
        NameAddr::parse(&self.local).map(|local| local.uri().clone())
    }

    pub(super) fn local(&self) -> &str {
        &self.local
    }

    /// The flow of our next request. Over TCP and TLS it is that of the peer's last message while it is open. Otherwise the
    /// request goes to the first route or the remote target, if that is an IP address that can be reached and the peer is not
    /// behind NAT; otherwise to the source of the peer's last message.
    fn next_flow(&self, flows: &mut FlowTable, advertised: &AdvertisedAddresses) -> Flow {
        let reliable = self.flow.transport.is_reliable();
        if reliable && flows.is_live(&self.flow) {
            return self.flow;
        }
        let first = self.routes.first().map_or(&self.target, NameAddr::uri).as_sip();
        let (transport, local) = self.next_transport(first, advertised);
        let port = first.and_then(|uri| uri.host_port().port).unwrap_or(transport.default_port());
        let hidden = |hop: &IpAddr| is_hidden_from(*hop, self.flow.remote.ip(), self.behind_proxy);
        let reachable = |hop: &IpAddr| !self.behind_nat && !hidden(hop);
        let hop = first.and_then(|uri| uri.host_port().host.ip()).filter(reachable);
        if hop.is_none() && !reliable {
            return self.flow;
        }
        // The source port of a connection that the peer opened is not one that it listens on.
        let address = SocketAddr::new(hop.unwrap_or(self.flow.remote.ip()), port);
        let host = first.map(|uri| uri.host_port().host.clone());
        flows.open(NextHop { transport, address, host }, local)
    }

    /// The transport of a request that cannot use the flow of the peer's last message, and our listener for it. UDP and TLS
    /// stay what they are: datagrams have reached us, and what was encrypted stays encrypted. A URI may change TCP.
    fn next_transport(
        &self,
        first: Option<&SipUri>,
        advertised: &AdvertisedAddresses,
    ) -> (Transport, SocketAddr) {
        let unchanged = (self.flow.transport, self.flow.local);
        match self.flow.transport {
            Transport::Udp | Transport::Tls => unchanged,
            Transport::Tcp => {
                let named = first.and_then(SipUri::transport);
                let ours = named.and_then(|named| {
                    advertised.listener(named, self.flow.remote).map(|listener| (named, listener))
                });
                ours.filter(|(named, _)| *named != Transport::Tcp).unwrap_or(unchanged)
            }
        }
    }

    /// The Request-URI of our requests, and their Route headers (section 12.2.1.1).
    fn destination(&self) -> (Uri, Headers) {
        let strict = self.routes.first().filter(|r| r.uri().as_sip().is_some_and(|u| !u.params().has("lr")));
        let uri = strict.map_or(&self.target, NameAddr::uri).clone();
        let mut routes = Headers::default();
        for route in self.routes.iter().skip(usize::from(strict.is_some())) {
            routes.push(KnownHeader::Route, route.to_string());
        }
        if strict.is_some() {
            // A strict router expects its own URI as Request-URI and the remote target in the last Route.
            routes.push(KnownHeader::Route, format!("<{}>", self.target));
        }
        (uri, routes)
    }

    /// The Request-URI of our next request, for digest credentials.
    pub(super) fn request_uri(&self) -> Uri {
        self.destination().0
    }

    /// Builds our next request. `context` is what all dialogs share.
    pub(super) fn request(
        &mut self,
        parts: RequestParts<'_>,
        context: &mut RequestContext<'_>,
    ) -> OutgoingRequest {
        let RequestParts { method, acknowledged, headers, body } = parts;
        let cseq = match acknowledged {
            Some(cseq) => cseq,
            None => self.next_cseq(),
        };
        let (uri, routes) = self.destination();
        let mut all = routes.clone();
        all.extend(headers);
        let branch = context.tokens.branch();
        let flow = self.next_flow(context.flows, context.advertised);
        let via = Via::local(flow.transport, context.advertised.toward(&flow), &branch);
        let call_id = self.call_id.as_str();
        let is_invite = method == Method::Invite;
        let (from, to) = (self.local.as_str(), self.remote.as_str());
        let payload =
            RequestWriter { method, uri: &uri, via: &via, from, to, call_id, cseq, headers: all, body }
                .write();
        let failure_ack = is_invite.then(|| {
            let (from, call_id) = (from.to_owned(), call_id.to_owned());
            Box::new(FailureAck { uri, via, routes, from, call_id, cseq })
        });
        OutgoingRequest { payload, branch, flow, cseq, failure_ack }
    }

    /// Allocates the `CSeq` number of an INVITE that creates the dialog.
    pub(super) fn next_cseq(&mut self) -> u32 {
        self.local_seq += 1;
        self.local_seq
    }
}
