//! Server transactions (RFC 3261 section 17.2, with the Accepted state of RFC 6026): they answer a repeated
//! request with what it was answered before, and repeat a refusal of an INVITE until it is acknowledged.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event::CallHandle;
use super::timer::TimerId;
use super::{Deadline, Endpoint};
use crate::message::{HostPort, Method, Request, ResponseSeed, StatusCode, Tag};

/// Names a server transaction; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServerId(u64);

/// By what a request is matched to its transaction (RFC 3261 section 17.2.3). An ACK has the key of its INVITE.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServerKey {
    Branch {
        branch: String,
        sent_by: HostPort,
        method: Method,
    },
    /// For peers whose branch is absent or not unique.
    Rfc2543 {
        via: String,
        uri: String,
        call_id: String,
        from_tag: String,
        cseq: u32,
        method: Method,
    },
}

impl ServerKey {
    pub(crate) fn of(request: &Request, method: &Method) -> Option<Self> {
        let via = request.vias().first()?;
        let method = method.clone();
        Some(match via.unique_branch() {
            Some(branch) => {
                Self::Branch { branch: branch.to_owned(), sent_by: via.sent_by().clone(), method }
            }
            None => Self::Rfc2543 {
                via: via.to_string(),
                uri: request.uri().to_string(),
                call_id: request.call_id().as_str().to_owned(),
                from_tag: request.from().tag().unwrap_or_default().to_owned(),
                cseq: request.cseq().number,
                method,
            },
        })
    }
}

/// What makes two requests the same one that came by two ways (RFC 3261 section 8.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MergeKey {
    call_id: String,
    from_tag: String,
    cseq: u32,
    method: Method,
}

impl MergeKey {
    pub(crate) fn of(request: &Request) -> Option<Self> {
        Some(Self {
            call_id: request.call_id().as_str().to_owned(),
            from_tag: request.from().tag()?.to_owned(),
            cseq: request.cseq().number,
            method: request.method().clone(),
        })
    }
}

/// Where a transaction stands. Trying and Proceeding are one: what differs is whether `last` is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerState {
    Proceeding,
    /// Refusal sent, or any final answer to a request that is not an INVITE.
    Completed,
    /// The refusal is acknowledged.
    Confirmed,
    /// 2xx to an INVITE sent; the call repeats it, not the transaction.
    Accepted,
}

pub(crate) struct ServerTransaction {
    key: ServerKey,
    merge: Option<MergeKey>,
    is_invite: bool,
    state: ServerState,
    pub(crate) seed: ResponseSeed,
    pub(crate) local_tag: Option<Tag>,
    pub(crate) call: Option<CallHandle>,
    last: Option<Arc<[u8]>>,
    interval: Duration,
    retransmit: Option<TimerId>,
    end: Option<TimerId>,
}

/// All server transactions and how they are found.
#[derive(Default)]
pub(crate) struct ServerTable {
    by_id: HashMap<ServerId, ServerTransaction>,
    by_key: HashMap<ServerKey, ServerId>,
    merged: HashMap<MergeKey, ServerId>,
    made: u64,
}

impl ServerTable {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn get(&self, id: ServerId) -> Option<&ServerTransaction> {
        self.by_id.get(&id)
    }

    pub(crate) fn find(&self, key: &ServerKey) -> Option<ServerId> {
        self.by_key.get(key).copied()
    }

    /// The INVITE an ACK means. Some callers give the ACK of a refusal a branch of its own against section
    /// 17.1.1.3; it is known by Call-ID, tags and number then, or they would hear the refusal for 32 s.
    pub(crate) fn find_acknowledged(&self, ack: &Request) -> Option<ServerId> {
        let by_branch = ServerKey::of(ack, &Method::Invite).and_then(|key| self.find(&key));
        by_branch.or_else(|| {
            let key = MergeKey { method: Method::Invite, ..MergeKey::of(ack)? };
            let id = *self.merged.get(&key)?;
            let local_tag = self.get(id)?.local_tag.as_ref()?.as_str();
            (ack.to().tag() == Some(local_tag)).then_some(id)
        })
    }

    pub(crate) fn is_merged(&self, request: &Request) -> bool {
        MergeKey::of(request).is_some_and(|key| self.merged.contains_key(&key))
    }

