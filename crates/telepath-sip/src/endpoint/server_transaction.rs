//! Server transactions (RFC 3261 section 17.2, with the state Accepted of RFC 6026): they answer a retransmitted request
//! with the last response, and retransmit a non-2xx final response to an INVITE until its ACK arrives. Over TCP and TLS nothing is
//! retransmitted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event::CallHandle;
use super::flow::{Flow, ResponseRoute};
use super::timer::TimerId;
use super::{Deadline, Endpoint, EndpointLimits};
use crate::message::{Headers, HostPort, Method, Request, ResponseTemplate, StatusCode, Tag};

/// The memory of a transaction besides its texts, roughly.
const TRANSACTION_BYTES: usize = 1_024;

/// The time after which an INVITE that has no response yet gets 100 (section 17.2.1).
const TRYING_DELAY: Duration = Duration::from_millis(200);

/// The share of `max_server_transaction_bytes` that rejected INVITEs may keep: one part of this many. A further rejection is
/// sent once, so that whoever is rejected leaves room for the calls of others.
const REJECTED_SHARE: usize = 4;

/// Identifies a server transaction. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ServerId(u64);

/// Matches a request to its transaction (section 17.2.3). An ACK has the key of its INVITE.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ServerKey {
    Branch {
        branch: String,
        sent_by: HostPort,
        method: Method,
    },
    /// For peers of RFC 2543, whose branch is missing or not unique.
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
    pub(super) fn of(request: &Request, method: &Method) -> Option<Self> {
        let via = request.vias().first()?;
        let method = method.clone();
        Some(match via.rfc3261_branch() {
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

/// Identifies copies of one request that arrive over different paths (section 8.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct MergeKey {
    call_id: String,
    from_tag: String,
    cseq: u32,
    method: Method,
}

impl MergeKey {
    pub(super) fn of(request: &Request) -> Option<Self> {
        Some(Self {
            call_id: request.call_id().as_str().to_owned(),
            from_tag: request.from().tag()?.to_owned(),
            cseq: request.cseq().number,
            method: request.method().clone(),
        })
    }
}

/// The state of a server transaction. Trying and Proceeding are the same here and differ only in `last_response`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerState {
    Proceeding,
    /// A final response was sent, other than a 2xx to an INVITE.
    Completed,
    /// The ACK of a non-2xx response arrived.
    Confirmed,
    /// A 2xx to an INVITE was sent; the dialog retransmits it.
    Accepted,
}

pub(super) struct ServerTransaction {
    key: ServerKey,
    merge: Option<MergeKey>,
    is_invite: bool,
    state: ServerState,
    pub(super) template: ResponseTemplate,
    pub(super) route: ResponseRoute,
    pub(super) local_tag: Option<Tag>,
    pub(super) call: Option<CallHandle>,
    last_response: Option<Arc<[u8]>>,
    interval: Duration,
    trying: Option<TimerId>,
    retransmit: Option<TimerId>,
    end: Option<TimerId>,
    /// An estimate of the memory that the transaction keeps.
    bytes: usize,
}

/// All server transactions, with their indexes.
#[derive(Default)]
pub(super) struct ServerTable {
    by_id: HashMap<ServerId, ServerTransaction>,
    by_key: HashMap<ServerKey, ServerId>,
    merged: HashMap<MergeKey, ServerId>,
    /// The bytes that transactions of requests outside dialogs keep.
    initial_bytes: usize,
    /// Those among them of INVITEs that have been rejected.
    rejected_bytes: usize,
    /// The number of transactions within the dialog of each call, and the bytes that they keep.
    in_dialog: HashMap<CallHandle, (usize, usize)>,
    last_id: u64,
}

impl ServerTable {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Transactions of requests outside dialogs.
    pub(super) fn initial(&self) -> usize {
        self.merged.len()
    }

    /// The bytes that transactions of requests outside dialogs keep.
    pub(super) fn initial_bytes(&self) -> usize {
        self.initial_bytes
    }

    /// Whether a call has as many transactions within its dialog as it may have.
    pub(super) fn is_call_full(&self, call: CallHandle, limits: &EndpointLimits) -> bool {
        let (count, bytes) = self.in_dialog.get(&call).copied().unwrap_or_default();
        count >= limits.max_transactions_per_call || bytes >= limits.max_transaction_bytes_per_call
    }

    /// Adds the bytes of a response to those of its transaction.
    fn charge(&mut self, id: ServerId, added: usize) {
        let Some(tx) = self.by_id.get_mut(&id) else { return };
        tx.bytes += added;
        match (&tx.merge, tx.call) {
            (Some(_), _) => {
                self.initial_bytes += added;
                if tx.is_rejected() {
                    self.rejected_bytes += added;
                }
            }
            (None, Some(call)) => self.in_dialog.entry(call).or_default().1 += added,
            (None, None) => {}
        }
    }

    pub(super) fn get(&self, id: ServerId) -> Option<&ServerTransaction> {
        self.by_id.get(&id)
    }

    pub(super) fn find(&self, key: &ServerKey) -> Option<ServerId> {
        self.by_key.get(key).copied()
    }

    /// The INVITE transaction that an ACK belongs to. Some callers give the ACK of a non-2xx response a new branch,
    /// contrary to section 17.1.1.3. Such an ACK is matched by Call-ID, tags and `CSeq`; otherwise the response would be
    /// retransmitted for 32 s.
    pub(super) fn find_acknowledged(&self, ack: &Request) -> Option<ServerId> {
        let by_branch = ServerKey::of(ack, &Method::Invite).and_then(|key| self.find(&key));
        by_branch.or_else(|| {
            let key = MergeKey { method: Method::Invite, ..MergeKey::of(ack)? };
            let id = *self.merged.get(&key)?;
            let local_tag = self.get(id)?.local_tag.as_ref()?.as_str();
            (ack.to().tag() == Some(local_tag)).then_some(id)
        })
    }

    pub(super) fn is_merged(&self, request: &Request) -> bool {
        MergeKey::of(request).is_some_and(|key| self.merged.contains_key(&key))
    }

    pub(super) fn add(
        &mut self,
        request: &Request,
        flow: Flow,
        local_tag: Option<Tag>,
        call: Option<CallHandle>,
    ) -> Option<ServerId> {
        let key = ServerKey::of(request, request.method())?;
        self.last_id += 1;
        let id = ServerId(self.last_id);
        let merge = MergeKey::of(request).filter(|_| request.to().tag().is_none());
        match (&merge, call) {
            (Some(merge), _) => drop(self.merged.insert(merge.clone(), id)),
            (None, Some(call)) => self.in_dialog.entry(call).or_default().0 += 1,
            (None, None) => {}
        }
        self.by_key.insert(key.clone(), id);
        let template = ResponseTemplate::of(request, flow.remote);
        let transaction = ServerTransaction {
            key,
            merge,
            is_invite: *request.method() == Method::Invite,
            state: ServerState::Proceeding,
            route: ResponseRoute::new(&template, flow),
            template,
            local_tag,
            call,
            last_response: None,
            interval: Duration::ZERO,
            trying: None,
            retransmit: None,
            end: None,
            bytes: 0,
        };
        self.by_id.insert(id, transaction);
        // The headers are kept as text and parsed, and the keys repeat parts of them.
        self.charge(id, TRANSACTION_BYTES + 2 * request.headers().wire_bytes());
        Some(id)
    }

    fn remove(&mut self, id: ServerId) -> Option<ServerTransaction> {
        let transaction = self.by_id.remove(&id)?;
        self.by_key.remove(&transaction.key);
        match (&transaction.merge, transaction.call) {
            (Some(merge), _) => {
                self.merged.remove(merge);
                self.initial_bytes = self.initial_bytes.saturating_sub(transaction.bytes);
                if transaction.is_rejected() {
                    self.rejected_bytes = self.rejected_bytes.saturating_sub(transaction.bytes);
                }
            }
            (None, Some(call)) => {
                if let Some((count, bytes)) = self.in_dialog.get_mut(&call) {
                    *count -= 1;
                    *bytes = bytes.saturating_sub(transaction.bytes);
                    if *count == 0 {
                        self.in_dialog.remove(&call);
                    }
                }
            }
            (None, None) => {}
        }
        Some(transaction)
    }
}

impl ServerTransaction {
    /// Whether no final response has been sent.
    pub(super) fn is_proceeding(&self) -> bool {
        self.state == ServerState::Proceeding
    }

    /// Whether any response has been sent.
    pub(super) fn has_responded(&self) -> bool {
        self.last_response.is_some()
    }

    /// Whether this is an INVITE outside a dialog that has been rejected.
    fn is_rejected(&self) -> bool {
        match self.state {
            ServerState::Completed | ServerState::Confirmed => self.is_invite && self.merge.is_some(),
            ServerState::Proceeding | ServerState::Accepted => false,
        }
    }
}

impl Endpoint {
    /// Sends a response and advances the state of the transaction. Does nothing after a final response.
    pub(super) fn server_send(&mut self, id: ServerId, status: StatusCode, payload: Arc<[u8]>, now: Instant) {
        let timing = self.config.timing;
        let Some(tx) = self.servers.by_id.get_mut(&id) else { return };
        if tx.state != ServerState::Proceeding {
            return;
        }
        let (route, call) = (tx.route, tx.call);
        tx.last_response = Some(payload.clone());
        self.timers.clear(tx.trying.take());
        if !status.is_provisional() {
            tx.state = if tx.is_invite && status.is_success() {
                ServerState::Accepted
            } else {
                ServerState::Completed
            };
            let reliable = tx.route.is_reliable();
            // Timer G.
            if tx.is_invite && !status.is_success() && !reliable {
                tx.interval = timing.t1;
                tx.retransmit = Some(self.timers.set(now + timing.t1, Deadline::ServerRetransmit(id)));
            }
            // Timers H and L of an INVITE, timer J otherwise.
            let linger = if reliable && !tx.is_invite { Duration::ZERO } else { timing.timer_b() };
            tx.end = Some(self.timers.set(now + linger, Deadline::ServerEnd(id)));
        }
        let rejected = tx.is_rejected();
        if rejected {
            self.servers.rejected_bytes += tx.bytes;
        }
        self.servers.charge(id, payload.len());
        self.transmit_response(route, payload, call, now);
        let share = self.config.limits.max_server_transaction_bytes / REJECTED_SHARE;
        if rejected && self.servers.rejected_bytes > share {
            self.server_end(id);
        }
    }

    /// Sends 100, unless another response has been sent.
    pub(super) fn send_trying(&mut self, id: ServerId, now: Instant) {
        let silent = self.servers.get(id).is_some_and(|tx| tx.is_proceeding() && !tx.has_responded());
        if silent {
            self.respond(id, StatusCode::TRYING, Headers::default(), None, now);
        }
    }

    /// Sends 100 later, unless another response has been sent by then.
    pub(super) fn defer_trying(&mut self, id: ServerId, now: Instant) {
        let Some(tx) = self.servers.by_id.get_mut(&id) else { return };
        tx.trying = Some(self.timers.set(now + TRYING_DELAY, Deadline::Trying(id)));
    }

    /// Answers a retransmitted request with the last response.
    pub(super) fn resend_last_response(&mut self, id: ServerId, now: Instant) {
        let Some(tx) = self.servers.by_id.get(&id) else { return };
        let retransmit = match tx.state {
            ServerState::Proceeding | ServerState::Completed => true,
            ServerState::Confirmed | ServerState::Accepted => false,
        };
        if let (true, Some(payload)) = (retransmit, tx.last_response.clone()) {
            self.transmit_response(tx.route, payload, tx.call, now);
        }
    }

    /// Processes the ACK of a non-2xx response.
    pub(super) fn server_acknowledged(&mut self, id: ServerId, now: Instant) {
        let Some(tx) = self.servers.by_id.get_mut(&id) else { return };
        if tx.state != ServerState::Completed {
            return;
        }
        tx.state = ServerState::Confirmed;
        self.timers.clear(tx.retransmit.take());
        self.timers.clear(tx.end.take());
        // Timer I.
        let linger = if tx.route.is_reliable() { Duration::ZERO } else { self.config.timing.t4 };
        tx.end = Some(self.timers.set(now + linger, Deadline::ServerEnd(id)));
    }

    pub(super) fn server_retransmit(&mut self, id: ServerId, now: Instant) {
        let timing = self.config.timing;
        let Some(tx) = self.servers.by_id.get_mut(&id) else { return };
        tx.interval = timing.next_interval(tx.interval);
        tx.retransmit = Some(self.timers.set(now + tx.interval, Deadline::ServerRetransmit(id)));
        if let Some(payload) = tx.last_response.clone() {
            let (route, call) = (tx.route, tx.call);
            self.transmit_response(route, payload, call, now);
        }
    }

    pub(super) fn server_end(&mut self, id: ServerId) {
        if let Some(tx) = self.servers.remove(id) {
            self.timers.clear(tx.trying);
            self.timers.clear(tx.retransmit);
            self.timers.clear(tx.end);
        }
    }
}
