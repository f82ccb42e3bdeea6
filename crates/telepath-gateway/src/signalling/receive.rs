//! What arrives at the signalling task: datagrams, messages of connections, and the beginning and end of connections.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use telepath_sip::Flow;

use super::stranger_screen::StrangerScreen;
use super::{Signalling, Wakeup};
use crate::transport::{CloseReason, ConnectionEvent, Received};

/// Datagrams of a socket, and events of connections, that are processed in one turn, before the timers and the next command.
const BATCH: usize = 64;

impl Signalling {
    /// Serves the wakeup, then what waits at the connections and the timers that are due, because a socket that always has a
    /// datagram would otherwise keep them waiting.
    pub(super) fn take_turn(&mut self, wakeup: Wakeup, buffer: &mut [u8], now: Instant) {
        match wakeup {
            Wakeup::Command(command) => self.apply(command),
            Wakeup::Received(Received::Datagram(socket, first)) => {
                self.receive_datagrams(socket, first, buffer);
            }
            Wakeup::Received(Received::Connection(event)) => self.receive_event(event),
            Wakeup::Timer => {}
            Wakeup::CommandsClosed => self.stopped = true,
        }
        for _ in 0..BATCH {
            let Some(event) = self.transports.try_receive_event() else { break };
            self.receive_event(event);
        }
        self.endpoint.handle_timeout(now);
    }

    /// Processes this datagram and those that wait behind it.
    fn receive_datagrams(
        &mut self,
        socket: usize,
        first: io::Result<(usize, SocketAddr)>,
        buffer: &mut [u8],
    ) {
        let mut received = first;
        for _ in 0..BATCH {
            match received {
                Ok((length, source)) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    if let Some(flow) = self.transports.datagram_flow(socket, source) {
                        self.receive_message(flow, datagram, Instant::now());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The kernel reports the ICMP error of an earlier send here; no datagram was lost.
                Err(_) => metrics::counter!("telepath_sip_socket_errors_total").increment(1),
            }
            received = self.transports.try_receive_datagram(socket, buffer);
        }
    }

    fn receive_event(&mut self, event: ConnectionEvent) {
        match event {
            ConnectionEvent::Opened(flow, handle) => self.transports.add(flow, handle),
            ConnectionEvent::Message(flow, message) => self.receive_message(flow, &message, Instant::now()),
            ConnectionEvent::Closed(flow, reason) => self.closed.push((flow, reason)),
        }
    }

    /// Passes a message to the endpoint.
    pub(super) fn receive_message(&mut self, flow: Flow, message: &[u8], now: Instant) {
        let epoch = self.epoch();
        let mut screen = StrangerScreen {
            digest: &mut self.digest,
            trusted: &self.trusted,
            lookups: &self.lookups,
            throttle: &self.throttle,
            rejections: &mut self.rejections,
            strangers: &self.shared.strangers,
            epoch,
            at: self.shared.clock.now(),
            now,
        };
        self.endpoint.handle_screened_message(flow, message, &mut screen, now);
    }

    /// Forgets the connections that have ended, once the responses to their last messages have been sent; whether there were
    /// any.
    pub(super) fn forget_closed(&mut self, now: Instant) -> bool {
        let closed = std::mem::take(&mut self.closed);
        for (flow, reason) in &closed {
            if let CloseReason::Framing(framing) = reason {
                self.rejections.record(framing.name(), now);
                self.count_stranger(flow.remote, framing.name());
            }
            self.transports.remove(flow, *reason);
            self.endpoint.handle_flow_closed(flow, now);
        }
        !closed.is_empty()
    }
}
