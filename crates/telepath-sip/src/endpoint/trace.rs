//! The SIP trace: the messages of calls in order, without credentials. Messages that belong to no call are not recorded,
//! so that a scanner cannot displace the messages of real calls.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use super::event::CallHandle;
use crate::redact::redact;

/// The direction of a traced message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceDirection {
    /// From the peer.
    Received,
    /// To the peer.
    Sent,
}

/// A traced message of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRecord {
    /// The call.
    pub call: CallHandle,
    /// When it was sent or received.
    pub at: Instant,
    /// Sent or received.
    pub direction: TraceDirection,
    /// The peer's address.
    pub peer: SocketAddr,
    /// The text of the message without credentials, see [`crate::redact`].
    pub text: String,
}

/// The trace records that wait to be polled; when it is full, the oldest is dropped.
pub(super) struct TraceBuffer {
    enabled: bool,
    capacity: usize,
    records: VecDeque<TraceRecord>,
    /// The call that the message being processed belongs to.
    current_call: Option<CallHandle>,
    /// Records of messages sent since that message arrived; its own record goes before them.
    sent_since: usize,
}

impl TraceBuffer {
    pub(super) fn new(enabled: bool, capacity: usize) -> Self {
        Self {
            enabled,
            capacity: capacity.max(1),
            records: VecDeque::new(),
            current_call: None,
            sent_since: 0,
        }
    }

    pub(super) fn begin_receive(&mut self) {
        self.current_call = None;
        self.sent_since = 0;
    }

    pub(super) fn belongs_to(&mut self, call: CallHandle) {
        self.current_call = Some(call);
    }

    pub(super) fn current_call(&self) -> Option<CallHandle> {
        self.current_call
    }

    pub(super) fn end_receive(&mut self, peer: SocketAddr, bytes: &[u8], at: Instant) {
        if let (true, Some(call)) = (self.enabled, self.current_call.take()) {
            let text = redact(bytes);
            let position = self.records.len().saturating_sub(self.sent_since);
            let record = TraceRecord { call, at, direction: TraceDirection::Received, peer, text };
            self.drop_oldest();
            self.records.insert(position.min(self.records.len()), record);
        }
    }

    pub(super) fn sent(&mut self, call: CallHandle, peer: SocketAddr, bytes: &[u8], at: Instant) {
        if !self.enabled {
            return;
        }
        let record = TraceRecord { call, at, direction: TraceDirection::Sent, peer, text: redact(bytes) };
        self.drop_oldest();
        self.records.push_back(record);
        self.sent_since += 1;
    }

    fn drop_oldest(&mut self) {
        while self.records.len() >= self.capacity {
            self.records.pop_front();
        }
    }

    pub(super) fn pop(&mut self) -> Option<TraceRecord> {
        self.records.pop_front()
    }
}