    pub(crate) fn add(
        &mut self,
        request: &Request,
        source: SocketAddr,
        local_tag: Option<Tag>,
        call: Option<CallHandle>,
    ) -> Option<ServerId> {
        let key = ServerKey::of(request, request.method())?;
        self.made += 1;
        let id = ServerId(self.made);
        let merge = MergeKey::of(request).filter(|_| request.to().tag().is_none());
        if let Some(merge) = &merge {
            self.merged.insert(merge.clone(), id);
        }
        self.by_key.insert(key.clone(), id);
        let transaction = ServerTransaction {
            key,
            merge,
            is_invite: *request.method() == Method::Invite,
            state: ServerState::Proceeding,
            seed: ResponseSeed::of(request, source),
            local_tag,
            call,
            last: None,
            interval: Duration::ZERO,
            retransmit: None,
            end: None,
        };
        self.by_id.insert(id, transaction);
        Some(id)
    }

    fn remove(&mut self, id: ServerId) -> Option<ServerTransaction> {
        let transaction = self.by_id.remove(&id)?;
        self.by_key.remove(&transaction.key);
        if let Some(merge) = &transaction.merge {
            self.merged.remove(merge);
        }
        Some(transaction)
    }
}

impl ServerTransaction {
    pub(crate) fn is_open(&self) -> bool {
        self.state == ServerState::Proceeding
    }
}

impl Endpoint {
    /// Sends an answer through its transaction and moves the transaction on.
    pub(crate) fn server_send(&mut self, id: ServerId, status: StatusCode, payload: Arc<[u8]>, now: Instant) {
        let timing = self.config.timing;
        let Some(tx) = self.servers.by_id.get_mut(&id) else { return };
        if tx.state != ServerState::Proceeding {
            return;
        }
        let (to, call) = (tx.seed.answer_to, tx.call);
        tx.last = Some(payload.clone());
        if !status.is_provisional() {
            tx.state = if tx.is_invite && status.is_success() {
                ServerState::Accepted
            } else {
                ServerState::Completed
            };
            if tx.is_invite && !status.is_success() {
                tx.interval = timing.t1;
                tx.retransmit = Some(self.timers.set(now + timing.t1, Deadline::ServerRetransmit(id)));
            }
            // Timers H, J and L are all 64*T1.
            tx.end = Some(self.timers.set(now + timing.timer_b(), Deadline::ServerEnd(id)));
        }
        self.transmit(to, payload, call, now);
    }

    /// The same request again: answer what was answered before.
    pub(crate) fn server_repeat(&mut self, id: ServerId, now: Instant) {
        let Some(tx) = self.servers.by_id.get(&id) else { return };
        let repeats = match tx.state {
            ServerState::Proceeding | ServerState::Completed => true,
            ServerState::Confirmed | ServerState::Accepted => false,
        };
        if let (true, Some(payload)) = (repeats, tx.last.clone()) {
            self.transmit(tx.seed.answer_to, payload, tx.call, now);
        }
    }

    /// An ACK with the branch of its INVITE: the refusal has arrived.
    pub(crate) fn server_acknowledged(&mut self, id: ServerId, now: Instant) {
        let Some(tx) = self.servers.by_id.get_mut(&id) else { return };
        if tx.state != ServerState::Completed {
            return;
        }
        tx.state = ServerState::Confirmed;
        self.timers.clear(tx.retransmit.take());
        self.timers.clear(tx.end.take());
        tx.end = Some(self.timers.set(now + self.config.timing.t4, Deadline::ServerEnd(id)));
    }

    pub(crate) fn server_retransmit_due(&mut self, id: ServerId, now: Instant) {
        let timing = self.config.timing;
        let Some(tx) = self.servers.by_id.get_mut(&id) else { return };
        tx.interval = timing.next_interval(tx.interval);
        tx.retransmit = Some(self.timers.set(now + tx.interval, Deadline::ServerRetransmit(id)));
        if let Some(payload) = tx.last.clone() {
            let (to, call) = (tx.seed.answer_to, tx.call);
            self.transmit(to, payload, call, now);
        }
    }

    pub(crate) fn server_end(&mut self, id: ServerId) {
        if let Some(tx) = self.servers.remove(id) {
            self.timers.clear(tx.retransmit);
            self.timers.clear(tx.end);
        }
    }
}
