//! Flows: the way between this endpoint and a peer over which messages are sent and received (RFC 5626 section 2). Over UDP a
//! flow is a pair of addresses; over TCP and TLS it is one connection, which ends.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::client_key::ClientKey;
use crate::message::{Host, ResponseTemplate, Transport};

/// One way to exchange messages with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The transport.
    pub transport: Transport,
    /// The address of the listener that the flow belongs to. A connection that we opened belongs to the listener that the peer
    /// can reach us at.
    pub local: SocketAddr,
    /// The address of the peer.
    pub remote: SocketAddr,
    /// The connection.
    pub id: FlowId,
}

/// Identifies the connection of a flow. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowId {
    /// UDP has no connections.
    Datagrams,
    /// A connection that the peer opened, numbered by the driver.
    Accepted(u64),
    /// A connection for the driver to open when the first message is sent over it, numbered by the endpoint.
    Opened(u64),
}

impl Flow {
    /// The flow of datagrams between two addresses.
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { transport: Transport::Udp, local, remote, id: FlowId::Datagrams }
    }
}

/// Where a request is sent that belongs to no flow yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// The transport.
    pub transport: Transport,
    /// The address.
    pub address: SocketAddr,
    /// The host of the URI that the address stands for: the certificate of the peer must be valid for it. `None` if the address
    /// is all that is known.
    pub host: Option<Host>,
}

impl NextHop {
    /// The next hop over UDP.
    pub fn udp(address: SocketAddr) -> Self {
        Self { transport: Transport::Udp, address, host: None }
    }
}

/// Where the responses to a request are sent (RFC 3261 section 18.2.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseRoute {
    flow: Flow,
    /// Where a new connection is opened to if that of the request has been closed.
    reconnect: SocketAddr,
}

impl ResponseRoute {
    pub(super) fn new(template: &ResponseTemplate, flow: Flow) -> Self {
        match flow.transport {
            Transport::Udp => {
                let remote = template.udp_destination;
                Self { flow: Flow { remote, ..flow }, reconnect: remote }
            }
            Transport::Tcp | Transport::Tls => {
                let port = template.sent_by_port().unwrap_or(flow.transport.default_port());
                Self { flow, reconnect: SocketAddr::new(flow.remote.ip(), port) }
            }
        }
    }

    /// The flow of the request, or a new connection.
    pub(super) fn flow(&self, flows: &mut FlowTable) -> Flow {
        if flows.is_live(&self.flow) {
            return self.flow;
        }
        let hop = NextHop { transport: self.flow.transport, address: self.reconnect, host: None };
        flows.open(hop, self.flow.local)
    }

    /// The transport of the request.
    pub(super) fn is_reliable(&self) -> bool {
        self.flow.transport.is_reliable()
    }
}

/// The connections in use, and the client transactions that wait for a response over each. The driver bounds the number of
/// connections.
#[derive(Default)]
pub(super) struct FlowTable {
    live: HashMap<FlowId, LiveFlow>,
    /// The connections that we opened, to be used again for the same destination (RFC 3261 section 18). A connection that a
    /// peer opened is used for its own dialogs only: nothing proves that its address belongs to that peer alone.
    opened: HashMap<NextHop, Flow>,
    last_opened: u64,
}

#[derive(Default)]
struct LiveFlow {
    clients: HashSet<ClientKey>,
    /// Where it was opened to.
    hop: Option<NextHop>,
}

impl FlowTable {
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// Notes that a message arrived.
    pub(super) fn receive(&mut self, flow: &Flow) {
        if let FlowId::Accepted(_) = flow.id {
            self.live.entry(flow.id).or_default();
        }
    }

    /// Whether messages can be sent over the flow.
    pub(super) fn is_live(&self, flow: &Flow) -> bool {
        flow.id == FlowId::Datagrams || self.live.contains_key(&flow.id)
    }

    /// The flow to a destination: datagrams, a connection that was opened to it before, or a new one.
    pub(super) fn open(&mut self, hop: NextHop, local: SocketAddr) -> Flow {
        if hop.transport == Transport::Udp {
            return Flow::udp(local, hop.address);
        }
        if let Some(flow) = self.opened.get(&hop) {
            return *flow;
        }
        self.last_opened += 1;
        let id = FlowId::Opened(self.last_opened);
        let flow = Flow { transport: hop.transport, local, remote: hop.address, id };
        self.opened.insert(hop.clone(), flow);
        self.live.insert(id, LiveFlow { clients: HashSet::new(), hop: Some(hop) });
        flow
    }

    /// Where a live connection that we opened leads.
    pub(super) fn hop_of(&self, flow: &Flow) -> Option<NextHop> {
        self.live.get(&flow.id)?.hop.clone()
    }

    /// Notes that a client transaction waits for a response over the flow.
    pub(super) fn add_client(&mut self, flow: &Flow, key: &ClientKey) {
        if let Some(live) = self.live.get_mut(&flow.id) {
            live.clients.insert(key.clone());
        }
    }

    pub(super) fn remove_client(&mut self, flow: &Flow, key: &ClientKey) {
        if let Some(live) = self.live.get_mut(&flow.id) {
            live.clients.remove(key);
        }
    }

    /// Removes a connection and returns the client transactions that waited for a response over it.
    pub(super) fn close(&mut self, id: FlowId) -> HashSet<ClientKey> {
        let Some(closed) = self.live.remove(&id) else { return HashSet::new() };
        if let Some(hop) = closed.hop {
            self.opened.remove(&hop);
        }
        closed.clients
    }
}
