//! The SIP trace: the messages that belong to calls, in order, without secrets. Messages of no call are not
//! kept, so that a scanner cannot push real calls out of the ring.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use super::event::{CallHandle, TraceDirection, TraceRecord};
use crate::redact::redact;

pub(crate) struct TraceBuffer {
    enabled: bool,
    bound: usize,
    records: VecDeque<TraceRecord>,
    /// The call the datagram in hand turned out to belong to.
    received_for: Option<CallHandle>,
    /// How many records it has caused so far; it belongs before them.
    caused: usize,
}

impl TraceBuffer {
    pub(crate) fn new(enabled: bool, bound: usize) -> Self {
        Self { enabled, bound: bound.max(1), records: VecDeque::new(), received_for: None, caused: 0 }
    }

    pub(crate) fn begin_receive(&mut self) {
        self.received_for = None;
        self.caused = 0;
    }

    pub(crate) fn belongs_to(&mut self, call: CallHandle) {
        self.received_for = Some(call);
    }

    pub(crate) fn current(&self) -> Option<CallHandle> {
        self.received_for
    }

    pub(crate) fn end_receive(&mut self, peer: SocketAddr, bytes: &[u8], at: Instant) {
        if let (true, Some(call)) = (self.enabled, self.received_for.take()) {
            let text = redact(bytes);
            let place = self.records.len().saturating_sub(self.caused);
            let record = TraceRecord { call, at, direction: TraceDirection::Received, peer, text };
            self.make_room();
            self.records.insert(place.min(self.records.len()), record);
        }
    }

    pub(crate) fn sent(&mut self, call: CallHandle, peer: SocketAddr, bytes: &[u8], at: Instant) {
        if !self.enabled {
            return;
        }
        let record = TraceRecord { call, at, direction: TraceDirection::Sent, peer, text: redact(bytes) };
        self.make_room();
        self.records.push_back(record);
        self.caused += 1;
    }

    fn make_room(&mut self) {
        while self.records.len() >= self.bound {
            self.records.pop_front();
        }
    }

    pub(crate) fn pop(&mut self) -> Option<TraceRecord> {
        self.records.pop_front()
    }
}
