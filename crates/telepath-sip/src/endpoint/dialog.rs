//! A dialog (RFC 3261 section 12): the two tags, the two sequence numbers, the route and the target. From and
//! To are kept as text exactly as first seen, so they cannot change in the course of a call.

use std::net::SocketAddr;

use super::tokens::Tokens;
use crate::message::{
    CallId, Headers, KnownHeader, Method, NameAddr, Request, RequestWriter, Response, Tag, Transport, Uri,
    Via,
};

/// By what a request within a dialog is matched to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DialogKey {
    call_id: CallId,
    local_tag: Tag,
    remote_tag: Tag,
}

impl DialogKey {
    /// The dialog a request claims to be in; `None` when its To has no tag.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        Some(Self {
            call_id: request.call_id().clone(),
            local_tag: Tag::new(request.to().tag()?),
            remote_tag: Tag::new(request.from().tag().unwrap_or_default()),
        })
    }
}

pub(crate) struct Dialog {
    pub(crate) call_id: CallId,
    pub(crate) local_tag: Tag,
    pub(crate) remote_tag: Option<Tag>,
    /// From of our requests.
    local: String,
    /// To of our requests.
    remote: String,
    local_seq: u32,
    pub(crate) remote_seq: Option<u32>,
    routes: Vec<NameAddr>,
    target: Uri,
    /// Where the peer's last request or response came from.
    peer: SocketAddr,
    /// The peer does not know its own address, so its Contact is of no use.
    behind_nat: bool,
}

/// A request within a dialog, ready to be sent.
pub(crate) struct Outgoing {
    pub(crate) payload: std::sync::Arc<[u8]>,
    pub(crate) branch: String,
    pub(crate) to: SocketAddr,
}

impl Dialog {
    /// The dialog a 2xx of ours to this INVITE makes (section 12.1.1).
    pub(crate) fn of_incoming(invite: &Request, local_tag: Tag, source: SocketAddr) -> Option<Self> {
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
            peer: source,
            behind_nat: sender.host.ip().is_some_and(|ip| ip != source.ip()),
        })
    }

    /// The half a caller has before anybody answered.
    pub(crate) fn of_outgoing(
        call_id: CallId,
        local_tag: Tag,
        from: &Uri,
        target: Uri,
        peer: SocketAddr,
    ) -> Self {
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
            peer,
            behind_nat: false,
        }
    }

    /// The dialog a 2xx from the callee makes (section 12.1.2).
    pub(crate) fn answered(&self, response: &Response, source: SocketAddr) -> Self {
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
            peer: source,
            behind_nat: false,
        }
    }

    pub(crate) fn key(&self) -> Option<DialogKey> {
        Some(DialogKey {
            call_id: self.call_id.clone(),
            local_tag: self.local_tag.clone(),
            remote_tag: self.remote_tag.clone()?,
        })
    }

    /// A request that may move the peer's target (section 12.2.2).
    pub(crate) fn refresh_target(&mut self, request: &Request, source: SocketAddr) {
        if let Some(contact) = request.contacts().first() {
            self.target = contact.uri().clone();
        }
        self.peer = source;
    }

    pub(crate) fn local_seq(&self) -> u32 {
        self.local_seq
    }

    pub(crate) fn local(&self) -> &str {
        &self.local
    }

    /// The first route, else the target, when it is a literal address and the peer can be trusted to know it;
    /// else the way back to where the peer last sent from.
    fn next_hop(&self) -> SocketAddr {
        let first = self.routes.first().map_or(&self.target, NameAddr::uri);
        let literal = first.as_sip().and_then(|uri| uri.host_port().socket_addr());
        literal.filter(|_| !self.behind_nat).unwrap_or(self.peer)
    }

    /// Builds the next request of ours; an ACK takes the number of its INVITE (sections 12.2.1.1, 13.2.2.4).
    pub(crate) fn request(
        &mut self,
        method: Method,
        tokens: &mut Tokens,
        sent_by: &crate::message::HostPort,
        mut headers: Headers,
    ) -> Outgoing {
        if method != Method::Ack {
            self.local_seq += 1;
        }
        let strict = self.routes.first().filter(|r| r.uri().as_sip().is_some_and(|u| !u.params().has("lr")));
        let uri = strict.map_or(&self.target, NameAddr::uri).clone();
        for route in self.routes.iter().skip(usize::from(strict.is_some())) {
            headers.push(KnownHeader::Route, route.to_string());
        }
        if strict.is_some() {
            // A strict router takes its own name off the Request-URI and the target from the last Route.
            headers.push(KnownHeader::Route, format!("<{}>", self.target));
        }
        let branch = tokens.branch();
        let via = Via::ours(Transport::Udp, sent_by.clone(), &branch);
        let payload = RequestWriter {
            method,
            uri: &uri,
            via: &via,
            from: &self.local,
            to: &self.remote,
            call_id: self.call_id.as_str(),
            cseq: self.local_seq,
            headers,
            body: &[],
        }
        .write();
        Outgoing { payload, branch, to: self.next_hop() }
    }

    /// Takes the next number for an INVITE of ours outside a dialog.
    pub(crate) fn advance(&mut self) -> u32 {
        self.local_seq += 1;
        self.local_seq
    }
}
